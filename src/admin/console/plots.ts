import { html } from 'hono/html';
import { figure, latency, plural, rate } from '../../model/text.ts';
import { OUTCOMES, type Stretch } from '../../telemetry/hour.ts';
import { empty, table } from './table.ts';
import { type Html, stamp } from './text.ts';

/*
 * Two plots of the last hour as SVG. Shapes stretch with the page (an inner svg without an aspect ratio), texts do not (the outer
 * one is measured in pixels and per cent). Each column has a title for the pointer; a table says the same for everybody else.
 */

const HEIGHT = 168;
/** Room for the hours below. */
const FLOOR = 148;
const QUARTER_MS = 900_000;
/** The service gives up after this. */
const LIMIT_MS = 2_000;

const SERIES = [
  { name: 'recorded', of: ['recorded'] },
  { name: 'duplicate', of: ['duplicate'] },
  { name: 'passed on', of: ['acknowledged', 'forwarded'] },
  { name: 'quarantined', of: ['quarantined'] },
  { name: 'refused', of: ['refused'] },
  { name: 'failed', of: ['failed'] },
] as const satisfies readonly { name: string; of: readonly (typeof OUTCOMES)[number][] }[];

type Series = (typeof SERIES)[number];

const countOf = ({ of }: Series, { counts }: Stretch): number => of.reduce((sum, outcome) => sum + counts[outcome], 0);
const classOf = ({ name }: Series): string => `series-${name.replace(' ', '-')}`;

/** Callbacks a second, by what became of them. */
export function ratePlot(stretches: readonly Stretch[]): Html {
  const rates = stretches.map(({ total, seconds }) => total / seconds);
  const top = niceTop(Math.max(...rates, 0));
  const y = (perSecond: number): number => round(FLOOR - (perSecond / top) * (FLOOR - 8));
  const there = SERIES.filter((series) => series.name === 'recorded' || sumOf(series, stretches) > 0);
  const bars = stretches.map((stretch, index) => {
    let below = 0;
    return there.map((series) => {
      const count = countOf(series, stretch);
      if (count === 0) return '';
      const from = y(below / stretch.seconds);
      below += count;
      const to = y(below / stretch.seconds);
      return html`<rect class="${classOf(series)}" x="${index + 0.06}" width="0.88" y="${to}" height="${round(Math.max(0.6, from - to))}"/>`;
    });
  });
  const total = stretches.reduce((sum, stretch) => sum + stretch.total, 0);
  const parts = there.map((series) => `${figure(sumOf(series, stretches))} ${series.name}`).join(', ');
  const summary = `${plural(total, 'callback')} in the last hour: ${parts}. At most ${rate(Math.max(...rates, 0))} a second.`;
  return html`<figure class="plot" id="plot-rate">
<figcaption><h3>Callbacks a second</h3>${legend(
    there.map((series) => ({
      mark: html`<i class="swatch ${classOf(series)}"></i>`,
      words: series.name,
      figure: figure(sumOf(series, stretches)),
    })),
  )}</figcaption>
${drawing(
  summary,
  stretches,
  [top, top / 2].map((at) => ({ y: y(at), words: `${rate(at)}/s` })),
  html`${bars}`,
  ({ counts, total: all, seconds }) =>
    all === 0
      ? 'no callbacks'
      : `${rate(all / seconds)}/s: ${OUTCOMES.filter((outcome) => counts[outcome] > 0)
          .map((outcome) => `${figure(counts[outcome])} ${outcome}`)
          .join(', ')}`,
)}</figure>`;
}

/** Time to the answer: the median and the slowest of a hundred, on a logarithmic scale up to beyond the service's limit. */
export function latencyPlot(stretches: readonly Stretch[]): Html {
  const [low, high] = [0.1, 5_000];
  const y = (ms: number): number => {
    const share = Math.log10(Math.min(Math.max(ms, low), high) / low) / Math.log10(high / low);
    return round(FLOOR - share * (FLOOR - 8));
  };
  const line = (of: 'p50' | 'p99'): Html => {
    // A stretch without callbacks interrupts the line.
    const runs: { from: number; values: number[] }[] = [];
    stretches.forEach((stretch, index) => {
      const ms = stretch[of];
      const last = runs.at(-1);
      if (ms === undefined) return;
      if (last !== undefined && last.from + last.values.length === index) last.values.push(ms);
      else runs.push({ from: index, values: [ms] });
    });
    const path = runs
      .map(({ from, values }) => values.map((ms, at) => `${at === 0 ? `M${from} ${y(ms)}` : `V${y(ms)}`}h1`).join(''))
      .join('');
    return html`<path class="${of}" d="${path}"/>`;
  };
  const answered = stretches.filter(({ total }) => total > 0);
  const worst = Math.max(...answered.map(({ p99 }) => p99 ?? 0), 0);
  const typical = answered.map(({ p50 }) => p50 ?? 0).sort((a, b) => a - b)[Math.floor(answered.length / 2)] ?? 0;
  const summary =
    answered.length === 0
      ? 'Nothing was answered in the last hour.'
      : `Typically ${latency(typical)} (median), at worst ${latency(worst)} (99th percentile of half a minute); the service gives up after 2 s.`;
  return html`<figure class="plot" id="plot-latency">
<figcaption><h3>Time to the answer</h3>${legend([
    { mark: html`<i class="swatch p50"></i>`, words: 'p50', figure: answered.length === 0 ? '–' : latency(typical) },
    {
      mark: html`<i class="swatch p99"></i>`,
      words: 'p99, at worst',
      figure: answered.length === 0 ? '–' : latency(worst),
    },
  ])}</figcaption>
${drawing(
  summary,
  stretches,
  [1, 10, 100].map((at) => ({ y: y(at), words: latency(at).replace('.0', '') })),
  html`<path class="limit" d="M0 ${y(LIMIT_MS)}H${stretches.length}"/>${line('p50')}${line('p99')}`,
  ({ p50, p99 }) =>
    p50 === undefined || p99 === undefined ? 'no callbacks' : `p50 ${latency(p50)}, p99 ${latency(p99)}`,
  html`<text class="limit" x="100%" y="${y(LIMIT_MS) - 4}" text-anchor="end">2 s: the service gives up</text>`,
)}</figure>`;
}

