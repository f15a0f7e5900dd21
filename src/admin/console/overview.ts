import { html } from 'hono/html';
import { figure, latency, plural, rate, size, span } from '../../model/text.ts';
import { connectorList } from './connectors.ts';
import { eventTable } from './events.ts';
import { badge, icon, type Page } from './layout.ts';
import { hourTable, latencyPlot, ratePlot } from './plots.ts';
import type { ConsolePorts } from './ports.ts';
import { empty } from './table.ts';
import { code, type Html, relative, shown } from './text.ts';

const RECENT_EVENTS = 12;

export function overviewPage(ports: ConsolePorts): Page {
  return {
    title: 'Overview',
    place: 'overview',
    parts: [
      { id: 'headline', render: () => headline(ports) },
      { id: 'plots', render: plotsOf(ports) },
      {
        id: 'connectors',
        render: () =>
          html`<section aria-labelledby="connectors-head"><h2 id="connectors-head">Connectors</h2>${connectorList(ports)}</section>`,
      },
      { id: 'stores', render: () => stores(ports) },
      { id: 'recent', render: () => recent(ports) },
    ],
  };
}

function headline(ports: ConsolePorts): Html {
  const status = ports.status();
  const { total, seconds, p99 } = ports.hour.lately();
  const behind = Math.max(0, ...status.connectors.map(({ lag }) => lag));
  const down = status.connectors.filter(({ state }) => state.kind === 'waiting').length;
  return html`<h1 class="aside">Overview</h1>
<div class="headline"><div class="verdict ${status.ready ? 'ok' : 'bad'}">${icon(status.ready ? 'ok' : 'bad')}<div>
<p class="words">${status.ready ? 'Callbacks are recorded' : 'Callbacks are not recorded'}</p>
<p class="quiet">${
    status.reason !== undefined
      ? shown(status.reason)
      : status.receiver === ''
        ? 'This bridge receives none itself.'
        : html`at ${code(status.receiver)}`
  }</p></div></div>
<dl class="figures">
<div><dt>Callbacks</dt><dd><b>${rate(total / seconds)}</b> <span class="quiet">a second</span></dd></div>
<div><dt>Answered within</dt><dd><b>${p99 === undefined ? '–' : latency(p99)}</b> <span class="quiet">p99</span></dd></div>
<div><dt>Most behind</dt><dd><b>${figure(behind)}</b> <span class="quiet">${behind === 1 ? 'event' : 'events'}</span></dd></div>
<div><dt>Connectors</dt><dd>${
    down > 0
      ? html`<b class="bad">${down} of ${status.connectors.length}</b> <span class="quiet">not reachable</span>`
      : html`<b>${status.connectors.length}</b> <span class="quiet">reachable</span>`
  }</dd></div>
</dl></div>`;
}

/** Half a minute a column: 120 of them can be told apart on a phone, too. */
const COLUMN_SECONDS = 30;
const ROW_SECONDS = 300;

/** Drawn once for each slot of the hour. */
function plotsOf(ports: ConsolePorts): () => Html {
  let drawn: { readonly slot: number; readonly html: Html } | undefined;
  return () => {
    const slot = ports.hour.slot();
    if (drawn?.slot !== slot) drawn = { slot, html: plots(ports) };
    return drawn.html;
  };
}

function plots({ hour }: ConsolePorts): Html {
  const columns = hour.stretches(COLUMN_SECONDS);
  return html`<section aria-labelledby="hour-head"><h2 id="hour-head">The last hour</h2>
<div class="plots">${ratePlot(columns)}${latencyPlot(columns)}</div>
<details class="figures-too" id="hour-table"><summary>The same in figures</summary>${hourTable(hour.stretches(ROW_SECONDS))}</details></section>`;
}

function stores(ports: ConsolePorts): Html {
  const { journal, reconcile } = ports.status();
  const fill = ports.journal.fill();
  const run = reconcile?.run;
  return html`<div class="stores">
<section aria-labelledby="journal-head"><h2 id="journal-head">Journal</h2>
<p><b>${figure(journal.head)}</b> ${journal.head === 1 ? 'event' : 'events'} recorded so far, ${size(journal.bytes)} on disk</p>
<p><meter min="0" max="1" high="0.8" optimum="0" value="${fill.toFixed(4)}" aria-label="How full the journal is"></meter> ${percent(fill)} of ${size(
    ports.journal.maxBytes,
  )} in use${fill > 0.8 && html` ${badge('warn', 'delivered events are pruned early')}`}</p>
<p class="quiet">Delivered events stay for ${span(ports.journal.keepDelivered() / 1_000)}. ${code(journal.file)}</p></section>
<section aria-labelledby="quarantine-head"><h2 id="quarantine-head">Quarantine</h2>
<p>${
    journal.quarantined === 0
      ? html`<b>0</b> callbacks`
      : html`<a class="alert" href="/quarantine"><b>${figure(journal.quarantined)}</b> ${journal.quarantined === 1 ? 'callback' : 'callbacks'} to see to</a>`
  }</p><p class="quiet">Callbacks of the service that could not be mapped, kept as they came.</p></section>
<section aria-labelledby="reconcile-head"><h2 id="reconcile-head">Reconcile</h2>${
    reconcile === undefined
      ? html`<p class="quiet">Not configured: what webhooks missed is not looked for. <a href="/reconcile">How to</a></p>`
      : run === undefined
        ? html`<p>Not run yet. <a href="/reconcile">See</a></p>`
        : html`<p>${
            reconcile.running
              ? html`Running: ${figure(run.counts.read)} of ${figure(run.total)} read`
              : html`${run.stopped !== undefined ? 'Stopped' : 'Ended'} ${relative(run.endedAt ?? run.startedAt, 'ago')}`
          }${run.dryRun && ' (dry run)'}</p>
<p>${plural(run.counts.mended, 'group')} ${run.dryRun ? 'differ' : 'mended'}, ${figure(run.counts.inStep)} in step${
            run.counts.failed > 0 && html`, <b class="bad">${figure(run.counts.failed)} failed</b>`
          }. <a href="/reconcile">See</a></p>`
  }</section></div>`;
}

function percent(share: number): string {
  const points = share * 100;
  return points > 0 && points < 0.1 ? '< 0.1%' : `${points.toFixed(points < 10 ? 1 : 0)}%`;
}

function recent(ports: ConsolePorts): Html {
  const entries = ports.history.recent(RECENT_EVENTS);
  return html`<section aria-labelledby="recent-head"><div class="head"><h2 id="recent-head">Recent events</h2><a href="/events">All events</a></div>${
    entries.length === 0
      ? empty('Nothing was recorded yet. The first callback shows here by itself.')
      : eventTable(ports, entries, 'The newest events')
  }</section>`;
}
