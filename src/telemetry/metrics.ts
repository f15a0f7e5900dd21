import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Clock } from '../model/clock.ts';
import type { SignalBus } from '../model/signal.ts';
import { type CallbackSources, measureCallbacks, measureConnections } from './metrics/callbacks.ts';
import { type JournalSources, measureJournal } from './metrics/journal.ts';
import { type LaneSources, measureLanes } from './metrics/lanes.ts';
import { createMeter, type Meter } from './metrics/meter.ts';
import { measureReconcile, type ReconcileSources } from './metrics/reconcile.ts';

/** The numbers that gauges read at each scrape. */
export interface MetricSources extends CallbackSources, JournalSources, LaneSources, ReconcileSources {
  readonly version: string;
}

/** Returns everything on `GET /metrics`. Counters listen to signals; gauges are read at each scrape. */
export function createMetrics(signals: SignalBus, clock: Clock, sources: MetricSources): Registry {
  return createRegistry(sources.version, (meter) => {
    measureCallbacks(meter, signals, clock, sources);
    measureConnections(meter, signals);
    measureJournal(meter, signals, sources);
    measureLanes(meter, signals, clock, sources);
    measureReconcile(meter, signals, sources);
    measureReloads(meter, signals);
  });
}

/** Returns the metrics of a worker: those of its connectors. */
export function createWorkerMetrics(
  signals: SignalBus,
  clock: Clock,
  sources: LaneSources & Pick<MetricSources, 'version'>,
): Registry {
  return createRegistry(sources.version, (meter) => measureLanes(meter, signals, clock, sources));
}

function createRegistry(version: string, measure: (meter: Meter) => void): Registry {
  const registry = new Registry();
  const info = { name: 'bridge_info', help: '1, with the version of the bridge as a label.' };
  new Gauge({ ...info, labelNames: ['version'], registers: [registry] }).set({ version }, 1);
  measure(createMeter(registry));
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** Measures how configurations are taken over by the running bridge. */
function measureReloads(meter: Meter, signals: SignalBus): void {
  const reloads = meter.counter('bridge_config_reloads_total', 'Configurations read anew. outcome: applied, refused.', [
    'outcome',
  ]);
  const success = meter.gauge(
    'bridge_config_last_reload_success',
    '1 while the configuration that was read last is in effect, 0 when it was refused.',
    1,
  );
  for (const outcome of ['applied', 'refused']) reloads.inc({ outcome }, 0);
  signals.on('config.reloaded', () => {
    reloads.inc({ outcome: 'applied' });
    success.set(1);
  });
  signals.on('config.refused', () => {
    reloads.inc({ outcome: 'refused' });
    success.set(0);
  });
}
