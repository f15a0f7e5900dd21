import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { SignalBus, SignalName, Signals } from '../model/signal.ts';
import type { Standing } from '../model/verdict.ts';

interface Scope {
  readonly registry: Registry;
  readonly signals: SignalBus;
  connectors(): readonly Standing[];
}

/** Registers a metric under its name; signals feed it, or it is read at each scrape. */
type Metric = (name: string, scope: Scope) => void;
export type Metrics = Readonly<Record<string, Metric>>;
type Feeds<Metric> = { readonly [Name in SignalName]?: (metric: Metric, payload: Signals[Name]) => unknown };

/** The labels, each with its known values, whose series begin at once: an increase can only be seen after a zero. */
type Labels = Readonly<Record<string, readonly string[]>>;
export const BY_CONNECTOR: Labels = { connector: [] };

/** `more` are further known values of the same labels. */
export const counter =
  (help: string, feeds: Feeds<Counter>, labels: Labels = {}, ...more: readonly Labels[]): Metric =>
  (name, scope) => {
    const metric = new Counter({ name, help, labelNames: Object.keys(labels), registers: [] });
    for (const series of [labels, ...more].flatMap(combine)) metric.inc(series, 0);
    feed(scope, metric, feeds);
    if (labels === BY_CONNECTOR) followConnectors(scope, metric);
  };

export const histogram =
  (help: string, buckets: number[], feeds: Feeds<Histogram>, labels: Labels = {}): Metric =>
  (name, scope) => {
    const metric = new Histogram({ name, help, buckets, labelNames: Object.keys(labels), registers: [] });
    feed(scope, metric, feeds);
    if (labels === BY_CONNECTOR) followConnectors(scope, metric);
  };

export const gauge =
  (help: string, feeds: Feeds<Gauge>, initial = 0): Metric =>
  (name, scope) => {
    const metric = new Gauge({ name, help, registers: [] });
    metric.set(initial);
    feed(scope, metric, feeds);
  };

/** Without a value at a scrape, the one before stays. */
export const read =
  (help: string, value: () => number | undefined): Metric =>
  (name, scope) => {
    const collect = (): void => {
      const now = value();
      if (now !== undefined) metric.set(now);
    };
    const metric = new Gauge({ name, help, registers: [], collect });
    feed(scope, metric, {});
  };

export const readEach =
  (help: string, value: (connector: Standing) => number | null | undefined): Metric =>
  (name, scope) => {
    const collect = (): void => {
      metric.reset();
      for (const connector of scope.connectors()) {
        const known = value(connector);
        if (typeof known === 'number') metric.set({ connector: connector.name }, known);
      }
    };
    const metric = new Gauge({ name, help, labelNames: ['connector'], registers: [], collect });
    feed(scope, metric, {});
  };

/** Returns the sum of a metric's series for each value of a label. */
export async function sumsOf(registry: Registry, name: string, label: string): Promise<Map<unknown, number>> {
  const values = (await registry.getSingleMetric(name)?.get())?.values ?? [];
  const byLabel = Map.groupBy(values, ({ labels }): unknown => labels[label as keyof typeof labels]);
  return new Map([...byLabel].map(([key, group]) => [key, group.reduce((sum, { value }) => sum + value, 0)]));
}

function combine(labels: Labels): Record<string, string>[] {
  return Object.entries(labels).reduce<Record<string, string>[]>(
    (series, [label, values]) => series.flatMap((one) => values.map((value) => ({ ...one, [label]: value }))),
    [{}],
  );
}

function feed<M extends Counter | Gauge | Histogram>({ registry, signals }: Scope, metric: M, feeds: Feeds<M>): void {
  registry.registerMetric(metric);
  const follow = <Name extends SignalName>(name: Name) => signals.on(name, (payload) => feeds[name]?.(metric, payload));
  for (const name of Object.keys(feeds)) follow(name as SignalName);
}

/** Drops the series of removed connectors, and begins those of counters at zero. */
function followConnectors({ signals, connectors }: Scope, metric: Counter | Histogram): void {
  const begin = (connector: string): void => {
    if (metric instanceof Counter) metric.inc({ connector }, 0);
  };
  for (const { name } of connectors()) begin(name);
  signals.on('lane.state', ({ connector }) => begin(connector));
  signals.on('config.reloaded', ({ added, removed }) => {
    for (const connector of removed) metric.remove({ connector });
    added.forEach(begin);
  });
}
