import type { Clock } from '../model/clock.ts';
import type { SignalBus } from '../model/signal.ts';
import type { Journal } from './append.ts';
import type { DeliveryReader } from './reads.ts';

interface RetentionSettings {
  /** Milliseconds since the receipt after which a delivered event is pruned. */
  readonly keepDelivered: number;
  /** The enabled connectors: what one of them has not taken yet is never pruned. */
  readonly connectors: readonly string[];
}

interface RetentionPorts {
  readonly journal: Pick<Journal, 'fill' | 'prune'>;
  readonly reader: Pick<DeliveryReader, 'cursor' | 'seqAt'>;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  readonly signals: SignalBus;
}

/** A step shares its commit with callbacks, so it must be small. */
const STEP_EVENTS = 500;
const STEP_PAUSE_MS = 50;
const PASS_MS = 60_000;
const LOOK_MS = 1_000;
/** Above this share of journal.maxBytes delivered events are pruned whatever their age: new ones need the room. */
const FULL = 0.8;

/** Prunes until `signal` aborts. Events that wait at an enabled connector, or are dead letters, stay. Settings may change. */
export async function keepPruned(settings: () => RetentionSettings, ports: RetentionPorts, signal: AbortSignal) {
  const { journal, clock, signals } = ports;
  let last = Number.NEGATIVE_INFINITY;
  while (!signal.aborted) {
    const passMs = Math.min(PASS_MS, Math.max(LOOK_MS, settings().keepDelivered / 10));
    try {
      // The wall clock may be set back, which must not delay the next pass.
      if (journal.fill() > FULL || performance.now() - last >= passMs) {
        last = performance.now();
        const events = await prunePass(settings, ports, signal);
        if (events > 0) signals.emit('journal.pruned', { events });
      }
    } catch {
      // The journal cannot be written now, as the receiver reports; the next pass tries again.
    }
    await clock.sleep(LOOK_MS, signal);
  }
}

/** Prunes events older than keepDelivered, and as many as it takes to make room; resolves with their number. */
export async function prunePass(
  settings: () => RetentionSettings,
  { journal, reader, clock }: Omit<RetentionPorts, 'signals'>,
  signal: AbortSignal,
): Promise<number> {
  // Invariant 2: nothing that an enabled connector has not taken is pruned. Asked in the transaction of each step: a
  // connector added during a pass gets everything that is still there.
  const taken = (): number => {
    const { connectors } = settings();
    return connectors.length === 0 ? 0 : Math.min(...connectors.map(reader.cursor));
  };
  const old = reader.seqAt(clock.now() - settings().keepDelivered) - 1;
  const aged = (): number => Math.min(taken(), old);
  let after = 0;
  let events = 0;
  for (;;) {
    const forRoom = journal.fill() > FULL;
    const upTo = forRoom ? taken : aged;
    if (after >= upTo() || signal.aborted) return events;
    const { pruned, last } = await journal.prune(after, upTo, STEP_EVENTS, () => settings().connectors);
    events += pruned;
    // What is not merged yet must stay: the next pass finds it.
    if (last <= after) return events;
    after = last;
    // While callbacks are refused, or soon will be, there is no time to lose.
    if (!forRoom) await clock.sleep(STEP_PAUSE_MS, signal);
  }
}
