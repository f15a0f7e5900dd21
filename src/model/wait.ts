/** Waiting for work that may never come to its end. */
import { setTimeout as delay } from 'node:timers/promises';
import { timerMs } from './clock.ts';

/** Waits for the work for at most so long; resolves with whether it came to its end. */
export async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([work.then(() => true), delay(timerMs(ms), false, { signal: timer.signal })]);
  } finally {
    timer.abort();
  }
}

/** Waits for the work; rejects with the signal's reason once that has aborted, whatever becomes of the work. */
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
