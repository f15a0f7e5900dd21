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

/** When a jumping clock begins, in ms since 1970. */
export const BEGUN = 1_700_000_000_000;

/** A clock that stands still but for its sleeps: each jumps to its end, `passed` is told of it, and others have their turn. */
export function jumpingClock(passed: (elapsed: number, sleeps: number) => void): Clock & { readonly slept: number[] } {
  const slept: number[] = [];
  let elapsed = 0;
  return {
    slept,
    now: () => BEGUN + elapsed,
    elapsed: () => elapsed,
    async sleep(ms) {
      slept.push(ms);
      elapsed += ms;
      passed(elapsed, slept.length);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
