import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';

const counts = z.object({
  /** Groups that were read, or that the service said to be gone. */
  read: z.int(),
  inStep: z.int(),
  /** Groups that an event was recorded for (in a dry run: would have been). */
  mended: z.int(),
  /** Of those: what differed, by field; `new` for groups that were not known. */
  fields: z.record(z.string(), z.int()),
  /** Groups that the service no longer has. */
  gone: z.int(),
  failed: z.int(),
});
export type ReconcileCounts = z.output<typeof counts>;

/** One run of reconcile, as the journal remembers it. Times in milliseconds since 1970. */
export const reconcileRun = z.object({
  startedAt: z.int(),
  /** Set when it came to its end, or was stopped; a run without it goes on at the next start. */
  endedAt: z.int().optional(),
  dryRun: z.boolean(),
  /** Groups to read as far as they are known yet. */
  total: z.int(),
  counts,
  /** The first few that could not be read, and why. */
  failures: z.array(z.object({ groupId: z.string(), message: z.string() })),
  /** Why it stopped before its end. */
  stopped: z.string().optional(),
});
export type ReconcileRun = z.output<typeof reconcileRun>;

export interface ReconcileWriter {
  /** A new run: nothing of it is read yet. */
  begin(run: ReconcileRun): void;
  /** These groups are read, and this is how far the run is. */
  note(run: ReconcileRun, groupIds: readonly string[]): void;
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
  /** The latest run, whether it ended or not. */
  latest(): ReconcileRun | undefined;
  /** Whether the latest run has read this group. */
  has(groupId: string): boolean;
}

export function createReconcileReader(connection: DatabaseSync): ReconcileReader {
  const get = connection.prepare('SELECT run FROM reconcile');
  const has = connection.prepare('SELECT 1 FROM reconciled WHERE group_id = ?');
  return {
    latest() {
      const row = get.get();
      return row === undefined ? undefined : reconcileRun.parse(JSON.parse(row.run as string));
    },
    has: (groupId) => has.get(groupId) !== undefined,
  };
}
