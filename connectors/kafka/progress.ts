import { Unreachable } from '../../src/model/fault.ts';
import type { SourceHost } from '../contract.ts';
import { refuseStrangers, takeOver } from './group.ts';
import type { Batch } from './membership.ts';
import type { Offsets } from './offsets.ts';
import { type ClientOptions, FORMER_GROUP, groupOf, type KafkaSourceOptions, sourceClient } from './options.ts';
import { committedBy, type Extent, extentsOf } from './reader.ts';

/** Tracks how far the group is, and whether records were removed before they were read. */
export function createProgress(
  options: KafkaSourceOptions,
  connector: string,
  offsets: Offsets,
  gap: SourceHost['gap'],
) {
  const groupId = `${groupOf(options)}.${connector}`;
  const ends = new Map<number, bigint>();
  const gaps = createGapWatch(gap);
  /** How many of the topic's records the group had not committed at the last count. */
  let uncommitted: number | undefined;
  let lastCommitted: ReadonlyMap<number, bigint> = new Map();
  const ask = async (client: ClientOptions) => {
    const [found, committed] = await Promise.all([extentsOf(client), committedBy(client, groupId)]);
    return { ...found, committed };
  };
  return {
    async entering(client: ClientOptions): Promise<void> {
      await refuseStrangers(client, groupId);
      if (options.groupId === undefined) await takeOver(client, `${FORMER_GROUP}.${connector}`, groupId);
      lastCommitted = await committedBy(client, groupId);
    },
    /**
     * Learns where these partitions begin; if Kafka cannot be asked, a gap shows at the next start. Throws Unreachable if
     * the group is not this topic's alone.
     */
    async assigned(partitions: readonly number[], signal: AbortSignal): Promise<void> {
      gaps.restart();
      const before = lastCommitted;
      try {
        const client = await sourceClient(options, signal);
        await refuseStrangers(client, groupId);
        const { extents, committed, away } = await ask(client);
        for (const partition of away) gaps.expect(partition, committed.get(partition) ?? before.get(partition));
        for (const { partition, low, high } of extents) {
          ends.set(partition, high);
          if (!partitions.includes(partition)) continue;
          // kafkajs forgets a committed offset that no longer exists.
          const from = committed.get(partition) ?? before.get(partition);
          offsets.begin(partition, from ?? low);
          // A group that has committed nothing begins with what is there.
          if (from !== undefined) gaps.compare(partition, from, low);
        }
      } catch (thrown) {
        if (thrown instanceof Unreachable && thrown.fault.code === 'destination-misconfigured') throw thrown;
      }
    },
    passed(batch: Batch, signal: AbortSignal): void {
      ends.set(batch.partition, batch.end);
      void gaps.passed(batch, async () => (await extentsOf(await sourceClient(options, signal))).extents);
    },
    /** Asks what the topic holds now. Throws Unreachable. */
    async learn(): Promise<void> {
      const { extents, committed, away } = await ask(await sourceClient(options, new AbortController().signal));
      let sum = 0n;
      for (const { partition, low, high } of extents) {
        ends.set(partition, high);
        const from = committed.get(partition) ?? low;
        // Beyond the end, reading begins at the beginning.
        sum += high - (from > high ? low : max(from, low));
      }
      uncommitted = away.length === 0 ? Number(sum) : undefined;
      lastCommitted = committed;
    },
    committed: (due: ReadonlyMap<number, bigint>): void => {
      lastCommitted = new Map([...lastCommitted, ...due]);
    },
    hasCommitted: () => lastCommitted.size > 0,
    /** Returns how many records of these partitions, by default of all, are not settled. */
    lag: (partitions: readonly number[] | undefined): number | undefined =>
      partitions === undefined ? uncommitted : offsets.lag(partitions, ends),
  };
}

const max = (one: bigint, other: bigint): bigint => (one > other ? one : other);

/**
 * Notices records that the topic removed before this group had read them. Offsets alone prove nothing, as compaction and
 * transactions leave holes, too, so a skipped range is compared with the first offset that the partition still holds.
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
    /** A partition cannot be asked yet: its first records are compared with where the group is. */
    expect(partition: number, from: bigint | undefined): void {
      if (from !== undefined) expected.set(partition, from);
    },
    async passed({ partition, records, next }: Batch, extents: () => Promise<readonly Extent[]>): Promise<void> {
      const wanted = expected.get(partition);
      expected.set(partition, next);
      const [first] = records;
      if (wanted === undefined || first === undefined || first.offset <= wanted) return;
      // If Kafka cannot be asked now, it shows at the next start.
      const found = await extents().catch(() => []);
      const low = found.find((extent) => extent.partition === partition)?.low;
      if (low !== undefined) compare(partition, wanted, low);
    },
  };
}
