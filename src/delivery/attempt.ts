import type { Waiting } from '../../connectors/contract.ts';
import type { Entry } from '../model/entry.ts';
import type { Fault } from '../model/fault.ts';
import type { Outcome } from '../model/outcome.ts';
import { delayAfter, type RetrySettings } from './schedule.ts';

/** What is decided of one entry after an attempt to deliver it. */
export type Decision =
  | { readonly kind: 'delivered' | 'superseded' }
  | { readonly kind: 'dead'; readonly attempts: number; readonly fault: Fault }
  | { readonly kind: 'waiting'; readonly waiting: Waiting; readonly retryInMs: number };

export interface Attempt {
  readonly entry: Entry;
  /** How many attempts failed before this one. */
  readonly earlier: number;
  /** Undefined where the sink did not say what became of it. */
  readonly outcome: Outcome | undefined;
}

/** Decides by the outcome alone; the delay of a retry grows with the attempts. */
export function decide(
  { entry, earlier, outcome }: Attempt,
  now: number,
  retry: RetrySettings,
  random: () => number,
): Decision {
  const attempts = earlier + 1;
  switch (outcome?.kind) {
    case 'delivered':
    case 'superseded':
      return { kind: outcome.kind };
    case 'dead':
      return { kind: 'dead', attempts, fault: outcome.fault };
    case 'retry':
    case undefined: {
      const fault = outcome?.fault ?? UNSETTLED;
      const retryInMs = Math.max(outcome?.afterMs ?? 0, delayAfter(attempts, retry, random));
      return { kind: 'waiting', retryInMs, waiting: { entry, attempts, dueAt: now + retryInMs, fault } };
    }
  }
}

/** An entry that must not overtake an earlier one of its group. */
export function heldBack(entry: Entry, now: number): Waiting {
  return { entry, attempts: 0, dueAt: now, fault: HELD_BACK };
}

/** A dead letter that a person asked to try again. */
export function triedAgain(entry: Entry, now: number): Waiting {
  return { entry, attempts: 0, dueAt: now, fault: AGAIN };
}

export const UNSETTLED: Fault = { code: 'event-unsettled', message: 'the connector did not say what became of it' };
const AGAIN: Fault = { code: 'event-unsettled', message: 'a dead letter that is tried again' };
const HELD_BACK: Fault = { code: 'event-unsettled', message: 'an earlier event of its group waits for a retry' };
