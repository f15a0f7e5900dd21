import type { Clock } from '../model/clock.ts';

/** Keeps calls below a rate, evenly spaced: the service counts them in windows whose begin nobody knows. */
export interface Pace {
  /** Resolves when the next call may go out. */
  turn(signal: AbortSignal): Promise<void>;
  /** The service says that it was too fast: nobody calls for so long. */
  pause(ms: number): void;
}

/** Calls that the network bunches together must not add up to more than the rate either. */
const MARGIN = 1.05;
/** So much may be made good of what timers or a busy machine came too late, without eating up the margin. */
const LATE_MS = 25;

export function createPace(perSecond: number, clock: Clock): Pace {
  const spacing = (1_000 / perSecond) * MARGIN;
  let next = 0;
  /** One turn after the other: those that wait must not all be late together. */
  let last: Promise<void> = Promise.resolve();

  const take = async (signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    // Timers are not finer than a millisecond. A pause may have been called for meanwhile.
    while (next - clock.now() >= 1) {
      await clock.sleep(next - clock.now(), signal);
      signal.throwIfAborted();
    }
    next = Math.max(next, clock.now() - LATE_MS) + spacing;
  };
  return {
    turn(signal) {
      const turn = last.then(() => take(signal));
      last = turn.catch(() => {});
      return turn;
    },
    pause(ms) {
      next = Math.max(next, clock.now() + ms);
    },
  };
}
