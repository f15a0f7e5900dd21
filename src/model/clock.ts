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

/** A timer of the system takes no more, by a little; one that is longer would be over at once. */
const LONGEST_MS = 2_147_000_000;
/** Returns what a timer takes for so long: some weeks at most. */
export const timerMs = (ms: number): number => Math.min(ms, LONGEST_MS);

export const systemClock: Clock = {
  now: Date.now,
  elapsed: () => performance.now(),
  sleep: (ms, signal) => delay(timerMs(ms), undefined, { signal }).catch(() => {}),
};
