import type { Fault } from '../model/fault.ts';

export type Side = 'source' | 'destination';

export interface Outage {
  readonly side: Side;
  readonly fault: Fault;
  /** When it began, by Clock.elapsed. */
  readonly since: number;
  readonly failures: number;
}

/** Returns the outage after one more failure. One of the other side restarts the count, but not the time. */
export function nextOutage(outage: Outage | undefined, side: Side, fault: Fault, now: number): Outage {
  const failures = outage?.side === side ? outage.failures + 1 : 1;
  return { side, fault, failures, since: outage?.since ?? now };
}

export interface RetrySettings {
  readonly initialMs: number;
  readonly maxMs: number;
}

/**
 * Returns the milliseconds to wait after an attempt (1 = the first): exponential, with "equal jitter" (half of it
 * random), so that several bridges do not retry in unison. There is no last attempt; `random` is in [0, 1).
 */
export function delayAfter(attempt: number, { initialMs, maxMs }: RetrySettings, random: () => number): number {
  const ceiling = Math.min(maxMs, initialMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(ceiling / 2 + (random() * ceiling) / 2);
}
