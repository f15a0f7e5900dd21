import { Unreachable } from '../../src/model/fault.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { wordsOf } from '../../src/model/template.ts';
import type { Host, Identify, Outcomes, Sink } from '../contract.ts';
import { createClient, type KafkaClient } from './client.ts';
import { Refused } from './fault.ts';
import { followGroups, refuseForeign } from './groups.ts';
import { watchEnds } from './identity.ts';
import { type KafkaMessage, sizeOf, toGroupMessage, toMessage } from './message.ts';
import { clientOptions, type KafkaOptions } from './options.ts';
import { extentsOf } from './reader.ts';
import { openTopic, topicOf } from './topic.ts';

/** One record, and the id by which it is settled. */
interface Item {
  readonly id: string;
  readonly message: KafkaMessage;
  /** Where the name of the topic is a template. */
  readonly topic?: string;
}

export async function openSink(options: KafkaOptions, host: Host, signal: AbortSignal): Promise<Sink> {
  const { content, format, headers, topic } = options;
  const { shape } = host;
  if (content === 'events') {
    const named = wordsOf(topic).length === 0;
    const target = named ? openTarget(options, host) : openTargets(options, host);
    await target.open(signal);
    return {
      holds: 'events',
      async deliver(batch, signal) {
        const items = batch.map((entry): Item => {
          const message = toMessage(entry, format, shape, headers);
          return { id: entry.id, message, ...(!named && { topic: topicOf(topic, entry.event) }) };
        });
        return target.send(items, signal);
      },
      identify: target.identify,
      close: target.close,
    };
  }
  const target = openTarget(options, host);
  await target.open(signal);
  await refuseForeign(options, host, signal);
  return {
    holds: 'groups',
    // Invariant 3: whole states, so that the last record of a key is right whatever the order in which its events came.
    async put(states, how, signal) {
      if (how !== 'join') throw new TypeError('a topic is not read back, so nothing can be compared with it');
      const items = states.map((state) => ({ id: state.groupId, message: toGroupMessage(state, shape, headers) }));
      return target.send(items, signal);
    },
    follow: followGroups(options, host),
    // From the beginning at each call.
    scan: (take, signal) => followGroups(options, host)(take, signal),
    identify: target.identify,
    close: target.close,
  };
}

/** Where records are sent to. */
export interface Target {
  /** Throws Unreachable while nothing could be sent. */
  open(signal: AbortSignal): Promise<void>;
  send(items: readonly Item[], signal: AbortSignal): Promise<Outcomes>;
  readonly identify: Identify;
  close(): Promise<void>;
}

/** One topic. */
function openTarget(options: KafkaOptions, host: Host): Target {
  const { content, createTopic, maxBatchBytes } = options;
  const path = `connectors.${host.name}`;
  const topic = openTopic({ options, path, createTopic, compacted: content === 'groups', created: host.created });
  const ends = watchEnds(options.topic);
  return {
    open: (signal) => topic.use(signal, async () => {}),
    send: (items, signal) =>
      topic.use(signal, async (client) => {
        const { outcomes, troubled } = await sendByPartition(client, items, maxBatchBytes);
        if (troubled) await topic.drop();
        for (const outcome of outcomes.values()) if (outcome.kind === 'delivered') ends.written(outcome.receipt);
        return outcomes;
      }),
    async identify(before, signal) {
      const clients = await clientOptions(options, path, signal);
      const found = await ends.compare(before, () => extentsOf(clients), signal);
      // The next use creates a topic that is gone.
      if (found !== undefined) return found;
      await topic.drop();
      await topic.use(signal, async () => {});
      return (await ends.compare(before, () => extentsOf(clients), signal)) ?? { identity: before ?? '' };
    },
    close: topic.drop,
  };
}

/** The topics that a template stands for: each is opened when the first event is for it. */
function openTargets(options: KafkaOptions, host: Host): Target {
  const open = new Map<string, Target>();
  const targetOf = (topic: string): Target | undefined => {
    const target = open.get(topic) ?? (open.size < MOST_TOPICS ? openTarget({ ...options, topic }, host) : undefined);
    if (target !== undefined) open.set(topic, target);
    return target;
  };
  return {
    async open(signal) {
      const client = createClient(await clientOptions(options, `connectors.${host.name}`, signal));
      await client.ask((admin) => admin.describeCluster()).finally(() => client.close());
    },
    async send(items, signal) {
      const outcomes = new Map<string, Outcome>();
      let trouble: Unreachable | undefined;
      for (const [topic = '', its] of Map.groupBy(items, (item) => item.topic)) {
        try {
          const settled = await targetOf(topic)?.send(its, signal);
          for (const { id } of its) {
            const outcome = settled === undefined ? tooMany(topic, host) : settled.get(id);
            if (outcome !== undefined) outcomes.set(id, outcome);
          }
        } catch (thrown) {
          if (!(thrown instanceof Unreachable)) throw thrown;
          trouble = thrown;
          for (const { id } of its) outcomes.set(id, { kind: 'retry', fault: thrown.fault });
        }
      }
      const settled = [...outcomes.values()].some(({ kind }) => kind !== 'retry');
      if (trouble !== undefined && !settled) throw trouble;
      return outcomes;
    },
    identify: (before, signal) => identifyAll(options.topic, targetOf, open, before, signal),
    close: async () => void (await Promise.all([...open.values()].map((target) => target.close()))),
  };
}

