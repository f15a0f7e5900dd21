import type { DatabaseSync } from 'node:sqlite';

/** One run of reconcile, as JSON that the journal keeps and does not interpret. */
export type ReconcileRecord = object;

/** Its works run inside a transaction of the caller. */
export function createReconcileWriter(connection: DatabaseSync) {
  const clear = connection.prepare('DELETE FROM reconciled');
  const add = connection.prepare('INSERT INTO reconciled (group_id) VALUES (?) ON CONFLICT DO NOTHING');
  const put = connection.prepare(
    'INSERT INTO reconcile (one, run) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET run = excluded.run',
  );
  return {
    /** Begins a run, of which nothing is read yet. */
    begin(run: ReconcileRecord): void {
      clear.run();
      put.run(JSON.stringify(run));
    },
    /** Notes that these groups are read, and how far the run is. */
    note(run: ReconcileRecord, groupIds: readonly string[]): void {
      for (const groupId of groupIds) add.run(groupId);
      put.run(JSON.stringify(run));
    },
  };
}

export type ReconcileReader = ReturnType<typeof createReconcileReader>;

export function createReconcileReader(connection: DatabaseSync) {
  const get = connection.prepare('SELECT run FROM reconcile');
  const has = connection.prepare('SELECT 1 FROM reconciled WHERE group_id = ?');
  return {
    /** Returns the latest run as it was noted, whether it ended or not. */
    latest(): unknown {
      const row = get.get();
      return row === undefined ? undefined : JSON.parse(row.run as string);
    },
    /** Returns whether the latest run has read this group. */
    has: (groupId: string) => has.get(groupId) !== undefined,
  };
}
