import type { Clock } from '../canon/clock.ts';

/** Keeps calls below a rate, evenly spaced: the service counts them in windows whose begin nobody knows. */
export interface Pace {
  /** Resolves when the next call may go out. */
  turn(signal: AbortSignal): Promise<void>;
  /** The service says that it was too fast: nobody calls for so long. */
  pause(ms: number): void;
}

/** Calls that the network bunches together must not add up to more than the rate either. */
const MARGIN = 1.05;

export function createPace(perSecond: number, clock: Clock): Pace {
  const spacing = (1_000 / perSecond) * MARGIN;
  let next = 0;
  return {
    async turn(signal) {
      const now = clock.now();
      const at = Math.max(now, next);
      next = at + spacing;
      // Timers are not finer than this.
      if (at - now >= 1) await clock.sleep(at - now, signal);
      signal.throwIfAborted();
    },
    pause(ms) {
      next = Math.max(next, clock.now() + ms);
    },
  };
}
