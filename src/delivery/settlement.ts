import type { Dead, Outcomes, Waiting } from '../../connectors/contract.ts';
import type { Entry } from '../model/entry.ts';
import { decide, heldBack } from './attempt.ts';
import type { RetrySettings } from './schedule.ts';
import type { WaitingEntries } from './waiting.ts';

/** One delivery: what was tried again, what was taken anew, and what the sink said of it, by event id. */
export interface Delivery {
  readonly retried: readonly Waiting[];
  readonly taken: readonly Entry[];
  /** The entries of `taken` that the filter lets through. */
  readonly wanted: ReadonlySet<Entry>;
  readonly outcomes: Outcomes;
}

export interface Settlement {
  readonly waiting: readonly Waiting[];
  readonly dead: readonly Dead[];
  readonly released: readonly number[];
  /** Entries that wait because this attempt failed, with the delay in ms. */
  readonly failed: readonly { readonly waiting: Waiting; readonly retryInMs: number }[];
  readonly delivered: number;
  readonly superseded: number;
  /** When the delivered and superseded entries were received, in ms since 1970. */
  readonly receivedAt: readonly number[];
}

/** Takes the outcomes of one delivery into `queue`, and says what became of each entry. */
export function settleDelivery(
  { retried, taken, wanted, outcomes }: Delivery,
  queue: WaitingEntries,
  { now, retry, random }: { readonly now: number; readonly retry: RetrySettings; readonly random: () => number },
): Settlement {
  const waiting: Waiting[] = [];
  const dead: Dead[] = [];
  const released: number[] = [];
  const failed: { waiting: Waiting; retryInMs: number }[] = [];
  const receivedAt: number[] = [];
  const counts = { delivered: 0, superseded: 0 };

  const attempt = (entry: Entry, earlier: number): Waiting | 'delivered' | 'dead' => {
    const decision = decide({ entry, earlier, outcome: outcomes.get(entry.id) }, now, retry, random);
    switch (decision.kind) {
      case 'delivered':
      case 'superseded':
        counts[decision.kind]++;
        receivedAt.push(entry.receivedAt);
        return 'delivered';
      case 'dead':
        dead.push({ entry, attempts: decision.attempts, fault: decision.fault });
        return 'dead';
      case 'waiting':
        failed.push(decision);
        waiting.push(decision.waiting);
        return decision.waiting;
    }
  };

  for (const before of retried) {
    const result = attempt(before.entry, before.attempts);
    if (typeof result !== 'string') {
      queue.update(result);
      continue;
    }
    queue.release(before);
    if (result === 'delivered') released.push(before.entry.seq);
  }
  for (const entry of taken) {
    if (!wanted.has(entry)) continue;
    // Invariant 2, order per group: a group waits together with its first entry that waits.
    if (!outcomes.has(entry.id) && queue.holdsBack(entry.groupId)) {
      const held = heldBack(entry, now);
      waiting.push(held);
      queue.hold(held);
      continue;
    }
    const result = attempt(entry, 0);
    if (typeof result !== 'string') queue.hold(result);
  }
  return { waiting, dead, released, failed, receivedAt, ...counts };
}
