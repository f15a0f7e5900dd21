import type { DatabaseSync } from 'node:sqlite';
import type { CanonicalEvent } from '../model/event.ts';
import { type Group, join, merge, newGroup } from '../model/group.ts';
import type { Database } from './database.ts';

/*
 * The merged state of every group that was ever recorded: what `content: groups` delivers. It outlives the pruning of the
 * events it was merged from. Each group's row also holds the seq of its latest event, which is the head of the chain that
 * leads from each event of the group to the one before.
 *
 * The journal writes the groups after the events they are made of, in transactions of their own: one row a group however
 * many events it had meanwhile, where a row with each event would be most of what is written. Nothing is lost by that. The
 * same transaction writes the watermark, the seq up to which events are in the groups; what lies after it is never pruned,
 * and is merged again when the journal is opened. Merging is by field and version, so merging twice changes nothing.
 */

/** A group as it is after some event. */
export interface GroupSnapshot {
  readonly state: Group;
  /** The seq of the group's latest event; null when it has none, or had none since events are linked. */
  readonly latest: number | null;
}

/** The groups of a journal that is open for writing: the table, and before it the buffer of what is not written yet. */
export interface GroupBuffer {
  /** Runs `work` in one transaction. What it merges counts when that is committed, and never did when it throws. */
  transact<T>(work: () => T): T;
  /** Returns the seq of the group's latest event. Only within `transact`. */
  latest(groupId: string): number | null;
  /** Merges an event that was appended with this seq. Only within `transact`. */
  merge(event: CanonicalEvent, seq: number): void;
  /** Returns the group as the buffer holds it; undefined when the table is up to date. */
  buffered(groupId: string): GroupSnapshot | undefined;
  /** Returns after how many milliseconds the buffer is to be written; undefined when it is empty. */
  dueInMs(): number | undefined;
  /** Writes the buffer and the watermark in one transaction. */
  flush(): void;
  /** Events up to this seq are in the table. */
  watermark(): number;
}

/** Reading and parsing is most of the cost, so this many written groups stay in memory unless they are larger than this. */
const CACHE_GROUPS = 5_000;
const CACHE_CHARACTERS = 4_096;
/** The time between two flushes for each group of the last: at some microseconds a group, they take half a percent of it. */
const PER_GROUP_MS = 1.5;
/** The least and the most between two flushes: some connectors wait for them. */
const MIN_FLUSH_MS = 10;
const MAX_FLUSH_MS = 500;
/** A larger buffer is written at once: callbacks wait while it is. */
const MAX_BUFFERED = 2_500;
/** The events that one transaction merges when the journal is opened. */
const PAGE = 1_000;

interface Held extends GroupSnapshot {
  /** Whether the state, not only `latest`, differs from the table. */
  readonly changed: boolean;
  /** The length of the state as JSON, when it was last written. */
  readonly characters: number;
}

export function openGroupBuffer({ connection, transact }: Database): GroupBuffer {
  const table = createGroupTable(connection);
  const mark = connection.prepare('UPDATE merged SET seq = ?');
  const cache = createCache();
  /** Committed events are merged here, and the table does not have it yet. */
  const buffer = new Map<string, Held>();
  /** The groups and the head of the transaction that is open. */
  let open: { readonly touched: Map<string, Held>; head: number } | undefined;
  /** The group that was looked up last: `latest` comes right before `merge`. */
  let found: Held | undefined;
  let watermark = Number(connection.prepare('SELECT seq FROM merged').get()?.seq);
  let head = watermark;
  let flushedAt = Number.NEGATIVE_INFINITY;
  let flushedGroups = 0;

  const opened = (): NonNullable<typeof open> => {
    if (open === undefined) throw new Error('groups are merged within a transaction only');
    return open;
  };
  const find = (groupId: string): Held => {
    if (found?.state.groupId !== groupId) {
      found = opened().touched.get(groupId) ?? buffer.get(groupId) ?? cache.get(groupId) ?? table.read(groupId);
    }
    return found;
  };

  const during = <T>(run: (work: () => T) => T, work: () => T): T => {
    if (open !== undefined) throw new Error('a transaction that merges groups is open already');
    open = { touched: new Map(), head };
    found = undefined;
    try {
      const result = run(work);
      for (const [groupId, held] of open.touched) buffer.set(groupId, held);
      head = open.head;
      return result;
    } finally {
      open = undefined;
    }
  };
  const merged = (event: CanonicalEvent, seq: number): void => {
    const transaction = opened();
    const current = find(event.subject);
    const state = merge(current.state, event);
    const changed = current.changed || state !== current.state;
    found = { state, latest: seq, changed, characters: current.characters };
    transaction.touched.set(event.subject, found);
    transaction.head = seq;
  };

  const write = (): void => {
    for (const [groupId, { state, latest, changed }] of buffer) {
      if (!changed) {
        table.link(groupId, latest);
        continue;
      }
      buffer.set(groupId, { state, latest, changed, characters: table.put(groupId, state, latest) });
    }
    mark.run(head);
  };
  const flush = (): void => {
    if (open !== undefined) throw new Error('the groups of an open transaction cannot be written');
    transact(write);
    flushedAt = performance.now();
    flushedGroups = buffer.size;
    for (const held of buffer.values()) cache.put(held);
    buffer.clear();
    watermark = head;
  };

  const after = connection.prepare('SELECT seq, event FROM events WHERE seq > ? ORDER BY seq LIMIT ?');
  for (let rows = after.all(head, PAGE); rows.length > 0; rows = after.all(head, PAGE)) {
    // This program wrote the rows from values of this type: they are not checked a second time.
    const mergeAll = (): void => {
      for (const { seq, event } of rows) merged(JSON.parse(event as string) as CanonicalEvent, seq as number);
    };
    during((work) => work(), mergeAll);
    try {
      flush();
    } catch {
      // A disk that is full now may have room later: then they are written.
    }
  }

  return {
    transact: (work) => during(transact, work),
    latest: (groupId) => {
      opened();
      return find(groupId).latest;
    },
    merge: merged,
    buffered: (groupId) => buffer.get(groupId),
    dueInMs() {
      if (head === watermark) return undefined;
      if (buffer.size >= MAX_BUFFERED) return 0;
      const pauseMs = Math.min(Math.max(flushedGroups * PER_GROUP_MS, MIN_FLUSH_MS), MAX_FLUSH_MS);
      return Math.max(0, flushedAt + pauseMs - performance.now());
    },
    flush,
    watermark: () => watermark,
  };
}

