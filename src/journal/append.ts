import type { RawCallback } from '../model/callback.ts';
import type { Clock } from '../model/clock.ts';
import type { CanonicalEvent } from '../model/event.ts';
import { BridgeError } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';
import { createCommitter } from './commit.ts';
import type { Database } from './database.ts';
import { createDeliveryWriter, type JournalReport } from './deliveries.ts';
import { type GroupBuffer, openGroupBuffer } from './groups.ts';
import { createReconcileWriter, type ReconcileRecord } from './reconcile-run.ts';

export interface Journal {
  /** Resolves once the event is on disk; 'duplicate' when its id was there already. Throws a BridgeError. */
  record(event: CanonicalEvent): Promise<'recorded' | 'duplicate'>;
  /** Keeps a callback that cannot be mapped; resolves once it is on disk. Throws a BridgeError. */
  quarantine(callback: RawCallback): Promise<void>;
  /** Removes what was mapped after all, or is not wanted. Resolves with how many there were. */
  releaseQuarantined(ids: readonly number[]): Promise<number>;
  /** Takes note of what a lane settled; it is written with the next commit, or soon when none comes. */
  settle(report: JournalReport): void;
  /** Remembers over restarts that a connector is paused. */
  setPaused(connector: string, paused: boolean): Promise<void>;
  /** Removes dead letters for good; all of them without `seqs`. Resolves with how many there were. */
  discard(connector: string, seqs?: readonly number[]): Promise<number>;
  /** Begins a run of reconcile: forgets the groups that an earlier one read. */
  beginReconcile(run: ReconcileRecord): Promise<void>;
  /** Records what the run found, which groups it has read and how far it is, in one transaction; without `run` only the events. */
  recordRead(events: readonly CanonicalEvent[], groupIds: readonly string[], run?: ReconcileRecord): Promise<void>;
  /**
   * Removes at most `limit` events after `after` and up to `upTo` that have no open delivery and are in the written groups;
   * `upTo` is asked within the transaction. Up to `last` nothing more is to be removed.
   */
  prune(after: number, upTo: () => number, limit: number): Promise<{ pruned: number; last: number }>;
  /** Returns how much of journal.maxBytes is in use, from 0 to 1. */
  fill(): number;
  /** Returns the seq of the newest event on disk. */
  head(): number;
  /** Returns what of a group's merged state is not in the file yet, see groups.ts. */
  readonly buffered: GroupBuffer['buffered'];
  /** Writes the merged groups that are not in the file yet, if it can. */
  flushGroups(): void;
  /** Writes what is still noted and closes the file. */
  close(): void;
}

export function openJournal(database: Database, clock: Clock, signals: SignalBus): Journal {
  const { connection } = database;
  const quarantine = connection.prepare(
    'INSERT INTO quarantine (received_at, search, body, fault) VALUES (?, ?, ?, ?)',
  );
  const release = connection.prepare('DELETE FROM quarantine WHERE id = ?');
  const deliveries = createDeliveryWriter(connection, clock);
  const groups = openGroupBuffer(database);
  const events = createEventWriter(database, groups);
  const reconcile = createReconcileWriter(connection);

  const committer = createCommitter(database, {
    transact: events.transact,
    committed(writes) {
      const counts = events.committed();
      return (ms) => {
        if (writes > 0) signals.emit('journal.committed', { ...counts, ms });
      };
    },
    failed: (fault) => signals.emit('journal.failed', { fault }),
    recovered: () => signals.emit('journal.recovered', {}),
    buffer: groups,
    flushed: () => signals.emit('journal.merged', { upTo: groups.watermark() }),
  });

  return {
    // Invariant 1: the promise resolves after the commit, and the answer waits for it.
    record(event) {
      const json = JSON.stringify(event);
      return committer.write(() => events.append(event, json));
    },
    quarantine: ({ receivedAt, search, body, fault }) =>
      committer.write(() => void quarantine.run(receivedAt, search, body, JSON.stringify(fault))),
    releaseQuarantined: (ids) =>
      committer.write(() => ids.reduce((sum, id) => sum + Number(release.run(id).changes), 0)),
    settle: (report) => committer.defer(() => deliveries.settle(report)),
    setPaused: (connector, paused) => committer.write(() => deliveries.setPaused(connector, paused)),
    discard: (connector, seqs) => committer.write(() => deliveries.discard(connector, seqs)),
    beginReconcile: (run) => committer.write(() => reconcile.begin(run)),
    recordRead: (read, groupIds, run) =>
      committer.write(() => {
        for (const event of read) events.append(event, JSON.stringify(event));
        if (run !== undefined) reconcile.note(run, groupIds);
      }),
    prune: (after, upTo, limit) => committer.write(() => events.prune(after, upTo(), limit)),
    fill: database.fill,
    head: events.head,
    buffered: groups.buffered,
    flushGroups: committer.flush,
    close() {
      const isIntact = committer.close();
      database.close({ keepLog: !isIntact });
    },
  };
}

