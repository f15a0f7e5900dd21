import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Clock } from '../canon/clock.ts';
import type { SignalBus } from '../canon/signal.ts';

export interface MetricSources {
  /** The enabled ones; they come and go. */
  connectors(): readonly string[];
  head(): number;
  /** Events recorded and not delivered: beyond the cursor, or waiting for a retry. */
  lag(connector: string): number;
  deadLetters(connector: string): number;
  quarantined(): number;
  journalBytes(): number;
}

/** Everything on `GET /metrics`. Counters listen to signals; gauges are read when asked for. */
export function createMetrics(signals: SignalBus, clock: Clock, sources: MetricSources): Registry {
  const registers = [new Registry()];
  const registry = registers[0] as Registry;
  collectDefaultMetrics({ register: registry });

  const callbacks = new Counter({
    name: 'bridge_callbacks_total',
    help: 'Callbacks answered. outcome: recorded, duplicate, quarantined, acknowledged, refused, failed.',
    labelNames: ['command', 'outcome'],
    registers,
  });
  const ack = new Histogram({
    name: 'bridge_ack_seconds',
    help: 'From the request to its answer. The service gives up after 2 s.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 5],
    registers,
  });
  const ahead = new Counter({
    name: 'bridge_event_time_ahead_total',
    help: 'Callbacks whose EventTime lay more than 10 minutes ahead of this clock.',
    registers,
  });
  const byConnector = { labelNames: ['connector'] as const, registers };
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
  const endToEnd = new Histogram({
    name: 'bridge_end_to_end_seconds',
    help: 'From the receipt of a callback to its delivery.',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600],
    ...byConnector,
  });
  const lagSince = new Map<string, number>();

  new Gauge({
    name: 'bridge_journal_events',
    help: 'Events recorded since the journal was created (the seq of the newest).',
    registers,
    collect() {
      this.set(sources.head());
    },
  });
  new Gauge({
    name: 'bridge_journal_bytes',
    help: 'Size of the journal’s files.',
    registers,
    collect() {
      this.set(sources.journalBytes());
    },
  });
  new Gauge({
    name: 'bridge_delivery_lag_events',
    help: 'Events recorded and not delivered yet, those that wait for a retry included.',
    ...byConnector,
    collect() {
      this.reset();
      for (const connector of sources.connectors()) this.set({ connector }, sources.lag(connector));
    },
  });
  new Gauge({
    name: 'bridge_delivery_lag_seconds',
    help: 'For how long the connector has not been in step; 0 when it is.',
    ...byConnector,
    collect() {
      this.reset();
      for (const connector of sources.connectors()) {
        const since = lagSince.get(connector);
        this.set({ connector }, since === undefined ? 0 : (clock.now() - since) / 1000);
      }
    },
  });
  new Gauge({
    name: 'bridge_dead_letters',
    help: 'Events that the connector’s destination refused for good.',
    ...byConnector,
    collect() {
      this.reset();
      for (const connector of sources.connectors()) this.set({ connector }, sources.deadLetters(connector));
    },
  });

  new Gauge({
    name: 'bridge_quarantined',
    help: 'Callbacks of a verified sender that could not be mapped.',
    registers,
    collect() {
      this.set(sources.quarantined());
    },
  });

  const reconciles = new Counter({
    name: 'bridge_reconcile_runs_total',
    help: 'Runs of reconcile that recorded what they found. outcome: done, incomplete (some groups not read), stopped.',
    labelNames: ['outcome'],
    registers,
  });
  const reconciled = new Counter({
    name: 'bridge_reconcile_groups_total',
    help: 'Groups read. result: in_step, mended, gone, failed.',
    labelNames: ['result'],
    registers,
  });
  const reconcileSeconds = new Gauge({
    name: 'bridge_reconcile_duration_seconds',
    help: 'How long the latest run took, from its begin to its end.',
    registers,
  });
  const reconciledAt = new Gauge({
    name: 'bridge_reconcile_last_end_timestamp_seconds',
    help: 'When the latest run came to its end, in seconds since 1970; 0 before the first.',
    registers,
  });
  signals.on('reconcile.ended', ({ ms, dryRun, counts, stopped }) => {
    if (dryRun) return;
    reconciles.inc({ outcome: stopped !== undefined ? 'stopped' : counts.failed > 0 ? 'incomplete' : 'done' });
    const { inStep: in_step, mended, gone, failed } = counts;
    for (const [result, number] of Object.entries({ in_step, mended, gone, failed }))
      reconciled.inc({ result }, number);
    reconcileSeconds.set(ms / 1000);
    if (stopped === undefined) reconciledAt.set(clock.now() / 1000);
  });

  const reloads = new Counter({
    name: 'bridge_config_reloads_total',
    help: 'Configurations read anew. outcome: applied, refused.',
    labelNames: ['outcome'],
    registers,
  });
  const reloaded = new Gauge({
    name: 'bridge_config_last_reload_success',
    help: '1 when the configuration that was read last is in effect, 0 when it was refused.',
    registers,
  });
  reloaded.set(1);
  for (const outcome of ['applied', 'refused']) reloads.inc({ outcome }, 0);
  signals.on('config.refused', () => {
    reloads.inc({ outcome: 'refused' });
    reloaded.set(0);
  });
  signals.on('config.reloaded', ({ added, removed }) => {
    reloads.inc({ outcome: 'applied' });
    reloaded.set(1);
    for (const connector of removed) {
      for (const series of [delivered, retries, endToEnd]) series.remove({ connector });
      lagSince.delete(connector);
    }
    for (const connector of added) appear(connector);
  });

  const appear = (connector: string): void => {
    delivered.inc({ connector }, 0);
    retries.inc({ connector }, 0);
    if (sources.lag(connector) > 0) lagSince.set(connector, clock.now());
  };
  for (const connector of sources.connectors()) appear(connector);
  signals.on('callback.answered', ({ command, outcome, ms }) => {
    callbacks.inc({ command, outcome });
    ack.observe(ms / 1000);
  });
  signals.on('callback.clock-ahead', () => ahead.inc());
  signals.on('journal.committed', ({ events }) => {
    if (events === 0) return;
    for (const connector of sources.connectors()) if (!lagSince.has(connector)) lagSince.set(connector, clock.now());
  });
  signals.on('lane.delivered', ({ connector, delivered: some, superseded, receivedAt }) => {
    delivered.inc({ connector }, some + superseded);
    const now = clock.now();
    for (const at of receivedAt) endToEnd.observe({ connector }, Math.max(0, now - at) / 1000);
  });
  signals.on('lane.cursor', ({ connector, cursor, receivedAt }) => {
    if (cursor >= sources.head()) lagSince.delete(connector);
    else if (receivedAt !== undefined) lagSince.set(connector, receivedAt);
  });
  signals.on('lane.unreachable', ({ connector }) => retries.inc({ connector }));
  signals.on('lane.retry', ({ connector }) => retries.inc({ connector }));
  return registry;
}
