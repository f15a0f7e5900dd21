import type { SourceHost } from '../contract.ts';
import type { Batch } from './member.ts';
import type { Extent } from './reader.ts';

export const max = (one: bigint, other: bigint): bigint => (one > other ? one : other);

/**
 * Notices records that the topic removed before this group had read them. Offsets are no proof: compaction and transactions
 * leave holes, too, so what was passed over is compared with the first offset that the partition still holds.
 */
export function createGapWatch(tell: SourceHost['gap']) {
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
