import type { Group, GroupStore } from '@group-sync-bridge/consumer';
import type { Pool } from 'pg';

const ROW = 'where source = $1 and group_id = $2';

/** A group a row of the table in group-table.sql. */
export function groupTable(pool: Pool): GroupStore {
  return {
    async get(groupId, source) {
      const { rows } = await pool.query<{ state: Group }>(`select state from chat_groups ${ROW}`, key(groupId, source));
      return rows[0]?.state;
    },
    async update(groupId, source, change) {
      const row = key(groupId, source);
      const client = await pool.connect();
      try {
        await client.query('begin');
        // Also a new row is locked, so that two processes never change one group at the same moment.
        await client.query('insert into chat_groups values ($1, $2) on conflict do nothing', row);
        const { rows } = await client.query<{ state: Group | null }>(
          `select state from chat_groups ${ROW} for update`,
          row,
        );
        const after = change(rows[0]?.state ?? undefined);
        await client.query(`update chat_groups set state = $3 ${ROW}`, [...row, JSON.stringify(after)]);
        await client.query('commit');
        client.release();
      } catch (thrown) {
        // The connection is closed, which undoes what was begun.
        client.release(true);
        throw thrown;
      }
    },
  };
}

/** An id as JSON writes it, which is the id itself but for a NUL, a quotation mark or a backslash: a text here cannot hold a NUL. */
const key = (groupId: string, source: string): string[] => [source, JSON.stringify(groupId).slice(1, -1)];
