import { html } from 'hono/html';
import { findEvent } from '../../journal/history.ts';
import type { JournalEntry } from '../../journal/reads.ts';
import type { EventCopy, GroupCopy } from '../../model/standing.ts';
import { truncate } from '../../model/text.ts';
import { faultLines } from './connectors.ts';
import { changes, eventHref, groupLink, operator } from './events.ts';
import { badge, type Page, type Tone, unknownPage } from './layout.ts';
import type { View } from './ports.ts';
import { empty, table } from './table.ts';
import { code, type Html, href, optional, relative } from './text.ts';
import type { Texts } from './texts/index.ts';

const COPIES_EVERY_MS = 2_000;

/** `/event?id=`: an event by its id, seq or RequestID, and what became of it at each connector. */
export async function eventPage(ports: View, query: URLSearchParams, signal: AbortSignal): Promise<Page> {
  const { t } = ports;
  const id = query.get('id') ?? '';
  const entry = await findEvent(ports.journal.history, id, signal);
  if (entry === undefined) {
    return unknownPage(
      'events',
      t.event.unknown,
      html`${t.event.nothing(code(id))} <a href="/events">${t.events.all}</a>`,
    );
  }
  return {
    title: `${t.events.type} ${truncate(id, 40)}`,
    section: 'events',
    parts: [
      // An event never changes, so it is rendered once.
      { render: () => eventOf(ports, entry) },
      { id: 'copies', every: COPIES_EVERY_MS, render: () => copiesOf(ports, entry) },
    ],
  };
}

function eventOf(ports: View, { seq, event }: JournalEntry): Html {
  const { t } = ports;
  const { occurredAt, receivedAt, origin } = event.data;
  return html`<div><p class="quiet"><a href="/events">${t.sections.events}</a> /</p>
<h1>${t.event.head(seq, t.events.types[event.type])}</h1><p>${code(event.id)}</p></div>
<dl class="panel figures row">
<div><dt>${t.event.group}</dt><dd>${groupLink(event.subject, ports.journal.groups.nameOf(event.subject))}</dd></div>
<div><dt>${t.events.by}</dt><dd>${operator(t, event)}</dd></div>
<div><dt>${t.events.occurred}</dt><dd>${relative(t, occurredAt, 'ago')}</dd></div>
<div><dt>${t.event.received}</dt><dd>${relative(t, receivedAt, 'ago')}</dd></div>
<div><dt>RequestID</dt><dd>${optional(origin.requestId)}</dd></div>
</dl>
<section class="panel" aria-labelledby="changes-head"><h2 id="changes-head">${t.events.what}</h2>${changes(t, event, seq, 'event')}
<p><a href="${eventHref(seq)}">${t.event.json}</a></p></section>`;
}

function copiesOf(ports: View, entry: JournalEntry): Html {
  const { t } = ports;
  return copyList(t, ports.delivery.operations.eventCopies(entry));
}

const STANDINGS: Readonly<Record<EventCopy['standing'] | GroupCopy['standing'], Tone>> = {
  delivered: 'ok',
  superseded: 'ok',
  'in-step': 'ok',
  differs: 'warn',
  missing: 'warn',
  behind: 'busy',
  waiting: 'busy',
  dead: 'bad',
  discarded: 'held',
  filtered: 'held',
  unknown: 'held',
};

type Copy = Omit<GroupCopy, 'standing'> & Pick<EventCopy, 'at' | 'attempts'> & Pick<EventCopy | GroupCopy, 'standing'>;

export function copyList(t: Texts, copies: readonly Copy[]): Html {
  const columns = [
    { head: t.group.connector },
    { head: t.group.status, kind: 'name' },
    { head: t.event.detail, kind: 'wide' },
  ] as const;
  const rows = copies.map((copy) => ({
    id: `copy-${copy.connector}`,
    cells: [
      html`${copy.connector} <span class="quiet">${copy.kind}</span>`,
      badge(STANDINGS[copy.standing], t.standings[copy.standing]),
      detail(t, copy),
    ],
  }));
  return html`<section aria-labelledby="copies-head"><h2 id="copies-head">${t.group.copies}</h2>${
    copies.length === 0 ? empty(t.group.noConnector) : table(t.group.copies, columns, rows)
  }</section>`;
}

/** How many fields of a copy are named; the API names all of them. */
const MOST_FIELDS = 20;

function detail(t: Texts, { connector, standing, where, at, attempts, differs = [], fault }: Copy): Html {
  if (standing === 'delivered' && where === undefined) {
    return html`<span class="quiet">${t.event.unplaced}</span>`;
  }
  const lines = [
    where !== undefined && html`<p>${code(where)}</p>`,
    attempts !== undefined &&
      html`<p class="quiet">${t.event.attempts(attempts)}${at !== undefined && t.text.and(relative(t, at, 'ago'))}</p>`,
    differs.length > 0 &&
      html`<p>${t.group.differsIn(differs.slice(0, MOST_FIELDS).map(code), Math.max(0, differs.length - MOST_FIELDS))}</p>`,
    fault && faultLines(t, fault, `copy-${connector}`),
    standing === 'dead' && html`<p><a href="${href('/dead-letters', { connector })}">${t.group.seeDeadLetters}</a></p>`,
  ];
  return lines.some(Boolean) ? html`${lines}` : optional(undefined);
}
