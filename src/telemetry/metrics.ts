import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Clock } from '../model/clock.ts';
import type { SignalBus } from '../model/signal.ts';
import { measureCallbacks } from './metrics/callbacks.ts';
import { measureJournal } from './metrics/journal.ts';
import { measureLanes } from './metrics/lanes.ts';
import { measureReconcile } from './metrics/reconcile.ts';
import { measureReloads } from './metrics/reload.ts';
import type { MetricSources } from './metrics/sources.ts';

/** Everything on `GET /metrics`. Counters listen to signals; gauges are read when asked for. */
export function createMetrics(signals: SignalBus, clock: Clock, sources: MetricSources): Registry {
  const registry = createRegistry(sources.version);
  const ports = { registry, signals, clock, sources };
  measureCallbacks(ports);
  measureJournal(ports);
  measureLanes(ports);
  measureReconcile(ports);
  measureReloads(ports);
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** Of a worker: the same names, of what it has, which is connectors. */
export function createWorkerMetrics(
  signals: SignalBus,
  clock: Clock,
  sources: LaneSources & { version: string },
): Registry {
  const registry = createRegistry(sources.version);
  // Its cursors are counted from the end of the topic.
  measureLanes({ registry, signals, clock, sources: { ...sources, head: () => 0 } });
  collectDefaultMetrics({ register: registry });
  return registry;
}

function createRegistry(version: string): Registry {
  const registry = new Registry();
  new Gauge({
    name: 'bridge_info',
    help: '1, with the version of the bridge as a label.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version }, 1);
  return registry;
}

type LaneSources = Pick<MetricSources, 'connectors' | 'lag' | 'deadLetters'>;
