import type { Clock } from '../model/clock.ts';

export type Rest = ReturnType<typeof createRest>;

/** Lets one lane wait, unless there is something to do. `heard` is called once it is woken, before it looks at its source. */
export function createRest(clock: Pick<Clock, 'sleep'>, mustAct: () => boolean, heard?: () => void) {
  // A lane may have missed a wake-up while it started, so its first rest returns at once.
  let woken = true;
  let interrupted = false;
  let sleep: { readonly controller: AbortController; readonly wakeable: boolean } | undefined;
  return {
    /** Resolves after `ms`, or earlier: at once if `mustAct`, on `interrupt`, and if `wakeable` on `wake`. */
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
    /** Ends any rest, and prevents new ones until `looked`. */
    interrupt(): void {
      interrupted = true;
      sleep?.controller.abort();
    },
    looked(): void {
      interrupted = false;
    },
  };
}
