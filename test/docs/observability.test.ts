/** The dashboard, the alert rules and the list of metrics speak of what is really on /metrics. */

import { readFileSync, writeFileSync } from 'node:fs';
import { parser } from '@prometheus-io/lezer-promql';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { metricTable } from '../../scripts/metric-table.ts';
import { systemClock } from '../../src/model/clock.ts';
import { createSignals } from '../../src/model/signal.ts';
import { judge } from '../../src/model/verdict.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';

const registry = createMetrics(createSignals(), systemClock, {
  version: '1.2.3',
  commands: [],
  status: () => ({
    verdict: judge({ tone: 'green', says: '' }, [], 0),
    journal: { head: 0, bytes: 0, quarantined: 0 },
    connectors: [{ name: 'index', state: { kind: 'running' }, lag: 0, lagSeconds: 0, deadLetters: 0 }],
  }),
  clockDisagreement: () => 0,
  journalMaxBytes: 1,
  setAside: false,
  reconcile: () => ({ every: 0 }),
});

/** Names of series with the labels each may have. */
const known = new Map<string, ReadonlySet<string>>([['up', new Set()]]);
for (const metric of registry.getMetricsAsArray()) {
  const labels = 'labelNames' in metric ? (metric.labelNames as string[]) : [];
  known.set(metric.name, new Set(labels));
  // By its text, so that it does not matter how the library numbers its types.
  if (!(await registry.getSingleMetricAsString(metric.name)).includes(`# TYPE ${metric.name} histogram`)) continue;
  known.set(`${metric.name}_bucket`, new Set([...labels, 'le']));
  known.set(`${metric.name}_count`, new Set(labels));
  known.set(`${metric.name}_sum`, new Set(labels));
}
/** Prometheus adds these to what it scrapes. */
const ADDED = ['job', 'instance'];

/** Returns the mistakes of an expression: in its syntax, a metric that does not exist, a label that it does not have. */
function problems(expression: string): string[] {
  const text = expression.replaceAll('$__rate_interval', '5m');
  const found: string[] = [];
  const named: string[] = [];
  const labels: string[] = [];
  parser.parse(text).iterate({
    enter({ type, from, to, node }) {
      const part = text.slice(from, to);
      if (type.isError) found.push(`syntax at ${from}`);
      if (type.name === 'Identifier' && node.parent?.name === 'VectorSelector') {
        named.push(part);
        if (!known.has(part)) found.push(`no metric ${part}`);
      }
      if (type.name !== 'LabelName') return;
      const selector = enclosing(node, 'VectorSelector');
      if (selector === undefined) {
        labels.push(part);
        return;
      }
      const metric = /^\w+/.exec(text.slice(selector.from))?.[0] ?? '';
      if (!ADDED.includes(part) && !known.get(metric)?.has(part)) found.push(`${metric} has no label ${part}`);
    },
  });
  if (named.length === 0) found.push('no metric at all');
  for (const label of labels) {
    if (ADDED.includes(label) || named.some((metric) => known.get(metric)?.has(label))) continue;
    found.push(`no metric has the label ${label}`);
  }
  return found;
}

interface Node {
  readonly name: string;
  readonly from: number;
  readonly parent: Node | null;
}

function enclosing(node: Node, name: string): Node | undefined {
  for (let at: Node | null = node; at !== null; at = at.parent) if (at.name === name) return at;
  return undefined;
}

describe('an expression is held against /metrics', () => {
  test.each([
    ['rate(bridge_callback_total[5m])', 'no metric bridge_callback_total'],
    ['sum by (connectr) (bridge_connector_up)', 'no metric has the label connectr'],
    ['bridge_connector_up{outcome="x"}', 'bridge_connector_up has no label outcome'],
    ['bridge_recordable == ', 'syntax at 21'],
    ['histogram_quantile(0.9, sum by (le, instance) (rate(bridge_ack_seconds_bucket[5m])))', undefined],
  ])('%s', (expression, problem) => {
    expect(problems(expression)).toEqual(problem === undefined ? [] : [problem]);
  });
});

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
}

