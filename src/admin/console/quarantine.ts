import { html } from 'hono/html';
import type { QuarantinedCallback } from '../../model/callback.ts';
import { faultLines } from './connectors.ts';
import { numberOf } from './events.ts';
import { askDiscard, button, pager } from './forms.ts';
import { lead, type Page } from './layout.ts';
import type { View } from './ports.ts';
import { empty, fitting } from './table.ts';
import { block, code, type Html, href, relative } from './text.ts';
import type { Texts } from './texts/index.ts';

const PAGE_CALLBACKS = 20;

/** `/quarantine?after=`: the raw callbacks of verified senders that could not be mapped. */
export function quarantinePage(ports: View, query: URLSearchParams): Page {
  const { t } = ports;
  const after = numberOf(query.get('after')) ?? 0;
  return {
    title: t.sections.quarantine,
    section: 'quarantine',
    parts: [lead(t.sections.quarantine, t.quarantine.lead), { id: 'callbacks', render: () => callbacks(ports, after) }],
  };
}

function callbacks(ports: View, after: number): Html {
  const { t } = ports;
  const total = ports.status().journal.quarantined;
  const kept = ports.journal.reader.quarantined(after, PAGE_CALLBACKS);
  const list = fitting(kept, (one) => callback(t, one));
  const last = kept[list.length - 1];
  if (last === undefined) {
    return empty(after > 0 ? html`${t.text.noMore} <a href="/quarantine">${t.text.oldest}</a>` : t.quarantine.none);
  }
  return html`<div class="row acts"><p><b>${t.quarantine.total(total)}</b></p>${button('map', { back: '/quarantine' }, t.quarantine.map)}</div>
${list}
${pager(t, '/quarantine', {}, ports.journal.reader.quarantined(last.id, 1).length > 0 && { after: last.id }, after === 0)}`;
}

function callback(t: Texts, { id, receivedAt, search, body: bytes, fault }: QuarantinedCallback): Html {
  const body = Buffer.from(bytes).toString();
  return html`<article class="panel stack" id="kept-${id}" aria-labelledby="kept-${id}-name"><div class="row spread">
<h2 id="kept-${id}-name">${t.quarantine.callback(id)}</h2><p class="quiet">${t.quarantine.received(relative(t, receivedAt, 'ago'))}</p></div>
${faultLines(t, fault, `kept-${id}`)}
<p><span class="quiet">${t.quarantine.query}</span> ${code(search)}</p>
<details id="kept-${id}-body"><summary>${t.quarantine.body(body.length)}</summary><div class="raw">${block(t, body, href('/whole', { kept: id }))}</div></details>
<div class="row acts">${askDiscard(
    `discard-kept-${id}`,
    {
      open: t.deadLetters.discard,
      about: t.quarantine.callback(id),
      warning: t.quarantine.warning,
      confirm: t.quarantine.confirm(id),
    },
    'discard-quarantined',
    { id, back: '/quarantine' },
  )}</div></article>`;
}
