import type { Clock } from '../model/clock.ts';

export type Rest = ReturnType<typeof createRest>;

/** The waiting of one lane: for a time, unless there is something to do. `heard` is called when it has been woken, before it looks. */
export function createRest(clock: Pick<Clock, 'sleep'>, mustAct: () => boolean, heard?: () => void) {
  // Nobody tells a lane that begins what it was too late to be told: it looks twice.
  let woken = true;
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
      if (!wakeable) return;
      woken = false;
      heard?.();
    },
    wake(): void {
      woken = true;
      if (sleep?.wakeable) sleep.controller.abort();
    },
    /** Something is to be done whatever the lane waits for; until it has looked, nothing rests. */
    interrupt(): void {
      interrupted = true;
      sleep?.controller.abort();
    },
    looked(): void {
      interrupted = false;
    },
  };
}
