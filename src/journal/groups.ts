import type { DatabaseSync } from 'node:sqlite';
import type { CanonicalEvent } from '../model/event.ts';
import { type Group, merge, newGroup } from '../model/group.ts';

/**
 * The merged state of every group that was ever recorded: what `content: groups` delivers. It outlives the pruning of the
 * events it was merged from. Beside it stands the seq of the group's latest event, from which each event leads to the one
 * before. It is written behind the events, many at once: see merged.ts.
 */
export interface GroupWriter {
  /** A transaction begins: what an earlier one merged and did not commit is forgotten. */
  begin(): void;
  /** The seq of the group's latest event; null when it has none, or had none since events are linked. */
  latest(groupId: string): number | null;
  /** Takes in an event that was appended with this seq. */
  merge(event: CanonicalEvent, seq: number): void;
  /** What was merged since `begin` counts from now on, and is to be written. */
  committed(): void;
  /** How many groups are to be written. */
  pending(): number;
  /** What is to be written of this group; undefined where the file says it. */
  unwritten(groupId: string): MergedGroup | undefined;
  /** Writes all of them, within a transaction of the caller. */
  write(): void;
  /** That transaction is committed. */
  written(): void;
}

export interface MergedGroup {
  readonly state: Group;
  /** See `latest`. */
  readonly latest: number | null;
}

/** So many groups are remembered, if they are no larger than this: reading and parsing is most of the cost. */
const CACHE_GROUPS = 5_000;
const CACHE_CHARACTERS = 4_096;

interface Kept extends MergedGroup {
  /** Whether the state differs from the file's, too. */
  readonly changed: boolean;
  /** Of the state as JSON, when it was last written. */
  readonly characters: number;
}

export function createGroupWriter(connection: DatabaseSync): GroupWriter {
  const get = connection.prepare('SELECT state, last_seq FROM groups WHERE group_id = ?');
  const put = connection.prepare(
    `INSERT INTO groups (group_id, state, last_seq) VALUES (?, ?, ?)
     ON CONFLICT (group_id) DO UPDATE SET state = excluded.state, last_seq = excluded.last_seq`,
  );
  const link = connection.prepare('UPDATE groups SET last_seq = ? WHERE group_id = ?');
  /** As the file says. */
  const cache = new Map<string, Kept>();
  /** Newer than the file. */
  const behind = new Map<string, Kept>();
  /** Of this transaction. */
  const touched = new Map<string, Kept>();
  /** The group that was looked up last: `latest` comes right before `merge`. */
  let found: Kept | undefined;

  const read = (groupId: string): Kept => {
    const row = get.get(groupId);
    if (row === undefined) return { state: newGroup(groupId), latest: null, changed: false, characters: 0 };
    const json = row.state as string;
    return {
      state: JSON.parse(json) as Group,
      latest: row.last_seq as number | null,
      changed: false,
      characters: json.length,
    };
  };
  const find = (groupId: string): Kept => {
    if (found?.state.groupId !== groupId) {
      found = touched.get(groupId) ?? behind.get(groupId) ?? cache.get(groupId) ?? read(groupId);
    }
    return found;
  };

  return {
    begin() {
      touched.clear();
      found = undefined;
    },
    latest: (groupId) => find(groupId).latest,
    merge(event, seq) {
      const groupId = event.subject;
      const current = find(groupId);
      const state = merge(current.state, event);
      const changed = current.changed || state !== current.state;
      found = { state, latest: seq, changed, characters: current.characters };
      touched.set(groupId, found);
    },
    committed() {
      for (const [groupId, kept] of touched) behind.set(groupId, kept);
      touched.clear();
    },
    pending: () => behind.size,
    unwritten: (groupId) => behind.get(groupId),
    write() {
      for (const [groupId, { state, latest, changed }] of behind) {
        if (!changed) {
          link.run(latest, groupId);
          continue;
        }
        const json = JSON.stringify(state);
        put.run(groupId, json, latest);
        behind.set(groupId, { state, latest, changed, characters: json.length });
      }
    },
    written() {
      // A Map keeps the order of insertion: the first is the one that had its last event longest ago.
      for (const [groupId, kept] of behind) {
        cache.delete(groupId);
        if (kept.characters <= CACHE_CHARACTERS) cache.set(groupId, { ...kept, changed: false });
      }
      behind.clear();
      for (const groupId of cache.keys()) {
        if (cache.size <= CACHE_GROUPS) break;
        cache.delete(groupId);
      }
    },
  };
}

/** The merged states. */
export interface GroupReader {
  get(groupId: string): Group | undefined;
  /** At most `limit` groups behind the id `after` ('' for the first), in the order of ids. */
  page(after: string, limit: number): Group[];
  /** Ids of groups that are not destroyed, as `page`. */
  livingIds(after: string, limit: number): string[];
  count(): number;
}

/**
 * As the file says, and on the thread that writes it with what is `unwritten`. `page`, `livingIds` and `count` may lack a
 * group that had its first event within the last second.
 */
export function createGroupReader(
  connection: DatabaseSync,
  unwritten: GroupWriter['unwritten'] = () => undefined,
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
      const newer = unwritten(groupId);
      if (newer !== undefined) return newer.state;
      const row = get.get(groupId);
      return row === undefined ? undefined : state(row);
    },
    page: (after, limit) => page.all(after, limit).map(state),
    livingIds: (after, limit) => living.all(after, limit).map(({ group_id }) => group_id as string),
    count: () => count.get()?.n as number,
  };
}
