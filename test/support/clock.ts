import type { Clock } from '../../src/model/clock.ts';

/** A clock whose waits are noted and skipped: what sleeps goes on at once, and finds that its time has passed. */
export function hastyClock(): Clock & { readonly slept: number[] } {
  const slept: number[] = [];
  let skippedMs = 0;
  return {
    slept,
    now: Date.now,
    elapsed: () => performance.now() + skippedMs,
    sleep: (ms) => {
      slept.push(ms);
      skippedMs += ms;
      return Promise.resolve();
    },
  };
}
