import type { Clock } from '../model/clock.ts';
import type { SignalBus } from '../model/signal.ts';

/** Exceeds the service's time-out of 2 s. */
const DEFER_MS = 2_500;
const MAX_DEFERRED = 1_000;

export interface DeferralPorts {
  readonly clock: Clock;
  readonly signals: SignalBus;
  stopping(): boolean;
}

/**
 * Creates what records, or else defers the answer past the service's time-out and tries once more, for a bounded number of
 * callbacks: the service does not send a callback again after an error, but it does after a time-out, where the console's
 * switch is on.
 */
export function createDeferral(whenUnrecordable: 'hold' | 'fail', { clock, signals, stopping }: DeferralPorts) {
  let deferred = 0;
  const count = (change: 1 | -1): void => {
    deferred += change;
    signals.emit('callback.held', { held: deferred });
  };
  return async function recordOrDefer<T>(record: () => Promise<T>): Promise<T> {
    try {
      return await record();
    } catch (thrown) {
      if (whenUnrecordable === 'fail' || deferred >= MAX_DEFERRED || stopping()) throw thrown;
      count(1);
      try {
        await clock.sleep(DEFER_MS);
      } finally {
        count(-1);
      }
      return await record();
    }
  };
}
