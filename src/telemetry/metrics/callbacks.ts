import { Counter, Gauge, Histogram } from 'prom-client';
import { RECORDED_COMMANDS } from '../../model/command.ts';
import type { CallbackOutcome } from '../../model/signal.ts';
import type { MetricPorts } from './sources.ts';

/** Close to the limit of 2 s there is one just below it; those beyond it are answers that were held. */
const ACK_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 1.9, 2, 2.5, 5];

/** Outcomes that only the bridge's own commands have. */
const OWN: ReadonlySet<CallbackOutcome> = new Set(['recorded', 'duplicate', 'quarantined']);

/** What callers bring, and what they are answered. */
export function measureCallbacks({ registry, signals, clock, sources }: MetricPorts): void {
  const registers = [registry];
  const callbacks = new Counter({
    name: 'bridge_callbacks_total',
    help: 'Callbacks answered. command: documented ones by name, else `other`, `none` without one. outcome: recorded, duplicate, quarantined, acknowledged, forwarded, refused, failed.',
    labelNames: ['command', 'outcome'],
    registers,
  });
  const ack = new Histogram({
    name: 'bridge_ack_seconds',
    help: 'From a request to its answer. The service gives up after 2 s.',
    buckets: ACK_BUCKETS,
    registers,
  });
  const last = new Gauge({
    name: 'bridge_last_callback_timestamp_seconds',
    help: 'When the latest callback that becomes an event was answered OK, in seconds since 1970; 0 before the first since the start.',
    registers,
  });
  const held = new Gauge({
    name: 'bridge_held_answers',
    help: 'Answers held past the service’s time-out just now, because the journal cannot record.',
    registers,
  });
  const ahead = new Counter({
    name: 'bridge_event_time_ahead_total',
    help: 'Callbacks whose EventTime lay more than 10 minutes ahead of this clock.',
    registers,
  });
  const crashed = new Counter({
    name: 'bridge_callback_crashes_total',
    help: 'Callbacks that met a fault of the bridge itself.',
    registers,
  });
  const unforwarded = new Counter({
    name: 'bridge_unforwarded_total',
    help: 'Callbacks to which the handler behind the bridge (receiver.otherCommands.forwardTo) gave no answer in time.',
    labelNames: ['command'],
    registers,
  });
  const crowded = new Counter({
    name: 'bridge_connections_crowded_total',
    help: 'Connections beyond receiver.maxConnections. fate: evicted (an idle one made room), refused.',
    labelNames: ['fate'],
    registers,
  });
  const handshakes = new Counter({
    name: 'bridge_tls_handshakes_failed_total',
    help: 'TLS handshakes that callers did not complete.',
    registers,
  });
  const notAfter = new Gauge({
    name: 'bridge_certificate_not_after_timestamp_seconds',
    help: 'When the certificate of receiver.tls expires, in seconds since 1970; 0 where the bridge has none.',
    registers,
  });
  const unusable = new Counter({
    name: 'bridge_certificate_failures_total',
    help: 'Renewed certificates that could not be used: the one before stays.',
    registers,
  });
  new Gauge({
    name: 'bridge_quarantined',
    help: 'Callbacks of a verified sender that could not be mapped and are kept as they came.',
    registers,
    collect() {
      this.set(sources.quarantined());
    },
  });

  // An increase needs a zero to begin with.
  for (const fate of ['evicted', 'refused']) crowded.inc({ fate }, 0);
  for (const command of RECORDED_COMMANDS)
    for (const outcome of [...OWN, 'refused', 'failed'] as const) callbacks.inc({ command, outcome }, 0);
  signals.on('callback.answered', ({ command, outcome, ms }) => {
    callbacks.inc({ command, outcome });
    ack.observe(ms / 1000);
    if (OWN.has(outcome)) last.set(clock.now() / 1000);
  });
  signals.on('callback.held', (now) => held.set(now.held));
  signals.on('callback.clock-ahead', () => ahead.inc());
  signals.on('callback.crashed', () => crashed.inc());
  signals.on('callback.unforwarded', ({ command }) => unforwarded.inc({ command }));
  signals.on('connection.crowded', ({ evicted }) => crowded.inc({ fate: evicted ? 'evicted' : 'refused' }));
  signals.on('tls.handshake-failed', () => handshakes.inc());
  signals.on('tls.loaded', (loaded) => notAfter.set(loaded.notAfter / 1000));
  signals.on('tls.failed', () => unusable.inc());
}
