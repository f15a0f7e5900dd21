import { BridgeError, type Fault } from '../model/fault.ts';
import { createCheckpointer } from './checkpoint.ts';
import type { Database } from './database.ts';
import { createFailure, type Write } from './failure.ts';
import { isBusy, lockedFault } from './lock.ts';
import { createSyncQueue } from './sync-queue.ts';
import { createWriteBehind, type WriteBehindBuffer } from './write-behind.ts';

/**
 * Group commit: writes that gather within one turn of the event loop share one transaction, and transactions share syncs of
 * the log (see sync-queue.ts). The thread goes on meanwhile.
 */
export interface Committer {
  /** Runs `work` inside the next transaction; resolves with its result once that is on disk. Throws a BridgeError. */
  write<T>(work: () => T): Promise<T>;
  /** Runs `work` inside some transaction soon, with others' if there are any; kept and tried again while that fails. */
  defer(work: () => void): void;
  /** Writes the write-behind buffer now, if it can be written. */
  flush(): void;
  /** Writes what is still there; then refuses more. Returns false when the disk may have refused a part of the log. */
  close(): boolean;
}

export interface CommitPorts {
  /** Runs `work` in one transaction: all of it or nothing. */
  transact<T>(work: () => T): T;
  /** Called after each commit; what it returns is called when the writes are on disk, with the time it took. */
  committed(writes: number): (ms: number) => void;
  /** Writes fail from now on, until `recovered`. */
  failed(fault: Fault): void;
  /** After a failure, a write as large as a callback succeeded. */
  recovered(): void;
  readonly buffer: WriteBehindBuffer;
  /** The write-behind buffer is written. */
  flushed(): void;
}

/** The most that deferred work waits for a transaction. */
const DEFER_MS = 100;
/** The time after which deferred work is tried again. */
const RETRY_MS = 1_000;
/** Another program's lock is waited for in steps, between which the thread goes on, and not for longer than this. */
const LOCKED_STEP_MS = 25;
const LOCKED_MS = 1_000;

type Work = () => void;

export function createCommitter(database: Database, ports: CommitPorts): Committer {
  const checkpointer = createCheckpointer(database);
  const failure = createFailure(database, checkpointer, ports);
  const syncs = createSyncQueue(database, checkpointer, failure);
  const writeBehind = createWriteBehind(ports.buffer, {
    blocked: () => failure.blocked() !== undefined,
    flushed: ports.flushed,
    failed: (thrown) => {
      if (!isBusy(thrown)) failure.refuse([], thrown);
    },
  });

  let writes: Write[] = [];
  let deferred: Work[] = [];
  let turn: NodeJS.Immediate | undefined;
  let deferTimer: NodeJS.Timeout | undefined;
  /** Set while another program's lock is waited for; `since` is when it was met first. */
  let locked: { readonly since: number; readonly timer: NodeJS.Timeout } | undefined;
  let closed = false;

  /** Commits what has gathered. */
  const commit = (): void => {
    turn = undefined;
    clearTimeout(deferTimer);
    deferTimer = undefined;
    const taken = writes;
    const late = deferred;
    writes = [];
    deferred = [];
    if (taken.length === 0 && late.length === 0) return;
    const blocked = failure.blocked();
    if (blocked !== undefined) {
      failure.refuse(taken, blocked.thrown);
      keep(late);
      return;
    }
    const start = performance.now();
    let results: unknown[];
    try {
      results = ports.transact(() => [...taken.map(({ work }) => work), ...late].map((work) => work()));
    } catch (thrown) {
      if (!isBusy(thrown)) refuse(taken, late, thrown);
      else if (!waitForLock(taken, late)) {
        const fault = lockedFault(database.file, thrown);
        failure.block('lock', fault);
        failure.refuse(taken, fault);
        keep(late);
      }
      return;
    }
    locked = undefined;
    const announce = ports.committed(taken.length);
    // Cursors alone may be lost at a power cut: they only repeat deliveries.
    if (taken.length > 0) syncs.add({ writes: taken, results, start, announce });
    writeBehind.run();
  };

  /** Returns false when the lock was waited for long enough. */
  const waitForLock = (taken: readonly Write[], late: readonly Work[]): boolean => {
    const since = locked?.since ?? performance.now();
    locked = undefined;
    if (closed || performance.now() - since > LOCKED_MS) return false;
    writes = [...taken, ...writes];
    deferred = [...late, ...deferred];
    locked = { since, timer: setTimeout(commit, LOCKED_STEP_MS) };
    return true;
  };

  const refuse = (taken: readonly Write[], late: readonly Work[], thrown: unknown): void => {
    locked = undefined;
    failure.refuse(taken, thrown);
    if (late.length > 0 && !(taken.length > 0 && commitAlone(late))) keep(late);
  };

  /** Cursors have room where new events have none, so they are tried without those; false when that fails, too. */
  const commitAlone = (late: readonly Work[]): boolean => {
    try {
      ports.transact(() => late.map((work) => work()));
    } catch {
      return false;
    }
    ports.committed(0);
    writeBehind.run();
    return true;
  };

  /** Nobody would bring these again. */
  const keep = (late: readonly Work[]): void => {
    if (late.length === 0) return;
    deferred = [...late, ...deferred];
    if (!closed) deferTimer ??= setTimeout(commit, RETRY_MS);
  };

  return {
    write: <T>(work: () => T) =>
      new Promise<T>((resolve, reject) => {
        if (closed) {
          reject(new BridgeError({ code: 'stopping', message: 'the bridge is stopping' }));
          return;
        }
        writes.push({ work, resolve: (result) => resolve(result as T), reject });
        if (locked === undefined) turn ??= setImmediate(commit);
      }),
    defer(work) {
      deferred.push(work);
      if (turn === undefined && locked === undefined) deferTimer ??= setTimeout(commit, DEFER_MS);
    },
    flush: writeBehind.flush,
    close() {
      closed = true;
      clearImmediate(turn);
      clearTimeout(locked?.timer);
      commit();
      writeBehind.close();
      syncs.close();
      failure.close();
      clearTimeout(deferTimer);
      return failure.blocked() === undefined;
    },
  };
}
