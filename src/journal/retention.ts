import type { Clock } from '../canon/clock.ts';
import type { SignalBus } from '../canon/signal.ts';
import type { Journal } from './append.ts';
import type { DeliveryReader } from './deliveries.ts';

export interface RetentionSettings {
  /** Milliseconds since the receipt after which a delivered event is pruned. */
  readonly keepDelivered: number;
  /** The enabled connectors: what one of them has not taken yet is never pruned. */
  readonly connectors: readonly string[];
}

/** One step shares its commit with callbacks, so it must stay small beside them. */
const STEP_EVENTS = 500;
const STEP_PAUSE_MS = 50;
const PASS_MS = 60_000;

/** Prunes until `signal` aborts. Events that wait for a retry or are dead letters stay. */
export async function keepPruned(
  settings: RetentionSettings,
  journal: Journal,
  reader: DeliveryReader,
  clock: Clock,
  signals: SignalBus,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const events = await prunePass(settings, journal, reader, clock, signal);
      if (events > 0) signals.emit('journal.pruned', { events });
    } catch {
      // The journal cannot be written now, which is said where callbacks are recorded; the next pass tries again.
    }
    await clock.sleep(Math.min(PASS_MS, Math.max(1_000, settings.keepDelivered / 10)), signal);
  }
}

/** Resolves with how many events were pruned. */
export async function prunePass(
  { keepDelivered, connectors }: RetentionSettings,
  journal: Journal,
  reader: DeliveryReader,
  clock: Clock,
  signal: AbortSignal,
): Promise<number> {
  const before = clock.now() - keepDelivered;
  // Invariant 2: nothing that an enabled connector has not taken is pruned.
  const taken = connectors.length === 0 ? 0 : Math.min(...connectors.map(reader.cursor));
  const upTo = Math.min(taken, reader.seqAt(before) - 1);
  let after = 0;
  let events = 0;
  while (after < upTo && !signal.aborted) {
    const { pruned, last } = await journal.prune(after, upTo, before, STEP_EVENTS);
    events += pruned;
    after = pruned < STEP_EVENTS ? upTo : last;
    await clock.sleep(STEP_PAUSE_MS, signal);
  }
  return events;
}
