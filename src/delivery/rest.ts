import type { Clock } from '../model/clock.ts';

/** The waiting of one lane: for a time, unless there is something to do. */
export interface Rest {
  /** Resolves after `ms`, or earlier: at once when something is to be done, on `interrupt`, and when `wakeable` on `wake`. */
  until(ms: number, wakeable: boolean): Promise<void>;
  /** There may be new entries. */
  wake(): void;
  /** Something is to be done whatever the lane waits for. */
  interrupt(): void;
}

export function createRest(clock: Pick<Clock, 'sleep'>, mustAct: () => boolean): Rest {
  let woken = false;
  let sleep: { readonly controller: AbortController; readonly wakeable: boolean } | undefined;
  return {
    async until(ms, wakeable) {
      if (!mustAct() && !(wakeable && woken)) {
        sleep = { controller: new AbortController(), wakeable };
        await clock.sleep(ms, sleep.controller.signal);
        sleep = undefined;
      }
      if (wakeable) woken = false;
    },
    wake() {
      woken = true;
      if (sleep?.wakeable) sleep.controller.abort();
    },
    interrupt: () => sleep?.controller.abort(),
  };
}
