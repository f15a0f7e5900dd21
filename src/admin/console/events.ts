import { html } from 'hono/html';
import type { JournalEntry } from '../../journal/reads.ts';
import { type CanonicalEvent, type EventType, PROFILE_FIELDS } from '../../model/event.ts';
import { pager } from './forms.ts';
import type { Page } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, table } from './table.ts';
import { brief, code, type Html, href, moment, shown, upTo, value } from './text.ts';

const PAGE_EVENTS = 50;

/** `/events?before=&group=`: newest first. */
export function eventsPage(ports: ConsolePorts, query: URLSearchParams): Page {
  const before = numberOf(query.get('before'));
  const groupId = query.get('group') || undefined;
  const list = (): Html => {
    const read = (limit: number, from: number | undefined): JournalEntry[] =>
      groupId === undefined ? ports.history.recent(limit, from) : ports.history.ofGroup(groupId, limit, from);
    const entries = read(PAGE_EVENTS, before);
    const last = entries.at(-1)?.seq;
    const nothing =
      before !== undefined
        ? 'There are no older events in the journal.'
        : groupId === undefined
          ? 'Nothing has been recorded yet.'
          : html`The journal holds no event of ${code(upTo(groupId, 200))}: none was recorded, or all were pruned.`;
    return html`${
      entries.length === 0
        ? empty(nothing)
        : eventTable(
            ports,
            entries,
            groupId === undefined ? 'Events, newest first' : 'Events of the group, newest first',
          )
    }${pager(
      '/events',
      { group: groupId },
      last !== undefined && read(1, last).length > 0 && { before: last },
      before === undefined,
      { next: 'Older events', first: 'Newest events' },
    )}`;
  };
  const newest = before === undefined;
  return {
    title: 'Events',
    section: 'events',
    parts: [
      {
        render: () => html`<div class="row spread"><h1>Events</h1>
<form class="row" method="get" action="/events" role="search"><label for="group">Group id</label>
<input id="group" name="group" type="search" value="${groupId ?? ''}" autocomplete="off" spellcheck="false">
<button type="submit">Show</button>${groupId !== undefined && html`<a href="/events">All groups</a>`}</form></div>`,
      },
      { ...(newest && { id: 'events' }), render: list },
    ],
  };
}

const WORDS: Readonly<Record<EventType, string>> = {
  'chat.group.info.changed': 'changed',
  'chat.group.created': 'created',
  'chat.group.destroyed': 'destroyed',
  'chat.group.owner.changed': 'owner changed',
  'chat.group.info.read': 'read by reconcile',
};

export function eventWords({ type }: CanonicalEvent): string {
  return WORDS[type];
}

export function eventTable(
  ports: Pick<ConsolePorts, 'group' | 'now'>,
  entries: readonly JournalEntry[],
  caption: string,
  ofOneGroup = false,
): Html {
  return table(
    caption,
    [
      { head: 'Seq', kind: 'figure' },
      { head: 'Occurred (UTC)' },
      { head: 'Event' },
      ...(ofOneGroup ? [] : [{ head: 'Group', kind: 'name' as const }]),
      { head: 'By' },
      { head: 'What changed', kind: 'wide' },
    ],
    entries.map(({ seq, event }) => ({
      id: `e-${seq}`,
      cells: [
        seq,
        occurred(event, ports.now()),
        eventWords(event),
        ...(ofOneGroup ? [] : [groupLink(event.subject, ports.group(event.subject)?.name)]),
        operator(event),
        changes(event, `e-${seq}`),
      ],
    })),
  );
}

function occurred({ data: { occurredAt, occurredAtFrom } }: CanonicalEvent, now: number): Html {
  const note = { callback: '', receipt: 'time of receipt', read: 'time of the read' }[occurredAtFrom];
  return html`${moment(occurredAt, now)}${note !== '' && html` <span class="quiet">${note}</span>`}`;
}

export function groupLink(groupId: string, name?: string): Html {
  const to = href('/group', { id: groupId });
  if (name === undefined || name === '') return html`<a class="group" href="${to}">${code(groupId)}</a>`;
  return html`<a class="group" href="${to}">${brief(name, 48)}<br><span class="quiet">${code(groupId)}</span></a>`;
}

export function operator({ type, data: { operator: who } }: CanonicalEvent): Html {
  if (who !== undefined) return brief(who, 32);
  return html`<span class="quiet">${type === 'chat.group.info.read' ? 'the service' : 'not stated'}</span>`;
}

/** Lists what the event says about the group, a field a line. */
export function changes({ type, data }: CanonicalEvent, id: string): Html {
  const lines: [string, Html][] = [];
  for (const field of PROFILE_FIELDS) {
    const text = data.changed[field];
    if (text !== undefined) lines.push([field, value(text, `${id}-${field}`)]);
  }
  Object.entries(data.changed.customFields ?? {}).forEach(([key, text], index) => {
    lines.push([`customFields.${key}`, value(text, `${id}-custom${index}`)]);
  });
  if (data.owner !== undefined && type !== 'chat.group.destroyed') {
    lines.push([
      'owner',
      data.previousOwner === undefined
        ? brief(data.owner)
        : html`${brief(data.previousOwner)} <span class="quiet">→</span> ${brief(data.owner)}`,
    ]);
  }
  const extra = Object.keys(data.extra);
  if (extra.length > 0) {
    lines.push(['extra', value(JSON.stringify(data.extra), `${id}-extra`, 60)]);
  }
  if (lines.length === 0) return html`<span class="quiet">no field that the bridge knows</span>`;
  return html`<dl class="changes">${lines.map(([field, text]) => html`<div><dt>${shown(field)}</dt><dd>${text}</dd></div>`)}</dl>`;
}

/** Reads a positive whole number from a query. */
export function numberOf(text: string | null): number | undefined {
  return text !== null && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}
