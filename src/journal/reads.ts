import type { DatabaseSync } from 'node:sqlite';
import type { Brought, Waiting } from '../../connectors/contract.ts';
import type { QuarantinedCallback } from '../model/callback.ts';
import { type Cause, causeOf } from '../model/cause.ts';
import { type CopyState, UNSEEN_COPY } from '../model/copy.ts';
import { type Entry, type EntryHead, lazyEntry } from '../model/entry.ts';
import type { CanonicalEvent } from '../model/event.ts';
import type { Fault } from '../model/fault.ts';

/** An event of the journal as people look at it. */
export type JournalEntry = Pick<Entry, 'seq' | 'event'>;

export interface DeadLetter extends JournalEntry {
  readonly attempts: number;
  readonly fault: Fault;
  /** When it was given up, in milliseconds since 1970. */
  readonly deadAt: number;
}

/** Selects dead letters of a connector: by cause, by group, or all. */
export interface DeadLetterFilter {
  readonly cause?: string | undefined;
  readonly groupId?: string | undefined;
}

/** Dead letters that were refused for the same cause. */
export interface DeadLetterCause extends Omit<Cause, 'id'> {
  /** Its id. */
  readonly cause: string;
  readonly count: number;
  /** When the first and the last of them were given up, in milliseconds since 1970. */
  readonly firstAt: number;
  readonly lastAt: number;
  readonly sample: DeadLetter;
}

/** What lanes and people read; there may be any number of readers, each on its own connection. */
export function createDeliveryReader(connection: DatabaseSync) {
  return {
    ...readEntries(connection),
    ...readLanes(connection),
    ...readDeadLetters(connection),
    ...readQuarantine(connection),
  };
}
export type DeliveryReader = ReturnType<typeof createDeliveryReader>;

/** A page of the largest callbacks must not need more memory than one of ordinary ones. */
const PAGE_CHARACTERS = 4 * 1_048_576;

// This program wrote the rows from values of these types: they are not checked a second time.
export type Row = Record<string, unknown>;
/** What people look up is read, parsed and written on the thread that receives callbacks. */
export const LOOK_BYTES = 1_048_576;
const eventSize = (row: Row): number => (row.event as string).length;
export const eventBytes = (row: Row): number => Buffer.byteLength(row.event as string);
/** Takes rows until a page is full; at least one if there is any. */
export function takePage<T>(rows: Iterable<Row>, toEntry: (row: Row) => T, sizeOf = eventSize, most = PAGE_CHARACTERS) {
  const page: T[] = [];
  let size = 0;
  for (const row of rows) {
    page.push(toEntry(row));
    size += sizeOf(row);
    if (size >= most) break;
  }
  return page;
}
const LAST_SEQ = Number.MAX_SAFE_INTEGER;
const HEAD = 'seq, id, group_id AS groupId, received_at AS receivedAt';
/** Returns a function that makes an entry of a row; a text that the row lacks is fetched when it is asked for. */
function entryMaker(connection: DatabaseSync): (row: Row) => Entry {
  const text = connection.prepare('SELECT event FROM events WHERE seq = ?');
  return (row) => {
    const head = row as unknown as EntryHead;
    // The entry must not keep the row, which may hold the text.
    const { seq } = head;
    const known = row.event === undefined ? {} : { text: row.event as string };
    return lazyEntry(head, () => text.get(seq)?.event as string, known);
  };
}
export const journalEntryOf = (row: Row): JournalEntry => ({
  seq: row.seq as number,
  event: JSON.parse(row.event as string) as CanonicalEvent,
});
const faultOf = (row: Row): Fault => JSON.parse(row.fault as string) as Fault;

