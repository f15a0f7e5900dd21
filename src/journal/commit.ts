import { BridgeError, type Fault, messageOf } from '../model/fault.ts';
import type { Database } from './database.ts';
import { createWriteBehind, type WriteBehindBuffer } from './write-behind.ts';

/**
 * Group commit: writes that gather within one turn of the event loop share one transaction, and transactions that are
 * committed while two syncs of the log are under way share the next one. The thread goes on meanwhile.
 */
export interface Committer {
  /** Runs `work` inside the next transaction; resolves with its result once that is on disk. Throws a BridgeError. */
  write<T>(work: () => T): Promise<T>;
  /** Runs `work` inside some transaction soon, with others' if there are any; kept and tried again while that fails. */
  defer(work: () => void): void;
  /** Writes the write-behind buffer now, if it can be written. */
  flush(): void;
  /** Writes what is still there; then refuses more. */
  close(): void;
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

interface Write {
  readonly work: () => unknown;
  resolve(result: unknown): void;
  reject(reason: BridgeError): void;
}

/** The most that deferred work waits for a transaction. */
const DEFER_MS = 100;
/** The time between two tries of a journal that could not write. */
const PROBE_MS = 1_000;
const PROBE_BYTES = 65_536;

/** Syncs that may be under way at once: the next need not wait for this thread to see the end of the one before. */
const SYNCS = 2;

/** Writes that are committed, and not known to be on disk yet. */
interface Committed {
  readonly taken: readonly Write[];
  readonly results: readonly unknown[];
  readonly start: number;
  announce(ms: number): void;
}

export function createCommitter({ connection, log }: Database, ports: CommitPorts): Committer {
  const probe = connection.prepare('INSERT INTO probes (filling) VALUES (zeroblob(?))');
  const clean = connection.prepare('DELETE FROM probes');
  const checkpoint = connection.prepare('PRAGMA wal_checkpoint(TRUNCATE)');

  let writes: Write[] = [];
  let deferred: (() => void)[] = [];
  let turn: NodeJS.Immediate | undefined;
  let deferTimer: NodeJS.Timeout | undefined;
  let retryTimer: NodeJS.Timeout | undefined;
  let closed = false;
  /** Committed, and waiting for the next sync; what those under way cover. */
  let unsynced: Committed[] = [];
  const syncing = new Set<readonly Committed[]>();
  /** Why the log could not be synced: a later success would say nothing of what was to be synced then. */
  let walError: unknown;

  const writeBehind = createWriteBehind(ports.buffer, {
    blocked: () => walError !== undefined,
    flushed: ports.flushed,
    failed: (thrown) => refuse([], thrown),
  });

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
    if (walError !== undefined) {
      refuse(taken, walError);
      keep(late);
      return;
    }
    const start = performance.now();
    let results: unknown[];
    try {
      results = ports.transact(() => [...taken.map(({ work }) => work), ...late].map((work) => work()));
    } catch (thrown) {
      refuse(taken, thrown);
      if (late.length > 0 && !(taken.length > 0 && commitAlone(late))) keep(late);
      return;
    }
    const announce = ports.committed(taken.length);
    // Cursors alone may be lost at a power cut: they only repeat deliveries.
    if (taken.length > 0) {
      unsynced.push({ taken, results, start, announce });
      syncAll();
    }
    writeBehind.run();
  };

  /** Invariant 1: writes are resolved only when the log that holds them is on disk. */
  const syncAll = (): void => {
    while (unsynced.length > 0 && syncing.size < SYNCS) {
      const covered = unsynced;
      unsynced = [];
      syncing.add(covered);
      log.sync().then(
        () => {
          if (!syncing.delete(covered)) return;
          for (const committed of covered) settle(committed);
          syncAll();
        },
        (thrown: unknown) => {
          if (!syncing.delete(covered)) return;
          walError = thrown;
          const waiting = unsynced;
          unsynced = [];
          refuse(
            [...covered, ...waiting].flatMap(({ taken }) => taken),
            thrown,
          );
        },
      );
    }
  };

  const settle = ({ taken, results, start, announce }: Committed): void => {
    taken.forEach(({ resolve }, index) => {
      resolve(results[index]);
    });
    announce(performance.now() - start);
  };

  const refuse = (taken: readonly Write[], thrown: unknown): void => {
    const error = new BridgeError(
      {
        code: 'journal-unwritable',
        path: 'journal.file',
        message: 'the callback cannot be recorded',
        suggestion: `make room on the journal’s disk, or raise journal.maxBytes (${messageOf(thrown)})`,
      },
      thrown,
    );
    for (const { reject } of taken) reject(error);
    if (retryTimer !== undefined) return;
    retryTimer = setTimeout(tryAgain, PROBE_MS);
    ports.failed(error.fault);
  };

  /** Cursors have room where new events have none, so they are tried without those; false when that fails, too. */
  const commitAlone = (late: readonly (() => void)[]): boolean => {
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
  const keep = (late: readonly (() => void)[]): void => {
    deferred = [...late, ...deferred];
    if (!closed) deferTimer ??= setTimeout(commit, PROBE_MS);
  };

  const tryAgain = (): void => {
    retryTimer = setTimeout(tryAgain, PROBE_MS);
    try {
      if (walError !== undefined) {
        // The checkpoint brings what the log holds into the file, which SQLite syncs itself, and begins a new log.
        if (checkpoint.get()?.busy !== 0) return;
        walError = undefined;
      }
      ports.transact(() => probe.run(PROBE_BYTES));
      ports.transact(() => clean.run());
      log.syncNow();
    } catch {
      // There is still no room: the next try is set.
      return;
    }
    clearTimeout(retryTimer);
    retryTimer = undefined;
    ports.recovered();
  };

  const syncLast = (): void => {
    const last = [...[...syncing].flat(), ...unsynced];
    syncing.clear();
    unsynced = [];
    if (last.length === 0) return;
    try {
      log.syncNow();
    } catch (thrown) {
      refuse(
        last.flatMap(({ taken }) => taken),
        thrown,
      );
      return;
    }
    for (const committed of last) settle(committed);
  };

  return {
    write: <T>(work: () => T) =>
      new Promise<T>((resolve, reject) => {
        if (closed) {
          reject(new BridgeError({ code: 'stopping', message: 'the bridge is stopping' }));
          return;
        }
        writes.push({ work, resolve: (result) => resolve(result as T), reject });
        turn ??= setImmediate(commit);
      }),
    defer(work) {
      deferred.push(work);
      if (turn === undefined) deferTimer ??= setTimeout(commit, DEFER_MS);
    },
    flush: writeBehind.flush,
    close() {
      closed = true;
      clearImmediate(turn);
      commit();
      writeBehind.close();
      syncLast();
      clearTimeout(deferTimer);
      clearTimeout(retryTimer);
    },
  };
}
