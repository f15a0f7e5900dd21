import { settleWithin, toReadingCluster } from './client.ts';
import { judge, protocolType } from './fault.ts';
import type { ClientOptions } from './options.ts';
import { FETCH_MS, READ_RETRIES, type ReadRecord, toRecord } from './reader.ts';

/** Some records of one partition, in the order of their offsets. */
export interface Batch {
  readonly partition: number;
  readonly records: readonly ReadRecord[];
  /** The offset after the last record of the batch, markers of transactions included. */
  readonly next: bigint;
  /** The offset after the last record that the partition held when these were read. */
  readonly end: bigint;
  /** Tells the group that this member lives. Throws once the partition must be let go. */
  heartbeat(): Promise<void>;
}

export type MemberOptions = ClientOptions & { readonly groupId: string; readonly sessionTimeoutMs: number };

export interface MemberPorts {
  /** This member has these partitions now, and reads them from what the group has committed; what it had before is void. */
  assigned(partitions: readonly number[]): void;
  /** The source has shown that it can be read. */
  fetched(): void;
  /** Batches never overlap. The next one comes when this resolves; where it throws, the group is joined anew. */
  take(batch: Batch): Promise<void>;
}

export interface Member {
  /** Rejects with Unreachable when the group cannot be had any more: then another member is to be made. */
  readonly failed: Promise<never>;
  /** Everything before the offset is done, for good. */
  commit(offsets: ReadonlyMap<number, bigint>): Promise<void>;
  /** Leaves the group, once `take` has ended. */
  leave(): Promise<void>;
}

/** Whether the broker says that all members must join anew; what was read may still be committed. */
export function isRebalance(thrown: unknown): boolean {
  return protocolType(thrown) === 'REBALANCE_IN_PROGRESS';
}

/** Whether kafkajs joins the group anew by itself after this error. */
export function isRejoined(thrown: unknown): boolean {
  return ['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID'].includes(protocolType(thrown) ?? '');
}

const METADATA_MS = 10_000;

/** Joins the group, from the beginning of the topic where it has committed nothing. Throws Unreachable. */
export async function joinGroup(options: MemberOptions, ports: MemberPorts): Promise<Member> {
  const { topic, groupId, sessionTimeoutMs } = options;
  const consumer = (await toReadingCluster(options, READ_RETRIES)).consumer({
    groupId,
    sessionTimeout: sessionTimeoutMs,
    heartbeatInterval: heartbeatEvery(options),
    maxWaitTimeInMs: FETCH_MS,
    // Partitions that were added are found within this time; kafkajs would look every five minutes.
    metadataMaxAge: METADATA_MS,
    allowAutoTopicCreation: false,
    retry: { retries: READ_RETRIES, restartOnFailure: async () => false },
  });
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => {});
  consumer.on(consumer.events.CRASH, ({ payload }) => failure.reject(judge(payload.error, options)));
  consumer.on(consumer.events.FETCH, ports.fetched);
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => ports.assigned(payload.memberAssignment[topic] ?? []));
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async ({ batch, heartbeat, resolveOffset, isRunning, isStale }) => {
        const { partition } = batch;
        const last = BigInt(batch.lastOffset());
        await ports.take({
          partition,
          records: batch.messages.map((message) => toRecord(topic, partition, message)),
          next: last + 1n,
          end: BigInt(batch.highWatermark),
          async heartbeat() {
            if (!isRunning() || isStale()) throw new Error('the partition is no longer read');
            await heartbeat();
          },
        });
        resolveOffset(String(last));
      },
    });
  } catch (thrown) {
    await settleWithin(consumer.disconnect());
    throw judge(thrown, options);
  }
  return {
    failed: failure.promise,
    async commit(offsets) {
      const wanted = Array.from(offsets, ([partition, offset]) => ({ topic, partition, offset: String(offset) }));
      if (wanted.length > 0) await consumer.commitOffsets(wanted);
    },
    leave: () => settleWithin(consumer.disconnect()),
  };
}

/** Returns an interval, in ms, of which several fit into the time after which a silent member is taken for dead. */
export function heartbeatEvery({ sessionTimeoutMs }: { readonly sessionTimeoutMs: number }): number {
  return Math.min(3_000, Math.floor(sessionTimeoutMs / 5));
}