function readEntries(connection: DatabaseSync) {
  const head = connection.prepare('SELECT coalesce(max(seq), 0) AS seq FROM events');
  const merged = connection.prepare('SELECT seq FROM merged');
  const range = 'FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?';
  const whole = connection.prepare(`SELECT ${HEAD}, event ${range}`);
  const heads = connection.prepare(`SELECT ${HEAD} ${range}`);
  const entryOf = entryMaker(connection);
  const one = connection.prepare('SELECT 1 FROM events WHERE seq = ?');
  const oldest = connection.prepare('SELECT seq, received_at AS receivedAt FROM events ORDER BY seq LIMIT 1');
  return {
    oldest: () => oldest.get() as { readonly seq: number; readonly receivedAt: number } | undefined,
    has: (seq: number): boolean => one.get(seq) !== undefined,
    /** Returns the seq of the newest event, 0 in an empty journal. */
    head: () => head.get()?.seq as number,
    /** Events up to this seq are in the merged groups that can be read. */
    merged: () => merged.get()?.seq as number,
    /** Returns at most `limit` entries after `after` and up to `upTo`, in journal order; fewer when they are large. */
    read: (after: number, limit: number, upTo = LAST_SEQ): Entry[] =>
      takePage(whole.iterate(after, upTo, limit), entryOf),
    /** Like `read`, but fetches an event's text only when it is asked for; the page is bounded by `limit` alone. */
    readHeads: (after: number, limit: number, upTo = LAST_SEQ): Entry[] => heads.all(after, upTo, limit).map(entryOf),
    seqAt: createSeqAt(connection),
  };
}

/** Finds the first seq that was received at or after a time (ms since 1970); head + 1 if there is none. */
export function createSeqAt(connection: DatabaseSync): (time: number) => number {
  const head = connection.prepare('SELECT coalesce(max(seq), 0) AS seq FROM events');
  const oldest = connection.prepare('SELECT seq FROM events ORDER BY seq LIMIT 1');
  const receivedFrom = connection.prepare('SELECT seq, received_at FROM events WHERE seq >= ? ORDER BY seq LIMIT 1');
  return (time) => {
    // Seqs rise with the time of receipt, so bisection needs no index of times, unless the clock was set back. It begins
    // at the oldest event left, which must not stand in for all the pruned ones.
    let low = (oldest.get()?.seq as number | undefined) ?? 1;
    let high = (head.get()?.seq as number) + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const row = receivedFrom.get(middle);
      if (row !== undefined && (row.received_at as number) < time) low = (row.seq as number) + 1;
      else high = middle;
    }
    return low;
  };
}

/** Where and when an event was delivered (in milliseconds since 1970), and after how many attempts. */
type EventReceipt = Omit<Brought, 'entry'> & { readonly at: number };

/** One event of a row of receipts; `attempts` is left out if it was one, `superseded` if nothing newer was there. */
export type Told = readonly [seq: number, receipt: string, attempts?: number | null, superseded?: 1];
/** A row spans fewer seqs than this, so that looking up an event need not read all rows after it. */
export const ROW_REACH = 10_000;

