import type { Brought, Dead, Outcomes, Waiting } from '../../connectors/contract.ts';
import type { Entry } from '../model/entry.ts';
import type { Fault } from '../model/fault.ts';
import { delayAfter, type RetrySettings } from './outage.ts';
import type { WaitingEntries } from './waiting.ts';

/** One delivery: the retried entries, the newly taken ones, and the sink's outcomes by event id. */
export interface Delivery {
  readonly retried: readonly Waiting[];
  readonly taken: readonly Entry[];
  /** The entries of `taken` that the filter lets through. */
  readonly wanted: ReadonlySet<Entry>;
  readonly outcomes: Outcomes;
  /** Why the delivery was cut short. Entries without an outcome then wait, and are charged nothing. */
  readonly cut?: Fault;
}

interface Settlement {
  readonly waiting: Waiting[];
  readonly dead: Dead[];
  readonly released: number[];
  /** Those of `waiting` whose attempt failed, with the delay in ms. */
  readonly failed: { readonly waiting: Waiting; readonly retryInMs: number }[];
  readonly brought: Brought[];
}

interface AttemptSettings {
  /** By Clock.elapsed. */
  readonly now: number;
  readonly retry: RetrySettings;
  readonly random: () => number;
}

/** Applies the outcomes of one delivery to `queue`, and returns what became of each entry. */
export function settleDelivery(
  { retried, taken, wanted, outcomes, cut }: Delivery,
  queue: WaitingEntries,
  { now, retry, random }: AttemptSettings,
): Settlement {
  const settlement: Settlement = { waiting: [], dead: [], released: [], failed: [], brought: [] };
  /** Settles one entry after another attempt; returns it if it waits for the next one. */
  const decide = (entry: Entry, earlier: number): Waiting | undefined => {
    const attempts = earlier + 1;
    const outcome = outcomes.get(entry.id) ?? { kind: 'retry', fault: UNSETTLED };
    switch (outcome.kind) {
      case 'delivered':
      case 'superseded':
        settlement.brought.push({ entry, attempts, ...outcome });
        return undefined;
      case 'dead':
        settlement.dead.push({ entry, attempts, fault: outcome.fault });
        return undefined;
      case 'retry': {
        const { fault, afterMs = 0 } = outcome;
        const retryInMs = Math.max(afterMs, delayAfter(attempts, retry, random));
        const waiting: Waiting = { entry, attempts, dueAt: now + retryInMs, fault };
        settlement.failed.push({ waiting, retryInMs });
        return waiting;
      }
    }
  };
  const unsent = new Set(taken.filter(({ groupId }) => queue.holdsBack(groupId)));
  /** A sink sends the next event of a group once the one before is settled. */
  const heldBack = new Set<string>();
  for (const before of retried) {
    const { entry } = before;
    if (!outcomes.has(entry.id) && (cut !== undefined || heldBack.has(entry.groupId))) continue;
    const still = decide(entry, before.attempts);
    if (still !== undefined) {
      heldBack.add(entry.groupId);
      settlement.waiting.push(still);
      queue.update(isAskedFor(before) ? { ...still, asked: true } : still);
      continue;
    }
    queue.release(before);
    if (settlement.dead.at(-1)?.entry !== entry) settlement.released.push(entry.seq);
  }
  for (const entry of taken) {
    if (!wanted.has(entry)) continue;
    // Invariant 2, order per group: once an entry waits, the later ones of its group wait with it.
    const isHeldBack = unsent.has(entry) || queue.holdsBack(entry.groupId);
    const reason = isHeldBack ? HELD_BACK : cut;
    const isTried = reason === undefined || outcomes.has(entry.id);
    const held = isTried ? decide(entry, 0) : triedAgain(entry, now, reason);
    if (held === undefined) continue;
    settlement.waiting.push(held);
    queue.hold(held);
  }
  return settlement;
}

/** Makes an entry due now, with no attempt charged: by default a dead letter that a person retries. */
export function triedAgain(entry: Entry, now: number, fault = AGAIN): Waiting {
  return { entry, attempts: 0, dueAt: now, fault };
}

/** After a restart only the message tells, since the journal keeps nothing but the fault. */
export function isAskedFor({ fault, asked }: Waiting): boolean {
  return asked === true || fault.message === AGAIN.message;
}

export const UNSETTLED: Fault = { code: 'event-unsettled', message: 'the connector did not say what became of it' };
const AGAIN: Fault = { code: 'event-unsettled', message: 'a dead letter that is tried again' };
const HELD_BACK: Fault = { code: 'event-unsettled', message: 'an earlier event of its group waits for a retry' };
