import type { Clock } from '../model/clock.ts';
import type { SignalBus } from '../model/signal.ts';

/** The service gives up after 2 s. */
const HOLD_MS = 2_500;
const MAX_HELD = 1_000;

export interface HoldingPorts {
  readonly clock: Clock;
  readonly signals: SignalBus;
  stopping(): boolean;
}

/**
 * An error answer brings nothing back, while a time-out is retried where the console's switch is on: so an answer that
 * cannot be OK is held past the service's time-out, for a bounded number of callbacks. Then once more: there may be room
 * again.
 */
export function createHolding(whenUnrecordable: 'hold' | 'fail', { clock, signals, stopping }: HoldingPorts) {
  let held = 0;
  const count = (change: 1 | -1): void => {
    held += change;
    signals.emit('callback.held', { held });
  };
  return async function recordOrHold<T>(record: () => Promise<T>): Promise<T> {
    try {
      return await record();
    } catch (thrown) {
      if (whenUnrecordable === 'fail' || held >= MAX_HELD || stopping()) throw thrown;
      count(1);
      try {
        await clock.sleep(HOLD_MS);
      } finally {
        count(-1);
      }
      return await record();
    }
  };
}
