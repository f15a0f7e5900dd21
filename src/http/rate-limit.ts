import type { Clock } from '../model/clock.ts';

/** Bounds the memory: once this many names are counted within a window, all others count as one. */
const MOST_NAMES = 10_000;

/** Counts by name, such as a caller's address, within windows of time. */
export interface RateLimit {
  /** Counts one; returns whether it was within the limit. */
  take(name: string): boolean;
}

/** Allows each name `most` within `windowMs`. */
export function createRateLimit(clock: Pick<Clock, 'elapsed'>, most: number, windowMs: number): RateLimit {
  const counts = new Map<string, number>();
  let begun = clock.elapsed();
  return {
    take(name) {
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
