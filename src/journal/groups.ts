import type { DatabaseSync } from 'node:sqlite';
import type { CanonicalEvent } from '../canon/event.ts';
import { type Group, merge, newGroup } from '../canon/group.ts';

/**
 * The merged state of every group that was ever recorded, kept in the transaction of the append: what `content: groups`
 * of Kafka delivers. It outlives the pruning of the events it was merged from.
 */
export interface GroupWriter {
  /** A transaction begins: what an earlier one merged and did not commit is forgotten. */
  begin(): void;
  merge(event: CanonicalEvent): void;
  /** Writes each group that was changed, once, before the commit. */
  finish(): void;
  committed(): void;
}

/** So many groups are remembered, if they are no larger than this: reading and parsing is most of the cost. */
const CACHE_GROUPS = 5_000;
const CACHE_CHARACTERS = 4_096;

export function createGroupWriter(connection: DatabaseSync): GroupWriter {
  const reader = createGroupReader(connection);
  const put = connection.prepare(
    'INSERT INTO groups (group_id, state) VALUES (?, ?) ON CONFLICT (group_id) DO UPDATE SET state = excluded.state',
  );
  const cache = new Map<string, Group>();
  const changed = new Map<string, Group>();
  let small: [string, Group][] = [];

  return {
    begin() {
      changed.clear();
      small = [];
    },
    merge(event) {
      const groupId = event.subject;
      const current = changed.get(groupId) ?? cache.get(groupId) ?? reader.get(groupId) ?? newGroup(groupId);
      const merged = merge(current, event);
      if (merged !== current) changed.set(groupId, merged);
    },
    finish() {
      for (const [groupId, state] of changed) {
        const json = JSON.stringify(state);
        put.run(groupId, json);
        if (json.length <= CACHE_CHARACTERS) small.push([groupId, state]);
      }
    },
    committed() {
      for (const groupId of changed.keys()) cache.delete(groupId);
      // A Map keeps the order of insertion: the first is the one that was changed longest ago.
      for (const [groupId, state] of small) cache.set(groupId, state);
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
