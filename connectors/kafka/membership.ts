import type { Consumer } from 'kafkajs';
import { orAborted } from '../../src/model/wait.ts';
import { createConsumer, settleWithin } from './client.ts';
import { innermost, judge } from './fault.ts';
import { type ClientOptions, type KafkaSourceOptions, sourceClient } from './options.ts';
import { type ReadRecord, toRecord } from './reader.ts';

/** How long work may continue after a rebalance began: the coordinator waits a minute for its members. */
const GRACE_MS = 15_000;
/** Added partitions are found within this time; kafkajs would look every five minutes. */
const METADATA_MS = 10_000;
/** Errors after which kafkajs rejoins the group by itself. */
const REJOINED = ['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'NOT_COORDINATOR_FOR_GROUP'];

/** Some records of one partition, in the order of their offsets. */
export interface Batch {
  readonly partition: number;
  readonly records: readonly ReadRecord[];
  /** The offset after the batch's last record, including transaction markers. */
  readonly next: bigint;
  /** The offset after the last record that the partition held at that time. */
  readonly end: bigint;
}

interface MembershipPorts {
  entering(client: ClientOptions): Promise<void>;
  /** This member now has these partitions, and reads them from the committed offsets; what it had before is void. */
  assigned(partitions: readonly number[]): void;
  /** Batches never overlap: the next one comes when this resolves. If it rejects, the group is joined again. */
  take(batch: Batch): Promise<void>;
  /** The generation has ended. */
  interrupt(): void;
}

interface Generation {
  readonly number: number;
  readonly lease: AbortController;
  /** Why it has ended; undefined while it goes on. */
  ended: unknown;
  /** Settled when the next one begins. */
  readonly passed: PromiseWithResolvers<void>;
}

function newGeneration(number: number): Generation {
  return { number, lease: new AbortController(), ended: undefined, passed: Promise.withResolvers() };
}

/** What this member holds: its partitions, and the current generation of records from them. */
function createHolding(ports: MembershipPorts) {
  let partitions: readonly number[] | undefined;
  let current = newGeneration(0);
  /** Why nothing may be taken; undefined once the group is joined, and read from the committed offsets. */
  let closed: unknown = new Error('the group was not joined yet');
  /** Ends the current generation; work on its records may continue for `graceMs`. */
  const end = (why: unknown, graceMs: number): void => {
    closed = why;
    if (current.ended !== undefined) return;
    const { lease } = current;
    current.ended = why;
    if (graceMs === 0) lease.abort(why);
    else setTimeout(() => lease.abort(why), graceMs).unref();
    ports.interrupt();
  };
  return {
    generation: () => current,
    end,
    begin(): void {
      const { number, lease, ended, passed } = current;
      current = newGeneration(number + 1);
      lease.abort(ended);
      passed.resolve();
    },
    partitions: () => partitions,
    assigned(ours: readonly number[]): void {
      // If the rebalance was noticed before, the generation has ended, and nothing was taken since.
      if (partitions !== undefined && closed === undefined) end(new Error('the partitions were shared out anew'), 0);
      const { ended, lease } = current;
      if (ended !== undefined) lease.abort(ended);
      partitions = ours;
      closed = undefined;
      ports.assigned(ours);
    },
    async take(batch: Batch): Promise<void> {
      // What was given out must be released first.
      const { ended, passed } = current;
      if (closed === undefined && ended !== undefined) await passed.promise;
      if (closed !== undefined) throw closed;
      await ports.take(batch);
    },
    crashed(why: unknown): void {
      partitions = undefined;
      end(why, 0);
    },
    left(): void {
      partitions = undefined;
      closed ??= new Error('the group was left');
    },
  };
}

/**
 * One connector's membership of its consumer group, across rebalances and losses. Records belong to a generation. When it
 * ends, all of them are handed over again, here or elsewhere, from the committed offsets.
 */
export function createMembership(options: KafkaSourceOptions, groupId: string, ports: MembershipPorts) {
  let member: { readonly consumer: Consumer; readonly client: ClientOptions } | undefined;
  /** Why the group must be left and joined again. */
  let lost: unknown;
  const holding = createHolding(ports);
  const { generation } = holding;

  const troubled = (thrown: unknown): void => {
    if (member === undefined) return;
    // kafkajs recognizes an error by its type, which its own wrapper lacks.
    const error = innermost(thrown);
    if (!REJOINED.includes(error.type ?? '')) lost ??= judge(error, member.client);
    holding.end(error, error.type === 'REBALANCE_IN_PROGRESS' ? GRACE_MS : 0);
  };
  const leave = async (): Promise<void> => {
    const left = member;
    member = undefined;
    holding.left();
    if (left !== undefined) await settleWithin(left.consumer.disconnect());
  };
  const enter = async (signal: AbortSignal): Promise<void> => {
    const client = await sourceClient(options, signal);
    await ports.entering(client);
    const { sessionTimeoutMs: sessionTimeout } = options;
    const heartbeatInterval = heartbeatEvery(sessionTimeout);
    const timing = { sessionTimeout, heartbeatInterval, metadataMaxAge: METADATA_MS };
    const consumer = await createConsumer(client, { groupId, ...timing });
    const entered = { consumer, client };
    member = entered;
    const crashed = (thrown: unknown): void => {
      if (member !== entered) return;
      lost ??= judge(thrown, client);
      holding.crashed(lost);
    };
    const assigned = (ours: readonly number[]) => member === entered && holding.assigned(ours);
    try {
      await run(consumer, options, { assigned, take: holding.take, troubled, crashed }, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      await leave();
      throw judge(thrown, client);
    }
  };

  return {
    /** Joins the group unless this worker is a member already. Throws Unreachable. */
    async join(signal: AbortSignal): Promise<void> {
      if (member === undefined) return enter(signal);
      if (lost === undefined) return;
      const reason = lost;
      lost = undefined;
      await leave();
      throw reason;
    },
    /** Why the generation has ended; undefined while it goes on. */
    ended: () => generation().ended,
    begin: holding.begin,
    generation: () => generation().number,
    /** Aborts when work on what was handed over must end. */
    lease: (): AbortSignal => generation().lease.signal,
    partitions: holding.partitions,
    /** Commits what is settled; a failure ends the generation. Resolves with whether it succeeded. */
    async commit(offsets: ReadonlyMap<number, bigint>): Promise<boolean> {
      const { topic } = options;
      const due = Array.from(offsets, ([partition, offset]) => ({ topic, partition, offset: String(offset) }));
      try {
        if (due.length > 0) await member?.consumer.commitOffsets(due);
        return true;
      } catch (thrown) {
        // What was delivered is delivered again: here, or by the partitions' next owner.
        troubled(thrown);
        return false;
      }
    },
    /** Leaves the group and joins it again. */
    lose: troubled,
    leave,
  };
}

/** Returns an interval, in ms, several of which fit into the session timeout. */
const heartbeatEvery = (sessionTimeoutMs: number): number => Math.min(3_000, Math.floor(sessionTimeoutMs / 5));

interface Handlers {
  assigned(partitions: readonly number[]): void;
  take(batch: Batch): Promise<void>;
  troubled(thrown: unknown): void;
  /** The group is lost. */
  crashed(thrown: unknown): void;
}

/**
 * Joins the group and reads on; from the beginning of the topic if it has committed nothing. Resolves once the source has
 * proved readable.
 */
async function run(
  consumer: Consumer,
  { topic, sessionTimeoutMs }: KafkaSourceOptions,
  { assigned, take, troubled, crashed }: Handlers,
  signal: AbortSignal,
): Promise<void> {
  const proven = Promise.withResolvers<void>();
  let onCrash: (thrown: unknown) => void = proven.reject;
  consumer.on(consumer.events.FETCH, () => proven.resolve());
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    const ours = payload.memberAssignment[topic] ?? [];
    assigned(ours);
    if (ours.length === 0) proven.resolve();
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => onCrash(payload.error));
  const join = async (): Promise<void> => {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async ({ batch, heartbeat, resolveOffset }) => {
        const { partition } = batch;
        const last = BigInt(batch.lastOffset());
        const records = batch.messages.map((message) => toRecord(topic, partition, message));
        // kafkajs skips heartbeats that come too early for its own interval.
        const timer = setInterval(() => heartbeat().catch(troubled), heartbeatEvery(sessionTimeoutMs) / 2);
        try {
          await take({ partition, records, next: last + 1n, end: BigInt(batch.highWatermark) });
        } finally {
          clearInterval(timer);
        }
        resolveOffset(String(last));
      },
    });
  };
  join().catch(proven.reject);
  await orAborted(signal, proven.promise);
  onCrash = crashed;
}