describe('alert rules', () => {
  const { groups } = parse(readFileSync('observability/alerts.yaml', 'utf8')) as {
    groups: { readonly rules: readonly Rule[] }[];
  };
  test.each(groups.flatMap(({ rules }) => rules))('$alert', ({ expr, labels }) => {
    expect(problems(expr)).toEqual([]);
    expect(['critical', 'warning', 'info']).toContain(labels.severity);
  });
});

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string; readonly thresholds?: unknown } };
  readonly options?: { readonly yAxis?: { readonly unit: string } };
}

describe('the dashboard', () => {
  const dashboard = JSON.parse(readFileSync('observability/grafana-dashboard.json', 'utf8')) as {
    readonly uid: string;
    readonly schemaVersion: number;
    readonly panels: readonly Panel[];
    readonly annotations: { readonly list: readonly { readonly expr?: string }[] };
    readonly links: readonly unknown[];
    readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  };
  const rows = dashboard.panels.filter(({ type }) => type === 'row').map(({ title }) => title);
  const panels = dashboard.panels.filter(({ type }) => type !== 'row');
  const ofAnyDatasource = { uid: expect.stringMatching(/^\$\{datasource\}$/) };

  test('can be imported anywhere: an id of its own, the data source a variable', () => {
    expect(dashboard.uid).toBe('group-sync-bridge');
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(36);
    expect(dashboard.templating.list.map(({ name, type }) => [name, type])).toEqual([
      ['datasource', 'datasource'],
      ['instance', 'query'],
      ['connector', 'query'],
      ['console', 'textbox'],
    ]);
    expect(dashboard.links).toMatchObject([{ title: 'Console', url: expect.stringContaining('{console}') }]);
    expect(rows).toEqual([
      'Callbacks and answers',
      'Journal',
      'Connectors',
      'Trouble',
      'Copies',
      'Reconcile',
      'Process',
    ]);
    for (const { expr } of dashboard.annotations.list) if (expr !== undefined) expect(problems(expr)).toEqual([]);
  });

  test('panels have ids of their own and do not overlap', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const cells = dashboard.panels.flatMap(({ gridPos: { h, w, x, y } }) =>
      Array.from({ length: h * w }, (_, n) => `${x + (n % w)},${y + Math.floor(n / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(Math.max(...dashboard.panels.map(({ gridPos: { x, w } }) => x + w))).toBe(24);
  });

  test.each(panels)('$title', ({ description, datasource, targets, fieldConfig, options }) => {
    expect(description).toMatch(/\.$/);
    expect(fieldConfig?.defaults.unit ?? options?.yAxis?.unit).toMatch(/\w/);
    expect(fieldConfig?.defaults.thresholds).toBeDefined();
    expect(datasource).toMatchObject(ofAnyDatasource);
    expect(targets?.length).toBeGreaterThan(0);
    for (const target of targets ?? []) {
      expect(target.datasource).toMatchObject(ofAnyDatasource);
      expect(problems(target.expr)).toEqual([]);
      expect(target.expr).toContain('instance=~"$instance"');
    }
  });
});

test('observability/README.md lists every metric (UPDATE_DOCS=1 npm test -- test/docs/observability.test.ts writes it)', () => {
  const file = 'observability/README.md';
  const text = readFileSync(file, 'utf8');
  const wanted = text.replace(
    /(<!-- metrics -->\n)[\s\S]*?(<!-- \/metrics -->)/,
    (_, start, end) => `${start}\n${metricTable(registry)}\n\n${end}`,
  );
  if (process.env.UPDATE_DOCS === '1') writeFileSync(file, wanted);
  expect(text).toContain('<!-- metrics -->');
  expect(readFileSync(file, 'utf8')).toBe(wanted);
});
