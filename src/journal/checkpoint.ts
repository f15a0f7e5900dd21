import type { Database } from './database.ts';
import { isBusy, isFull } from './lock.ts';

/**
 * Copies what the log holds into the file, so that the log can begin anew. SQLite would do so by itself, within a commit and
 * without a word when the disk refuses.
 */
export interface Checkpointer {
  /** Checkpoints when the log has grown. To be called after a good sync of the log. Throws when the disk refuses. */
  runWhenDue(): void;
  /**
   * Writes the log again, since the disk may have refused a part of it, then copies all of it and begins a new one. Returns
   * false when a reader is in the way. Throws when the disk refuses.
   */
  mend(): boolean;
}

/** SQLite's own default: a log of about 4 MB. */
const DUE_PAGES = 1_000;
/** What a log grows before the next try when a reader was in the way. */
const RETRY_PAGES = 250;

export function createCheckpointer({ connection, log }: Pick<Database, 'connection' | 'log'>): Checkpointer {
  connection.exec('PRAGMA wal_autocheckpoint = 0');
  const passive = connection.prepare('PRAGMA wal_checkpoint(PASSIVE)');
  const truncate = connection.prepare('PRAGMA wal_checkpoint(TRUNCATE)');
  let generation = 0;
  let due = DUE_PAGES;
  return {
    runWhenDue() {
      if (!log.reaches(DUE_PAGES)) return;
      if (generation !== log.generation()) {
        generation = log.generation();
        due = DUE_PAGES;
      }
      if (due > DUE_PAGES && !log.reaches(due)) return;
      const row = passive.get() as { log: number };
      due = Math.max(DUE_PAGES, row.log) + RETRY_PAGES;
    },
    mend() {
      log.rewrite();
      return truncate.get()?.busy === 0;
    },
  };
}

/** Returns whether a checkpoint that threw this can wait: the log still holds what is recorded. */
export function isLater(thrown: unknown): boolean {
  return isFull(thrown) || isBusy(thrown);
}