/** The same in figures, five minutes a row. */
export function hourTable(stretches: readonly Stretch[]): Html {
  if (stretches.every(({ total }) => total === 0)) return empty('No callback was answered in the last hour.');
  return table(
    'Callbacks of the last hour, five minutes a row; newest first',
    [
      { head: 'From (UTC)' },
      ...SERIES.map(({ name }) => ({ head: name, kind: 'figure' as const })),
      { head: 'p50', kind: 'figure' },
      { head: 'p99', kind: 'figure' },
    ],
    stretches.toReversed().map((stretch) => ({
      id: `hour-${stretch.from}`,
      cells: [
        timeOf(stretch.from),
        ...SERIES.map((series) => figure(countOf(series, stretch))),
        stretch.p50 === undefined ? '–' : latency(stretch.p50),
        stretch.p99 === undefined ? '–' : latency(stretch.p99),
      ],
    })),
  );
}

function drawing(
  summary: string,
  stretches: readonly Stretch[],
  rules: readonly { y: number; words: string }[],
  shapes: Html,
  titleOf: (stretch: Stretch) => string,
  labels: Html | '' = '',
): Html {
  const count = stretches.length;
  const begin = stretches[0]?.from ?? 0;
  const span = stretches.reduce((sum, { seconds }) => sum + seconds * 1000, 0);
  const first = Math.ceil(begin / QUARTER_MS) * QUARTER_MS;
  const hours = [0, 1, 2, 3, 4]
    .map((quarter) => first + quarter * QUARTER_MS)
    .map((at) => ({ x: round(((at - begin) / span) * 100), words: timeOf(at) }))
    // Not where its words would be cut off, or lie on those of the end.
    .filter(({ x }) => x > 3 && x < 91);
  return html`<div class="drawing" role="img" aria-label="${summary}">
<svg class="scale" width="46" height="${HEIGHT}">${rules.map(
    ({ y, words }) => html`<text x="38" y="${y + 4}" text-anchor="end">${words}</text>`,
  )}<text x="38" y="${FLOOR + 4}" text-anchor="end">${rules.at(-1)?.words.endsWith('/s') && '0'}</text></svg>
<svg class="field" height="${HEIGHT}">
${rules.map(({ y }) => html`<line class="rule" x1="0" x2="100%" y1="${y}" y2="${y}"/>`)}
<line class="axis" x1="0" x2="100%" y1="${FLOOR}" y2="${FLOOR}"/>
${hours.map(({ x }) => html`<line class="axis" x1="${x}%" x2="${x}%" y1="${FLOOR}" y2="${FLOOR + 4}"/>`)}
<svg width="100%" height="${HEIGHT}" viewBox="0 0 ${count} ${HEIGHT}" preserveAspectRatio="none">${shapes}
${stretches.map(
  (stretch, index) =>
    html`<rect class="hit" x="${index}" width="1" y="0" height="${FLOOR}"><title>${timeOf(stretch.from)}–${timeOf(
      stretch.from + stretch.seconds * 1000,
    )} UTC: ${titleOf(stretch)}</title></rect>`,
)}</svg>
${labels}
${hours.map(({ x, words }) => html`<text x="${x}%" y="${HEIGHT - 3}" text-anchor="middle">${words}</text>`)}
<text x="100%" y="${HEIGHT - 3}" text-anchor="end">now</text>
</svg></div>`;
}

function legend(entries: readonly { mark: Html; words: string; figure: string }[]): Html {
  return html`<ul class="legend">${entries.map(
    ({ mark, words, figure: number }) => html`<li>${mark} ${words} <b>${number}</b></li>`,
  )}</ul>`;
}

function sumOf(series: Series, stretches: readonly Stretch[]): number {
  return stretches.reduce((sum, stretch) => sum + countOf(series, stretch), 0);
}

/** 21:17, with seconds where they are not zero. */
function timeOf(ms: number): string {
  const time = stamp(ms).slice(11);
  return time.endsWith(':00') ? time.slice(0, 5) : time;
}

/** The next round number, half of which is round as well. */
function niceTop(most: number): number {
  if (most <= 1) return 1;
  const step = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 3, 4, 6, 8, 10].map((times) => times * step).find((top) => top >= most) ?? most;
}

const round = (number: number): number => Math.round(number * 100) / 100;
