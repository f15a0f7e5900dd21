import type { Clock } from '../model/clock.ts';

// Own code, since p-throttle counts calls in windows of its own: the service's windows begin at another time.

/** Keeps below the rate also where the network bunches calls together. */
const MARGIN = 1.05;
/** The most that a turn may catch up after timers or a busy machine made it late; more would eat up the margin. */
const LATE_MS = 25;

export type Pace = ReturnType<typeof createPace>;

/** Keeps calls below a rate, evenly spaced: nobody knows when the windows begin in which the service counts them. */
export function createPace(perSecond: number, clock: Clock) {
  const spacing = (1_000 / perSecond) * MARGIN;
  let next = 0;
  /** Turns come one after the other, so that those that wait are not all late together. */
  let last: Promise<void> = Promise.resolve();

  const take = async (signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    // Timers are not finer than a millisecond. A pause may have been called for meanwhile.
    while (next - performance.now() >= 1) {
      await clock.sleep(next - performance.now(), signal);
      signal.throwIfAborted();
    }
    next = Math.max(next, performance.now() - LATE_MS) + spacing;
  };
  return {
    /** Resolves when the next call may go out. */
    turn(signal: AbortSignal): Promise<void> {
      const turn = last.then(() => take(signal));
      last = turn.catch(() => {});
      return turn;
    },
    /** Lets nobody call for this long: the service says that calls came too fast. */
    pause(ms: number): void {
      next = Math.max(next, performance.now() + ms);
    },
  };
}
