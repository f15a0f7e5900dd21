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
