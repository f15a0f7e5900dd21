import type { Database } from './database.ts';
import type { Failure, Write } from './failure.ts';
import { SYNCS } from './log.ts';
import { isBusy, isFull } from './sqlite.ts';

/** A transaction that is committed, but not known to be on disk yet. */
interface Committed {
  readonly writes: readonly Write[];
  readonly results: readonly unknown[];
  /** By performance.now(). */
  readonly start: number;
  announce(ms: number): void;
}

/** Transactions committed while the maximum number of syncs is under way share the next one. */
export function createSyncQueue(database: Database, failure: Failure) {
  const { log, place } = database;
  const checkpointWhenDue = createCheckpoints(database);
  let waiting: Committed[] = [];
  /** The transactions covered by each sync under way. */
  const syncing = new Set<readonly Committed[]>();

  const refuse = (covered: readonly Committed[], why: 'log' | 'place', thrown: unknown): void => {
    const refused = [...covered, ...waiting].flatMap(({ writes }) => writes);
    waiting = [];
    failure.refuse(refused, thrown, why);
  };

  const settleAll = (covered: readonly Committed[]): void => {
    try {
      // What is written to a file that is no longer at its path is lost.
      place.verify();
    } catch (thrown) {
      refuse(covered, 'place', thrown);
      return;
    }
    for (const { writes, results, start, announce } of covered) {
      for (const [index, { resolve }] of writes.entries()) resolve(results[index]);
      announce(performance.now() - start);
    }
  };

  /** Invariant 1: writes are resolved only when the log that holds them is on disk. */
  const syncAll = (): void => {
    while (waiting.length > 0 && syncing.size < SYNCS) {
      const covered = waiting;
      waiting = [];
      syncing.add(covered);
      log.sync().then(
        () => {
          if (!syncing.delete(covered)) return;
          settleAll(covered);
          syncAll();
          checkpoint();
        },
        (thrown: unknown) => {
          if (syncing.delete(covered)) refuse(covered, 'log', thrown);
        },
      );
    }
  };

  const checkpoint = (): void => {
    if (failure.blocked() !== undefined) return;
    try {
      checkpointWhenDue();
    } catch (thrown) {
      // Without room, or on a lock, it can wait: the log still holds what is recorded.
      if (!isFull(thrown) && !isBusy(thrown)) refuse([], 'log', thrown);
    }
  };

  return {
    /** Takes a committed transaction; its writes are resolved when they are on disk, and rejected if that fails. */
    add(committed: Committed): void {
      waiting.push(committed);
      syncAll();
    },
    /** Syncs what still waits, and takes no more. */
    close(): void {
      const last = [...[...syncing].flat(), ...waiting];
      syncing.clear();
      waiting = [];
      if (last.length === 0) return;
      try {
        log.syncNow();
      } catch (thrown) {
        refuse(last, 'log', thrown);
        return;
      }
      settleAll(last);
    },
  };
}

/** SQLite's own default: a log of about 4 MB. */
const DUE_PAGES = 1_000;
/** How much a log grows before the next try after a reader was in the way. */
const RETRY_PAGES = 250;

/**
 * Returns a function that checkpoints the log once it has grown, so that it can restart; to be called after a good sync.
 * It throws if the disk refuses. SQLite itself would do this within a commit, and say nothing of a failure.
 */
function createCheckpoints({ connection, log }: Database): () => void {
  connection.exec('PRAGMA wal_autocheckpoint = 0');
  const passive = connection.prepare('PRAGMA wal_checkpoint(PASSIVE)');
  let generation = 0;
  let due = DUE_PAGES;
  return () => {
    if (!log.reaches(DUE_PAGES)) return;
    if (generation !== log.generation()) {
      generation = log.generation();
      due = DUE_PAGES;
    }
    if (due > DUE_PAGES && !log.reaches(due)) return;
    const row = passive.get() as { log: number };
    due = Math.max(DUE_PAGES, row.log) + RETRY_PAGES;
  };
}
