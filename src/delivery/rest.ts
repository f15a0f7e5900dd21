import type { Clock } from '../model/clock.ts';

export type Rest = ReturnType<typeof createRest>;

/** The waiting of one lane: for a time, unless there is something to do. */
export function createRest(clock: Pick<Clock, 'sleep'>, mustAct: () => boolean) {
  let woken = false;
  let interrupted = false;
  let sleep: { readonly controller: AbortController; readonly wakeable: boolean } | undefined;
  return {
    /** Resolves after `ms`, or earlier: at once when something is to be done, on `interrupt`, and when `wakeable` on `wake`. */
    async until(ms: number, wakeable: boolean): Promise<void> {
      if (!interrupted && !mustAct() && !(wakeable && woken)) {
        sleep = { controller: new AbortController(), wakeable };
        await clock.sleep(ms, sleep.controller.signal);
        sleep = undefined;
      }
      if (wakeable) woken = false;
    },
    /** There may be new entries. */
    wake(): void {
      woken = true;
      if (sleep?.wakeable) sleep.controller.abort();
    },
    /** Something is to be done whatever the lane waits for; until it has looked, nothing rests. */
    interrupt(): void {
      interrupted = true;
      sleep?.controller.abort();
    },
    /** The lane looks now. */
    looked(): void {
      interrupted = false;
    },
  };
}
