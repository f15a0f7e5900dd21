import { html } from 'hono/html';
import { type CallbackOutcome, OUTCOMES } from '../../model/signal.ts';
import { figure, latency, rate } from '../../model/text.ts';
import type { Bucket } from '../../telemetry/stats.ts';
import { empty, table } from './table.ts';
import { type Html, stamp } from './text.ts';
import type { Texts } from './texts/index.ts';

/*
 * Two plots of the last hour as SVG. Shapes stretch with the page (an inner svg without an aspect ratio), texts do not (the
 * outer one has pixels and per cent). Each column has a title for the pointer; a table says the same to everybody else.
 */

const HEIGHT = 168;
/** The y of the axis, below which are the times. */
const FLOOR = 148;
const QUARTER_MS = 900_000;
/** The service gives up after this. */
const LIMIT_MS = 2_000;

const SERIES = [
  { name: 'recorded', outcomes: ['recorded'] },
  { name: 'duplicate', outcomes: ['duplicate'] },
  { name: 'passed-on', outcomes: ['acknowledged', 'forwarded'] },
  { name: 'quarantined', outcomes: ['quarantined'] },
  { name: 'refused', outcomes: ['refused'] },
  { name: 'failed', outcomes: ['failed'] },
] as const satisfies readonly { name: string; outcomes: readonly CallbackOutcome[] }[];

type Series = (typeof SERIES)[number];

const sum = <Value>(values: readonly Value[], of: (value: Value) => number): number =>
  values.reduce((total, value) => total + of(value), 0);
const countOf = ({ outcomes }: Series, { counts }: Bucket): number => sum(outcomes, (outcome) => counts[outcome]);
const round = (number: number): number => Math.round(number * 100) / 100;

interface Plot {
  readonly id: string;
  readonly title: string;
  /** For people who do not see the plot. */
  readonly summary: string;
  readonly legend: readonly { readonly mark: string; readonly words: string; readonly value: string }[];
  readonly rules: readonly { readonly y: number; readonly words: string }[];
  /** Measured in columns across, and in pixels down. */
  readonly shapes: Html;
  readonly labels?: Html;
  titleOf(bucket: Bucket): string;
}

export function ratePlot(t: Texts, buckets: readonly Bucket[]): Html {
  const highest = Math.max(0, ...buckets.map(({ total, seconds }) => total / seconds));
  const top = niceTop(highest);
  const y = (perSecond: number): number => round(FLOOR - (perSecond / top) * (FLOOR - 8));
  const totals = SERIES.map((series) => ({ series, total: sum(buckets, (bucket) => countOf(series, bucket)) }));
  const shown = totals.filter(({ series, total }) => series.name === 'recorded' || total > 0);
  const column = (bucket: Bucket, index: number): Html[] => {
    let stacked = 0;
    return shown.flatMap(({ series }) => {
      const count = countOf(series, bucket);
      if (count === 0) return [];
      const from = y(stacked / bucket.seconds);
      stacked += count;
      const to = y(stacked / bucket.seconds);
      return html`<rect class="${series.name}" x="${index + 0.06}" width="0.88" y="${to}" height="${round(Math.max(0.6, from - to))}"/>`;
    });
  };
  const parts = shown.map(({ series, total }) => t.plots.part(total, t.plots.outcomes[series.name]));
  return plot(t, buckets, {
    id: 'plot-rate',
    title: t.plots.rate,
    summary: t.plots.rateSummary(
      sum(buckets, ({ total }) => total),
      parts,
      highest,
    ),
    legend: shown.map(({ series, total }) => ({
      mark: series.name,
      words: t.plots.outcomes[series.name],
      value: figure(total),
    })),
    rules: [top, top / 2, 0].map((at) => ({ y: y(at), words: at === 0 ? '0' : `${rate(at)}/s` })),
    shapes: html`${buckets.map(column)}`,
    titleOf({ counts, total, seconds }) {
      const each = OUTCOMES.filter((outcome) => counts[outcome] > 0);
      const parts = each.map((outcome) => t.plots.part(counts[outcome], t.plots.outcomes[outcome]));
      return total === 0 ? t.plots.none : t.plots.column(total / seconds, parts);
    },
  });
}

