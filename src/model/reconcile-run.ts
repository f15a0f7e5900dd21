import { z } from 'zod';

const count = z.int().default(0);

/** One run of reconcile, as stored in the journal. Times in milliseconds since 1970. */
export const reconcileRun = z.object({
  startedAt: z.int(),
  /** Set once it ended or was stopped; a run without it is resumed at the next start. */
  endedAt: z.int().optional(),
  dryRun: z.boolean(),
  /** The number of groups to read, as far as known. */
  total: z.int(),
  counts: z.object({
    /** Groups that were read, or that the service said are gone. */
    read: count,
    inStep: count,
    /** Groups that an event was recorded for (in a dry run: would have been). */
    mended: count,
    /** What differed in those, by field; `new` for unknown groups. */
    fields: z.record(z.string(), z.int()).default(() => ({})),
    /** Groups that the service no longer has. */
    gone: count,
    /** Of those, groups that an event was recorded for (in a dry run: would have been), since they were known and alive. */
    destroyed: count,
    failed: count,
    /** Of the groups read, those known and alive. */
    known: count,
    /** Groups that would have been destroyed, but were more than reconcile.maxGone. */
    withheld: count,
    /** Groups that failed with the same answer in three runs: they are listed, but no longer fail a run. */
    lasting: count,
  }),
  /** The first few that could not be read, and why. */
  failures: z.array(z.object({ groupId: z.string(), message: z.string(), runs: z.int().default(1) })),
  /** Group types that could not be listed, and why; `off` if the app does not have them. */
  unlisted: z.array(z.object({ groupType: z.string(), message: z.string(), off: z.boolean() })).default([]),
  /** Why it stopped before its end. */
  stopped: z.string().optional(),
});
export type ReconcileRun = z.output<typeof reconcileRun>;

/** What a dry run found for one group: what a run would write, by field. `before` is absent if nothing is known. */
export const reconcileFinding = z.object({
  groupId: z.string(),
  name: z.string().exactOptional(),
  /** `destroy` even if the run withholds it: see counts.withheld. */
  would: z.enum(['mend', 'destroy']),
  fields: z.array(z.object({ field: z.string(), before: z.string().exactOptional(), after: z.string() })),
});
export type ReconcileFinding = z.output<typeof reconcileFinding>;
