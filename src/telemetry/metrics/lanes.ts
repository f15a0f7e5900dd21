import { Counter, Gauge, Histogram } from 'prom-client';
import type { LaneState } from '../../model/signal.ts';
import type { MetricPorts, MetricSources } from './sources.ts';

/** What becomes of events at each connector. */
export function measureLanes({
  registry,
  signals,
  clock,
  sources,
}: Omit<MetricPorts, 'sources'> & {
  readonly sources: Pick<MetricSources, 'connectors' | 'head' | 'lag' | 'deadLetters'>;
}): void {
  const registers = [registry];
  const byConnector = { labelNames: ['connector'] as const, registers };
  /** A gauge with a value for each connector that is there now. */
  const gauge = (name: string, help: string, read: (connector: string) => number): void =>
    void new Gauge({
      name,
      help,
      ...byConnector,
      collect() {
        this.reset();
        for (const connector of sources.connectors()) this.set({ connector }, read(connector));
      },
    });

  const delivered = new Counter({
    name: 'bridge_delivered_total',
    help: 'Events delivered or superseded.',
    ...byConnector,
  });
  const retries = new Counter({
    name: 'bridge_delivery_retries_total',
    help: 'Deliveries that have to be tried again: of one event, or of a batch while the destination cannot be had.',
    ...byConnector,
  });
  const died = new Counter({
    name: 'bridge_dead_lettered_total',
    help: 'Events that became dead letters, those since retried or discarded included.',
    ...byConnector,
  });
  const endToEnd = new Histogram({
    name: 'bridge_end_to_end_seconds',
    help: 'From the receipt of a callback to its delivery.',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600],
    ...byConnector,
  });
  const deliveries = new Histogram({
    name: 'bridge_delivery_seconds',
    help: 'How long the destination took for a batch.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    ...byConnector,
  });
  const unrestored = new Counter({
    name: 'bridge_restore_failures_total',
    help: 'Groups that a restore (replay --from groups, reconcile --against) could not bring to the destination.',
    ...byConnector,
  });
  const restarts = new Counter({
    name: 'bridge_relay_restarts_total',
    help: 'Times the relay’s thread ended by itself and was started again.',
    registers,
  });

  const states = new Map<string, LaneState['kind']>();
  const lagSince = new Map<string, number>();
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
      const since = lagSince.get(connector);
      return since === undefined ? 0 : Math.max(0, clock.now() - since) / 1000;
    },
  );
  gauge('bridge_dead_letters', 'Events that the connector’s destination refused for good.', sources.deadLetters);

  // An increase needs a zero to begin with; connectors that come later get theirs when they say what they do.
  const begin = (connector: string): void => {
    for (const counter of [delivered, retries, died, unrestored]) counter.inc({ connector }, 0);
  };
  for (const connector of sources.connectors()) begin(connector);
  signals.on('lane.state', ({ connector, state }) => {
    states.set(connector, state.kind);
    begin(connector);
  });
  signals.on('config.reloaded', ({ added, removed }) => {
    for (const connector of removed) {
      for (const series of [delivered, retries, died, unrestored, endToEnd, deliveries]) series.remove({ connector });
      states.delete(connector);
      lagSince.delete(connector);
    }
    for (const connector of added) {
      begin(connector);
      // What is recorded already is owed to it from now on.
      if (sources.lag(connector) > 0) lagSince.set(connector, clock.now());
    }
  });
  signals.on('relay.crashed', () => {
    states.clear();
    restarts.inc();
  });
  signals.on('journal.committed', ({ events }) => {
    if (events === 0) return;
    const now = clock.now();
    for (const connector of sources.connectors()) if (!lagSince.has(connector)) lagSince.set(connector, now);
  });
  signals.on('lane.delivered', ({ connector, delivered: some, superseded, ms, receivedAt }) => {
    delivered.inc({ connector }, some + superseded);
    deliveries.observe({ connector }, ms / 1000);
    const now = clock.now();
    const own = endToEnd.labels({ connector });
    for (const at of receivedAt) own.observe(Math.max(0, now - at) / 1000);
  });
  signals.on('lane.cursor', ({ connector, cursor, receivedAt }) => {
    if (cursor >= sources.head()) lagSince.delete(connector);
    else if (receivedAt !== undefined) lagSince.set(connector, receivedAt);
  });
  signals.on('lane.unreachable', ({ connector }) => retries.inc({ connector }));
  signals.on('lane.retry', ({ connector }) => retries.inc({ connector }));
  signals.on('lane.dead-letter', ({ connector }) => died.inc({ connector }));
  signals.on('lane.resync-failed', ({ connector }) => unrestored.inc({ connector }));
}
