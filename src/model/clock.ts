import { setTimeout as delay } from 'node:timers/promises';

/** Time, injected so that what waits can be tested without waiting. */
export interface Clock {
  /** Returns milliseconds since 1970. Somebody may set this clock, back or forward. */
  now(): number;
  /** Returns milliseconds of a clock that nobody sets: for delays. */
  elapsed(): number;
  /** Resolves after `ms`, or at once when `signal` aborts (it never rejects: the caller looks at the signal). */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: Date.now,
  elapsed: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
};
