import type { DatabaseSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CanonicalEvent, EventType } from '../model/event.ts';
import { actorOf } from '../model/event.ts';
import { fieldsOf } from '../model/group.ts';
import { eventBytes, type JournalEntry, journalEntryOf, LOOK_BYTES, type Row } from './reads.ts';

/** What to look for; what is left out matches anything. Times are of receipt, in milliseconds since 1970. */
export interface EventFilter {
  /** A group's id, or a part of it. */
  readonly group?: string | undefined;
  readonly type?: EventType | undefined;
  /** As shown to people: `reconcile` for what reconcile found. */
  readonly operator?: string | undefined;
  /** A field that the event names, spelt as in `versions`. */
  readonly field?: string | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** Only events after this seq. */
  readonly after?: number | undefined;
}

export interface FoundEvents {
  /** Newest first. */
  readonly events: JournalEntry[];
  /** Set if the search was cut short: it continues before this seq. */
  readonly next?: number;
}

/** The longest that a search blocks the event loop. */
const STEP_MS = 2;

/**
 * Visits rows from a key on until `visit` returns false, in small steps that let callbacks through. Resolves with the key
 * after which it stopped early, if it did.
 */
export async function scanInSteps<Key>(
  connection: DatabaseSync,
  first: Key,
  rowsFrom: (key: Key) => Iterable<Row>,
  keyOf: (row: Row) => Key,
  signal: AbortSignal,
  visit: (row: Row) => boolean,
): Promise<Key | undefined> {
  for (let key: Key | undefined = first; key !== undefined; ) {
    await nextTurn();
    // Closed: the bridge stopped meanwhile.
    if (signal.aborted || !connection.isOpen) return key;
    const end = performance.now() + STEP_MS;
    let next: Key | undefined;
    for (const row of rowsFrom(key)) {
      next = keyOf(row);
      if (!visit(row)) return next;
      if (performance.now() > end) break;
      next = undefined;
    }
    key = next;
  }
  return undefined;
}

/** A few seconds' work on a common machine. */
const SCAN_EVENTS = 200_000;

/** Finds events from the newest to the oldest, in small steps that let callbacks through. */
export function createEventSearch(connection: DatabaseSync, seqAt: (time: number) => number) {
  const range = connection.prepare('SELECT seq, event FROM events WHERE seq < ? AND seq > ? ORDER BY seq DESC');

  /** Visits events before `from` until `visit` returns false; returns the seq where it stopped early, if it did. */
  const scan = (from: number, low: number, signal: AbortSignal, visit: (row: Row) => boolean) => {
    let left = SCAN_EVENTS;
    const rowsFrom = (before: number) => range.iterate(before, low);
    const seqOf = (row: Row) => row.seq as number;
    return scanInSteps(connection, from, rowsFrom, seqOf, signal, (row) => visit(row) && --left > 0);
  };

  /** Returns at most `limit` of them, fewer when they are large. */
  async function find(filter: EventFilter, limit: number, signal: AbortSignal, before?: number): Promise<FoundEvents> {
    const matches = matcherOf(filter);
    const { since, until, after = 0 } = filter;
    const from = Math.min(before ?? Infinity, until === undefined ? Infinity : seqAt(until), Number.MAX_SAFE_INTEGER);
    const low = Math.max(after, since === undefined ? 0 : seqAt(since) - 1);
    const events: JournalEntry[] = [];
    let room = LOOK_BYTES;
    const next = await scan(from, low, signal, (row) => {
      const entry = matches(row);
      if (entry === undefined) return true;
      events.push(entry);
      room -= eventBytes(row);
      return events.length < limit && room > 0;
    });
    return { events, ...(next !== undefined && { next }) };
  }

  /** Returns the newest event of a request of the service, searching back from the newest events. */
  async function ofRequest(requestId: string, signal: AbortSignal): Promise<JournalEntry | undefined> {
    const needle = `"requestId":${JSON.stringify(requestId)}`;
    let found: JournalEntry | undefined;
    await scan(Number.MAX_SAFE_INTEGER, 0, signal, (row) => {
      if (!(row.event as string).includes(needle)) return true;
      const entry = journalEntryOf(row);
      if (entry.event.data.origin.requestId === requestId) found = entry;
      return found === undefined;
    });
    return found;
  }

  return { find, ofRequest };
}

/** Returns a function that makes an entry of a matching row; the text alone rules out most rows. */
function matcherOf({ group, type, operator, field }: EventFilter): (row: Row) => JournalEntry | undefined {
  const part = group?.toLowerCase();
  const key = field?.replace(/^customFields\./, '');
  const needles = [type, operator === 'reconcile' ? undefined : operator].flatMap((text) =>
    text === undefined ? [] : [JSON.stringify(text)],
  );
  if (key !== undefined && key !== 'destroyed') needles.push(`${JSON.stringify(key)}:`);
  const isWanted = (event: CanonicalEvent): boolean =>
    (part === undefined || event.subject.toLowerCase().includes(part)) &&
    (type === undefined || event.type === type) &&
    (operator === undefined || actorOf(event) === operator) &&
    (field === undefined || fieldsOf(event).some(([one]) => one === field));
  return (row) => {
    const text = row.event as string;
    if (!needles.every((needle) => text.includes(needle))) return undefined;
    const entry = journalEntryOf(row);
    return isWanted(entry.event) ? entry : undefined;
  };
}
