import { html } from 'hono/html';
import type { QuarantinedCallback } from '../../model/callback.ts';
import { figure, plural } from '../../model/text.ts';
import { faultLines } from './connectors.ts';
import { numberOf } from './events.ts';
import { askDiscard, button, pager } from './forms.ts';
import type { Page } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, fitting } from './table.ts';
import { block, code, type Html, href, relative } from './text.ts';

const PAGE_CALLBACKS = 20;

/** `/quarantine?after=`: callbacks of a verified sender that could not be mapped, as they came. */
export function quarantinePage(ports: ConsolePorts, query: URLSearchParams): Page {
  const after = numberOf(query.get('after')) ?? 0;
  return {
    title: 'Quarantine',
    section: 'quarantine',
    parts: [
      {
        render: () => html`<h1>Quarantine</h1>
<p class="lead quiet">Callbacks of the service that did not fit the protocol as the bridge knows it. They were answered OK and kept as they came; an upgrade of the bridge maps them by itself.</p>`,
      },
      { id: 'callbacks', render: () => callbacks(ports, after) },
    ],
  };
}

function callbacks(ports: ConsolePorts, after: number): Html {
  const total = ports.status().journal.quarantined;
  const kept = ports.quarantined(after, PAGE_CALLBACKS);
  const list = fitting(kept, callback);
  const last = kept[list.length - 1];
  if (last === undefined) {
    return empty(
      after > 0
        ? html`There are no more after these. <a href="/quarantine">Back to the oldest</a>`
        : 'The quarantine is empty: every callback of the service could be mapped. (Callbacks are kept here only where app.callbackTokens is set: without a Sign anybody could fill it.)',
    );
  }
  return html`<div class="row acts"><p><b>${plural(total, 'callback')}</b></p>${button('map', { back: '/quarantine' }, total === 1 ? 'Map it again' : 'Map all again')}</div>
${list}
${pager('/quarantine', {}, ports.quarantined(last.id, 1).length > 0 && { after: last.id }, after === 0)}`;
}

function callback({ id, receivedAt, search, body: bytes, fault }: QuarantinedCallback): Html {
  const body = Buffer.from(bytes).toString();
  return html`<article class="panel stack" id="kept-${id}" aria-labelledby="kept-${id}-name"><div class="row spread">
<h2 id="kept-${id}-name">Callback ${figure(id)}</h2><p class="quiet">received ${relative(receivedAt, 'ago')}</p></div>
${faultLines(fault, `kept-${id}`)}
<p><span class="quiet">Query</span> ${code(search)}</p>
<details id="kept-${id}-body"><summary>Body, ${plural(body.length, 'character')}</summary><div class="raw">${block(body, href('/whole', { kept: id }))}</div></details>
<div class="row acts">${askDiscard(
    `discard-kept-${id}`,
    {
      open: 'Discard…',
      about: `callback ${id}`,
      warning: html`<p>Removes it for good: the change that it describes is then lost.</p>`,
      confirm: `Discard callback ${id}`,
    },
    'discard-quarantined',
    { id, back: '/quarantine' },
  )}</div></article>`;
}
