import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { EventId } from '../model/event.ts';
import type { Group } from '../model/group.ts';
import { createEventSearch, type EventFilter, type FoundEvents, scanInSteps } from './event-search.ts';
import type { GroupBuffer } from './groups.ts';
import { createSeqAt, eventBytes, type JournalEntry, journalEntryOf, LOOK_BYTES, type Row, takePage } from './reads.ts';

/** The most steps that `ofGroup` takes to find its beginning when `before` is not an event of the group. */
const MAX_STEPS = 10_000;

/** Half a second's work on a common machine; a longer text finds what this leaves out. */
const SCAN_GROUPS = 200_000;
/** No text sorts after it. */
const LAST_CHARACTER = '\u{10FFFF}';

const pageOf = (rows: Iterable<Row>): JournalEntry[] => takePage(rows, journalEntryOf, eventBytes, LOOK_BYTES);

export type HistoryReader = ReturnType<typeof createHistoryReader>;

/**
 * Reads what people look up, on any connection; every call is short. `buffered` is given on the writing thread, see
 * groups.ts; `scanGroups` is the most groups that a search examines.
 */
export function createHistoryReader(
  connection: DatabaseSync,
  options: { readonly buffered?: GroupBuffer['buffered']; readonly scanGroups?: number } = {},
) {
  const { buffered = () => undefined, scanGroups = SCAN_GROUPS } = options;
  const newest = connection.prepare('SELECT seq, event FROM events WHERE seq < ? ORDER BY seq DESC LIMIT ?');
  const link = connection.prepare('SELECT seq, previous FROM events WHERE seq = ? AND group_id = ?');
  const linked = connection.prepare('SELECT seq, event, previous FROM events WHERE seq = ? AND group_id = ?');
  const byId = connection.prepare('SELECT seq, event FROM events WHERE id = ?');
  const counted = connection.prepare('SELECT count(*) AS n FROM (SELECT 1 FROM events LIMIT ?)');
  const latest = connection.prepare('SELECT last_seq FROM groups WHERE group_id = ?');

  const latestOf = (groupId: string): number | undefined =>
    buffered(groupId)?.latest ?? (latest.get(groupId)?.last_seq as number | null | undefined) ?? undefined;
  /** Links must lead back, whatever a file holds. */
  const previousIn = (row: Row): number | undefined => {
    const previous = row.previous as number | null;
    return previous === null || previous >= (row.seq as number) ? undefined : previous;
  };

  /** Returns the seq of the newest event of the group that is older than `before`. */
  const beginning = (groupId: string, before: number | undefined): number | undefined => {
    if (before === undefined) return latestOf(groupId);
    const known = link.get(before, groupId);
    if (known !== undefined) return previousIn(known);
    let seq = latestOf(groupId);
    for (let steps = 0; seq !== undefined && seq >= before; steps++) {
      const row = steps < MAX_STEPS ? link.get(seq, groupId) : undefined;
      seq = row && previousIn(row);
    }
    return seq;
  };
  function* chain(groupId: string, limit: number, before: number | undefined): Generator<Row> {
    let seq = beginning(groupId, before);
    for (let left = limit; seq !== undefined && left > 0; left--) {
      const row = linked.get(seq, groupId);
      if (row === undefined) return;
      yield row;
      seq = previousIn(row);
    }
  }

  const events = createEventSearch(connection, createSeqAt(connection));

  return {
    ...events,
    at: (seq: number): JournalEntry | undefined =>
      pageOf(newest.iterate(seq + 1, 1)).find((entry) => entry.seq === seq),
    /** Returns the newest events, or those before a seq, newest first; fewer than `limit` when they are large. */
    recent: (limit: number, before = Number.MAX_SAFE_INTEGER): JournalEntry[] => pageOf(newest.iterate(before, limit)),
    /**
     * Returns the events of one group, as `recent` does, along the chain that links them; it ends at the first one that
     * was pruned, or recorded before events were linked. `before` is the seq of one of them.
     */
    ofGroup: (groupId: string, limit: number, before?: number): JournalEntry[] => pageOf(chain(groupId, limit, before)),
    byId(id: EventId): JournalEntry | undefined {
      const row = byId.get(id);
      return row && journalEntryOf(row);
    },
    count: (most: number): number => Number(counted.get(most)?.n),
    /** Returns the seq of the group's latest event, pruned or not; undefined if it has had none since events are linked. */
    latest: latestOf,
    search: createGroupSearch(connection, buffered, scanGroups),
  };
}