/** Types of groups are an open set, and each topic costs a connection. */
const MOST_TOPICS = 50;

function tooMany(topic: string, { name }: Host): Outcome {
  const message = `Kafka: ${topic} would be one topic more than the ${MOST_TOPICS} that a template may stand for`;
  return { kind: 'dead', fault: { code: 'event-refused', message, path: `connectors.${name}.topic` } };
}

/** What `before` says is the template, then each topic as it says who it is, with | between. */
async function identifyAll(
  template: string,
  targetOf: (topic: string) => Target | undefined,
  open: ReadonlyMap<string, Target>,
  before: string | undefined,
  signal: AbortSignal,
): ReturnType<Identify> {
  const [was = template, ...known] = before?.split('|') ?? [];
  const moved = was !== template;
  const each = new Map((moved ? [] : known).map((one) => [one.split(' ')[0] ?? '', one]));
  for (const topic of each.keys()) targetOf(topic);
  const found = [];
  for (const [topic, target] of open) found.push(await target.identify(each.get(topic), signal));
  const identity = [template, ...found.map((one) => one.identity)].join('|');
  if (moved) return { identity, moved, lost: `the topics are ${template} now, and were ${was.split(' ')[0]} before` };
  const lost = found.find((one) => one.lost !== undefined)?.lost;
  return { identity, ...(lost !== undefined && { lost }) };
}

/**
 * A request is answered partition by partition, but kafkajs tells one answer only: each partition gets its own, so that
 * trouble of one repeats no record of another. Throws the trouble where nothing was settled.
 */
async function sendByPartition(client: KafkaClient, items: readonly Item[], maxBytes: number) {
  const outcomes = new Map<string, Outcome>();
  const byPartition = [...Map.groupBy(items, ({ message }) => client.partitionFor(message.key)).values()];
  const settled = await Promise.allSettled(
    byPartition.map(async (items) => {
      for (const request of requests(items, maxBytes)) await send(client, request, outcomes);
    }),
  );
  const troubles = settled.map((one) => (one.status === 'rejected' ? (one.reason as unknown) : undefined));
  const trouble = troubles.find((one) => one !== undefined);
  if (trouble === undefined) return { outcomes, troubled: false };
  if (outcomes.size === 0 || !troubles.every((one) => one === undefined || one instanceof Unreachable)) throw trouble;
  byPartition.forEach((items, index) => {
    const { fault } = (troubles[index] ?? trouble) as Unreachable;
    for (const { id } of items) if (!outcomes.has(id)) outcomes.set(id, { kind: 'retry', fault });
  });
  return { outcomes, troubled: true };
}

/** Sends one request; when the broker refuses it, its halves, down to the one record that is refused. */
async function send(client: KafkaClient, items: readonly Item[], outcomes: Map<string, Outcome>): Promise<void> {
  try {
    const receipts = await client.send(items.map(({ message }) => message));
    items.forEach(({ id }, index) => {
      outcomes.set(id, { kind: 'delivered', receipt: receipts[index] ?? '' });
    });
  } catch (thrown) {
    if (!(thrown instanceof Refused)) throw thrown;
    const [only, ...others] = items;
    if (only !== undefined && others.length === 0) {
      outcomes.set(only.id, { kind: 'dead', fault: thrown.fault });
      return;
    }
    const middle = items.length >> 1;
    await send(client, items.slice(0, middle), outcomes);
    await send(client, items.slice(middle), outcomes);
  }
}

/** In order, each within `maxBytes` unless a single item is larger. */
function* requests(items: readonly Item[], maxBytes: number): Generator<Item[]> {
  let request: Item[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = sizeOf(item.message);
    if (request.length > 0 && bytes + size > maxBytes) {
      yield request;
      request = [];
      bytes = 0;
    }
    request.push(item);
    bytes += size;
  }
  if (request.length > 0) yield request;
}
