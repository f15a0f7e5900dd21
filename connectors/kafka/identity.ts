/**
 * Identifies a topic, whose id kafkajs does not reveal, by what was written to it: a partition that ends before an
 * acknowledged offset is not the one that acknowledged it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Extents } from './reader.ts';

/** A newly elected leader may not know the end yet. */
const LOOKS = 3;
const LOOK_AGAIN_MS = 1_000;

/** Remembers how far each partition was written. */
export function watchEnds(topic: string) {
  const ends = new Map<number, bigint>();
  const reach = (partition: number, end: bigint): void => {
    if (end > (ends.get(partition) ?? 0n)) ends.set(partition, end);
  };
  const isShorter = ({ extents, away }: Extents): boolean =>
    [...ends].some(
      ([partition, end]) =>
        !away.includes(partition) && (extents.find((one) => one.partition === partition)?.high ?? 0n) < end,
    );

  return {
    /** Whether anything was written to it. */
    known: () => ends.size > 0,
    /** Notes where a record is: `topic/partition@offset`. */
    written(receipt: string): void {
      const [, partition, offset] = /\/(\d+)@(\d+)$/.exec(receipt) ?? [];
      if (offset !== undefined) reach(Number(partition), BigInt(offset) + 1n);
    },
    /** Resolves with undefined if there is no such topic. `before` is `topic 0:1042 1:998`. */
    async compare(before: string | undefined, look: () => Promise<Extents>, signal: AbortSignal) {
      const [name, ...known] = (before || topic).split(' ');
      for (const one of name === topic ? known : []) {
        const [partition = 0, end = 0] = one.split(':');
        reach(Number(partition), BigInt(end));
      }
      let found = await look();
      for (let looks = 1; looks < LOOKS && found.extents.length > 0 && isShorter(found); looks++) {
        await delay(LOOK_AGAIN_MS, undefined, { signal });
        found = await look();
      }
      const { extents, away } = found;
      if (extents.length === 0 && away.length === 0) return undefined;
      const moved = name !== topic;
      const lost = moved
        ? `the topic is now ${topic}, before it was ${name}`
        : isShorter(found) && `the topic ${topic} ends before what was written to it: it was deleted or truncated`;
      if (lost) ends.clear();
      for (const { partition, high } of extents) reach(partition, high);
      const identity = [topic, ...[...ends].sort(([a], [b]) => a - b).map(([partition, end]) => `${partition}:${end}`)];
      const [first] = away;
      const unasked = first !== undefined && `partition ${first} of ${topic} has no leader`;
      return { identity: identity.join(' '), ...(lost && { lost, moved }), ...(unasked && { unasked }) };
    },
  };
}
