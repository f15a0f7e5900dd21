import { BridgeError, type Fault, messageOf } from '../model/fault.ts';
import type { Database } from './database.ts';

/**
 * Group commit: writes that gather within one turn of the event loop share one transaction, and transactions that are
 * committed while two syncs of the log are under way share the next one. The thread goes on meanwhile.
 */
export interface Committer {
  /** Runs `work` inside the next transaction; resolves with its result once that is on disk. Throws a BridgeError. */
  write<T>(work: () => T): Promise<T>;
  /** Runs `work` inside some transaction soon, with others' if there are any; kept and tried again while that fails. */
  later(work: () => void): void;
  /** What is written behind is written now, if it can be. */
  catchUp(): void;
  /** Writes what is still there; then refuses more. */
  close(): void;
}

export interface CommitEvents {
  /** A transaction begins: what the works note now counts only once it is committed. */
  begun(): void;
  /** Called at once; what it returns is called when the writes are on disk, with the time it took. */
  committed(writes: number): (ms: number) => void;
  /** Writes fail from now on, until `recovered`. */
  failed(fault: Fault): void;
  /** After a failure: a write as large as a callback succeeded. */
  recovered(): void;
  readonly behind: WrittenBehind;
}

/** What may be written after a commit, in a transaction of its own, while the log is being synced: nobody waits for it. */
export interface WrittenBehind {
  /** In so many milliseconds; undefined when there is nothing to write. Asked after each commit. */
  dueInMs(): number | undefined;
  write(): void;
  written(): void;
}

interface Write {
  readonly work: () => unknown;
  resolve(result: unknown): void;
  reject(reason: BridgeError): void;
}

/** How late `later` may come. */
const LATER_MS = 100;
/** How often a journal that could not write is tried. */
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

export function createCommitter({ connection, log, transact }: Database, events: CommitEvents): Committer {
  const probe = connection.prepare('INSERT INTO probes (filling) VALUES (zeroblob(?))');
  const clean = connection.prepare('DELETE FROM probes');
  const checkpoint = connection.prepare('PRAGMA wal_checkpoint(TRUNCATE)');

  let writes: Write[] = [];
  let laters: (() => void)[] = [];
  let turn: NodeJS.Immediate | undefined;
  let soon: NodeJS.Timeout | undefined;
  let trouble: NodeJS.Timeout | undefined;
  let behind: NodeJS.Timeout | undefined;
  let closed = false;
  /** Committed, and waiting for the next sync; what those under way cover. */
  let unsynced: Committed[] = [];
  const syncing = new Set<readonly Committed[]>();
  /** Why the log could not be synced: a later success would say nothing of what was to be synced then. */
  let suspect: unknown;

  /** All of `works` in one transaction, or none. */
  const transactAll = (works: readonly (() => unknown)[]): unknown[] => {
    events.begun();
    return transact(() => works.map((work) => work()));
  };

  const flush = (): void => {
    turn = undefined;
    clearTimeout(soon);
    soon = undefined;
    const taken = writes;
    const late = laters;
    writes = [];
    laters = [];
    if (taken.length === 0 && late.length === 0) return;
    if (suspect !== undefined) {
      refuse(taken, suspect);
      keep(late);
      return;
    }
    const start = performance.now();
    let results: unknown[];
    try {
      results = transactAll([...taken.map(({ work }) => work), ...late]);
    } catch (thrown) {
      refuse(taken, thrown);
      if (late.length > 0 && !(taken.length > 0 && commitAlone(late))) keep(late);
      return;
    }
    const announce = events.committed(taken.length);
    // Cursors alone may be lost at a power cut: they only repeat deliveries.
    if (taken.length > 0) {
      unsynced.push({ taken, results, start, announce });
      syncAll();
    }
    writeBehind();
  };

  const writeBehind = (force = false): void => {
    clearTimeout(behind);
    behind = undefined;
    const dueInMs = events.behind.dueInMs();
    if (dueInMs === undefined) return;
    if (suspect !== undefined || (dueInMs > 0 && !force)) {
      if (!closed) behind = setTimeout(writeBehind, suspect === undefined ? dueInMs : PROBE_MS);
      return;
    }
    try {
      transact(events.behind.write);
    } catch (thrown) {
      refuse([], thrown);
      if (!closed) behind = setTimeout(writeBehind, PROBE_MS);
      return;
    }
    events.behind.written();
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
          suspect = thrown;
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
    if (trouble !== undefined) return;
    trouble = setTimeout(tryAgain, PROBE_MS);
    events.failed(error.fault);
  };

  /** Cursors have room where new events have none, so they are tried without those; false when that fails, too. */
  const commitAlone = (late: readonly (() => void)[]): boolean => {
    try {
      transactAll(late);
    } catch {
      return false;
    }
    events.committed(0);
    writeBehind();
    return true;
  };

  /** Nobody would bring these again. */
  const keep = (late: readonly (() => void)[]): void => {
    laters = [...late, ...laters];
    if (!closed) soon ??= setTimeout(flush, PROBE_MS);
  };

  const tryAgain = (): void => {
    trouble = setTimeout(tryAgain, PROBE_MS);
    try {
      if (suspect !== undefined) {
        // What the log holds is brought into the file, which SQLite syncs itself; a new log is begun.
        if (checkpoint.get()?.busy !== 0) return;
        suspect = undefined;
      }
      transactAll([() => probe.run(PROBE_BYTES)]);
      transactAll([() => clean.run()]);
      log.syncNow();
      settleTrouble();
    } catch {
      // still no room: the next try is set
    }
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

  const settleTrouble = (): void => {
    clearTimeout(trouble);
    trouble = undefined;
    events.recovered();
  };

  return {
    write: <T>(work: () => T) =>
      new Promise<T>((resolve, reject) => {
        if (closed) {
          reject(new BridgeError({ code: 'stopping', message: 'the bridge is stopping' }));
          return;
        }
        writes.push({ work, resolve: (result) => resolve(result as T), reject });
        turn ??= setImmediate(flush);
      }),
    later(work) {
      laters.push(work);
      if (turn === undefined) soon ??= setTimeout(flush, LATER_MS);
    },
    catchUp: () => writeBehind(true),
    close() {
      closed = true;
      clearImmediate(turn);
      flush();
      writeBehind(true);
      syncLast();
      clearTimeout(behind);
      clearTimeout(soon);
      clearTimeout(trouble);
    },
  };
}
