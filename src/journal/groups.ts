import type { DatabaseSync } from 'node:sqlite';
import type { CanonicalEvent } from '../model/event.ts';
import { type Group, join, merge, newGroup } from '../model/group.ts';
import type { Database } from './database.ts';
import { takePage } from './reads.ts';

/*
 * The merged state of every group ever recorded: what `content: groups` delivers. It outlives the pruning of the events
 * it was merged from. Each row also holds the seq of the group's latest event: the head of the chain that links each
 * event of the group to the previous one.
 *
 * Groups are written after their events, in transactions of their own: one row per group, however many events it had. The
 * same transaction writes the watermark, the seq up to which events are in the groups; what comes after it is never
 * pruned, and is merged again when the journal is opened. Merging is by field and version, so merging twice changes
 * nothing.
 */

/** Reading and parsing is most of the cost, so this many written groups stay in memory, unless larger than this. */
const CACHE_GROUPS = 5_000;
const CACHE_CHARACTERS = 4_096;
/** The pause after a flush, per group written: at some microseconds a group, flushing takes half a percent of the time. */
const PER_GROUP_MS = 1.5;
/** The shortest and longest pause: some connectors wait for the flush, and gather for about as long themselves. */
const MIN_FLUSH_MS = 40;
const MAX_FLUSH_MS = 500;
/** The most that one transaction writes: callbacks wait meanwhile, and a full journal has little room for it. */
const STEP_CHARACTERS = 262_144;
const STEP_GROUPS = 256;
/** An estimate of what an unwritten group takes. */
const PENDING_BYTES = 1_638;
/**
 * What a group takes, in pages that are partly empty: SQLite keeps a row of up to 1,002 bytes with others, of a larger
 * one 489, and the rest in pages of its own (https://sqlite.org/fileformat2.html#b_tree_pages). A row adds 10 bytes.
 */
const ON_PAGES = 'max(n * 1.6, CASE WHEN n > 992 THEN 782 + (n + 3612) / 4092 * 4096 ELSE 0 END)';
const ROW_BYTES = 'SELECT octet_length(state) + octet_length(group_id) AS n';
const onPages = (n: number): number => Math.max(n * 1.6, n > 992 ? 782 + Math.floor((n + 3_612) / 4_092) * 4_096 : 0);
/** How many events one transaction merges when the journal is opened. */
const PAGE = 1_000;

/** A group as it is after some event. */
export interface Held {
  readonly state: Group;
  /** The seq of the group's latest event; null if it has none, or has had none since events are linked. */
  readonly latest: number | null;
  /** The seq of the earliest event merged here that is not in the table. */
  readonly since: number;
  /** Whether the state, not only `latest`, differs from the table. */
  readonly changed: boolean;
  /** The bytes of the state as JSON when it was last written. */
  readonly characters: number;
}

export type GroupBuffer = ReturnType<typeof openGroupBuffer>;