function readLanes(connection: DatabaseSync) {
  const lane = connection.prepare('SELECT cursor, paused, missed FROM lanes WHERE connector = ?');
  const copy = connection.prepare('SELECT state FROM copies WHERE connector = ?');
  const receipts = connection.prepare(
    'SELECT at, told FROM receipts WHERE up_to >= ? AND up_to < ? AND from_seq <= ? AND connector = ? ORDER BY rowid DESC',
  );
  const waiting = connection.prepare(
    `SELECT ${HEAD}, attempts, due_at, fault FROM deliveries JOIN events USING (seq)
     WHERE connector = ? AND state = 'waiting' ORDER BY seq`,
  );
  const entryOf = entryMaker(connection);
  const counted = (state: string) =>
    connection.prepare(`SELECT count(*) AS n FROM deliveries WHERE connector = ? AND state = '${state}'`);
  const [countWaiting, countDead] = [counted('waiting'), counted('dead')];
  const open = connection.prepare('SELECT state, fault, attempts FROM deliveries WHERE connector = ? AND seq = ?');
  const discarded = connection.prepare('SELECT 1 FROM discarded WHERE connector = ? AND seq = ?');
  const oldestWaiting = connection.prepare(
    `SELECT received_at AS at FROM deliveries JOIN events USING (seq)
     WHERE connector = ? AND state = 'waiting' ORDER BY seq LIMIT 1`,
  );
  const oldestPending = connection.prepare('SELECT received_at AS at FROM events WHERE seq > ? ORDER BY seq LIMIT 1');
  return {
    cursor: (connector: string) => (lane.get(connector)?.cursor as number | undefined) ?? 0,
    paused: (connector: string) => lane.get(connector)?.paused === 1,
    /** Returns how many events were pruned before the connector had them, and that it has not passed over yet. */
    missed: (connector: string) => (lane.get(connector)?.missed as number | undefined) ?? 0,
    copy(connector: string): CopyState {
      const row = copy.get(connector);
      return row === undefined ? UNSEEN_COPY : (JSON.parse(row.state as string) as CopyState);
    },
    waiting: (connector: string): Waiting[] =>
      waiting.all(connector).map((row) => ({
        entry: entryOf(row),
        attempts: row.attempts as number,
        dueAt: row.due_at as number,
        fault: faultOf(row),
      })),
    /** Where an event went, if known; the latest of its deliveries. */
    receipt(connector: string, seq: number): EventReceipt | undefined {
      for (const { at, told } of receipts.iterate(seq, seq + ROW_REACH, seq, connector)) {
        const found = (JSON.parse(told as string) as Told[]).find(([its]) => its === seq);
        if (found === undefined) continue;
        const [, receipt, attempts, superseded] = found;
        return { kind: superseded ? 'superseded' : 'delivered', receipt, at: at as number, attempts: attempts ?? 1 };
      }
      return undefined;
    },
    countWaiting: (connector: string) => countWaiting.get(connector)?.n as number,
    countDeadLetters: (connector: string) => countDead.get(connector)?.n as number,
    /** Returns the open delivery of an event; undefined if it is delivered or pending. */
    openDelivery(connector: string, seq: number) {
      const row = open.get(connector, seq);
      if (row === undefined) return undefined;
      return { state: row.state as 'waiting' | 'dead', fault: faultOf(row), attempts: row.attempts as number };
    },
    isDiscarded: (connector: string, seq: number): boolean => discarded.get(connector, seq) !== undefined,
    /** Returns when the oldest event that waits or comes after the cursor was received (ms since 1970), if there is one. */
    openSince(connector: string, cursor: number): number | undefined {
      const found = [oldestWaiting.get(connector), oldestPending.get(cursor)].filter((row) => row !== undefined);
      return found.length === 0 ? undefined : Math.min(...found.map(({ at }) => at as number));
    },
  };
}

const CHOSEN = `FROM deliveries JOIN events USING (seq) WHERE connector = ? AND state = 'dead' AND seq > ? AND seq <= ?
  AND (? IS NULL OR cause = ?) AND (? IS NULL OR group_id = ?)`;
const MOST_CAUSES = 100;

