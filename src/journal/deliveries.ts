import type { DatabaseSync } from 'node:sqlite';
import type { Report, Waiting } from '../../connectors/contract.ts';
import type { Clock } from '../model/clock.ts';
import { type Entry, type EntryHead, lazyEntry } from '../model/entry.ts';
import type { CanonicalEvent } from '../model/event.ts';
import type { Fault } from '../model/fault.ts';
import type { QuarantinedCallback } from '../model/quarantine.ts';

/*
 * The delivery of one event by one connector is in one of these states:
 *
 * - pending: its seq lies beyond the connector's cursor. Every recorded event starts so.
 * - delivered: its seq lies at or before the cursor and it has no row in `deliveries`. Nothing leaves this state but a replay.
 * - waiting: it has a row with the time of its next attempt. Entered from pending when the sink says `retry`, and by every
 *   later event of the same group, which must not overtake it. Left for delivered or dead.
 * - dead: it has a row without such a time: a dead letter, with the reason. Only a person moves it on: to waiting by a retry,
 *   out of sight by discarding it.
 *
 * A replay moves the cursor back and forgets the rows behind it: those events are pending once more.
 *
 * Invariant 2: the cursor and the rows of a batch are written in one transaction, so no event is ever in none of them.
 * They may be written late (a crash then repeats deliveries), and are: with the next append, see append.ts.
 */

/** An event of the journal as people look at it. */
export interface JournalEntry {
  readonly seq: number;
  readonly event: CanonicalEvent;
}

/** What a lane settled, as it goes to the thread that writes: events are named by seq. */
export interface JournalReport extends Pick<Report, 'upTo' | 'rewind' | 'released'> {
  readonly connector: string;
  readonly waiting: readonly { seq: number; attempts: number; dueAt: number; fault: Fault }[];
  readonly dead: readonly { seq: number; attempts: number; fault: Fault }[];
}

/** The only writer of `lanes` and `deliveries`. Its works run inside a transaction of the caller. */
export interface DeliveryWriter {
  settle(report: JournalReport): void;
  setPaused(connector: string, paused: boolean): void;
  discard(connector: string, seqs?: readonly number[]): number;
}

export function createDeliveryWriter(connection: DatabaseSync, clock: Clock): DeliveryWriter {
  const advance = connection.prepare(
    `INSERT INTO lanes (connector, cursor) VALUES (?, ?)
     ON CONFLICT (connector) DO UPDATE SET cursor = max(cursor, excluded.cursor)`,
  );
  const rewind = connection.prepare('UPDATE lanes SET cursor = ? WHERE connector = ?');
  const forget = connection.prepare('DELETE FROM deliveries WHERE connector = ? AND seq > ?');
  const put = connection.prepare(
    `INSERT INTO deliveries (connector, seq, state, attempts, due_at, fault, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (connector, seq) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
       due_at = excluded.due_at, fault = excluded.fault, changed_at = excluded.changed_at`,
  );
  const remove = connection.prepare('DELETE FROM deliveries WHERE connector = ? AND seq = ?');
  const discardOne = connection.prepare(`DELETE FROM deliveries WHERE connector = ? AND seq = ? AND state = 'dead'`);
  const discardAll = connection.prepare(`DELETE FROM deliveries WHERE connector = ? AND state = 'dead'`);
  const pause = connection.prepare(
    `INSERT INTO lanes (connector, cursor, paused) VALUES (?, 0, ?)
     ON CONFLICT (connector) DO UPDATE SET paused = excluded.paused`,
  );

  return {
    settle({ connector, upTo: cursor, waiting, dead, released, rewind: back }) {
      const now = clock.now();
      if (back) {
        rewind.run(cursor, connector);
        forget.run(connector, cursor);
      }
      for (const { seq, attempts, dueAt, fault } of waiting) {
        put.run(connector, seq, 'waiting', attempts, dueAt, JSON.stringify(fault), now);
      }
      for (const { seq, attempts, fault } of dead) {
        put.run(connector, seq, 'dead', attempts, null, JSON.stringify(fault), now);
      }
      for (const seq of released) remove.run(connector, seq);
      advance.run(connector, cursor);
    },
    setPaused: (connector, paused) => void pause.run(connector, paused ? 1 : 0),
    discard(connector, seqs) {
      if (seqs === undefined) return Number(discardAll.run(connector).changes);
      return seqs.reduce((sum, seq) => sum + Number(discardOne.run(connector, seq).changes), 0);
    },
  };
}