/** Opens the groups of a journal that is open for writing: the table, and in front of it the buffer of unwritten groups. */
export function openGroupBuffer({ connection, transact }: Database) {
  const table = createGroupTable(connection);
  /** Mirrors a part of the table: the groups written last. */
  const cache = new Map<string, Held>();
  const mark = connection.prepare('UPDATE merged SET seq = ?');
  let watermark = Number(connection.prepare('SELECT seq FROM merged').get()?.seq);
  const merging = createMerging(watermark, (groupId) => cache.get(groupId) ?? table.read(groupId));
  const { buffer } = merging;
  /** The latest flush, which ends once none is left. */
  let flushed = { at: Number.NEGATIVE_INFINITY, groups: 0, left: 0 };

  const sized = connection.prepare(`SELECT coalesce(sum(${ON_PAGES}), 0) AS n FROM (${ROW_BYTES} FROM groups)`);
  let bytes = Number(sized.get()?.n);

  /** Writes the groups that have waited longest, so that their events can be pruned; returns whether some are left. */
  const step = (): boolean => {
    const head = merging.committed();
    const written = new Map<string, Held>();
    let room = STEP_CHARACTERS;
    // Writes at least as many as have come since the previous step: in a flood of large ones the buffer would grow
    // without bound. After a step without room for so many, it starts with few.
    const { left, groups } = flushed;
    const least = left === 0 ? 0 : buffer.size - left;
    flushed.left = 0;
    let upTo = head;
    transact(() => {
      for (const [groupId, held] of buffer) {
        if (room <= 0 && written.size >= least) {
          upTo = held.since - 1;
          break;
        }
        const now = table.write(held);
        written.set(groupId, now);
        room -= now.characters + STEP_CHARACTERS / STEP_GROUPS;
      }
      mark.run(upTo);
    });
    for (const [groupId, held] of written) {
      const before = buffer.get(groupId)?.characters ?? 0;
      const id = Buffer.byteLength(groupId);
      bytes += onPages(held.characters + id) - (before === 0 ? 0 : onPages(before + id));
      buffer.delete(groupId);
      remember(cache, held);
    }
    watermark = upTo;
    flushed = { at: performance.now(), groups: written.size + (left === 0 ? 0 : groups), left: buffer.size };
    return buffer.size > 0;
  };
  const flush = (): void => {
    while (step());
  };

  const after = connection.prepare('SELECT seq, event FROM events WHERE seq > ? ORDER BY seq LIMIT ?');
  for (let rows = after.all(watermark, PAGE); rows.length > 0; rows = after.all(merging.committed(), PAGE)) {
    // This program wrote the rows from values of this type: they are not checked a second time.
    merging.during(() => {
      for (const { seq, event } of rows) merging.merge(JSON.parse(event as string) as CanonicalEvent, seq as number);
    });
    try {
      flush();
    } catch {
      // The disk is full; they are written once there is room.
    }
  }

  return {
    /** Runs `work` in one transaction. What it merges counts once that is committed, and not at all if it throws. */
    transact: <T>(work: () => T): T => merging.during(() => transact(work)),
    latest: merging.latest,
    merge: merging.merge,
    /** Returns the group as the buffer holds it; undefined if the table is up to date. */
    buffered: (groupId: string): Held | undefined => buffer.get(groupId),
    /** Returns in how many milliseconds the buffer is due to be written; undefined if it is empty. */
    dueInMs(): number | undefined {
      if (merging.committed() === watermark) return undefined;
      const pauseMs = Math.min(Math.max(flushed.groups * PER_GROUP_MS, MIN_FLUSH_MS), MAX_FLUSH_MS);
      return flushed.left > 0 ? 0 : Math.max(0, flushed.at + pauseMs - performance.now());
    },
    /** Writes a part of the buffer and the watermark in one transaction; returns whether some is left. */
    step,
    flush,
    /** Returns roughly how many bytes the groups take, unwritten ones included. */
    bytes: (): number => bytes + buffer.size * PENDING_BYTES,
    knows: (groupId: string): boolean =>
      buffer.has(groupId) || Object.keys(table.read(groupId).state.versions).length > 0,
    /** Removes a group that neither the buffer nor this transaction has changed. Only within a transaction. */
    forget(groupId: string): void {
      cache.delete(groupId);
      merging.lookAgain();
      bytes -= onPages(table.remove(groupId));
    },
    /** Events up to this seq are in the table. */
    watermark: () => watermark,
  };
}

/** Merges events after the seq `head` into a buffer, one transaction at a time; `read` returns groups that are not in it. */
function createMerging(head: number, read: (groupId: string) => Held) {
  /** Groups with committed events that the table lacks. */
  const buffer = new Map<string, Held>();
  let open: { readonly touched: Map<string, Held>; head: number } | undefined;
  /** The group looked up last: `latest` is called right before `merge`. */
  let found: Held | undefined;

  const opened = (): NonNullable<typeof open> => {
    if (open === undefined) throw new Error('groups are merged within a transaction only');
    return open;
  };
  const find = (groupId: string): Held => {
    const { touched } = opened();
    if (found?.state.groupId !== groupId) found = touched.get(groupId) ?? buffer.get(groupId) ?? read(groupId);
    return found;
  };
  return {
    buffer,
    /** Returns the seq of the latest event that is merged and committed. Never within a transaction. */
    committed(): number {
      if (open !== undefined) throw new Error('the groups of an open transaction cannot be written');
      return head;
    },
    /** Runs one transaction. What it merges enters the buffer unless it throws. */
    during<T>(run: () => T): T {
      if (open !== undefined) throw new Error('a transaction that merges groups is open already');
      open = { touched: new Map(), head };
      found = undefined;
      try {
        const result = run();
        for (const [groupId, held] of open.touched) buffer.set(groupId, held);
        head = open.head;
        return result;
      } finally {
        open = undefined;
      }
    },
    /** Returns the seq of the group's latest event. Only within a transaction. */
    latest: (groupId: string): number | null => find(groupId).latest,
    /** Forgets what was looked up last: the table has changed. */
    lookAgain(): void {
      found = undefined;
    },
    /** Merges an event that was appended with this seq. Only within a transaction. */
    merge(event: CanonicalEvent, seq: number): void {
      const transaction = opened();
      const current = find(event.subject);
      found = become(current, merge(current.state, event), seq, seq);
      transaction.touched.set(event.subject, found);
      transaction.head = seq;
    },
  };
}

const become = (held: Held, state: Group, latest: number | null, since = 0): Held => ({
  state,
  latest,
  since: held.since || since,
  changed: held.changed || state !== held.state,
  characters: held.characters,
});

