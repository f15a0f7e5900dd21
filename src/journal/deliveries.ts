import type { DatabaseSync } from 'node:sqlite';
import type { CanonicalEvent } from '../canon/event.ts';
import type { Fault } from '../canon/fault.ts';

/*
 * The delivery of one event by one connector is in one of these states:
 *
 * - pending: its seq lies beyond the connector's cursor. Every recorded event starts so.
 * - delivered: its seq lies at or before the cursor and it has no row in `deliveries`. Nothing leaves this state but a replay.
 * - waiting: it has a row with the time of its next attempt. Entered from pending when the sink says `retry`, and by every
 *   later event of the same group, which must not overtake it. Left for delivered or dead.
 * - dead: it has a row without such a time: a dead letter, with the reason. Only a person moves it on.
 *
 * Invariant 2: the cursor and the rows of a batch are written in one transaction, so no event is ever in none of them.
 * They may be written late (a crash then repeats deliveries), and are: with the next append, see append.ts.
 */

export interface JournalEntry {
  readonly seq: number;
  readonly event: CanonicalEvent;
}

export interface Waiting extends JournalEntry {
  readonly attempts: number;
  /** Milliseconds since 1970. */
  readonly dueAt: number;
  readonly fault: Fault;
}

/** What a lane settled since its last report. */
export interface Settlement {
  readonly connector: string;
  /** Everything up to here is delivered or has a row. */
  readonly cursor: number;
  readonly waiting: readonly { seq: number; attempts: number; dueAt: number; fault: Fault }[];
  readonly dead: readonly { seq: number; attempts: number; fault: Fault }[];
  /** Events that waited and are delivered now. */
  readonly released: readonly number[];
}

/** The only writer of `lanes` and `deliveries`. Runs inside the transaction of the caller. */
export function createDeliveryWriter(connection: DatabaseSync): (settlement: Settlement, now: number) => void {
  const advance = connection.prepare(
    `INSERT INTO lanes (connector, cursor) VALUES (?, ?)
     ON CONFLICT (connector) DO UPDATE SET cursor = max(cursor, excluded.cursor)`,
  );
  const put = connection.prepare(
    `INSERT INTO deliveries (connector, seq, state, attempts, due_at, fault, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (connector, seq) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
       due_at = excluded.due_at, fault = excluded.fault, changed_at = excluded.changed_at`,
  );
  const remove = connection.prepare('DELETE FROM deliveries WHERE connector = ? AND seq = ?');

  return ({ connector, cursor, waiting, dead, released }, now) => {
    for (const { seq, attempts, dueAt, fault } of waiting) {
      put.run(connector, seq, 'waiting', attempts, dueAt, JSON.stringify(fault), now);
    }
    for (const { seq, attempts, fault } of dead)
      put.run(connector, seq, 'dead', attempts, null, JSON.stringify(fault), now);
    for (const seq of released) remove.run(connector, seq);
    advance.run(connector, cursor);
  };
}

/** What lanes read. Any number of them on a connection that only reads. */
export interface DeliveryReader {
  /** The seq of the newest event, 0 in an empty journal. */
  head(): number;
  cursor(connector: string): number;
  /** At most `limit` entries behind `after`, in journal order. */
  read(after: number, limit: number): JournalEntry[];
  waiting(connector: string): Waiting[];
  deadLetters(connector: string): number;
}

export function createDeliveryReader(connection: DatabaseSync): DeliveryReader {
  const head = connection.prepare('SELECT coalesce(max(seq), 0) AS seq FROM events');
  const cursor = connection.prepare('SELECT cursor FROM lanes WHERE connector = ?');
  const read = connection.prepare('SELECT seq, event FROM events WHERE seq > ? ORDER BY seq LIMIT ?');
  const waiting = connection.prepare(
    `SELECT seq, event, attempts, due_at, fault FROM deliveries JOIN events USING (seq)
     WHERE connector = ? AND state = 'waiting' ORDER BY seq`,
  );
  const dead = connection.prepare(`SELECT count(*) AS n FROM deliveries WHERE connector = ? AND state = 'dead'`);

  // Rows were written by this program from values of these types: not checked a second time.
  const entry = (row: Record<string, unknown>): JournalEntry => ({
    seq: row.seq as number,
    event: JSON.parse(row.event as string) as CanonicalEvent,
  });
  return {
    head: () => head.get()?.seq as number,
    cursor: (connector) => (cursor.get(connector)?.cursor as number | undefined) ?? 0,
    read: (after, limit) => read.all(after, limit).map(entry),
    waiting: (connector) =>
      waiting.all(connector).map((row) => ({
        ...entry(row),
        attempts: row.attempts as number,
        dueAt: row.due_at as number,
        fault: JSON.parse(row.fault as string) as Fault,
      })),
    deadLetters: (connector) => dead.get(connector)?.n as number,
  };
}