/** A dead letter: an event that a destination refused for good. */
export interface DeadLetter extends JournalEntry {
  readonly attempts: number;
  readonly fault: Fault;
  /** When it was given up, in milliseconds since 1970. */
  readonly deadAt: number;
}

/** What stands in the way of one delivery. */
export interface OpenDelivery {
  readonly state: 'waiting' | 'dead';
  readonly fault: Fault;
}

/** What lanes and people read. Any number of them on a connection that only reads. */
export interface DeliveryReader {
  /** The seq of the newest event, 0 in an empty journal. */
  head(): number;
  /** Events up to this seq are in the merged groups that can be read. */
  merged(): number;
  cursor(connector: string): number;
  paused(connector: string): boolean;
  /**
   * Returns at most `limit` entries after `after` and up to `upTo`, in journal order; fewer when they are large, at least
   * one if there is any.
   */
  read(after: number, limit: number, upTo?: number): Entry[];
  /** Does as `read`, but fetches the text of an event only when somebody looks inside: `limit` alone says how many. */
  readHeads(after: number, limit: number, upTo?: number): Entry[];
  waiting(connector: string): Waiting[];
  countWaiting(connector: string): number;
  countDeadLetters(connector: string): number;
  /** At most `limit` dead letters behind the seq `after`, in journal order. */
  deadLetters(connector: string, after: number, limit: number): DeadLetter[];
  deadLetter(connector: string, seq: number): DeadLetter | undefined;
  /** Returns the event of a dead letter, for another attempt. */
  deadLetterEntry(connector: string, seq: number): Entry | undefined;
  /** The seqs of the oldest `limit` dead letters, without reading their events. */
  deadLetterSeqs(connector: string, limit: number): number[];
  /** Of an event that waits for a retry or is a dead letter; undefined for one that is delivered or pending. */
  openDelivery(connector: string, seq: number): OpenDelivery | undefined;
  countQuarantined(): number;
  quarantined(after: number, limit: number): QuarantinedCallback[];
  /** The first seq that was received at or after `time` (ms since 1970); head + 1 when there is none. */
  seqAt(time: number): number;
}

/** A batch of the largest callbacks must not need more memory than one of ordinary ones. */
const READ_CHARACTERS = 4 * 1_048_576;

