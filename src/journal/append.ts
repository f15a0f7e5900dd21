import type { RawCallback } from '../model/callback.ts';
import type { Clock } from '../model/clock.ts';
import type { CanonicalEvent } from '../model/event.ts';
import type { SignalBus } from '../model/signal.ts';
import { createCommitter } from './commit.ts';
import type { Database } from './database.ts';
import { createDeliveryWriter, type JournalReport } from './deliveries.ts';
import { type GroupBuffer, openGroupBuffer } from './groups.ts';
import { unrecordable } from './sqlite.ts';

export type Journal = ReturnType<typeof openJournal>;

/** Opens what writes the journal. What resolves is on disk then; what cannot be written rejects with a BridgeError. */
export function openJournal(database: Database, clock: Clock, signals: SignalBus) {
  const { connection } = database;
  const quarantine = connection.prepare(
    'INSERT INTO quarantine (received_at, search, body, fault) VALUES (?, ?, ?, ?)',
  );
  const release = connection.prepare('DELETE FROM quarantine WHERE id = ?');
  const deliveries = createDeliveryWriter(connection, clock);
  const groups = openGroupBuffer(database);
  const events = createEventWriter(database, groups);
  const forgetRead = connection.prepare('DELETE FROM reconciled');
  const putRead = connection.prepare('INSERT INTO reconciled (group_id) VALUES (?) ON CONFLICT DO NOTHING');
  const putRun = connection.prepare(
    'INSERT INTO reconcile (one, run) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET run = excluded.run',
  );

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
    /**
     * Resolves with 'duplicate' when the event's id was there already.
     * Invariant 1: the promise resolves after the commit, and the answer waits for it.
     */
    record(event: CanonicalEvent): Promise<'recorded' | 'duplicate'> {
      const json = JSON.stringify(event);
      return committer.write(() => events.append(event, json));
    },
    /** Keeps a callback that cannot be mapped. */
    quarantine: ({ receivedAt, search, body, fault }: RawCallback): Promise<void> =>
      committer.write(() => void quarantine.run(receivedAt, search, body, JSON.stringify(fault))),
    /** Removes what was mapped after all, or is not wanted. Resolves with how many there were. */
    releaseQuarantined: (ids: readonly number[]): Promise<number> =>
      committer.write(() => ids.reduce((sum, id) => sum + Number(release.run(id).changes), 0)),
    /** Takes note of what a lane settled; it is written with the next commit, or soon when none comes. */
    settle: (report: JournalReport) => committer.defer(() => deliveries.settle(report)),
    /** Remembers over restarts that a connector is paused. */
    setPaused: (connector: string, paused: boolean) => committer.write(() => deliveries.setPaused(connector, paused)),
    /** Removes dead letters for good; all of them without `seqs`. Resolves with how many there were. */
    discard: (connector: string, seqs?: readonly number[]) =>
      committer.write(() => deliveries.discard(connector, seqs)),
    /** Begins a run of reconcile, kept as JSON and not interpreted; forgets the groups that an earlier one read. */
    beginReconcile: (record: object): Promise<void> =>
      committer.write(() => {
        forgetRead.run();
        putRun.run(JSON.stringify(record));
      }),
    /** Records what a run found, which groups it has read and how far it is, in one transaction; else only the events. */
    recordRead: (found: readonly CanonicalEvent[], groupIds: readonly string[], record?: object): Promise<void> =>
      committer.write(() => {
        for (const event of found) events.append(event, JSON.stringify(event));
        if (record === undefined) return;
        for (const groupId of groupIds) putRead.run(groupId);
        putRun.run(JSON.stringify(record));
      }),
    /**
     * Removes at most `limit` events after `after` and up to `upTo` that have no open delivery and are in the written groups;
     * `upTo` is asked within the transaction. Up to `last` nothing more is to be removed.
     */
    prune: (after: number, upTo: () => number, limit: number) =>
      committer.write(() => events.prune(after, upTo(), limit)),
    fill: database.fill,
    /** Returns the seq of the newest event on disk. */
    head: events.head,
    /** Returns what of a group's merged state is not in the file yet, see groups.ts. */
    buffered: groups.buffered,
    /** Writes the merged groups that are not in the file yet, if it can. */
    flushGroups: committer.flush,
    /** Writes what is still noted and closes the file. */
    close(): void {
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
  /** What the latest transaction did. */
  let latest = { events: 0, duplicates: 0, head };

  return {
    transact<T>(work: () => T): T {
      latest = { events: 0, duplicates: 0, head };
      return groups.transact(work);
    },
    /** Takes what the latest transaction did for committed. */
    committed(): typeof latest {
      head = latest.head;
      return latest;
    },
    append(event: CanonicalEvent, json: string): 'recorded' | 'duplicate' {
      const { id, subject } = event;
      const { changes } = insert.run(latest.head + 1, id, subject, event.data.receivedAt, json, groups.latest(subject));
      if (changes === 0) {
        // An index that names an event the table does not have would turn a loss into a duplicate.
        if (groupOf.get(id)?.group_id !== subject) {
          const advice = `stop the bridge, and make the index anew: sqlite3 ${database.file} REINDEX`;
          throw unrecordable('the journal’s index of event ids does not match its table', advice);
        }
        latest.duplicates++;
        return 'duplicate';
      }
      latest.head++;
      latest.events++;
      groups.merge(event, latest.head);
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
