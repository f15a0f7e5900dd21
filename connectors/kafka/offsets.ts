import type { ReadRecord } from './reader.ts';

/** A record that was handed over and is not settled yet. */
export interface OpenRecord {
  readonly seq: number;
  readonly record: ReadRecord;
}

export type Offsets = ReturnType<typeof createOffsets>;

interface Partition {
  /** By seq, in the order of offsets. */
  readonly open: Map<number, ReadRecord>;
  next: bigint;
  committed: bigint;
}

/** Tracks which records are settled, and so which offsets may be committed. */
export function createOffsets() {
  const partitions = new Map<number, Partition>();
  const held = new Set<number>();
  const place = (partition: number, offset: bigint): Partition => {
    const found = partitions.get(partition) ?? { open: new Map(), next: offset, committed: offset };
    partitions.set(partition, found);
    return found;
  };

  return {
    /** Records of one partition were handed over, in order; `next` is the offset after them. */
    add(partition: number, records: readonly OpenRecord[], next: bigint): void {
      const from = records[0]?.record.offset ?? next;
      const kept = place(partition, from);
      // The committed offset is beyond the partition's end, perhaps after an unclean election: it is read from the
      // beginning.
      if (from < kept.committed) kept.committed = from;
      for (const { seq, record } of records) kept.open.set(seq, record);
      kept.next = next;
    },
    /** Says where reading begins, unless something was handed over already. */
    begin: (partition: number, offset: bigint) => void place(partition, offset),
    recordOf(seq: number): ReadRecord | undefined {
      for (const { open } of partitions.values()) {
        const record = open.get(seq);
        if (record !== undefined) return record;
      }
      return undefined;
    },
    /** These wait for a retry: settling later records does not settle them. */
    hold(seqs: readonly number[]): void {
      for (const seq of seqs) held.add(seq);
    },
    settle(seqs: readonly number[]): void {
      for (const seq of seqs) {
        held.delete(seq);
        for (const { open } of partitions.values()) open.delete(seq);
      }
    },
    /** Settles everything up to this seq that is not held. */
    settleUpTo(last: number): void {
      for (const { open } of partitions.values()) {
        for (const seq of open.keys()) {
          if (seq > last) break;
          if (!held.has(seq)) open.delete(seq);
        }
      }
    },
    /** Returns the new offsets, by partition, before which everything is settled. */
    due(): ReadonlyMap<number, bigint> {
      const offsets = new Map<number, bigint>();
      for (const [partition, { open, next, committed }] of partitions) {
        const [first] = open.values();
        const offset = first?.offset ?? next;
        if (offset > committed) offsets.set(partition, offset);
      }
      return offsets;
    },
    /** These offsets, which were due, are committed. */
    committed(offsets: ReadonlyMap<number, bigint>): void {
      for (const [partition, offset] of offsets) place(partition, offset).committed = offset;
    },
    /** Returns how many records of these partitions are not settled; undefined if the end of one is unknown. */
    lag(wanted: readonly number[], ends: ReadonlyMap<number, bigint>): number | undefined {
      let sum = 0n;
      for (const partition of wanted) {
        const end = ends.get(partition);
        if (end === undefined) return undefined;
        const left = end - (partitions.get(partition)?.committed ?? 0n);
        if (left > 0n) sum += left;
      }
      return Number(sum);
    },
    /** Returns when the oldest open record was written, in ms since 1970. */
    oldest(): number | undefined {
      let oldest: number | undefined;
      for (const { open } of partitions.values()) {
        const [first] = open.values();
        if (first !== undefined) oldest = Math.min(oldest ?? first.timestamp, first.timestamp);
      }
      return oldest;
    },
    clear(): void {
      partitions.clear();
      held.clear();
    },
  };
}
