import { html } from 'hono/html';
import { opennessOf } from '../../config/listeners.ts';
import { figure, latency, rate } from '../../model/text.ts';
import type { Refusal } from '../../telemetry/refusals.ts';
import type { BridgeState } from '../contract.ts';
import { connectorList, meaning } from './connectors.ts';
import { eventList } from './events.ts';
import { button } from './forms.ts';
import { badge, icon, type Page, toned, verdictOf } from './layout.ts';
import { hourTable, latencyPlot, ratePlot } from './plots.ts';
import type { View } from './ports.ts';
import { empty } from './table.ts';
import { code, type Html, relative, shown } from './text.ts';
import type { Texts } from './texts/index.ts';

const RECENT_EVENTS = 12;
/** 120 columns are distinguishable even on a phone. */
const COLUMN_SECONDS = 30;
const ROW_SECONDS = 300;
/** The time between two snapshots. */
const PLOTS_EVERY_MS = 10_000;

export function overviewPage(ports: View): Page {
  return {
    title: ports.t.sections.overview,
    section: 'overview',
    parts: [
      { id: 'headline', render: () => headline(ports) },
      { id: 'refusals', render: () => refusals(ports) },
      { id: 'plots', every: PLOTS_EVERY_MS, render: () => plots(ports) },
      { id: 'connectors', render: () => connectorList(ports) },
      { id: 'stores', render: () => html`<div class="grid">${stores(ports)}</div>` },
      { id: 'recent', render: () => recent(ports) },
    ],
  };
}

async function headline(ports: View): Promise<Html> {
  const { t } = ports;
  const { warnings = [], receiver, connectors } = ports.status();
  const verdict = verdictOf(ports);
  const open = receiver !== '' && opennessOf(ports.settings()) !== undefined ? [t.overview.open] : [];
  const { total, seconds, p99 } = await ports.stats.current();
  const behind = Math.max(0, ...connectors.map(({ lag }) => lag));
  const down = connectors.filter(({ state }) => state.kind === 'waiting').length;
  return html`<h1 class="aside">${t.sections.overview}</h1>
${[...warnings, ...open].map((warning) => html`<p class="panel row" role="alert">${icon('warn')} ${shown(warning)}</p>`)}
<div class="panel row spread"><div class="stack">
<h2>${toned(verdict.recording)}</h2>${
    receiver === '' ? '' : html`<p class="quiet">${t.overview.receiver(code(receiver))}</p>`
  }<h2>${toned(verdict.copies)}</h2></div>
<dl class="figures row">
<div><dt>${t.overview.callbacks}</dt><dd><b>${rate(total / seconds)}</b> <span class="quiet">${t.overview.perSecond}</span></dd></div>
<div><dt>${t.overview.answered}</dt><dd><b>${p99 === undefined ? '–' : latency(p99)}</b> <span class="quiet">p99</span></dd></div>
<div><dt>${t.overview.mostBehind}</dt><dd><b>${figure(behind)}</b> <span class="quiet">${t.overview.events(behind)}</span></dd></div>
<div><dt>${t.connectors.title}</dt><dd>${
    down > 0 ? t.overview.unreachable(down, connectors.length) : t.overview.reachable(connectors.length)
  }</dd></div>
</dl></div>`;
}

/** How many reasons are shown; the metrics have all of them. */
const REASONS = 3;

function refusals(ports: View): Html {
  const { t } = ports;
  const found = ports.refusals().slice(0, REASONS);
  if (found.length === 0) return html``;
  const line = ({ count, fault, sender, at }: Refusal): Html =>
    html`<li>${t.overview.refusal(
      html`${figure(count)} × ${code(fault.code)}`,
      sender === undefined ? undefined : code(sender),
      relative(t, at, 'ago'),
    )}${meaning(t, fault.code)}<p lang="en">${shown(fault.message)}${fault.suggestion !== undefined && html` <span class="quiet" aria-hidden="true">→</span> ${shown(fault.suggestion)}`}</p></li>`;
  return html`<section class="panel" aria-labelledby="refusals-head"><h2 id="refusals-head">${t.overview.refusals}</h2>
<ul>${found.map(line)}</ul></section>`;
}

