import type { DatabaseSync } from 'node:sqlite';

/** One run of reconcile, as JSON that the journal keeps and does not interpret. */
export type ReconcileRecord = object;

export interface ReconcileWriter {
  /** Begins a run, of which nothing is read yet. */
  begin(run: ReconcileRecord): void;
  /** Notes that these groups are read, and how far the run is. */
  note(run: ReconcileRecord, groupIds: readonly string[]): void;
}

export function createReconcileWriter(connection: DatabaseSync): ReconcileWriter {
  const clear = connection.prepare('DELETE FROM reconciled');
  const add = connection.prepare('INSERT INTO reconciled (group_id) VALUES (?) ON CONFLICT DO NOTHING');
  const put = connection.prepare(
    'INSERT INTO reconcile (one, run) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET run = excluded.run',
  );
  return {
    begin(run) {
      clear.run();
      put.run(JSON.stringify(run));
    },
    note(run, groupIds) {
      for (const groupId of groupIds) add.run(groupId);
      put.run(JSON.stringify(run));
    },
  };
}

export interface ReconcileReader {
  /** Returns the latest run as it was noted, whether it ended or not. */
  latest(): unknown;
  /** Returns whether the latest run has read this group. */
  has(groupId: string): boolean;
}

export function createReconcileReader(connection: DatabaseSync): ReconcileReader {
  const get = connection.prepare('SELECT run FROM reconcile');
  const has = connection.prepare('SELECT 1 FROM reconciled WHERE group_id = ?');
  return {
    latest() {
      const row = get.get();
      return row === undefined ? undefined : JSON.parse(row.run as string);
    },
    has: (groupId) => has.get(groupId) !== undefined,
  };
}
