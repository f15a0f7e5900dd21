import { html } from 'hono/html';
import type { QuarantinedCallback } from '../../model/quarantine.ts';
import { figure, plural } from '../../model/text.ts';
import { faultLines } from './connectors.ts';
import { numberOf } from './events.ts';
import { ask, button, form, pager } from './forms.ts';
import type { Page } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty } from './table.ts';
import { block, code, type Html, relative } from './text.ts';

const PAGE_CALLBACKS = 20;

/** `/quarantine?after=`: callbacks of a verified sender that could not be mapped, as they came. */
export function quarantinePage(ports: ConsolePorts, query: URLSearchParams): Page {
  const after = numberOf(query.get('after')) ?? 0;
  return {
    title: 'Quarantine',
    place: 'quarantine',
    parts: [
      {
        render: () => html`<h1>Quarantine</h1>
<p class="lead">Callbacks of the service that did not fit the protocol as the bridge knows it. They were answered OK and kept as they came; an upgrade of the bridge maps them by itself.</p>`,
      },
      { id: 'callbacks', render: () => callbacks(ports, after) },
    ],
  };
}

function callbacks(ports: ConsolePorts, after: number): Html {
  const count = ports.status().journal.quarantined;
  const kept = ports.quarantined(after, PAGE_CALLBACKS);
  const last = kept.at(-1)?.id;
  if (kept.length === 0) {
    return empty(
      after > 0
        ? html`No more behind these. <a href="/quarantine">The oldest</a>`
        : 'The quarantine is empty: every callback of the service could be mapped. (Only with app.callbackTokens are callbacks kept here: without a Sign anybody could fill it.)',
    );
  }
  return html`<div class="acts"><p><b>${plural(count, 'callback')}</b></p>${button('map', { back: '/quarantine' }, count === 1 ? 'Map it again' : 'Map all again')}</div>
${kept.map(callback)}
${pager(
  '/quarantine',
  {},
  last !== undefined && kept.length === PAGE_CALLBACKS ? { after: last } : undefined,
  after === 0,
  {
    older: 'Later ones',
    first: 'The oldest',
  },
)}`;
}

function callback({ id, receivedAt, search, body, fault }: QuarantinedCallback): Html {
  return html`<article class="card" id="kept-${id}" aria-labelledby="kept-${id}-name"><div class="head">
<h2 id="kept-${id}-name">Callback ${figure(id)}</h2><p class="quiet">received ${relative(receivedAt, 'ago')}</p></div>
${faultLines(fault, `kept-${id}`)}
<p class="query"><span class="quiet">Query</span> ${code(search)}</p>
<details id="kept-${id}-body"><summary>Body, ${plural(body.length, 'character')}</summary><div class="raw">${block(body)}</div></details>
<div class="acts">${ask(
    `discard-kept-${id}`,
    'Discard…',
    `callback ${id}`,
    html`<p>Removes it for good: the change that it tells of is then known to nobody.</p>${form(
      'discard-quarantined',
      { id, back: '/quarantine' },
      html`<button type="submit" class="grave">Discard callback ${id}</button>`,
    )}`,
    'grave',
  )}</div></article>`;
}
