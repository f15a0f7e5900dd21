import { html } from 'hono/html';
import { figure, latency, plural, rate, size, span } from '../../model/text.ts';
import type { Refusal } from '../../telemetry/refusals.ts';
import type { BridgeState } from '../contract.ts';
import { connectorList } from './connectors.ts';
import { eventList } from './events.ts';
import { badge, icon, type Page, toned } from './layout.ts';
import { hourTable, latencyPlot, ratePlot } from './plots.ts';
import type { ConsolePorts } from './ports.ts';
import { empty } from './table.ts';
import { code, type Html, relative, shown } from './text.ts';

const RECENT_EVENTS = 12;
/** Half a minute a column: 120 of them can be told apart on a phone, too. */
const COLUMN_SECONDS = 30;
const ROW_SECONDS = 300;
/** The hour changes with each snapshot. */
const PLOTS_EVERY_MS = 10_000;

export function overviewPage(ports: ConsolePorts): Page {
  return {
    title: 'Overview',
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

async function headline(ports: ConsolePorts): Promise<Html> {
  const { verdict, warnings = [], receiver, connectors } = ports.status();
  const open = receiver === '' ? undefined : ports.openness();
  const { total, seconds, p99 } = await ports.stats.current();
  const behind = Math.max(0, ...connectors.map(({ lag }) => lag));
  const down = connectors.filter(({ state }) => state.kind === 'waiting').length;
  return html`<h1 class="aside">Overview</h1>
${[...warnings, ...(open === undefined ? [] : [open])].map((warning) => html`<p class="panel row" role="alert">${icon('warn')} ${shown(warning)}</p>`)}
<div class="panel row spread"><div class="stack">
<h2>${toned(verdict.recording)}</h2>${
    receiver === '' ? '' : html`<p class="quiet">at ${code(receiver)}</p>`
  }<h2>${toned(verdict.copies)}</h2></div>
<dl class="figures row">
<div><dt>Callbacks</dt><dd><b>${rate(total / seconds)}</b> <span class="quiet">a second</span></dd></div>
<div><dt>Answered within</dt><dd><b>${p99 === undefined ? '–' : latency(p99)}</b> <span class="quiet">p99</span></dd></div>
<div><dt>Most behind</dt><dd><b>${figure(behind)}</b> <span class="quiet">${behind === 1 ? 'event' : 'events'}</span></dd></div>
<div><dt>Connectors</dt><dd>${
    down > 0
      ? html`<b class="bad">${down} of ${connectors.length}</b> <span class="quiet">unreachable</span>`
      : html`<b>${connectors.length}</b> <span class="quiet">reachable</span>`
  }</dd></div>
</dl></div>`;
}

/** Reasons that are shown; the metrics have all of them. */
const REASONS = 3;

function refusals(ports: ConsolePorts): Html {
  const found = ports.refusals().slice(0, REASONS);
  if (found.length === 0) return html``;
  const line = ({ count, fault, sender, at }: Refusal): Html =>
    html`<li><b>${figure(count)} × ${code(fault.code)}</b>${sender !== undefined && html` from ${code(sender)}`}, last ${relative(at, 'ago')}<p>${shown(fault.message)}${fault.suggestion !== undefined && html` <span class="quiet" aria-hidden="true">→</span> ${shown(fault.suggestion)}`}</p></li>`;
  return html`<section class="panel" aria-labelledby="refusals-head"><h2 id="refusals-head">Callbacks that were not accepted</h2>
<ul>${found.map(line)}</ul></section>`;
}

function plots({ stats }: ConsolePorts): Html {
  const columns = stats.hour(COLUMN_SECONDS);
  return html`<section aria-labelledby="hour-head"><h2 id="hour-head">The last hour</h2>
<div class="grid">${ratePlot(columns)}${latencyPlot(columns)}</div>
<details id="hour-table"><summary class="quiet">The same in figures</summary>${hourTable(stats.hour(ROW_SECONDS))}</details></section>`;
}

function stores(ports: ConsolePorts): Html[] {
  const { journal, reconcile } = ports.status();
  const fill = ports.journal.fill();
  return [
    store(
      'Journal',
      html`<p><b>${figure(journal.head)}</b> ${journal.head === 1 ? 'event' : 'events'} recorded so far, ${size(journal.bytes)} on disk</p>
<p><meter min="0" max="1" high="0.8" optimum="0" value="${fill.toFixed(4)}" aria-label="How full the journal is"></meter> ${percent(fill)} of ${size(
        ports.journal.maxBytes,
      )} in use${fill > 0.8 && html` ${badge('warn', 'delivered events are pruned early')}`}</p>
<p class="quiet">Delivered events stay for ${span(ports.journal.keepDelivered() / 1_000)}. ${code(journal.file)}</p>`,
    ),
    store(
      'Quarantine',
      html`<p>${
        journal.quarantined === 0
          ? html`<b>0</b> callbacks`
          : html`<a class="alert" href="/quarantine"><b>${figure(journal.quarantined)}</b> ${journal.quarantined === 1 ? 'callback' : 'callbacks'} to review</a>`
      }</p><p class="quiet">Callbacks of the service that could not be mapped, kept as they came.</p>`,
    ),
    store('Reconcile', reconcileWords(reconcile)),
  ];
}

function store(name: string, content: Html): Html {
  const id = `${name.toLowerCase()}-head`;
  return html`<section class="panel" aria-labelledby="${id}"><h2 id="${id}">${name}</h2>${content}</section>`;
}

function reconcileWords(reconcile: BridgeState['reconcile']): Html {
  if (reconcile === undefined) {
    return html`<p class="quiet">Not configured: changes that webhooks missed are not looked for. <a href="/reconcile">How to configure it</a></p>`;
  }
  const { running, run } = reconcile;
  if (run === undefined) return html`<p>It has not run yet. <a href="/reconcile">Details</a></p>`;
  const { counts, total, dryRun, stopped, endedAt, startedAt } = run;
  return html`<p>${
    running
      ? `Running: ${figure(counts.read)} of ${figure(total)} read`
      : html`${stopped !== undefined ? 'Stopped' : 'Ended'} ${relative(endedAt ?? startedAt, 'ago')}`
  }${dryRun && ' (dry run)'}</p>
<p>${plural(counts.mended, 'group')} ${dryRun ? 'differ' : 'mended'}, ${figure(counts.inStep)} in step${
    counts.failed > 0 && html`, <b class="bad">${figure(counts.failed)} failed</b>`
  }. <a href="/reconcile">Details</a></p>`;
}

function percent(share: number): string {
  const points = share * 100;
  return points > 0 && points < 0.1 ? '< 0.1%' : `${points.toFixed(points < 10 ? 1 : 0)}%`;
}

function recent(ports: ConsolePorts): Html {
  const entries = ports.history.recent(RECENT_EVENTS);
  return html`<section aria-labelledby="recent-head"><div class="row spread"><h2 id="recent-head">Recent events</h2><a href="/events">All events</a></div>${
    entries.length === 0
      ? empty('Nothing has been recorded yet. The first callback shows here by itself.')
      : eventList(ports, entries, 'The newest events', '/events')
  }</section>`;
}
