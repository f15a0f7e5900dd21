import type { Write } from './failure.ts';

export type Work = () => void;

export interface Gathered {
  /** Somebody waits for these. */
  readonly writes: readonly Write[];
  /** These may come late, but nobody would bring them again. */
  readonly deferred: readonly Work[];
}

/** Gathers what is to be committed together, and says when. */
export interface Gathering {
  add(write: Write): void;
  defer(work: Work): void;
  /** Returns what has gathered; from then on it begins anew. */
  take(): Gathered;
  /** Takes deferred work back, and tries again after a while. */
  keep(deferred: readonly Work[]): void;
  /**
   * Takes everything back while another program has the journal locked, and tries again soon, for a second in all; then
   * returns false. The thread goes on between the tries.
   */
  waitForLock(gathered: Gathered): boolean;
  /** The journal was not locked, or is not waited for any longer. */
  unlocked(): void;
  /** Sets no timer any more. */
  close(): void;
}

/** The most that deferred work waits for a transaction. */
const DEFER_MS = 100;
/** The time after which deferred work is tried again. */
const RETRY_MS = 1_000;
const LOCKED_STEP_MS = 25;
const LOCKED_MS = 1_000;

/** `commit` is to take what has gathered. */
export function createGathering(commit: () => void): Gathering {
  let writes: Write[] = [];
  let deferred: Work[] = [];
  let turn: NodeJS.Immediate | undefined;
  let timer: NodeJS.Timeout | undefined;
  /** When the lock was met that is waited for, and the next try. */
  let locked: { readonly since: number; readonly timer: NodeJS.Timeout } | undefined;
  let closed = false;

  const clear = (): void => {
    clearImmediate(turn);
    clearTimeout(timer);
    turn = undefined;
    timer = undefined;
  };
  return {
    add(write) {
      writes.push(write);
      if (locked === undefined) turn ??= setImmediate(commit);
    },
    defer(work) {
      deferred.push(work);
      if (turn === undefined && locked === undefined && !closed) timer ??= setTimeout(commit, DEFER_MS);
    },
    take() {
      clear();
      const gathered = { writes, deferred };
      writes = [];
      deferred = [];
      return gathered;
    },
    keep(late) {
      if (late.length === 0) return;
      deferred = [...late, ...deferred];
      if (!closed) timer ??= setTimeout(commit, RETRY_MS);
    },
    waitForLock(gathered) {
      const since = locked?.since ?? performance.now();
      if (closed || performance.now() - since > LOCKED_MS) return false;
      writes = [...gathered.writes, ...writes];
      deferred = [...gathered.deferred, ...deferred];
      locked = { since, timer: setTimeout(commit, LOCKED_STEP_MS) };
      return true;
    },
    unlocked() {
      locked = undefined;
    },
    close() {
      closed = true;
      clear();
      clearTimeout(locked?.timer);
    },
  };
}
