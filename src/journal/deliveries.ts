import type { DatabaseSync } from 'node:sqlite';
import type { Brought, Dead, Holds, Report, Source, Waiting } from '../../connectors/contract.ts';
import { causeOf } from '../model/cause.ts';
import type { Clock } from '../model/clock.ts';
import type { CopyState } from '../model/copy.ts';
import type { Fault } from '../model/fault.ts';
import { type DeliveryReader, ROW_REACH, type Told } from './reads.ts';

/*
 * The delivery of one event by one connector is in one of these states:
 *
 * - pending: its seq is after the connector's cursor. Every recorded event starts here.
 * - delivered: its seq is at or before the cursor, and it has no row in `deliveries`. Left only by a replay, and for
 *   waiting when a comparison does not find the event.
 * - waiting: it has a row with the time of its next attempt. Entered from pending when the sink says `retry`, and by
 *   every later event of the same group, which must not overtake it. Left for delivered or dead.
 * - dead: it has a row without such a time: a dead letter, with the reason. A person moves it on, to waiting by a retry,
 *   out of sight by discarding it; a lane only if it finds the destination at fault (see doubt.ts), to waiting.
 *
 * A replay moves the cursor back and deletes the rows after it: those events are pending again.
 *
 * Invariant 2: the cursor and the rows of a batch are written in one transaction, so every event is always in one of
 * them. They are written late, with the next append (see append.ts): a crash then repeats deliveries.
 */

/** What a lane settled, as sent to the writing thread, which has the events: they are named by seq. */
export interface JournalReport extends Pick<Report, 'upTo' | 'rewind' | 'passedOver' | 'released'> {
  readonly connector: string;
  readonly receipts?: readonly Receipts[];
  readonly waiting: readonly { seq: number; attempts: number; dueAt: number; fault: Fault }[];
  readonly dead: readonly { seq: number; attempts: number; fault: Fault }[];
}

/** Where events of a batch went, as one row. */
interface Receipts {
  readonly from: number;
  readonly upTo: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** JSON, see Told. */
  readonly told: string;
}

/** The only writer of `lanes`, `deliveries`, `discarded`, `receipts` and `copies`. Runs inside the caller's transaction. */
export function createDeliveryWriter(connection: DatabaseSync, clock: Clock) {
  const advance = connection.prepare(
    `INSERT INTO lanes (connector, cursor) VALUES (?, ?)
     ON CONFLICT (connector) DO UPDATE SET cursor = max(cursor, excluded.cursor)`,
  );
  const rewind = connection.prepare('UPDATE lanes SET cursor = ? WHERE connector = ?');
  const passOver = connection.prepare('UPDATE lanes SET missed = 0 WHERE connector = ?');
  const forget = connection.prepare('DELETE FROM deliveries WHERE connector = ? AND seq > ?');
  const put = connection.prepare(
    `INSERT INTO deliveries (connector, seq, state, attempts, due_at, fault, changed_at, cause)
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE EXISTS (SELECT 1 FROM events WHERE seq = ?2)
     ON CONFLICT (connector, seq) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
       earlier = earlier + iif(deliveries.state = 'dead' AND excluded.state = 'waiting', deliveries.attempts, 0),
       due_at = excluded.due_at, fault = excluded.fault, changed_at = excluded.changed_at, cause = excluded.cause`,
  );
  const remove = connection.prepare('DELETE FROM deliveries WHERE connector = ? AND seq = ?');
  const remember = connection.prepare(
    'INSERT OR REPLACE INTO receipts (from_seq, up_to, connector, at, told) VALUES (?, ?, ?, ?, ?)',
  );
  const forgetReceipts = connection.prepare('DELETE FROM receipts WHERE connector = ? AND up_to > ?');
  const discardOne = connection.prepare(`DELETE FROM deliveries WHERE connector = ? AND seq = ? AND state = 'dead'`);
  const noteDiscarded = connection.prepare('INSERT OR IGNORE INTO discarded (connector, seq) VALUES (?, ?)');
  const forgetDiscarded = connection.prepare('DELETE FROM discarded WHERE connector = ? AND seq > ?');
  const pause = connection.prepare(
    `INSERT INTO lanes (connector, cursor, paused) VALUES (?, 0, ?)
     ON CONFLICT (connector) DO UPDATE SET paused = excluded.paused`,
  );
  const copy = connection.prepare(
    'INSERT INTO copies (connector, state) VALUES (?, ?) ON CONFLICT (connector) DO UPDATE SET state = excluded.state',
  );

  return {
    settle({ connector, upTo: cursor, rewind: back, passedOver, receipts = [], ...report }: JournalReport): void {
      const { waiting, dead, released } = report;
      const now = clock.now();
      if (passedOver) passOver.run(connector);
      if (back) {
        rewind.run(cursor, connector);
        forget.run(connector, cursor);
        forgetReceipts.run(connector, cursor);
        forgetDiscarded.run(connector, cursor);
      }
      for (const { seq, attempts, dueAt, fault } of waiting) {
        put.run(connector, seq, 'waiting', attempts, dueAt, JSON.stringify(fault), now, null);
      }
      for (const { seq, attempts, fault } of dead) {
        put.run(connector, seq, 'dead', attempts, null, JSON.stringify(fault), now, causeOf(fault).id);
      }
      for (const seq of released) remove.run(connector, seq);
      for (const { from, upTo, at, told } of receipts) remember.run(from, upTo, connector, at, told);
      advance.run(connector, cursor);
    },
    setPaused: (connector: string, paused: boolean) => void pause.run(connector, paused ? 1 : 0),
    setCopy: (connector: string, state: CopyState) => void copy.run(connector, JSON.stringify(state)),
    /** Returns how many of them were dead letters. */
    discard(connector: string, seqs: readonly number[]): number {
      const discarded = seqs.filter((seq) => discardOne.run(connector, seq).changes > 0);
      for (const seq of discarded) noteDiscarded.run(connector, seq);
      return discarded.length;
    },
  };
}