function remember(cache: Map<string, Held>, held: Held): void {
  const { groupId } = held.state;
  cache.delete(groupId);
  if (held.characters > CACHE_CHARACTERS) return;
  cache.set(groupId, { ...held, since: 0, changed: false });
  // A Map keeps the order: the first was written longest ago.
  const [oldest] = cache.size > CACHE_GROUPS ? cache.keys() : [];
  if (oldest !== undefined) cache.delete(oldest);
}

/** Groups without a journal of events: each call is one transaction, all or none. */
export function createGroupStore({ connection, transact }: Database) {
  const table = createGroupTable(connection);
  const change = <Item>(items: Iterable<Item>, idOf: (item: Item) => string, by: (group: Group, item: Item) => Group) =>
    transact(() => {
      const groups = new Map<string, Held>();
      for (const item of items) {
        const groupId = idOf(item);
        const held = groups.get(groupId) ?? table.read(groupId);
        groups.set(groupId, become(held, by(held.state, item), null));
      }
      for (const held of groups.values()) if (held.changed) table.write(held);
    });
  return {
    get: createGroupReader(connection).get,
    /** Joins these states into what is there; `null` marks a group as destroyed. */
    join: (states: Iterable<{ readonly groupId: string; readonly group: Group | null }>): void =>
      change(
        states,
        ({ groupId }) => groupId,
        (current, { group }) => (group === null ? { ...current, destroyed: true } : join(current, group)),
      ),
    merge: (events: Iterable<CanonicalEvent>): void => change(events, ({ subject }) => subject, merge),
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
  const remove = connection.prepare(
    'DELETE FROM groups WHERE group_id = ? RETURNING octet_length(state) + octet_length(group_id) AS n',
  );
  return {
    /** Returns the bytes that it took. */
    remove: (groupId: string): number => Number(remove.get(groupId)?.n ?? 0),
    read(groupId: string): Held {
      const row = get.get(groupId);
      if (row === undefined) return { state: newGroup(groupId), latest: null, since: 0, changed: false, characters: 0 };
      const json = row.state as string;
      const latest = row.last_seq as number | null;
      return {
        state: JSON.parse(json) as Group,
        latest,
        since: 0,
        changed: false,
        characters: Buffer.byteLength(json),
      };
    },
    /** Returns the group with its written length; it counts as changed until the transaction is committed. */
    write(held: Held): Held {
      const { state, latest, changed } = held;
      if (!changed) {
        link.run(latest, state.groupId);
        return held;
      }
      const json = JSON.stringify(state);
      put.run(state.groupId, json, latest);
      return { ...held, characters: Buffer.byteLength(json) };
    },
  };
}

/** Lists show the names of many groups at once; larger ones go without, since all of their state would be read. */
const MOST_FOR_NAME = 65_536;

export type GroupReader = ReturnType<typeof createGroupReader>;

/**
 * Reads the table and, on the writing thread, what is `buffered`. `page`, `livingIds` and `count` may lack a group that
 * had its first event within the last second.
 */
export function createGroupReader(connection: DatabaseSync, buffered: GroupBuffer['buffered'] = () => undefined) {
  const get = connection.prepare('SELECT state FROM groups WHERE group_id = ?');
  const page = connection.prepare('SELECT state FROM groups WHERE group_id > ? ORDER BY group_id LIMIT ?');
  const living = connection.prepare(
    `SELECT group_id FROM groups WHERE group_id > ? AND NOT json_extract(state, '$.destroyed') ORDER BY group_id LIMIT ?`,
  );
  const count = connection.prepare('SELECT count(*) AS n FROM groups');
  const latest = connection.prepare('SELECT last_seq AS seq FROM groups WHERE group_id = ?');
  const name = connection.prepare(
    `SELECT json_extract(state, '$.name') AS name FROM groups WHERE group_id = ? AND octet_length(state) < ${MOST_FOR_NAME}`,
  );
  const state = (row: Record<string, unknown>): Group => JSON.parse(row.state as string) as Group;
  return {
    get(groupId: string): Group | undefined {
      const newer = buffered(groupId);
      if (newer !== undefined) return newer.state;
      const row = get.get(groupId);
      return row && state(row);
    },
    nameOf: (groupId: string): string | undefined =>
      buffered(groupId)?.state.name ?? (name.get(groupId)?.name as string | null | undefined) ?? undefined,
    /** Returns at most `limit` groups after the id `after` ('' for the first), in the order of ids; fewer when they are large. */
    page: (after: string, limit: number): Group[] =>
      takePage(page.iterate(after, limit), state, (row) => (row.state as string).length),
    /** Returns ids of groups that are not destroyed, paged like `page`. */
    livingIds: (after: string, limit: number) => living.all(after, limit).map(({ group_id }) => group_id as string),
    count: () => count.get()?.n as number,
    /** Returns the seq of the group's latest event in the table; 0 if it is not known. */
    latest: (groupId: string) => (latest.get(groupId)?.seq as number | null | undefined) ?? 0,
  };
}
