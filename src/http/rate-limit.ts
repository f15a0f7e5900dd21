import type { Clock } from '../model/clock.ts';

/** Bounds the memory: once this many names, more than a bridge answers in a window, are counted in one, all others count as one. */
const MOST_NAMES = 100_000;

/** Allows each name, such as a caller's address, `most` within a window of `windowMs`. */
export function createRateLimit(clock: Pick<Clock, 'elapsed'>, most: number, windowMs: number) {
  const counts = new Map<string, number>();
  let begun = clock.elapsed();
  return {
    /** Counts one; returns whether it was within the limit. */
    take(name: string): boolean {
      if (clock.elapsed() - begun >= windowMs) {
        begun = clock.elapsed();
        counts.clear();
      }
      const key = counts.has(name) || counts.size < MOST_NAMES ? name : 'others';
      const count = counts.get(key) ?? 0;
      if (count >= most) return false;
      counts.set(key, count + 1);
      return true;
    },
  };
}
