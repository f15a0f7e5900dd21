import { setTimeout as delay } from 'node:timers/promises';

/** Polls until it holds; a rejection counts as no. Resolves with the milliseconds it took. */
export async function waitUntil(
  holds: () => Promise<boolean> | boolean,
  what: string,
  withinMs = 120_000,
  everyMs = 50,
): Promise<number> {
  const start = performance.now();
  let failure: unknown;
  for (;;) {
    try {
      if (await holds()) return performance.now() - start;
      failure = undefined;
    } catch (thrown) {
      failure = thrown;
    }
    if (performance.now() - start > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`, { cause: failure });
    await delay(everyMs);
  }
}