function plots({ stats, t }: View): Html {
  const columns = stats.hour(COLUMN_SECONDS);
  return html`<section aria-labelledby="hour-head"><h2 id="hour-head">${t.overview.hour}</h2>
<div class="grid">${ratePlot(t, columns)}${latencyPlot(t, columns)}</div>
<details id="hour-table"><summary class="quiet">${t.overview.figures}</summary>${hourTable(t, stats.hour(ROW_SECONDS))}</details></section>`;
}

function stores(ports: View): Html[] {
  const { t } = ports;
  const { journal, reconcile } = ports.status();
  const fill = ports.journal.journal.fill();
  return [
    store(
      'journal',
      t.overview.journal,
      html`<p>${t.overview.recorded(journal.head, journal.bytes)}</p>
<p><meter min="0" max="1" high="0.8" optimum="0" value="${fill.toFixed(4)}" aria-label="${t.overview.fill}"></meter> ${t.overview.used(percent(fill), ports.journal.maxBytes)}${fill > 0.8 && html` ${badge('warn', t.overview.prunedEarly)}`}</p>
<p class="quiet">${t.overview.kept(ports.settings().journal.keepDelivered / 1_000)} ${code(journal.file)}</p>`,
    ),
    store(
      'quarantine',
      t.sections.quarantine,
      html`<p>${
        journal.quarantined === 0
          ? t.quarantine.total(0)
          : html`<a class="alert" href="/quarantine">${t.connectors.toReview(journal.quarantined)}</a>`
      }</p><p class="quiet">${t.overview.quarantine}</p>`,
    ),
    store('reconcile', t.sections.reconcile, reconcileWords(t, reconcile)),
  ];
}

function store(key: string, name: string, content: Html): Html {
  const id = `${key}-head`;
  return html`<section class="panel" aria-labelledby="${id}"><h2 id="${id}">${name}</h2>${content}</section>`;
}

function reconcileWords(t: Texts, reconcile: BridgeState['reconcile']): Html {
  if (reconcile === undefined) {
    return html`<p class="quiet">${t.overview.reconcileOff} <a href="/reconcile">${t.overview.details}</a></p>`;
  }
  const { running, run } = reconcile;
  if (run === undefined) return html`<p>${t.reconcile.neverRan} <a href="/reconcile">${t.overview.details}</a></p>`;
  const ago = (at: number): Html => relative(t, at, 'ago');
  const { counts, total, dryRun, stopped, endedAt, startedAt } = run;
  return html`<p>${
    running
      ? html`${t.reconcile.states.running}${t.text.and(t.reconcile.progress(counts.read, total))}`
      : t.overview[stopped !== undefined ? 'stopped' : 'ended'](ago(endedAt ?? startedAt))
  }${dryRun && t.overview.dryRun}</p>
<p>${t.overview.result(dryRun, counts.mended, counts.inStep)}${counts.failed > 0 && t.connectors.failed(counts.failed)} <a href="/reconcile">${t.overview.details}</a></p>`;
}

function sample({ t, receiver, status }: View): Html | false {
  if (receiver.sampler() === undefined || status().journal.head > 0) return false;
  return html`<div class="row">${button('sample', {}, t.overview.sample)}<span class="quiet">${t.overview.sampleIs}</span></div>`;
}

function percent(share: number): string {
  const points = share * 100;
  return points > 0 && points < 0.1 ? '< 0.1%' : `${points.toFixed(points < 10 ? 1 : 0)}%`;
}

function recent(ports: View): Html {
  const { t } = ports;
  const entries = ports.journal.history.recent(RECENT_EVENTS);
  return html`<section aria-labelledby="recent-head"><div class="row spread"><h2 id="recent-head">${t.overview.recent}</h2><a href="/events">${t.events.all}</a></div>${
    entries.length === 0 ? html`${empty(t.overview.nothing)}${sample(ports)}` : eventList(ports, entries, '/events')
  }</section>`;
}
