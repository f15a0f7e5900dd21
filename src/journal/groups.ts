import type { DatabaseSync } from 'node:sqlite';
import type { CanonicalEvent } from '../canon/event.ts';
import { type Group, merge, newGroup } from '../canon/group.ts';

/**
 * The merged state of every group that was ever recorded, kept in the transaction of the append: what `content: groups`
 * of Kafka delivers. It outlives the pruning of the events it was merged from. Beside it stands the seq of the group's
 * latest event, from which each event leads to the one before.
 */
export interface GroupWriter {
  /** A transaction begins: what an earlier one merged and did not commit is forgotten. */
  begin(): void;
  /** The seq of the group's latest event; null when it has none, or had none since events are linked. */
  latest(groupId: string): number | null;
  /** Takes in an event that was appended with this seq. */
  merge(event: CanonicalEvent, seq: number): void;
  /** Writes each group that had an event, once, before the commit. */
  finish(): void;
  committed(): void;
}

/** So many groups are remembered, if they are no larger than this: reading and parsing is most of the cost. */
const CACHE_GROUPS = 5_000;
const CACHE_CHARACTERS = 4_096;

interface Kept {
  readonly state: Group;
  readonly latest: number | null;
  /** Of the state as JSON. */
  readonly characters: number;
}

export function createGroupWriter(connection: DatabaseSync): GroupWriter {
  const get = connection.prepare('SELECT state, last_seq FROM groups WHERE group_id = ?');
  const put = connection.prepare(
    `INSERT INTO groups (group_id, state, last_seq) VALUES (?, ?, ?)
     ON CONFLICT (group_id) DO UPDATE SET state = excluded.state, last_seq = excluded.last_seq`,
  );
  const link = connection.prepare('UPDATE groups SET last_seq = ? WHERE group_id = ?');
  const cache = new Map<string, Kept>();
  /** Of this transaction: the groups that had an event, and those of them whose state it changed. */
  const touched = new Map<string, Kept>();
  const changed = new Set<string>();
  /** The group that was looked up last: `latest` comes right before `merge`. */
  let found: Kept | undefined;

  const read = (groupId: string): Kept => {
    const row = get.get(groupId);
    if (row === undefined) return { state: newGroup(groupId), latest: null, characters: 0 };
    const json = row.state as string;
    return { state: JSON.parse(json) as Group, latest: row.last_seq as number | null, characters: json.length };
  };
  const find = (groupId: string): Kept => {
    if (found?.state.groupId !== groupId) found = touched.get(groupId) ?? cache.get(groupId) ?? read(groupId);
    return found;
  };

  return {
    begin() {
      touched.clear();
      changed.clear();
      found = undefined;
    },
    latest: (groupId) => find(groupId).latest,
    merge(event, seq) {
      const groupId = event.subject;
      const current = find(groupId);
      const state = merge(current.state, event);
      if (state !== current.state) changed.add(groupId);
      found = { state, latest: seq, characters: current.characters };
      touched.set(groupId, found);
    },
    finish() {
      for (const [groupId, { state, latest }] of touched) {
        if (!changed.has(groupId)) {
          link.run(latest, groupId);
          continue;
        }
        const json = JSON.stringify(state);
        put.run(groupId, json, latest);
        touched.set(groupId, { state, latest, characters: json.length });
      }
    },
    committed() {
      // A Map keeps the order of insertion: the first is the one that had its last event longest ago.
      for (const [groupId, kept] of touched) {
        cache.delete(groupId);
        if (kept.characters <= CACHE_CHARACTERS) cache.set(groupId, kept);
      }
      for (const groupId of cache.keys()) {
        if (cache.size <= CACHE_GROUPS) break;
        cache.delete(groupId);
      }
    },
  };
}

/** The merged states as they stand on disk. */
export interface GroupReader {
  get(groupId: string): Group | undefined;
  /** At most `limit` groups behind the id `after` ('' for the first), in the order of ids. */
  page(after: string, limit: number): Group[];
  /** Ids of groups that are not destroyed, as `page`. */
  livingIds(after: string, limit: number): string[];
  count(): number;
}

export function createGroupReader(connection: DatabaseSync): GroupReader {
  const get = connection.prepare('SELECT state FROM groups WHERE group_id = ?');
  const page = connection.prepare('SELECT state FROM groups WHERE group_id > ? ORDER BY group_id LIMIT ?');
  const living = connection.prepare(
    `SELECT group_id FROM groups WHERE group_id > ? AND NOT json_extract(state, '$.destroyed') ORDER BY group_id LIMIT ?`,
  );
  const count = connection.prepare('SELECT count(*) AS n FROM groups');
  const state = (row: Record<string, unknown>): Group => JSON.parse(row.state as string) as Group;
  return {
    get(groupId) {
      const row = get.get(groupId);
      return row === undefined ? undefined : state(row);
    },
    page: (after, limit) => page.all(after, limit).map(state),
    livingIds: (after, limit) => living.all(after, limit).map(({ group_id }) => group_id as string),
    count: () => count.get()?.n as number,
  };
}
