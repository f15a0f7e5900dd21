import type { Fault } from './fault.ts';

export type Outcome =
  /** It is there; the receipt says where: `chat.group-info.events/3@1042`. */
  | { readonly kind: 'delivered'; readonly receipt: string }
  /** Something newer was there already, so nothing had to be written. */
  | { readonly kind: 'superseded'; readonly receipt: string }
  /** It may succeed later. */
  | { readonly kind: 'retry'; readonly fault: Fault; readonly afterMs?: number }
  /** No retry could help this event. */
  | { readonly kind: 'dead'; readonly fault: Fault };

type Retry = Extract<Outcome, { kind: 'retry' }>;

/** Returns the first outcome if all of a batch report an overload: that is the destination's state, not theirs. */
export function overloaded(outcomes: readonly (Outcome | undefined)[]): Retry | undefined {
  const isOverload = (outcome: Outcome | undefined): outcome is Retry =>
    outcome?.kind === 'retry' && outcome.fault.code === 'destination-overloaded';
  return outcomes.every(isOverload) ? outcomes[0] : undefined;
}
