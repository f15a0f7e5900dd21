import { html } from 'hono/html';
import type { JournalEntry } from '../../journal/reads.ts';
import { actorOf, type CanonicalEvent, type EventType, PROFILE_FIELDS } from '../../model/event.ts';
import { type Group, latestEvent, operatorOf } from '../../model/group.ts';
import { pager } from './forms.ts';
import type { Page } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, fitting, leftOut, type Row, table } from './table.ts';
import { brief, code, type Html, href, moment, optional, value } from './text.ts';

const PAGE_EVENTS = 50;

/** `/events?before=&group=`: newest first. */
export function eventsPage(ports: ConsolePorts, query: URLSearchParams): Page {
  const before = numberOf(query.get('before'));
  const groupId = query.get('group') || undefined;
  const list = (): Html => {
    const read = (limit: number, from: number | undefined): JournalEntry[] =>
      groupId === undefined ? ports.history.recent(limit, from) : ports.history.ofGroup(groupId, limit, from);
    const entries = read(PAGE_EVENTS, before);
    const rows = fitting(entries, eventRow(ports, groupId !== undefined && 'of one group'));
    const last = entries[rows.length - 1]?.seq;
    const nothing =
      before !== undefined
        ? 'There are no older events in the journal.'
        : groupId === undefined
          ? 'Nothing has been recorded yet.'
          : html`The journal holds no event of ${code(groupId)}: none was recorded, or all were pruned.`;
    return html`${
      last === undefined
        ? empty(nothing)
        : eventTable(
            rows,
            groupId === undefined ? 'Events, newest first' : 'Events of the group, newest first',
            groupId,
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

/** Lists events, as many as fit; `all` leads to the others. */
export function eventList(
  ports: EventPorts,
  entries: readonly JournalEntry[],
  caption: string,
  all: string,
  ofGroup?: string,
): Html {
  const rows = fitting(entries, eventRow(ports, ofGroup !== undefined && 'of one group'));
  const others = html`<a href="${all}">All of them</a>`;
  return html`${eventTable(rows, caption, ofGroup)}${leftOut(entries.length - rows.length, others)}`;
}

type EventPorts = Pick<ConsolePorts, 'groupName' | 'now'>;

function eventTable(rows: readonly Row[], caption: string, ofGroup: string | undefined): Html {
  return table(
    caption,
    [
      { head: 'Seq', kind: 'figure' },
      { head: 'Occurred (UTC)' },
      { head: 'Event' },
      ...(ofGroup === undefined ? [{ head: 'Group', kind: 'name' as const }] : []),
      { head: 'By' },
      { head: 'What changed', kind: 'wide' },
    ],
    rows,
  );
}

const eventRow =
  (ports: EventPorts, ofOneGroup: 'of one group' | false) =>
  ({ seq, event }: JournalEntry): Row => ({
    id: `e-${seq}`,
    cells: [
      html`<a href="${eventHref(seq)}">${seq}</a>`,
      occurred(event, ports.now()),
      eventWords(event),
      ...(ofOneGroup ? [] : [groupLink(event.subject, ports.groupName(event.subject))]),
      operator(event),
      changes(event, seq, `e-${seq}`),
    ],
  });

/** The address of the page that has all of an event. */
export const eventHref = (seq: number): string => href('/whole', { event: seq });

function occurred({ data: { occurredAt, occurredAtFrom } }: CanonicalEvent, now: number): Html {
  const note = { callback: '', receipt: 'time of receipt', read: 'time of the read' }[occurredAtFrom];
  return html`${moment(occurredAt, now)}${note !== '' && html` <span class="quiet">${note}</span>`}`;
}

export function groupLink(groupId: string, name?: string): Html {
  const to = href('/group', { id: groupId });
  if (name === undefined || name === '') return html`<a class="group" href="${to}">${code(groupId)}</a>`;
  return html`<a class="group" href="${to}">${brief(name, 48)}<br><span class="quiet">${code(groupId)}</span></a>`;
}

export function operator(event: CanonicalEvent): Html {
  if (event.data.occurredAtFrom === 'read') return html`<span class="quiet">reconcile</span>`;
  const who = actorOf(event);
  return who === undefined ? html`<span class="quiet">not stated</span>` : brief(who, 32);
}

/** Whose the latest change of a group is: never the person's who made one before it. */
export function lastBy({ history }: Pick<ConsolePorts, 'history'>, group: Group): Html {
  const who = operatorOf(group);
  if (who !== undefined) return brief(who, 32);
  const latest = history.byId(latestEvent(group) ?? '');
  return latest === undefined ? optional(undefined) : operator(latest.event);
}

const MOST_CUSTOM = 12;

/** Lists what the event says about the group, a field a line; the page of the event has all of it. */
export function changes({ type, data }: CanonicalEvent, seq: number, id: string): Html {
  const rest = eventHref(seq);
  const lines: [string, Html][] = [];
  for (const field of PROFILE_FIELDS) {
    const text = data.changed[field];
    if (text !== undefined) lines.push([field, value(text, { id: `${id}-${field}`, rest })]);
  }
  const custom = Object.entries(data.changed.customFields ?? {});
  custom.slice(0, MOST_CUSTOM).forEach(([key, text], index) => {
    lines.push([`customFields.${key}`, value(text, { id: `${id}-custom${index}`, rest })]);
  });
  if (custom.length > MOST_CUSTOM) {
    lines.push(['customFields', html`<a href="${rest}">${custom.length - MOST_CUSTOM} more</a>`]);
  }
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
    lines.push(['extra', value(JSON.stringify(data.extra), { id: `${id}-extra`, rest, most: 60 })]);
  }
  if (lines.length === 0) return html`<span class="quiet">no field that the bridge knows</span>`;
  return html`<dl class="changes">${lines.map(([field, text]) => html`<div><dt>${brief(field, 160)}</dt><dd>${text}</dd></div>`)}</dl>`;
}

/** Reads a positive whole number from a query. */
export function numberOf(text: string | null): number | undefined {
  return text !== null && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}
