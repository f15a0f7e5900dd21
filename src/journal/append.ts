import type { DatabaseSync } from 'node:sqlite';
import type { RawCallback } from '../model/callback.ts';
import type { Clock } from '../model/clock.ts';
import type { CopyState } from '../model/copy.ts';
import type { CanonicalEvent } from '../model/event.ts';
import type { BridgeError } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';
import { type Committer, createCommitter } from './commit.ts';
import { type Database, RESERVE } from './database.ts';
import { createDeliveryWriter, type JournalReport } from './deliveries.ts';
import { PROBE_BYTES } from './failure.ts';
import { createForgetting } from './forget.ts';
import { type GroupBuffer, openGroupBuffer } from './groups.ts';
import { journalError, unrecordable } from './sqlite.ts';

export type Journal = ReturnType<typeof openJournal>;

/**
 * Opens the writer of the journal. What resolves is on disk; what cannot be written rejects with a BridgeError.
 * `connectors` are the enabled ones: a group with events that one of them has not taken is not forgotten.
 */
export function openJournal(
  database: Database,
  clock: Clock,
  signals: SignalBus,
  connectors: () => readonly string[] = () => [],
) {
  const { connection } = database;
  const deliveries = createDeliveryWriter(connection, clock);
  const groups = openGroupBuffer(database);
  const events = createEventWriter(database, groups);
  const capacity = createCapacity(database, groups);
  const committer = createCommitter(database, {
    transact: (work) => {
      capacity.remeasure();
      return events.transact(work);
    },
    hasRoom: () => {
      capacity.remeasure();
      // As much as the probe writes: with less, the next callback might be refused again.
      const hasRoom = capacity.refusal(PROBE_BYTES) === undefined;
      capacity.remeasure();
      return hasRoom;
    },
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

  /** Runs `work` as `committer.write` does, unless there is no room for what it adds. */
  const add = <T>(bytes: number, work: () => T): Promise<T> => {
    const refusal = capacity.refusal(bytes);
    if (refusal === undefined) return committer.write(work);
    committer.refuse(refusal);
    return Promise.reject(refusal);
  };

  return {
    /** Invariant 1: resolves after the commit, for which the answer waits; 'duplicate' if the id was there. */
    record(event: CanonicalEvent): Promise<'recorded' | 'duplicate'> {
      const json = JSON.stringify(event);
      if (capacity.groupsFull() && !groups.knows(event.subject)) return Promise.reject(tooManyGroups());
      return add(json.length, () => events.append(event, json));
    },
    groupsFull: capacity.groupsFull,
    ...createQuarantineWriter(database, add, committer),
    ...createReconcileWriter(connection, events, add, committer),
    ...createForgetting(database, groups, committer, { remove: events.remove, connectors, clock }),
    /** Notes what a lane settled; it is written with the next commit, or soon if none comes. */
    settle: (report: JournalReport) => committer.defer(() => deliveries.settle(report)),
    keepCopy: (connector: string, state: CopyState) => committer.defer(() => deliveries.setCopy(connector, state)),
    setPaused: (connector: string, paused: boolean) => committer.write(() => deliveries.setPaused(connector, paused)),
    /** Removes dead letters for good, in one transaction. Resolves with their number. */
    discard: (connector: string, seqs: readonly number[]) => committer.write(() => deliveries.discard(connector, seqs)),
    /**
     * Removes at most `limit` events after `after` and up to `upTo` that are in the written groups, are no dead letters,
     * and wait at none of the connectors; both are asked within the transaction. Nothing more can be removed up to
     * `last`.
     */
    prune: (after: number, upTo: () => number, limit: number, waitingAt: () => readonly string[] = connectors) =>
      committer.write(() => events.prune(after, upTo(), limit, waitingAt())),
    fill: database.fill,
    head: events.head,
    buffered: groups.buffered,
    /** Writes the merged groups that are not in the file yet, if possible. */
    flushGroups: committer.flush,
    /** Writes what is still deferred and closes the file. */
    close(): void {
      const isIntact = committer.close();
      database.close({ keepLog: !isIntact });
    },
  };
}

type Add = <T>(bytes: number, work: () => T) => Promise<T>;
type Write = Pick<Committer, 'write'>;

function createQuarantineWriter({ connection, maxBytes }: Database, add: Add, { write }: Write) {
  const put = connection.prepare('INSERT INTO quarantine (received_at, search, body, fault) VALUES (?, ?, ?, ?)');
  const count = connection.prepare('SELECT count(*) AS count, coalesce(sum(length(body)), 0) AS bytes FROM quarantine');
  const release = connection.prepare('DELETE FROM quarantine WHERE id = ?');
  /** What the quarantine holds; counted again after a release or a failed write. */
  let kept: { readonly count: number; readonly bytes: number } | undefined;
  return {
    async quarantine({ receivedAt, search, body, fault }: RawCallback): Promise<void> {
      kept ??= count.get() as { count: number; bytes: number };
      if (kept.count >= MOST_KEPT || kept.bytes > maxBytes * KEPT_SHARE) throw quarantineFull();
      kept = { count: kept.count + 1, bytes: kept.bytes + body.length };
      try {
        await add(body.length, () => void put.run(receivedAt, search, body, JSON.stringify(fault)));
      } catch (thrown) {
        kept = undefined;
        throw thrown;
      }
    },
    /** Removes what was mapped or discarded. Resolves with the number. */
    releaseQuarantined: (ids: readonly number[]): Promise<number> =>
      write(() => {
        kept = undefined;
        return ids.reduce((sum, id) => sum + Number(release.run(id).changes), 0);
      }),
  };
}

function createReconcileWriter(connection: DatabaseSync, events: EventWriter, add: Add, { write }: Write) {
  const forgetRead = connection.prepare('DELETE FROM reconciled');
  const putRead = connection.prepare('INSERT INTO reconciled (group_id) VALUES (?) ON CONFLICT DO NOTHING');
  const putRun = connection.prepare(
    'INSERT INTO reconcile (one, run) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET run = excluded.run',
  );
  return {
    /** Begins a run of reconcile, stored as opaque JSON; forgets the groups that an earlier run read. */
    beginReconcile: (record: object): Promise<void> =>
      write(() => {
        forgetRead.run();
        putRun.run(JSON.stringify(record));
      }),
    /** Records events, the groups read and the run's progress in one transaction; without `record` only the events. */
    recordRead(found: readonly CanonicalEvent[], groupIds: readonly string[], record?: object): Promise<void> {
      const texts = found.map((event) => JSON.stringify(event));
      const work = (): void => {
        for (const [index, event] of found.entries()) events.append(event, texts[index] as string);
        if (record === undefined) return;
        for (const groupId of groupIds) putRead.run(groupId);
        putRun.run(JSON.stringify(record));
      };
      const bytes = [...texts, ...groupIds].reduce((sum, { length }) => sum + length, 0);
      // Progress alone replaces the row that is there, and needs no room.
      return bytes === 0 ? write(work) : add(bytes, work);
    },
  };
}

/** Groups are kept for ever: beyond this share new ones are refused, so that known ones are still recorded. */
const GROUPS_SHARE = 0.5;
/** What the quarantine may hold. */
const MOST_KEPT = 10_000;
const KEPT_SHARE = 0.1;

function createCapacity(database: Database, groups: GroupBuffer) {
  const most = database.maxBytes * (1 - RESERVE);
  let used: number | undefined;
  const groupsFull = (): boolean => groups.bytes() > database.maxBytes * GROUPS_SHARE;
  return {
    groupsFull,
    /** Has the free space measured again. */
    remeasure(): void {
      used = undefined;
    },
    /** Returns why so many more bytes cannot be recorded; undefined if they can. */
    refusal(bytes: number): BridgeError | undefined {
      // A closed journal says so itself.
      if (!database.connection.isOpen) return undefined;
      used ??= database.fill() * database.maxBytes;
      if (used + bytes > most) {
        const advice = groupsFull()
          ? 'groups forget and groups prune make room, as does a larger journal.maxBytes'
          : 'it is full of events that are not delivered yet: mend the connectors that are behind, retry or discard dead letters, or raise journal.maxBytes; a connector that is removed makes room, and never gets them';
        return unrecordable('the journal has reached journal.maxBytes', advice);
      }
      used += bytes;
      return undefined;
    },
  };
}

const tooManyGroups = (): BridgeError =>
  journalError(
    'journal-groups-full',
    'the callback cannot be recorded: it is of a new group, and the journal holds too many',
    'set app.callbackTokens or receiver.allowFrom, so that strangers add none; groups forget and groups prune make room, as does a larger journal.maxBytes',
  );
const quarantineFull = (): BridgeError =>
  journalError(
    'quarantine-full',
    'the callback cannot be kept: the quarantine is full',
    'see why callbacks cannot be mapped (quarantine list), then quarantine retry or discard',
  );

type EventWriter = ReturnType<typeof createEventWriter>;

/** The only writer of `events`. Its functions run inside a transaction begun by `transact`. */
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
    `SELECT seq FROM events WHERE seq > ? AND seq <= ? AND NOT EXISTS (SELECT 1 FROM deliveries
       WHERE deliveries.seq = events.seq AND (state = 'dead' OR connector IN (SELECT value FROM json_each(?))))
     ORDER BY seq LIMIT ?`,
  );
  const noteMissed = connection.prepare(
    `UPDATE lanes SET missed = missed + (SELECT count(*) FROM json_each(?) AS gone WHERE gone.value > lanes.cursor
       OR EXISTS (SELECT 1 FROM deliveries WHERE connector = lanes.connector AND seq = gone.value))
     WHERE connector NOT IN (SELECT value FROM json_each(?)) AND cursor > 0`,
  );
  const removals = ['deliveries', 'discarded', 'events'].map((table) =>
    connection.prepare(`DELETE FROM ${table} WHERE seq = ?`),
  );
  const forgetReceipts = connection.prepare('DELETE FROM receipts WHERE up_to <= ?');

  // The journal assigns the seqs: SQLite would skip one per duplicate, or reuse those of pruned events. What is pruned
  // was merged, and a cursor may have been moved back, so all three count.
  const highest = `SELECT max(coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT max(cursor) FROM lanes), 0),
    (SELECT seq FROM merged)) AS seq`;
  let head = Number(connection.prepare(highest).get()?.seq);
  /** What the latest transaction did. */
  let latest = { events: 0, duplicates: 0, head };

  /** Removes events with all that is known of their deliveries. */
  const remove = (seqs: readonly number[]): void => {
    for (const statement of removals) for (const seq of seqs) statement.run(seq);
  };
  return {
    remove,
    transact<T>(work: () => T): T {
      latest = { events: 0, duplicates: 0, head };
      return groups.transact(work);
    },
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
    prune(after: number, upTo: number, limit: number, connectors: readonly string[]): { pruned: number; last: number } {
      // Events after the watermark are merged again after a crash.
      const end = Math.min(upTo, groups.watermark());
      const seqs = candidates.all(after, end, JSON.stringify(connectors), limit).map(({ seq }) => seq as number);
      if (seqs.length > 0) noteMissed.run(JSON.stringify(seqs), JSON.stringify(connectors));
      remove(seqs);
      const last = seqs.length < limit ? end : (seqs.at(-1) ?? end);
      forgetReceipts.run(last);
      return { pruned: seqs.length, last };
    },
    head: () => head,
  };
}
