import type { SourceHost } from '../contract.ts';
import type { Batch } from './membership.ts';
import type { Offsets } from './offsets.ts';
import { type ClientOptions, clientOptions, type KafkaSourceOptions } from './options.ts';
import { committedBy, type Extent, extentsOf } from './reader.ts';

/** How far the group is in what the topic holds, and whether something was removed before it was read. */
export function createProgress(options: KafkaSourceOptions, groupId: string, offsets: Offsets, gap: SourceHost['gap']) {
  const ends = new Map<number, bigint>();
  const gaps = createGapWatch(gap);
  /** Of all records of the topic, those that the group has not committed, as they were counted last. */
  let uncommitted = 0;
  let lastCommitted: ReadonlyMap<number, bigint> = new Map();
  const ask = async (signal: AbortSignal) => {
    const client = await clientOptions(options, 'source', signal);
    return Promise.all([extentsOf(client), committedBy(client, groupId)]);
  };
  return {
    async entering(client: ClientOptions): Promise<void> {
      lastCommitted = await committedBy(client, groupId);
    },
    /** Learns where these partitions begin; where that fails, the next batch tells. */
    async assigned(partitions: readonly number[], signal: AbortSignal): Promise<void> {
      gaps.restart();
      const before = lastCommitted;
      try {
        const [extents, committed] = await ask(signal);
        for (const { partition, low, high } of extents) {
          ends.set(partition, high);
          if (!partitions.includes(partition)) continue;
          // kafkajs forgets what was committed where that is no longer there.
          const from = committed.get(partition) ?? before.get(partition);
          offsets.begin(partition, from ?? low);
          // A group that has committed nothing begins with what is there.
          if (from !== undefined) gaps.compare(partition, from, low);
        }
      } catch {
        // Only the numbers shown depend on it.
      }
    },
    passed(batch: Batch, signal: AbortSignal): void {
      ends.set(batch.partition, batch.end);
      void gaps.passed(batch, async () => extentsOf(await clientOptions(options, 'source', signal)));
    },
    /** Asks what the topic holds now. Throws Unreachable. */
    async learn(): Promise<void> {
      const [extents, committed] = await ask(new AbortController().signal);
      let sum = 0n;
      for (const { partition, low, high } of extents) {
        ends.set(partition, high);
        sum += high - max(committed.get(partition) ?? low, low);
      }
      uncommitted = Number(max(sum, 0n));
      lastCommitted = committed;
    },
    /** Returns how many records of these partitions are not settled; of all of them where these are undefined. */
    lag: (partitions: readonly number[] | undefined): number =>
      partitions === undefined ? uncommitted : offsets.lag(partitions, ends),
  };
}

const max = (one: bigint, other: bigint): bigint => (one > other ? one : other);

/**
 * Notices records that the topic removed before this group had read them. Offsets are no proof: compaction and transactions
 * leave holes, too, so what was passed over is compared with the first offset that the partition still holds.
 */
function createGapWatch(tell: SourceHost['gap']) {
  const expected = new Map<number, bigint>();
  const told = new Map<number, bigint>();
  const compare = (partition: number, from: bigint, low: bigint): void => {
    const begin = max(from, (told.get(partition) ?? -1n) + 1n);
    if (begin >= low) return;
    told.set(partition, low - 1n);
    tell(partition, String(begin), String(low - 1n));
  };
  return {
    compare,
    restart: () => expected.clear(),
    async passed({ partition, records, next }: Batch, extents: () => Promise<readonly Extent[]>): Promise<void> {
      const wanted = expected.get(partition);
      expected.set(partition, next);
      const [first] = records;
      if (wanted === undefined || first === undefined || first.offset <= wanted) return;
      // What cannot be asked now shows at the next start.
      const found = await extents().catch(() => []);
      const low = found.find((extent) => extent.partition === partition)?.low;
      if (low !== undefined) compare(partition, wanted, low);
    },
  };
}