/** About 50 MB, without their texts. */
const MAX_WAITING = 100_000;

interface JournalSourcePorts {
  readonly reader: Pick<DeliveryReader, 'has' | 'head' | 'merged' | 'read' | 'readHeads' | 'isDiscarded'>;
  readonly clock: Pick<Clock, 'now' | 'elapsed'>;
  post(report: JournalReport): void;
}

/**
 * The journal as one lane reads it. Merged groups are written late, so a lane whose sink holds groups is given an event
 * only once the readable group holds it; and without its text, which nobody there looks at.
 */
export function createJournalSource(connector: string, holds: Holds, ports: JournalSourcePorts): Source {
  const { reader, clock, post } = ports;
  const end = holds === 'groups' ? reader.merged : reader.head;
  const read = holds === 'groups' ? reader.readHeads : reader.read;
  return {
    maxWaiting: MAX_WAITING,
    // Until it is written that it waits, what was delivered once may be pruned. Its text is at hand after this.
    has: (entry) => reader.has(entry.seq) && (holds === 'groups' || entry.text !== undefined),
    takesBack: ({ seq }) => !reader.isDiscarded(connector, seq),
    available: (after) => end() - after,
    next: (after, limit) => read(after, limit, end()),
    settle({ waiting, dead, brought = [], ...report }) {
      // Rows hold wall-clock times.
      const epoch = clock.now() - clock.elapsed();
      post({
        ...report,
        connector,
        receipts: receiptsOf(brought, clock.now()),
        waiting: waiting.map((one) => ({ ...attemptOf(one), dueAt: Math.round(one.dueAt + epoch) })),
        dead: dead.map(attemptOf),
      });
    },
  };
}

const attemptOf = ({ entry: { seq }, attempts, fault }: Dead) => ({ seq, attempts, fault });

/** One row for receipts that are close to each other: what was retried may be much older. */
function receiptsOf(brought: readonly Brought[], at: number): Receipts[] {
  const rows: [Told, ...Told[]][] = [];
  for (const told of brought.map(tell).sort(([a], [b]) => a - b)) {
    const row = rows.at(-1);
    if (row !== undefined && told[0] - row[0][0] < ROW_REACH) row.push(told);
    else rows.push([told]);
  }
  return rows.map((row) => ({ from: row[0][0], upTo: row.at(-1)?.[0] ?? 0, at, told: JSON.stringify(row) }));
}

function tell({ entry: { seq }, receipt, attempts, kind }: Brought): Told {
  if (kind === 'superseded') return [seq, receipt, attempts, 1];
  return attempts > 1 ? [seq, receipt, attempts] : [seq, receipt];
}

/**
 * Returns the waiting entries, timed by Clock.elapsed. Rows hold wall-clock times, and that clock may have been set back
 * since: nothing waits longer than `maxMs`.
 */
export function waitingEntries(reader: DeliveryReader, connector: string, clock: Clock, maxMs: number): Waiting[] {
  const [now, elapsed] = [clock.now(), clock.elapsed()];
  return reader.waiting(connector).map((held) => ({ ...held, dueAt: elapsed + Math.min(held.dueAt - now, maxMs) }));
}
