import { html } from 'hono/html';
import type { JournalEntry } from '../../journal/reads.ts';
import { actorOf, type CanonicalEvent, EVENT_TYPES, type EventType, PROFILE_FIELDS } from '../../model/event.ts';
import { type Group, latestEvent, operatorOf } from '../../model/group.ts';
import { pager } from './forms.ts';
import type { Page } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, fitting, leftOut, type Row, table } from './table.ts';
import { brief, code, type Html, href, moment, optional, value } from './text.ts';

const PAGE_EVENTS = 50;

/** What the form of the page asks for: a group by its id or a part of it, times of receipt in UTC. */
const FILTERS = ['group', 'type', 'operator', 'field', 'since', 'until'] as const;
type Filters = Readonly<Record<(typeof FILTERS)[number], string | undefined>>;

/** `/events?before=&group=&type=&operator=&field=&since=&until=`: newest first. */
export function eventsPage(ports: ConsolePorts, query: URLSearchParams, signal: AbortSignal): Page {
  const before = numberOf(query.get('before'));
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) || undefined])) as Filters;
  const isFiltered = FILTERS.some((name) => filters[name] !== undefined);
  const newest = before === undefined;
  return {
    title: 'Events',
    section: 'events',
    parts: [
      { render: () => html`<h1>Events</h1>${filterForm(filters, isFiltered)}` },
      // A search looks at many events: it is done once.
      {
        ...(newest && !isSearch(ports, filters) && { id: 'events' }),
        render: () => listOf(ports, filters, before, signal),
      },
    ],
  };
}

function filterForm({ group, type, operator, field, since, until }: Filters, isFiltered: boolean): Html {
  const input = (name: keyof Filters, words: string, text = '', kind = 'search'): Html =>
    html`<span class="row"><label for="${name}">${words}</label>
<input id="${name}" name="${name}" type="${kind}" value="${text}" autocomplete="off" spellcheck="false"></span>`;
  const option = (one: EventType): Html =>
    html`<option value="${one}" ${one === type && html`selected`}>${WORDS[one]}</option>`;
  return html`<form class="row" method="get" action="/events" role="search">${input('group', 'Group id', group)}
<span class="row"><label for="type">Event</label><select id="type" name="type"><option value="">any</option>${EVENT_TYPES.map(option)}</select></span>
${input('operator', 'By', operator)}${input('field', 'Field', field)}
${input('since', 'Received since (UTC)', since, 'datetime-local')}${input('until', 'until', until, 'datetime-local')}
<button type="submit">Show</button>${isFiltered && html`<a href="/events">All events</a>`}</form>
<form class="row" method="get" action="/event" role="search" aria-label="One event"><label for="id">Event id, seq or RequestID</label>
<input id="id" name="id" type="search" required autocomplete="off" spellcheck="false"><button type="submit">Follow</button></form>`;
}

/** Says whether events have to be looked through; those of one group are linked. */
const isSearch = ({ history }: ConsolePorts, { group, type, operator, field, since, until }: Filters): boolean =>
  (type ?? operator ?? field ?? since ?? until) !== undefined ||
  (group !== undefined && history.latest(group) === undefined);

/** The browser's own field for a time gives no zone; the form says that it is UTC. */
const timeOf = (text: string | undefined): number | undefined => Date.parse(`${text}Z`) || undefined;

/** Reads a page; `next` says where it goes on, also where a search was cut short. */
async function read(ports: ConsolePorts, filters: Filters, before: number | undefined, signal: AbortSignal) {
  const { history } = ports;
  const { group, type: typed, operator, field, since, until } = filters;
  if (isSearch(ports, filters)) {
    const type = EVENT_TYPES.find((one) => one === typed);
    const times = { since: timeOf(since), until: timeOf(until) };
    return history.find({ group, type, operator, field, ...times }, PAGE_EVENTS, signal, before);
  }
  const page = (limit: number, from: number | undefined): JournalEntry[] =>
    group === undefined ? history.recent(limit, from) : history.ofGroup(group, limit, from);
  const events = page(PAGE_EVENTS, before);
  const last = events.at(-1)?.seq;
  return { events, ...(last !== undefined && page(1, last).length > 0 && { next: last }) };
}

async function listOf(
  ports: ConsolePorts,
  filters: Filters,
  before: number | undefined,
  signal: AbortSignal,
): Promise<Html> {
  const { events, next } = await read(ports, filters, before, signal);
  const { group } = filters;
  const ofGroup = group !== undefined && ports.history.latest(group) !== undefined ? group : undefined;
  const rows = fitting(events, eventRow(ports, ofGroup !== undefined && 'of one group'));
  const isCut = rows.length < events.length;
  const following = isCut ? events[rows.length - 1]?.seq : next;
  const isFiltered = FILTERS.some((name) => filters[name] !== undefined);
  const nothing =
    before !== undefined || next !== undefined
      ? 'There are no such events among those that were looked at.'
      : group !== undefined
        ? html`The journal holds no such event of ${code(group)}: none was recorded, or all were pruned.`
        : isFiltered
          ? 'The journal holds no such event: none was recorded, or all were pruned.'
          : 'Nothing has been recorded yet.';
  const caption = ofGroup === undefined ? 'Events, newest first' : 'Events of the group, newest first';
  return html`${events.length === 0 ? empty(nothing) : eventTable(rows, caption, ofGroup)}${pager(
    '/events',
    filters,
    following !== undefined && { before: following },
    before === undefined,
    { next: 'Older events', first: 'Newest events' },
  )}`;
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
      html`<a href="${href('/event', { id: seq })}">${seq}</a>`,
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
