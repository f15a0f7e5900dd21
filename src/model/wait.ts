/** Waiting for work that may never end. */
import { setTimeout as delay } from 'node:timers/promises';
import { timerMs } from './clock.ts';

/** Waits at most `ms` for the work; resolves with whether it ended. */
export async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([work.then(() => true), delay(timerMs(ms), false, { signal: timer.signal })]);
  } finally {
    timer.abort();
  }
}

/** Waits for the work; rejects with the signal's reason once that aborts, whatever becomes of the work. */
export async function orAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
