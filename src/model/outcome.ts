import type { Fault } from './fault.ts';

/** What became of one event at one destination. */
export type Outcome =
  /** It lies there; the receipt says where: `chat.group-info.events/3@1042`. */
  | { readonly kind: 'delivered'; readonly receipt: string }
  /** Something newer was there already, so nothing had to be written. */
  | { readonly kind: 'superseded'; readonly receipt: string }
  /** It may succeed later. */
  | { readonly kind: 'retry'; readonly fault: Fault; readonly afterMs?: number }
  /** No retry could help this event. */
  | { readonly kind: 'dead'; readonly fault: Fault };

/** Every event of the batch refused because the destination is overloaded: that is the destination's state, not theirs. */
export function overloaded(outcomes: readonly (Outcome | undefined)[]): { fault: Fault; afterMs?: number } | undefined {
  let found: { fault: Fault; afterMs?: number } | undefined;
  for (const outcome of outcomes) {
    if (outcome?.kind !== 'retry' || outcome.fault.code !== 'destination-overloaded') return undefined;
    found ??= { fault: outcome.fault, ...(outcome.afterMs !== undefined && { afterMs: outcome.afterMs }) };
  }
  return found;
}