export function createDeliveryReader(connection: DatabaseSync): DeliveryReader {
  const head = connection.prepare('SELECT coalesce(max(seq), 0) AS seq FROM events');
  const merged = connection.prepare('SELECT seq FROM merged');
  const lane = connection.prepare('SELECT cursor, paused FROM lanes WHERE connector = ?');
  const read = connection.prepare(
    'SELECT seq, id, group_id, received_at, event FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?',
  );
  const heads = connection.prepare(
    'SELECT seq, id, group_id, received_at FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?',
  );
  const text = connection.prepare('SELECT event FROM events WHERE seq = ?');
  const waiting = connection.prepare(
    `SELECT seq, id, group_id, received_at, event, attempts, due_at, fault FROM deliveries JOIN events USING (seq)
     WHERE connector = ? AND state = 'waiting' ORDER BY seq`,
  );
  const count = connection.prepare('SELECT count(*) AS n FROM deliveries WHERE connector = ? AND state = ?');
  const dead = connection.prepare(
    `SELECT seq, event, attempts, fault, changed_at FROM deliveries JOIN events USING (seq)
     WHERE connector = ? AND state = 'dead' AND seq > ? ORDER BY seq LIMIT ?`,
  );
  const deadSeqs = connection.prepare(
    `SELECT seq FROM deliveries WHERE connector = ? AND state = 'dead' ORDER BY seq LIMIT ?`,
  );
  const deadEntry = connection.prepare(
    `SELECT seq, id, group_id, received_at, event FROM deliveries JOIN events USING (seq)
     WHERE connector = ? AND state = 'dead' AND seq = ?`,
  );
  const openDelivery = connection.prepare('SELECT state, fault FROM deliveries WHERE connector = ? AND seq = ?');
  const countQuarantined = connection.prepare('SELECT count(*) AS n FROM quarantine');
  const quarantined = connection.prepare('SELECT * FROM quarantine WHERE id > ? ORDER BY id LIMIT ?');
  const receivedFrom = connection.prepare('SELECT seq, received_at FROM events WHERE seq >= ? ORDER BY seq LIMIT 1');

  // Rows were written by this program from values of these types: they are not checked a second time.
  const headOf = (row: Record<string, unknown>): EntryHead => ({
    seq: row.seq as number,
    id: row.id as string,
    groupId: row.group_id as string,
    receivedAt: row.received_at as number,
  });
  const entry = (row: Record<string, unknown>): JournalEntry => ({
    seq: row.seq as number,
    event: JSON.parse(row.event as string) as CanonicalEvent,
  });
  const deadLetter = (row: Record<string, unknown>): DeadLetter => ({
    ...entry(row),
    attempts: row.attempts as number,
    fault: JSON.parse(row.fault as string) as Fault,
    deadAt: row.changed_at as number,
  });
  const headSeq = (): number => head.get()?.seq as number;

  return {
    head: headSeq,
    merged: () => merged.get()?.seq as number,
    cursor: (connector) => (lane.get(connector)?.cursor as number | undefined) ?? 0,
    paused: (connector) => lane.get(connector)?.paused === 1,
    read(after, limit, upTo = Number.MAX_SAFE_INTEGER) {
      const entries: Entry[] = [];
      let characters = 0;
      for (const row of read.iterate(after, upTo, limit)) {
        const text = row.event as string;
        entries.push(lazyEntry(headOf(row), text));
        characters += text.length;
        if (characters >= READ_CHARACTERS) break;
      }
      return entries;
    },
    readHeads: (after, limit, upTo = Number.MAX_SAFE_INTEGER) =>
      heads.all(after, upTo, limit).map((row) => {
        const head = headOf(row);
        return lazyEntry(head, () => text.get(head.seq)?.event as string);
      }),
    waiting: (connector) =>
      waiting.all(connector).map((row) => ({
        entry: lazyEntry(headOf(row), row.event as string),
        attempts: row.attempts as number,
        dueAt: row.due_at as number,
        fault: JSON.parse(row.fault as string) as Fault,
      })),
    countWaiting: (connector) => count.get(connector, 'waiting')?.n as number,
    countDeadLetters: (connector) => count.get(connector, 'dead')?.n as number,
    deadLetters: (connector, after, limit) => dead.all(connector, after, limit).map(deadLetter),
    deadLetter: (connector, seq) =>
      dead
        .all(connector, seq - 1, 1)
        .map(deadLetter)
        .find((letter) => letter.seq === seq),
    deadLetterEntry(connector, seq) {
      const row = deadEntry.get(connector, seq);
      return row && lazyEntry(headOf(row), row.event as string);
    },
    deadLetterSeqs: (connector, limit) => deadSeqs.all(connector, limit).map(({ seq }) => seq as number),
    openDelivery(connector, seq) {
      const row = openDelivery.get(connector, seq);
      return row && { state: row.state as OpenDelivery['state'], fault: JSON.parse(row.fault as string) as Fault };
    },
    countQuarantined: () => countQuarantined.get()?.n as number,
    quarantined: (after, limit) =>
      quarantined.all(after, limit).map((row) => ({
        id: row.id as number,
        receivedAt: row.received_at as number,
        search: row.search as string,
        body: row.body as string,
        fault: JSON.parse(row.fault as string) as Fault,
      })),
    seqAt(time) {
      // Seqs rise with the time of receipt, so halving finds it without an index of times.
      let low = 1;
      let high = headSeq() + 1;
      while (low < high) {
        const middle = Math.floor((low + high) / 2);
        const row = receivedFrom.get(middle);
        if (row !== undefined && (row.received_at as number) < time) low = (row.seq as number) + 1;
        else high = middle;
      }
      return low;
    },
  };
}

/** When the oldest event was received (ms since 1970) that waits or lies behind the cursor; undefined when there is none. */
export function createOpenSince(connection: DatabaseSync): (connector: string, cursor: number) => number | undefined {
  const oldestWaiting = connection.prepare(
    `SELECT received_at FROM deliveries JOIN events USING (seq)
     WHERE connector = ? AND state = 'waiting' ORDER BY seq LIMIT 1`,
  );
  const oldestBehind = connection.prepare('SELECT received_at FROM events WHERE seq > ? ORDER BY seq LIMIT 1');
  return (connector, cursor) => {
    const rows = [oldestWaiting.get(connector), oldestBehind.get(cursor)];
    const times = rows.flatMap((row) => (row === undefined ? [] : (row.received_at as number)));
    return times.length === 0 ? undefined : Math.min(...times);
  };
}
