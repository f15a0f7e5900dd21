import { BridgeError, type Fault, messageOf } from '../model/fault.ts';
import type { Database } from './database.ts';
import { isFull, journalError } from './sqlite.ts';

/** Somebody waits for this work to be on disk. */
export interface Write {
  readonly work: () => unknown;
  resolve(result: unknown): void;
  reject(reason: BridgeError): void;
}

export interface FailurePorts {
  transact<T>(work: () => T): T;
  /** Returns whether new events have room below journal.maxBytes. */
  hasRoom(): boolean;
  /** Writes fail from now on, until `recovered`. */
  failed(fault: Fault): void;
  /** A write as large as a callback succeeded after a failure. */
  recovered(): void;
}

const PROBE_MS = 1_000;
/** As large as a callback may be. */
export const PROBE_BYTES = 65_536;

export type Failure = ReturnType<typeof createFailure>;

/**
 * A journal that cannot write: from the first refused write until a probe as large as a callback succeeds. Three failures
 * block it, so that nothing is committed until they are repaired:
 *
 * - log: a sync was refused. A later success would prove nothing about what was to be synced then, see log.ts.
 * - place: the file is no longer at its path.
 * - lock: another program keeps it locked.
 */
export function createFailure({ connection, log, place }: Database, ports: FailurePorts) {
  type Why = 'log' | 'place' | 'lock';
  const fill = connection.prepare('INSERT INTO probes (filling) VALUES (zeroblob(?))');
  const clean = connection.prepare('DELETE FROM probes');
  const truncate = connection.prepare('PRAGMA wal_checkpoint(TRUNCATE)');
  let blocked: { readonly why: Why; readonly thrown: unknown } | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  /** Rewrites the log, whose sync may have failed, and checkpoints all of it. Returns false if a reader is in the way. */
  const mend = (): boolean => {
    log.rewrite();
    return truncate.get()?.busy === 0;
  };

  const tryAgain = (): void => {
    timer = setTimeout(tryAgain, PROBE_MS);
    try {
      place.verify();
    } catch {
      try {
        place.save(mend);
      } catch {
        // Tried again at the next probe.
      }
      return;
    }
    try {
      if (blocked?.why === 'log' && !mend()) return;
      if (blocked?.why !== 'lock') blocked = undefined;
      if (!ports.hasRoom()) return;
      // Writes as much as a callback would, and removes it again.
      ports.transact(() => fill.run(PROBE_BYTES));
      ports.transact(() => clean.run());
      log.syncNow();
    } catch {
      // There is still no room; the next try is scheduled.
      return;
    }
    blocked = undefined;
    clearTimeout(timer);
    timer = undefined;
    ports.recovered();
  };

  return {
    /** Rejects these writes and, unless already known, announces the failure; `why` is given if it blocks. */
    refuse(writes: readonly Write[], thrown: unknown, why?: Why): void {
      // A log that the disk refused must be repaired, whatever else happens.
      if (why !== undefined) blocked = { why: blocked?.why === 'log' ? 'log' : why, thrown };
      const error = thrown instanceof BridgeError ? thrown : unwritable(thrown);
      for (const { reject } of writes) reject(error);
      if (timer !== undefined || closed) return;
      timer = setTimeout(tryAgain, PROBE_MS);
      ports.failed(error.fault);
    },
    /** Returns why nothing may be committed; undefined if it may be tried. */
    blocked: () => blocked,
    close(): void {
      closed = true;
      clearTimeout(timer);
    },
  };
}

function unwritable(thrown: unknown): BridgeError {
  const why = messageOf(thrown);
  const { code } = thrown as NodeJS.ErrnoException;
  const advice =
    isFull(thrown) || code === 'ENOSPC' || code === 'EDQUOT'
      ? `make room on the journal’s disk, or raise journal.maxBytes (${why})`
      : `see why the journal’s disk refuses a write: ${why}`;
  return journalError('journal-unwritable', 'the callback cannot be recorded', advice, thrown);
}