function readDeadLetters(connection: DatabaseSync) {
  const entryOf = entryMaker(connection);
  const dead = connection.prepare(
    `SELECT ${HEAD}, event, attempts + earlier AS attempts, fault, changed_at ${CHOSEN} ORDER BY seq LIMIT ?`,
  );
  const seqs = connection.prepare(`SELECT seq ${CHOSEN} ORDER BY seq LIMIT ?`);
  const causes = connection.prepare(
    `SELECT cause, count(*) AS count, min(changed_at) AS firstAt, max(changed_at) AS lastAt,
       max(seq) AS sample FROM deliveries WHERE connector = ? AND state = 'dead' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?`,
  );
  const last = connection.prepare(
    `SELECT seq FROM deliveries WHERE connector = ? AND state = 'dead' ORDER BY seq DESC LIMIT 1`,
  );
  const each = connection.prepare(
    `SELECT connector, count(*) AS count FROM deliveries WHERE state = 'dead' GROUP BY 1`,
  );
  const page = (connector: string, after: number, filter: DeadLetterFilter, limit: number, upTo = LAST_SEQ) => {
    const [alike, of] = [filter.cause ?? null, filter.groupId ?? null];
    return [connector, after, upTo, alike, alike, of, of, limit] as const;
  };
  const one = (connector: string, seq: number): Row | undefined => dead.get(...page(connector, seq - 1, {}, 1, seq));
  const deadLetter = (row: Row): DeadLetter => ({
    ...journalEntryOf(row),
    attempts: row.attempts as number,
    fault: faultOf(row),
    deadAt: row.changed_at as number,
  });
  return {
    /** Returns at most `limit` dead letters after the seq `after`, in journal order; fewer when they are large. */
    deadLetters: (connector: string, after: number, limit: number, filter: DeadLetterFilter = {}): DeadLetter[] =>
      takePage(dead.iterate(...page(connector, after, filter, limit)), deadLetter, eventBytes, LOOK_BYTES),
    /** Returns the causes of a connector's dead letters, most frequent first, each with its newest letter. */
    deadLetterCauses: (connector: string): DeadLetterCause[] =>
      takePage(
        causes.iterate(connector, MOST_CAUSES),
        ({ sample, ...row }) => {
          const letter = deadLetter(one(connector, sample as number) as Row);
          const { code, reason } = causeOf(letter.fault);
          return {
            ...(row as Pick<DeadLetterCause, 'cause' | 'count' | 'firstAt' | 'lastAt'>),
            code,
            reason,
            sample: letter,
          };
        },
        ({ sample }) => JSON.stringify(sample).length,
        LOOK_BYTES,
      ),
    deadLetter(connector: string, seq: number): DeadLetter | undefined {
      const row = one(connector, seq);
      return row && deadLetter(row);
    },
    deadLetterEntry(connector: string, seq: number): Entry | undefined {
      const row = one(connector, seq);
      return row && entryOf(row);
    },
    /** Returns the seqs of the oldest `limit` dead letters after `after` and up to `upTo`, without reading their events. */
    deadLetterSeqs: (connector: string, limit: number, filter: DeadLetterFilter = {}, after = 0, upTo?: number) =>
      seqs.all(...page(connector, after, filter, limit, upTo)).map(({ seq }) => seq as number),
    /** Returns the number of dead letters of each connector that is not among these. */
    leftBehind: (connectors: readonly string[]) =>
      (each.all() as { connector: string; count: number }[]).filter((one) => !connectors.includes(one.connector)),
    /** Returns the seq of the newest dead letter, 0 if there is none. */
    lastDeadLetter: (connector: string) => (last.get(connector)?.seq as number | undefined) ?? 0,
  };
}

/** In a JSON answer a byte may become six, and is repeated in base64 if it is no text. */
const QUARANTINE_BYTES = LOOK_BYTES / 2;

function readQuarantine(connection: DatabaseSync) {
  const count = connection.prepare('SELECT count(*) AS n FROM quarantine');
  const page = connection.prepare(
    'SELECT id, received_at AS receivedAt, search, body, fault FROM quarantine WHERE id > ? ORDER BY id LIMIT ?',
  );
  return {
    countQuarantined: () => count.get()?.n as number,
    /** Returns at most `limit` callbacks after the id `after`, in order; fewer when they are large. */
    quarantined: (after: number, limit: number): QuarantinedCallback[] =>
      takePage(
        page.iterate(after, limit),
        (row) => ({ ...(row as unknown as QuarantinedCallback), fault: faultOf(row) }),
        (row) => (row.body as Uint8Array).length,
        QUARANTINE_BYTES,
      ),
  };
}

export type ReconcileReader = ReturnType<typeof createReconcileReader>;

export function createReconcileReader(connection: DatabaseSync) {
  const get = connection.prepare('SELECT run FROM reconcile');
  const has = connection.prepare('SELECT 1 FROM reconciled WHERE group_id = ?');
  return {
    /** Returns the latest run as it was noted, finished or not. */
    latest(): unknown {
      const row = get.get();
      return row === undefined ? undefined : JSON.parse(row.run as string);
    },
    /** Returns whether the latest run has read this group. */
    has: (groupId: string) => has.get(groupId) !== undefined,
  };
}
