import type { Clock } from './clock.ts';

/** An observation further away than this is no better than a wrong clock of whoever made it: a proxy, a cache. */
export const MAX_SKEW_MS = 600_000;
const WINDOW_MS = 300_000;

export type ServiceClock = ReturnType<typeof createServiceClock>;

/**
 * The clock of the service, by which versions of changes are judged: this machine's, put right by what the service said of
 * its own time. What it says arrives late, never early, so that the highest of some minutes is the best.
 */
export function createServiceClock({ now, elapsed }: Pick<Clock, 'now' | 'elapsed'>) {
  let highest: number | undefined;
  let before: number | undefined;
  let begun = elapsed();
  return {
    /** Returns milliseconds since 1970. */
    now: (): number => now() + (highest === undefined ? (before ?? 0) : Math.max(highest, before ?? highest)),
    /** The service said, just now, that it is this time. A time that is out of bounds is not heeded. */
    observe(at: number): void {
      const skew = at - now();
      if (!(Math.abs(skew) <= MAX_SKEW_MS)) return;
      if (elapsed() - begun > WINDOW_MS) {
        before = highest ?? before;
        highest = undefined;
        begun = elapsed();
      }
      highest = Math.max(highest ?? skew, skew);
    },
  };
}