/** The only writer of `events`. Its works run inside a transaction that `transact` begins. */
function createEventWriter(database: Database, groups: GroupBuffer) {
  const { connection } = database;
  const insert = connection.prepare(
    `INSERT INTO events (seq, id, group_id, received_at, event, previous) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO NOTHING`,
  );
  const groupOf = connection.prepare(
    'SELECT group_id FROM events NOT INDEXED WHERE seq = (SELECT seq FROM events WHERE id = ?)',
  );
  const candidates = connection.prepare(
    `SELECT seq FROM events WHERE seq > ? AND seq <= ?
       AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.seq = events.seq) ORDER BY seq LIMIT ?`,
  );
  const remove = connection.prepare('DELETE FROM events WHERE seq = ?');

  // The journal gives the seqs: SQLite's own would skip one for each duplicate, or give those of pruned events again.
  const highest =
    'SELECT max(coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT max(cursor) FROM lanes), 0)) AS seq';
  let head = Number(connection.prepare(highest).get()?.seq);
  let draft = head;
  let duplicates = 0;
  let recorded = 0;

  return {
    transact<T>(work: () => T): T {
      draft = head;
      duplicates = 0;
      recorded = 0;
      return groups.transact(work);
    },
    /** Takes what the latest transaction did for committed. */
    committed(): { events: number; duplicates: number; head: number } {
      head = draft;
      return { events: recorded, duplicates, head };
    },
    append(event: CanonicalEvent, json: string): 'recorded' | 'duplicate' {
      const { id, subject } = event;
      const { changes } = insert.run(draft + 1, id, subject, event.data.receivedAt, json, groups.latest(subject));
      if (changes === 0) {
        // An index that names an event the table does not have would turn a loss into a duplicate.
        if (groupOf.get(id)?.group_id !== subject) throw indexMismatch(database.file);
        duplicates++;
        return 'duplicate';
      }
      draft++;
      recorded++;
      groups.merge(event, draft);
      return 'recorded';
    },
    prune(after: number, upTo: number, limit: number): { pruned: number; last: number } {
      // Events after the watermark are merged again after a crash.
      const end = Math.min(upTo, groups.watermark());
      const seqs = candidates.all(after, end, limit).map(({ seq }) => seq as number);
      for (const seq of seqs) remove.run(seq);
      return { pruned: seqs.length, last: seqs.length < limit ? end : (seqs.at(-1) ?? end) };
    },
    head: () => head,
  };
}

function indexMismatch(file: string): BridgeError {
  return new BridgeError({
    code: 'journal-unwritable',
    path: 'journal.file',
    message: 'the callback cannot be recorded: the journal’s index of event ids does not match its table',
    suggestion: `stop the bridge, and make the index anew: sqlite3 ${file} REINDEX`,
  });
}
