import type { Fault } from '../model/fault.ts';

export type Side = 'source' | 'destination';

export interface Outage {
  readonly side: Side;
  readonly fault: Fault;
  /** When it began, by the clock that nobody sets. */
  readonly since: number;
  readonly failures: number;
}

/** Returns the outage after one more failure. Trouble of the other side is counted anew, and yet is one time without delivery. */
export function failed(outage: Outage | undefined, side: Side, fault: Fault, now: number): Outage {
  const failures = outage?.side === side ? outage.failures + 1 : 1;
  return { side, fault, failures, since: outage?.since ?? now };
}

export interface RetrySettings {
  readonly initialMs: number;
  readonly maxMs: number;
}

/**
 * Milliseconds to wait after the given attempt (1 = the first): exponential, with "equal jitter" (half of it is random),
 * so that several bridges do not come back in step. There is no last attempt. `random` in [0, 1).
 */
export function delayAfter(attempt: number, { initialMs, maxMs }: RetrySettings, random: () => number): number {
  const ceiling = Math.min(maxMs, initialMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(ceiling / 2 + (random() * ceiling) / 2);
}
