import type { MessageFault } from '../model/fault.ts';
import { type ChangedField, changedFields } from '../model/group.ts';
import { parseEvent } from './event.ts';
import { createHandover, type Handover } from './handover.ts';
import type { Batch, KafkaClient } from './kafka-client.ts';
import { merge } from './merge.ts';
import type { IncomingMessage } from './message.ts';
import type { Group, GroupEvent } from './types.ts';

/** One change of one group. */
export interface GroupChange {
  /** The group before; undefined if it was not seen before. */
  readonly before: Group | undefined;
  /** The group after. */
  readonly after: Group;
  /** What differs, such as `name` or `customFields.level`; empty if only its author and time are new. */
  readonly fields: readonly ChangedField[];
  /** What changed it. */
  readonly event: GroupEvent;
}

/** Where groups are kept between runs, and for several processes of one consumer group: a table, a Redis. */
export interface GroupStore {
  /** Returns the group; undefined if it is unknown. */
  get(groupId: string, source: string): Promise<Group | undefined>;
  /**
   * Sets the group to `change(group)`, in a transaction or by compare-and-set: after a rebalance two processes may change one
   * group at the same moment, and neither may overwrite the other's change.
   */
  update(groupId: string, source: string, change: (group: Group | undefined) => Group): Promise<unknown>;
}

/** A message that is not an event, or that a later bridge wrote. */
export interface PassedOver {
  /** Why it could not be read. */
  readonly fault: MessageFault;
  /** Where the message is. */
  readonly partition: number;
  /** Its place in the partition. */
  readonly offset: string;
  /** The unchanged message. */
  readonly message: IncomingMessage;
}

export interface GroupChangesOptions {
  /** `new Kafka({ brokers })` of kafkajs. */
  readonly kafka: KafkaClient;
  /** A topic with `content: events`, in either format. It is read from its beginning, later from what was committed. */
  readonly topic: string;
  /** The consumer group: processes of one group share the partitions. Each topic needs a group of its own. */
  readonly groupId: string;
  /** By default groups are kept in memory, so that `before` only knows what was seen since the start. */
  readonly store?: GroupStore;
  /** Ends the iteration when it aborts, as `break` does. */
  readonly signal?: AbortSignal;
  /**
   * Called for unreadable messages, and awaited before their offset is committed; by default they are logged to the
   * console. They never stop the others.
   */
  readonly onPassedOver?: (message: PassedOver) => unknown;
}

/** A message and where it is. */
type Placed = Omit<PassedOver, 'fault'>;

/**
 * Yields each change of a group in turn; the next one follows once your code has awaited its work. Only then is the
 * change stored and its offset committed, so nothing is lost when the process dies or the group rebalances: an unfinished
 * change comes again. Ends on `break`, `return`, or the signal, after committing what was finished.
 */
export function groupChanges(options: GroupChangesOptions): AsyncGenerator<GroupChange, void, undefined> {
  const { signal } = options;
  const handover = createHandover<Placed>();
  const end = (): void => {
    // The signal may outlive many iterations.
    signal?.removeEventListener('abort', end);
    handover.end();
  };
  const changes = read(options, handover, end);
  signal?.addEventListener('abort', end);
  if (signal?.aborted) end();
  // A generator's own `return` would wait for the next change first.
  return Object.assign(Object.create(changes) as typeof changes, {
    next: () => changes.next(),
    return: () => {
      end();
      return changes.return();
    },
    throw: (thrown: unknown) => {
      end();
      return changes.throw(thrown);
    },
  });
}

async function* read(
  options: GroupChangesOptions,
  handover: Handover<Placed>,
  end: () => void,
): ReturnType<typeof groupChanges> {
  const { kafka, topic, groupId, store = memory(), onPassedOver = warn(topic) } = options;
  if (handover.ended) return;
  // A member that waits for messages notices its end only after `maxWaitTimeInMs`. A topic that a reader created would have
  // the broker's default settings instead of the bridge's.
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 500, allowAutoTopicCreation: false });
  consumer.on('consumer.crash', ({ payload }) => {
    if (!payload.restart) handover.end(payload.error);
  });
  // kafkajs would assign partitions of the other topic to this member, which does not read them.
  consumer.on('consumer.received_unsubscribed_topics', ({ payload: { topicsNotSubscribed: others } }) => {
    handover.end(
      new Error(`the group ${groupId} also reads ${others.join(', ')}: use a separate group for each topic`),
    );
  });
  let isConnecting = true;
  const join = async (): Promise<void> => {
    await consumer.connect().finally(() => {
      isConnecting = false;
    });
    if (handover.ended) return;
    await consumer.subscribe({ topic, fromBeginning: true }).catch((cause: { type?: unknown }) => {
      if (cause.type !== 'UNKNOWN_TOPIC_OR_PARTITION') throw cause;
      throw new Error(`the topic ${topic} does not exist: start the bridge that writes it, or create it`, { cause });
    });
    const eachBatch = (batch: Batch): Promise<void> => offer(batch, handover);
    await consumer.run({ eachBatchAutoResolve: false, autoCommitInterval: 1_000, eachBatch });
  };
  const joined = join().catch(handover.end);
  try {
    for (;;) {
      const placed = await handover.take();
      if (placed === undefined) return;
      const parsed = parseEvent(placed.message);
      if (!parsed.ok) {
        await onPassedOver({ ...placed, fault: parsed.fault });
        continue;
      }
      const { event } = parsed;
      const before = await store.get(event.subject, event.source);
      const after = merge(before, event);
      if (after === before) continue;
      yield { before, after, fields: changedFields(before, after), event };
      await store.update(event.subject, event.source, (group) => merge(group, event));
    }
  } finally {
    end();
    handover.close();
    const left = joined.then(() => consumer.disconnect());
    // kafkajs keeps looking for a broker even after it is told to disconnect, which may take for ever.
    if (isConnecting) left.catch(() => {});
    else await left;
  }
}

/** Hands over the messages of a batch one by one. An unfinished one is not resolved, and so never committed. */
async function offer(payload: Batch, handover: Handover<Placed>): Promise<void> {
  const { batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, isRunning, isStale } = payload;
  // Keeps the member in its group while a change takes long. The heartbeat below reports a rebalance.
  const beat = setInterval(() => void heartbeat().catch(() => {}), 1_000);
  try {
    for (const message of batch.messages) {
      if (!isRunning() || isStale()) return;
      const { partition } = batch;
      if (!(await handover.offer({ partition, offset: message.offset, message }))) return;
      resolveOffset(message.offset);
      await commitOffsetsIfNecessary();
      await heartbeat();
    }
  } finally {
    clearInterval(beat);
  }
}

function memory(): GroupStore {
  const groups = new Map<string, Group>();
  const keyOf = (groupId: string, source: string): string => `${source} ${groupId}`;
  return {
    get: async (groupId, source) => groups.get(keyOf(groupId, source)),
    update: async (groupId, source, change) => {
      const key = keyOf(groupId, source);
      groups.set(key, change(groups.get(key)));
    },
  };
}

const warn =
  (topic: string) =>
  ({ fault, partition, offset }: PassedOver): void =>
    console.warn(`passed over ${topic}/${partition}@${offset}: ${fault.message}`);
