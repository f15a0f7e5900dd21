import type { Clock } from '../../model/clock.ts';
import type { CallbackOutcome, SignalBus } from '../../model/signal.ts';
import type { Meter } from './meter.ts';

export interface CallbackSources {
  /** The documented commands of the vendor. */
  readonly commands: Iterable<string>;
  quarantined(): number;
}

/** Close to the limit of 2 s there is one just below it; those beyond it are answers that were held. */
const ACK_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 1.9, 2, 2.5, 5];

/** Outcomes that only the bridge's own commands have. */
const OWN: ReadonlySet<CallbackOutcome> = new Set(['recorded', 'duplicate', 'quarantined']);

/** Measures what callers send, and how it is answered. */
export function measureCallbacks(meter: Meter, signals: SignalBus, clock: Clock, sources: CallbackSources): void {
  const callbacks = meter.counter(
    'bridge_callbacks_total',
    'Callbacks answered. command: documented ones by name, else `other`, `none` without one. outcome: recorded, duplicate, quarantined, acknowledged, forwarded, refused, failed.',
    ['command', 'outcome'],
  );
  for (const command of sources.commands) {
    for (const outcome of [...OWN, 'refused', 'failed']) callbacks.inc({ command, outcome }, 0);
  }
  const ack = meter.histogram(
    'bridge_ack_seconds',
    'From a request to its answer. The service gives up after 2 s.',
    ACK_BUCKETS,
  );
  const last = meter.gauge(
    'bridge_last_callback_timestamp_seconds',
    'When the latest callback that becomes an event was answered OK, in seconds since 1970; 0 before the first since the start.',
  );
  signals.on('callback.answered', ({ command, outcome, ms }) => {
    callbacks.inc({ command, outcome });
    ack.observe(ms / 1000);
    if (OWN.has(outcome)) last.set(clock.now() / 1000);
  });

  const held = meter.gauge(
    'bridge_held_answers',
    'Answers held past the service’s time-out just now, because the journal cannot record.',
  );
  signals.on('callback.held', (now) => held.set(now.held));
  const ahead = meter.counter(
    'bridge_event_time_ahead_total',
    'Callbacks whose EventTime cannot be true: more than 2 s ahead of this clock, before 2014, or in seconds.',
  );
  signals.on('clock.skew', () => ahead.inc());
  const crashed = meter.counter('bridge_callback_crashes_total', 'Callbacks that met a fault of the bridge itself.');
  signals.on('callback.crashed', () => crashed.inc());
  const unforwarded = meter.counter(
    'bridge_unforwarded_total',
    'Callbacks to which the upstream handler (receiver.otherCommands.forwardTo) gave no answer in time.',
    ['command'],
  );
  signals.on('forward.failed', ({ command }) => unforwarded.inc({ command }));
  meter.readGauge(
    'bridge_quarantined',
    'Callbacks of a verified sender that could not be mapped and are kept as they came.',
    sources.quarantined,
  );
}

/** Measures the receiver's connections and its certificate. */
export function measureConnections(meter: Meter, signals: SignalBus): void {
  const crowded = meter.counter(
    'bridge_connections_crowded_total',
    'Connections beyond receiver.maxConnections. fate: evicted (an idle one made room), refused.',
    ['fate'],
  );
  for (const fate of ['evicted', 'refused']) crowded.inc({ fate }, 0);
  signals.on('connection.limit', ({ evicted }) => crowded.inc({ fate: evicted ? 'evicted' : 'refused' }));
  const handshakes = meter.counter(
    'bridge_tls_handshakes_failed_total',
    'TLS handshakes that callers did not complete.',
  );
  signals.on('tls.handshake-failed', () => handshakes.inc());
  const notAfter = meter.gauge(
    'bridge_certificate_not_after_timestamp_seconds',
    'When the certificate of receiver.tls expires, in seconds since 1970; 0 where the bridge has none.',
  );
  signals.on('tls.loaded', (loaded) => notAfter.set(loaded.notAfter / 1000));
  const unusable = meter.counter(
    'bridge_certificate_failures_total',
    'Renewed certificates that could not be used: the one before stays.',
  );
  signals.on('tls.failed', () => unusable.inc());
}
