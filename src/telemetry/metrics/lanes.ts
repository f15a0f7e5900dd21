import type { Clock } from '../../model/clock.ts';
import type { LaneState, SignalBus } from '../../model/signal.ts';
import type { Meter } from './meter.ts';

export interface LaneSources {
  /** The names of the enabled connectors; they may come and go. */
  connectors(): readonly string[];
  /** Events recorded and not delivered yet, including those that wait for a retry. */
  lag(connector: string): number;
  /** When the oldest of them was received, in milliseconds since 1970; undefined when there is none. */
  openSince(connector: string): number | undefined;
  deadLetters(connector: string): number;
}

const END_TO_END_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600];
const DELIVERY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const BY_CONNECTOR = ['connector'] as const;

/** Measures what becomes of events at each connector. */
export function measureLanes(meter: Meter, signals: SignalBus, clock: Clock, sources: LaneSources): void {
  gaugeLanes(meter, signals, clock, sources);
  const delivered = meter.counter('bridge_delivered_total', 'Events delivered or superseded.', BY_CONNECTOR);
  const retries = meter.counter(
    'bridge_delivery_retries_total',
    'Deliveries that have to be tried again: of one event, or of a batch while the destination cannot be had.',
    BY_CONNECTOR,
  );
  const died = meter.counter(
    'bridge_dead_lettered_total',
    'Events that became dead letters, those since retried or discarded included.',
    BY_CONNECTOR,
  );
  const unrestored = meter.counter(
    'bridge_restore_failures_total',
    'Groups that a restore (replay --from groups, reconcile --against) could not bring to the destination.',
    BY_CONNECTOR,
  );
  const endToEnd = meter.histogram(
    'bridge_end_to_end_seconds',
    'From the receipt of a callback to its delivery.',
    END_TO_END_BUCKETS,
    BY_CONNECTOR,
  );
  const deliveries = meter.histogram(
    'bridge_delivery_seconds',
    'How long the destination took for a batch.',
    DELIVERY_BUCKETS,
    BY_CONNECTOR,
  );
  signals.on('lane.delivered', ({ connector, delivered: some, superseded, ms, receivedAt }) => {
    delivered.inc({ connector }, some + superseded);
    deliveries.observe({ connector }, ms / 1000);
    const now = clock.now();
    const series = endToEnd.labels({ connector });
    for (const at of receivedAt) series.observe(Math.max(0, now - at) / 1000);
  });
  signals.on('lane.unreachable', ({ connector }) => retries.inc({ connector }));
  signals.on('lane.retry', ({ connector }) => retries.inc({ connector }));
  signals.on('lane.dead-letter', ({ connector }) => died.inc({ connector }));
  signals.on('lane.resync-failed', ({ connector }) => unrestored.inc({ connector }));

  // An increase needs a zero to begin with; connectors that come later get theirs when they say what they do.
  const counters = [delivered, retries, died, unrestored];
  const begin = (connector: string): void => {
    for (const counter of counters) counter.inc({ connector }, 0);
  };
  for (const connector of sources.connectors()) begin(connector);
  signals.on('lane.state', ({ connector }) => begin(connector));
  signals.on('config.reloaded', ({ added, removed }) => {
    for (const connector of removed) {
      for (const metric of [...counters, endToEnd, deliveries]) metric.remove({ connector });
    }
    for (const connector of added) begin(connector);
  });
}

function gaugeLanes(meter: Meter, signals: SignalBus, clock: Clock, sources: LaneSources): void {
  const gauge = (name: string, help: string, read: (connector: string) => number): void =>
    meter.connectorGauge(name, help, sources.connectors, read);
  const states = new Map<string, LaneState['kind']>();
  gauge(
    'bridge_connector_up',
    '1 while the destination takes what there is; 0 while it cannot be had, or the connector is paused.',
    (connector) => Number(states.get(connector) === 'running'),
  );
  gauge('bridge_connector_paused', '1 while a person has paused the connector.', (connector) =>
    Number(states.get(connector) === 'paused'),
  );
  gauge(
    'bridge_delivery_lag_events',
    'Events recorded and not delivered yet, those that wait for a retry included.',
    sources.lag,
  );
  gauge(
    'bridge_delivery_lag_seconds',
    'For how long the connector has not been in step; 0 when it is.',
    (connector) => {
      const since = sources.openSince(connector);
      return since === undefined ? 0 : Math.max(0, clock.now() - since) / 1000;
    },
  );
  gauge('bridge_dead_letters', 'Events that the connector’s destination refused for good.', sources.deadLetters);
  const restarts = meter.counter(
    'bridge_relay_restarts_total',
    'Times the relay’s thread ended by itself and was started again.',
  );

  signals.on('lane.state', ({ connector, state }) => states.set(connector, state.kind));
  signals.on('config.reloaded', ({ removed }) => {
    for (const connector of removed) states.delete(connector);
  });
  signals.on('relay.crashed', () => {
    states.clear();
    restarts.inc();
  });
}