/**
 * Finds first the groups whose id starts with the text, then those whose id or name contains it in any case, each in the
 * order of ids. The search is complete unless cut short by its limit,
 * the size of its findings, the most it scans, or its signal; it then continues `after` its `next`.
 */
function createGroupSearch(connection: DatabaseSync, buffered: GroupBuffer['buffered'], scanGroups: number) {
  const state = connection.prepare('SELECT state FROM groups WHERE group_id = ?');
  const prefixed = connection.prepare(
    'SELECT group_id, state FROM groups WHERE group_id >= ? AND group_id < ? ORDER BY group_id',
  );
  const named = connection.prepare(
    `SELECT group_id, json_extract(state, '$.name') AS name FROM groups WHERE group_id >= ? AND group_id < ?
     ORDER BY group_id`,
  );
  return async (text: string, limit: number, signal: AbortSignal, after = '') => {
    const found: { readonly group: Group; readonly at: string }[] = [];
    let left = scanGroups;
    let room = LOOK_BYTES;
    let last = after;
    /** Visits the groups from one id on, before another; false if cut short. */
    const scan = async (groups: StatementSync, first: string, end: string, visit: (row: Row) => void) => {
      const rowsFrom = (from: string) => groups.iterate(from, end);
      const keyOf = (row: Row) => `${row.group_id}\0`;
      const stopped = await scanInSteps(connection, first, rowsFrom, keyOf, signal, (row) => {
        // One more than asked for shows that there are more.
        if (found.length > limit || left <= 0 || room <= 0) return false;
        left--;
        visit(row);
        return true;
      });
      return stopped === undefined && found.length <= limit;
    };
    const take = (row: Row): void => {
      const json = row.state as string;
      const group = JSON.parse(json) as Group;
      room -= Buffer.byteLength(json);
      found.push({ group: buffered(group.groupId)?.state ?? group, at: last });
    };
    const wanted = text.toLowerCase();
    const contains = (value: unknown): boolean => typeof value === 'string' && value.toLowerCase().includes(wanted);
    const [, pass = '0', id = ''] = /^([01])(.*)$/s.exec(after) ?? [];
    const past = (id: string, first: string): string => (id === '' ? first : `${id}\0`);
    const byPrefix = async (): Promise<boolean> =>
      await scan(prefixed, past(id, text), text + LAST_CHARACTER, (row) => {
        last = `0${row.group_id}`;
        take(row);
      });
    const complete =
      (pass === '1' || (await byPrefix())) &&
      (await scan(named, pass === '1' ? past(id, '') : '', LAST_CHARACTER, ({ group_id, name }) => {
        const groupId = group_id as string;
        last = `1${groupId}`;
        if (groupId.startsWith(text) || !(contains(groupId) || contains(name))) return;
        const row = state.get(groupId);
        if (row !== undefined) take(row);
      }));
    const shown = found.slice(0, limit);
    const next = found.length > limit ? shown.at(-1)?.at : last;
    return { groups: shown.map(({ group }) => group), complete, ...(!complete && next !== undefined && { next }) };
  };
}

/** Finds an event by its id, its seq, or the RequestID of its callback. */
export async function findEvent(
  { byId, at, ofRequest }: Pick<HistoryReader, 'byId' | 'at' | 'ofRequest'>,
  id: string,
  signal: AbortSignal,
): Promise<JournalEntry | undefined> {
  const seq = /^[1-9]\d{0,14}$/.test(id) ? Number(id) : undefined;
  return byId(id) ?? (seq === undefined ? undefined : at(seq)) ?? (await ofRequest(id, signal));
}

/** Says whether events have to be searched: those of one group are linked. */
export function isSearch(
  { latest }: Pick<HistoryReader, 'latest'>,
  { group, ...filter }: { readonly [Each in keyof EventFilter]: unknown } & Pick<EventFilter, 'group'>,
): boolean {
  const isPart = group !== undefined && latest(group) === undefined;
  return isPart || Object.values(filter).some((one) => one !== undefined);
}

/** Resolves with a page of events, newest first; `next` says where to continue, also after a search that was cut short. */
export async function readEvents(
  history: HistoryReader,
  filter: EventFilter,
  limit: number,
  signal: AbortSignal,
  before?: number,
): Promise<FoundEvents> {
  if (isSearch(history, filter)) return history.find(filter, limit, signal, before);
  const { group } = filter;
  const page = (limit: number, from: number | undefined): JournalEntry[] =>
    group === undefined ? history.recent(limit, from) : history.ofGroup(group, limit, from);
  const events = page(limit, before);
  const last = events.at(-1)?.seq;
  return { events, ...(last !== undefined && page(1, last).length > 0 && { next: last }) };
}
