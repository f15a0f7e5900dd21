import { z } from 'zod';

/** What was delivered is not there any more, since a time in milliseconds since 1970. */
export const incomplete = z.object({
  since: z.number(),
  /** What was noticed, as a sentence. */
  reason: z.string(),
  /** Events up to this seq belong to what is brought again. */
  upTo: z.number(),
  /** Those events are on their way: all of them, not those of some replay. */
  again: z.boolean().exactOptional(),
});

/** What is known of a connector's copy as a whole, beside how far it is. */
export const copyState = z.object({
  /** What the connector last called its destination; it alone reads it. */
  identity: z.string().exactOptional(),
  /** When the latest whole comparison ended, in milliseconds since 1970; absent before the first one. */
  verifiedAt: z.number().exactOptional(),
  /** What it was to hold then, and where: its filter, shape and places, as a hash. */
  scope: z.string().exactOptional(),
  /** Groups, or events, that the latest comparisons found missing or different and that are not mended. */
  differing: z.int().nonnegative(),
  /** Events up to this seq went to another destination, which the settings named before. */
  begins: z.int().nonnegative().exactOptional(),
  /** Kept until all that is known was brought again. */
  incomplete: incomplete.exactOptional(),
  /** Events that the copy lacks, because they were pruned; those that came after them were received from `before` on. */
  lacking: z.object({ events: z.int().nonnegative(), before: z.number() }).exactOptional(),
});
export type CopyState = Readonly<z.output<typeof copyState>>;

export const UNSEEN_COPY: CopyState = { differing: 0 };
