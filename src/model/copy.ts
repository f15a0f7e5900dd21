/** What is known of a connector's copy as a whole, beside how far it is. */
export interface CopyState {
  /** What the connector last called its destination; it alone reads it. */
  readonly identity?: string;
  /** When the latest whole comparison ended, in milliseconds since 1970; absent before the first one. */
  readonly verifiedAt?: number;
  /** Groups, or events, that the latest comparisons found missing or different and that are not mended. */
  readonly differing: number;
  /** What was delivered is not there any more; until all that is known was brought again. */
  readonly incomplete?: Incomplete;
  /** Events that a restored copy lacks, because they were pruned; the oldest that it has was received at `before`. */
  readonly lacking?: { readonly events: number; readonly before: number };
}

export interface Incomplete {
  /** In milliseconds since 1970. */
  readonly since: number;
  /** What was noticed, as a sentence. */
  readonly reason: string;
  /** Events up to this seq belong to what is brought again. */
  readonly upTo: number;
}

export const UNSEEN_COPY: CopyState = { differing: 0 };
