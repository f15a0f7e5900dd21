import { setTimeout as delay } from 'node:timers/promises';

/** Time, injected so that waiting can be tested without waiting. */
export interface Clock {
  /** Returns milliseconds since 1970. This clock may be set, back or forward. */
  now(): number;
  /** Returns monotonic milliseconds, for delays. */
  elapsed(): number;
  /** Resolves after `ms`, or at once when `signal` aborts; it never rejects: the caller checks the signal. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** About the longest that a system timer accepts; a longer one would fire at once. */
const LONGEST_MS = 2_147_000_000;
/** Returns what a timer accepts for this delay: some weeks at most. */
export const timerMs = (ms: number): number => Math.min(ms, LONGEST_MS);

export const systemClock: Clock = {
  now: Date.now,
  elapsed: () => performance.now(),
  sleep: (ms, signal) => delay(timerMs(ms), undefined, { signal }).catch(() => {}),
};