/** The time until the answer, by median and 99th percentile, on a logarithmic scale beyond the service's limit. */
export function latencyPlot(t: Texts, buckets: readonly Bucket[]): Html {
  const [low, high] = [0.1, 5_000];
  const y = (ms: number): number => {
    const share = Math.log10(Math.min(Math.max(ms, low), high) / low) / Math.log10(high / low);
    return round(FLOOR - share * (FLOOR - 8));
  };
  // A bucket without callbacks interrupts the line.
  const line = (quantile: 'p50' | 'p99'): Html => {
    const steps = buckets.map(({ [quantile]: ms }, index) => {
      if (ms === undefined) return '';
      return `${buckets[index - 1]?.[quantile] === undefined ? `M${index} ` : 'V'}${y(ms)}h1`;
    });
    return path(quantile, steps.join(''), quantile === 'p50' ? 2.5 : 1.5);
  };
  const answered = buckets.filter(({ total }) => total > 0);
  const worst = Math.max(0, ...answered.map(({ p99 = 0 }) => p99));
  const typical = answered.map(({ p50 = 0 }) => p50).sort((a, b) => a - b)[answered.length >> 1] ?? 0;
  const shown = (ms: number): string => (answered.length === 0 ? '–' : latency(ms));
  return plot(t, buckets, {
    id: 'plot-latency',
    title: t.plots.latency,
    summary: answered.length === 0 ? t.plots.nothing : t.plots.latencySummary(typical, worst),
    legend: [
      { mark: 'p50', words: 'p50', value: shown(typical) },
      { mark: 'p99', words: t.plots.worst, value: shown(worst) },
    ],
    rules: [1, 10, 100].map((ms) => ({ y: y(ms), words: `${ms} ms` })),
    shapes: html`${path('limit', `M0 ${y(LIMIT_MS)}H${buckets.length}`, 1.5, '5 4')}${line('p50')}${line('p99')}`,
    labels: html`<text class="bad" x="100%" y="${y(LIMIT_MS) - 4}" text-anchor="end">${t.plots.limit}</text>`,
    titleOf: ({ p50, p99 }) =>
      p50 === undefined || p99 === undefined ? t.plots.none : `p50 ${latency(p50)}, p99 ${latency(p99)}`,
  });
}

/** A line, whose width does not stretch with the shapes. */
function path(name: string, d: string, width: number, dashes = 'none'): Html {
  return html`<path class="${name}" d="${d}" fill="none" stroke="currentColor" stroke-width="${width}" stroke-dasharray="${dashes}" vector-effect="non-scaling-stroke"/>`;
}

export function hourTable(t: Texts, buckets: readonly Bucket[]): Html {
  if (buckets.every(({ total }) => total === 0)) return empty(t.plots.nothing);
  const quantile = (ms: number | undefined): string => (ms === undefined ? '–' : latency(ms));
  const heads = [...SERIES.map(({ name }) => t.plots.outcomes[name]), 'p50', 'p99'];
  return table(
    t.plots.table,
    [{ head: t.plots.from }, ...heads.map((head) => ({ head, kind: 'figure' as const }))],
    buckets.toReversed().map((bucket) => ({
      id: `hour-${bucket.from}`,
      cells: [
        timeOf(t, bucket.from),
        ...SERIES.map((series) => figure(countOf(series, bucket))),
        quantile(bucket.p50),
        quantile(bucket.p99),
      ],
    })),
  );
}

function plot(
  t: Texts,
  buckets: readonly Bucket[],
  { id, title, summary, legend, rules, shapes, labels, titleOf }: Plot,
): Html {
  const begin = buckets[0]?.from ?? 0;
  const length = sum(buckets, ({ seconds }) => seconds * 1_000);
  const quarters = Array.from({ length: 5 }, (_, index) => (Math.ceil(begin / QUARTER_MS) + index) * QUARTER_MS)
    .map((at) => ({ x: round(((at - begin) / length) * 100), words: timeOf(t, at) }))
    // Elsewhere the words would be cut off, or overlap those at the end.
    .filter(({ x }) => x > 3 && x < 91);
  const hover = (bucket: Bucket, index: number): Html =>
    html`<rect class="hit" x="${index}" width="1" y="0" height="${FLOOR}"><title>${t.plots.hover(
      timeOf(t, bucket.from),
      timeOf(t, bucket.from + bucket.seconds * 1_000),
      titleOf(bucket),
    )}</title></rect>`;
  return html`<figure class="panel" id="${id}">
<figcaption class="row spread"><h3>${title}</h3><ul class="legend row small">${legend.map(
    ({ mark, words, value }) =>
      html`<li><span class="${mark}" aria-hidden="true">■</span> <span class="quiet">${words}</span> <b>${value}</b></li>`,
  )}</ul></figcaption>
<div class="drawing quiet" role="img" aria-label="${summary}">
<svg width="50" height="${HEIGHT}" fill="currentColor" font-size="11">${rules.map(
    ({ y, words }) => html`<text x="44" y="${y + 4}" text-anchor="end">${words}</text>`,
  )}</svg>
<svg height="${HEIGHT}" fill="currentColor" font-size="11">
${rules.map(({ y }) => html`<line x1="0" x2="100%" y1="${y}" y2="${y}"/>`)}
<line x1="0" x2="100%" y1="${FLOOR}" y2="${FLOOR}"/>
<svg width="100%" height="${HEIGHT}" viewBox="0 0 ${buckets.length} ${HEIGHT}" preserveAspectRatio="none">${shapes}
${buckets.map(hover)}</svg>
${labels}
${quarters.map(
  ({ x, words }) => html`<line x1="${x}%" x2="${x}%" y1="${FLOOR}" y2="${FLOOR + 4}"/>
<text x="${x}%" y="${HEIGHT - 3}" text-anchor="middle">${words}</text>`,
)}
<text x="100%" y="${HEIGHT - 3}" text-anchor="end">${t.plots.now}</text>
</svg></div></figure>`;
}

/** 21:17, with seconds unless they are zero. */
function timeOf(t: Texts, ms: number): string {
  return stamp(t, ms).slice(11).replace(/:00$/, '');
}

/** Returns the next round number, whose half is round as well. */
function niceTop(most: number): number {
  const step = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 3, 4, 6, 8, 10].map((times) => times * step).find((top) => top >= most) ?? most;
}
