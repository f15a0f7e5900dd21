import { html } from 'hono/html';
import type { EventCopy } from '../../delivery/event-copies.ts';
import { findEvent } from '../../journal/history.ts';
import type { JournalEntry } from '../../journal/reads.ts';
import { plural } from '../../model/text.ts';
import { faultLines } from './connectors.ts';
import { changes, eventHref, eventWords, groupLink, operator } from './events.ts';
import { badge, type Page, type Tone } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, table } from './table.ts';
import { code, type Html, optional, relative, upTo } from './text.ts';

const COPIES_EVERY_MS = 2_000;
const COPIES_WITHIN_MS = 3_000;

/** `/event?id=`: one event by its id, its seq or the RequestID of its callback, and what became of it at each connector. */
export function eventPage(ports: ConsolePorts, query: URLSearchParams, signal: AbortSignal): Page {
  const id = query.get('id') ?? '';
  let found: Promise<JournalEntry | undefined> | undefined;
  // An event never changes: it is looked for once, also where the page is watched.
  const entry = (): Promise<JournalEntry | undefined> => (found ??= findEvent(ports.history, id, signal));
  return {
    title: `Event ${upTo(id, 40)}`,
    section: 'events',
    parts: [
      { render: async () => eventOf(ports, id, await entry()) },
      { id: 'copies', every: COPIES_EVERY_MS, render: async () => copiesOf(ports, await entry()) },
    ],
  };
}

function eventOf(ports: ConsolePorts, id: string, entry: JournalEntry | undefined): Html {
  if (entry === undefined) {
    const nothing = html`No event has the id, the seq or the RequestID ${code(id)}: none was recorded, or it was pruned. <a href="/events">All events</a>`;
    return html`<h1>Unknown event</h1>${empty(nothing)}`;
  }
  const { seq, event } = entry;
  const { occurredAt, receivedAt, origin } = event.data;
  return html`<div><p class="quiet"><a href="/events">Events</a> /</p>
<h1>Event ${seq}: ${eventWords(event)}</h1><p>${code(event.id)}</p></div>
<dl class="panel figures row">
<div><dt>Group</dt><dd>${groupLink(event.subject, ports.groupName(event.subject))}</dd></div>
<div><dt>By</dt><dd>${operator(event)}</dd></div>
<div><dt>Occurred</dt><dd>${relative(occurredAt, 'ago')}</dd></div>
<div><dt>Received</dt><dd>${relative(receivedAt, 'ago')}</dd></div>
<div><dt>RequestID</dt><dd>${optional(origin.requestId)}</dd></div>
</dl>
<section class="panel" aria-labelledby="changes-head"><h2 id="changes-head">What it says</h2>${changes(event, seq, 'event')}
<p><a href="${eventHref(seq)}">All of it, as JSON</a></p></section>`;
}

const STANDINGS: Readonly<Record<EventCopy['standing'], readonly [Tone, string]>> = {
  delivered: ['ok', 'Delivered'],
  superseded: ['ok', 'Superseded by something newer'],
  behind: ['busy', 'Behind'],
  waiting: ['busy', 'Waiting for a retry'],
  dead: ['bad', 'Dead letter'],
  filtered: ['held', 'Filtered out'],
};

async function copiesOf(ports: ConsolePorts, entry: JournalEntry | undefined): Promise<Html> {
  if (entry === undefined) return html``;
  const within = AbortSignal.any([ports.stopping, AbortSignal.timeout(COPIES_WITHIN_MS)]);
  const copies = await ports.operations.eventCopies(entry, within);
  const rows = copies.map((copy) => ({
    id: `copy-${copy.connector}`,
    cells: [
      html`${copy.connector} <span class="quiet">${copy.kind}</span>`,
      badge(...STANDINGS[copy.standing]),
      detail(copy),
    ],
  }));
  return html`<section aria-labelledby="copies-head"><h2 id="copies-head">Copies</h2>${
    copies.length === 0
      ? empty('No connector runs.')
      : table(
          'What became of the event at each connector',
          [{ head: 'Connector' }, { head: 'Status', kind: 'wide' }, { head: 'Where, when, or why not', kind: 'wide' }],
          rows,
        )
  }</section>`;
}

function detail({ connector, standing, where, at, attempts, fault }: EventCopy): Html {
  if (standing === 'delivered' && where === undefined) {
    return html`<span class="quiet">where and when is not remembered any more</span>`;
  }
  if (where === undefined && attempts === undefined && fault === undefined) return optional(undefined);
  return html`${where !== undefined && html`<p>${code(where)}</p>`}${
    attempts !== undefined &&
    html`<p class="quiet">${plural(attempts, 'attempt')}${at !== undefined && html`, ${relative(at, 'ago')}`}</p>`
  }${fault !== undefined && faultLines(fault, `copy-${connector}`)}`;
}
