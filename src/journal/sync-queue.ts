import { type Checkpointer, isLater } from './checkpoint.ts';
import type { Database } from './database.ts';
import type { Failure, Write } from './failure.ts';
import { SYNCS } from './log.ts';

/** Writes that are committed, and not known to be on disk yet. */
export interface Committed {
  readonly writes: readonly Write[];
  readonly results: readonly unknown[];
  /** By performance.now(). */
  readonly start: number;
  announce(ms: number): void;
}

/** Transactions that are committed while as many syncs as may be are under way share the next one. */
export interface SyncQueue {
  /** Takes a transaction that is committed; its writes are resolved when they are on disk, and rejected when that fails. */
  add(committed: Committed): void;
  /** Syncs what still waits, and takes nothing more. */
  close(): void;
}

export function createSyncQueue(database: Database, checkpointer: Checkpointer, failure: Failure): SyncQueue {
  const { log } = database;
  /** Waits for the next sync. */
  let waiting: Committed[] = [];
  /** What those under way cover. */
  const syncing = new Set<readonly Committed[]>();

  const refuse = (covered: readonly Committed[], why: 'log' | 'place', thrown: unknown): void => {
    const refused = [...covered, ...waiting].flatMap(({ writes }) => writes);
    waiting = [];
    failure.block(why, thrown);
    failure.refuse(refused, thrown);
  };

  const settleAll = (covered: readonly Committed[]): void => {
    try {
      // What is written to a file that is not at its path any more is lost.
      database.place.verify();
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
      checkpointer.runWhenDue();
    } catch (thrown) {
      if (!isLater(thrown)) refuse([], 'log', thrown);
    }
  };

  return {
    add(committed) {
      waiting.push(committed);
      syncAll();
    },
    close() {
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
