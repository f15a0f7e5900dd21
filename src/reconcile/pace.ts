import type { Clock } from '../model/clock.ts';

// Own code, since p-throttle counts from when calls are sent: the service counts them when they arrive, in windows of its own.

/** The most that a turn may catch up after timers or a busy machine made it late. */
const LATE_MS = 25;

export type Pace = ReturnType<typeof createPace>;

/**
 * Keeps calls at a rate that the service never refuses, evenly spaced, whatever delays they meet on their way. A call arrives
 * between being sent and being answered. So it counts from the one until a whole window after the other, and no more are let
 * go than a window allows.
 */
export function createPace(perSecond: number, clock: Clock) {
  const spacingMs = 1_000 / perSecond;
  const most = Math.max(1, Math.floor(perSecond));
  /** A millisecond more, since timers are not finer. */
  const windowMs = most * spacingMs + 1;
  let next = 0;
  let underway = 0;
  /** When calls were answered, the earliest first. */
  const answered: number[] = [];
  /** Turns come one after the other, so that those that wait are not all late together. */
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
    /** Resolves when the next call may go out, with what to do once it was answered or given up. */
    turn(signal: AbortSignal): Promise<() => void> {
      const turn = last.then(() => take(signal));
      last = turn.catch(() => {});
      return turn;
    },
    /** Lets nobody call for this long: the service says that calls came too fast. */
    pause(ms: number): void {
      next = Math.max(next, clock.elapsed() + ms);
    },
  };
}