/** Mirrors a part of the table: the groups that were written last. */
function createCache(): { get(groupId: string): Held | undefined; put(held: Held): void } {
  const cache = new Map<string, Held>();
  return {
    get: (groupId) => cache.get(groupId),
    put(held) {
      const { groupId } = held.state;
      cache.delete(groupId);
      if (held.characters > CACHE_CHARACTERS) return;
      cache.set(groupId, { ...held, changed: false });
      // A Map keeps the order: the first was written longest ago.
      const [oldest] = cache.size > CACHE_GROUPS ? cache.keys() : [];
      if (oldest !== undefined) cache.delete(oldest);
    },
  };
}

/** Groups without a journal of events: each is written as soon as it changes. */
export interface GroupStore {
  get(groupId: string): Group | undefined;
  /** Joins these states into what is there; `null` marks a group as destroyed. One transaction, all or none. */
  join(states: Iterable<{ readonly groupId: string; readonly group: Group | null }>): void;
  /** Merges these events into what is there. One transaction, all or none. */
  merge(events: Iterable<CanonicalEvent>): void;
}

export function createGroupStore({ connection, transact }: Database): GroupStore {
  const table = createGroupTable(connection);
  const reader = createGroupReader(connection);
  const change = (changes: (groups: { get(id: string): Group; set(group: Group): void }) => void): void =>
    transact(() => {
      const before = new Map<string, Group>();
      const now = new Map<string, Group>();
      const get = (groupId: string): Group => {
        const known = now.get(groupId);
        if (known !== undefined) return known;
        const { state } = table.read(groupId);
        before.set(groupId, state);
        return state;
      };
      changes({ get, set: (group) => void now.set(group.groupId, group) });
      for (const [groupId, group] of now) if (group !== before.get(groupId)) table.put(groupId, group, null);
    });
  return {
    get: reader.get,
    join: (states) =>
      change(({ get, set }) => {
        for (const { groupId, group } of states) {
          const current = get(groupId);
          set(group === null ? { ...current, destroyed: true } : join(current, group));
        }
      }),
    merge: (events) =>
      change(({ get, set }) => {
        for (const event of events) set(merge(get(event.subject), event));
      }),
  };
}

/** The statements that the journal and a store of groups share. */
function createGroupTable(connection: DatabaseSync) {
  const get = connection.prepare('SELECT state, last_seq FROM groups WHERE group_id = ?');
  const put = connection.prepare(
    `INSERT INTO groups (group_id, state, last_seq) VALUES (?, ?, ?)
     ON CONFLICT (group_id) DO UPDATE SET state = excluded.state, last_seq = excluded.last_seq`,
  );
  const link = connection.prepare('UPDATE groups SET last_seq = ? WHERE group_id = ?');
  return {
    read(groupId: string): Held {
      const row = get.get(groupId);
      if (row === undefined) return { state: newGroup(groupId), latest: null, changed: false, characters: 0 };
      const json = row.state as string;
      const latest = row.last_seq as number | null;
      return { state: JSON.parse(json) as Group, latest, changed: false, characters: json.length };
    },
    /** Returns the length of the JSON that was written. */
    put(groupId: string, state: Group, latest: number | null): number {
      const json = JSON.stringify(state);
      put.run(groupId, json, latest);
      return json.length;
    },
    link: (groupId: string, latest: number | null) => void link.run(latest, groupId),
  };
}

/** The merged states. */
export interface GroupReader {
  get(groupId: string): Group | undefined;
  /** Returns at most `limit` groups after the id `after` ('' for the first), in the order of ids. */
  page(after: string, limit: number): Group[];
  /** Returns ids of groups that are not destroyed, paged like `page`. */
  livingIds(after: string, limit: number): string[];
  count(): number;
}

/**
 * Reads the table and, on the thread that writes it, what is `buffered`. `page`, `livingIds` and `count` may lack a group
 * that had its first event within the last second.
 */
export function createGroupReader(
  connection: DatabaseSync,
  buffered: GroupBuffer['buffered'] = () => undefined,
): GroupReader {
  const get = connection.prepare('SELECT state FROM groups WHERE group_id = ?');
  const page = connection.prepare('SELECT state FROM groups WHERE group_id > ? ORDER BY group_id LIMIT ?');
  const living = connection.prepare(
    `SELECT group_id FROM groups WHERE group_id > ? AND NOT json_extract(state, '$.destroyed') ORDER BY group_id LIMIT ?`,
  );
  const count = connection.prepare('SELECT count(*) AS n FROM groups');
  const state = (row: Record<string, unknown>): Group => JSON.parse(row.state as string) as Group;
  return {
    get(groupId) {
      const newer = buffered(groupId);
      if (newer !== undefined) return newer.state;
      const row = get.get(groupId);
      return row === undefined ? undefined : state(row);
    },
    page: (after, limit) => page.all(after, limit).map(state),
    livingIds: (after, limit) => living.all(after, limit).map(({ group_id }) => group_id as string),
    count: () => count.get()?.n as number,
  };
}
