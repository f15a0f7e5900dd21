import { z } from 'zod';

/** What was delivered is no longer there, since a time in milliseconds since 1970. */
export const incomplete = z.object({
  since: z.number(),
  /** What was noticed, as a sentence. */
  reason: z.string(),
  /** Events up to this seq belong to what must be restored. */
  upTo: z.number(),
  /** All of those events are on their way, not just those of some replay. */
  again: z.boolean().exactOptional(),
  /** They were brought before, and none of them was kept: they are not brought again until a person asks. */
  vain: z.boolean().exactOptional(),
});

/** What is known of a connector's copy as a whole, apart from the cursor. */
export const copyState = z.object({
  /** What the connector last called its destination; opaque to everyone else. */
  identity: z.string().exactOptional(),
  /** When the latest complete comparison ended, in milliseconds since 1970; absent before the first one. */
  verifiedAt: z.number().exactOptional(),
  /** A hash of what it should hold, and where, at that time: its filter, shape and places. */
  scope: z.string().exactOptional(),
  /** Groups, or events, that the latest comparisons found missing or different and that are not repaired. */
  differing: z.int().nonnegative(),
  /** Events up to this seq went to another destination, named by earlier settings. */
  begins: z.int().nonnegative().exactOptional(),
  /** Kept until everything known has been brought again. */
  incomplete: incomplete.exactOptional(),
  /** Events that the copy lacks because they were pruned; the ones after them were received from `before` on. */
  lacking: z.object({ events: z.int().nonnegative(), before: z.number() }).exactOptional(),
});
export type CopyState = Readonly<z.output<typeof copyState>>;

export const UNSEEN_COPY: CopyState = { differing: 0 };
