import type { Clock } from '../model/clock.ts';

// Own code, since p-throttle counts calls when they are sent; the service counts them when they arrive, in its own windows.

/** How much a turn may catch up after timers or a busy machine made it late. */
const LATE_MS = 25;

export type Pace = ReturnType<typeof createPace>;

/**
 * Keeps calls at a rate that the service never refuses, evenly spaced, whatever delays they meet on their way. A call
 * arrives sometime between being sent and being answered, so it counts from the one until a whole window after the other.
 */
export function createPace(perSecond: number, clock: Clock) {
  const spacingMs = 1_000 / perSecond;
  const most = Math.max(1, Math.floor(perSecond));
  /** One millisecond is added, the precision of timers. */
  const windowMs = most * spacingMs + 1;
  let next = 0;
  let underway = 0;
  /** The times of the answers, earliest first. */
  const answered: number[] = [];
  /** Turns wait for one another, so that they do not all wake up late at once. */
  let last: Promise<unknown> = Promise.resolve();

  const take = async (signal: AbortSignal): Promise<() => void> => {
    for (;;) {
      signal.throwIfAborted();
      const now = clock.elapsed();
      while (answered[0] !== undefined && answered[0] <= now - windowMs) answered.shift();
      if (underway + answered.length >= most) next = Math.max(next, (answered[0] ?? now) + windowMs);
      if (next - now < 1) break;
      await clock.sleep(next - now, signal);
    }
    next = Math.max(next, clock.elapsed() - LATE_MS) + spacingMs;
    underway++;
    return () => {
      underway--;
      answered.push(clock.elapsed());
    };
  };
  return {
    /** Resolves when the next call may be sent, with what to call once it is answered or given up. */
    turn(signal: AbortSignal): Promise<() => void> {
      const turn = last.then(() => take(signal));
      last = turn.catch(() => {});
      return turn;
    },
    /** Delays all calls, after the service refused one as too early. */
    pause(ms: number): void {
      next = Math.max(next, clock.elapsed() + ms);
    },
  };
}
