import { html } from 'hono/html';
import { isSearch, readEvents } from '../../journal/history.ts';
import type { JournalEntry } from '../../journal/reads.ts';
import { actorOf, type CanonicalEvent, EVENT_TYPES, type EventType } from '../../model/event.ts';
import { fieldsOf, type Group, latestEvent, operatorOf } from '../../model/group.ts';
import { pager } from './forms.ts';
import type { Page } from './layout.ts';
import type { View } from './ports.ts';
import { empty, fitting, leftOut, type Row, table } from './table.ts';
import { brief, code, type Html, href, moment, optional, value } from './text.ts';
import type { Texts } from './texts/index.ts';

const PAGE_EVENTS = 50;

/** The fields of the form: a group by its id or a part of it; times of receipt, in UTC. */
const FILTERS = ['group', 'type', 'operator', 'field', 'since', 'until'] as const;
type Filters = Readonly<Record<(typeof FILTERS)[number], string | undefined>>;

/** `/events?before=&group=&type=&operator=&field=&since=&until=`: newest first. */
export function eventsPage(ports: View, query: URLSearchParams, signal: AbortSignal): Page {
  const { t } = ports;
  const before = numberOf(query.get('before'));
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) || undefined])) as Filters;
  const isFiltered = FILTERS.some((name) => filters[name] !== undefined);
  const newest = before === undefined;
  return {
    title: t.sections.events,
    section: 'events',
    parts: [
      { render: () => html`<h1>${t.sections.events}</h1>${filterForm(t, filters, isFiltered)}` },
      // A search reads many events, so it is done once.
      {
        ...(newest && !isSearch(ports.journal.history, filters) && { id: 'events' }),
        render: () => listOf(ports, filters, before, signal),
      },
    ],
  };
}

function filterForm(t: Texts, { group, type, operator, field, since, until }: Filters, isFiltered: boolean): Html {
  const input = (name: keyof Filters, words: string, text = '', kind = 'search'): Html =>
    html`<span class="row"><label for="${name}">${words}</label>
<input id="${name}" name="${name}" type="${kind}" value="${text}" autocomplete="off" spellcheck="false"></span>`;
  const option = (one: EventType): Html =>
    html`<option value="${one}" ${one === type && html`selected`}>${t.events.types[one]}</option>`;
  return html`<form class="row" method="get" action="/events" role="search">${input('group', t.events.group, group)}
<span class="row"><label for="type">${t.events.type}</label><select id="type" name="type"><option value="">${t.events.all}</option>${EVENT_TYPES.map(option)}</select></span>
${input('operator', t.events.by, operator)}${input('field', t.events.field, field)}
${input('since', t.events.since, since, 'datetime-local')}${input('until', t.events.until, until, 'datetime-local')}
<button type="submit">${t.group.search}</button>${isFiltered && html`<a href="/events">${t.events.all}</a>`}</form>
<form class="row" method="get" action="/event" role="search" aria-label="${t.events.id}"><label for="id">${t.events.id}</label>
<input id="id" name="id" type="search" required autocomplete="off" spellcheck="false"><button type="submit">${t.events.follow}</button></form>`;
}

/** The browser's field has no zone; the form says UTC. */
const timeOf = (text: string | undefined): number | undefined => Date.parse(`${text}Z`) || undefined;

async function listOf(ports: View, filters: Filters, before: number | undefined, signal: AbortSignal): Promise<Html> {
  const { t } = ports;
  const { group, type, since, until } = filters;
  const known = EVENT_TYPES.find((one) => one === type);
  const filter = { ...filters, type: known, since: timeOf(since), until: timeOf(until) };
  // The form does not produce these, but an address may hold anything.
  const unread = (['type', 'since', 'until'] as const).filter((one) => filters[one] && filter[one] === undefined);
  const { events, next } = await readEvents(ports.journal.history, filter, PAGE_EVENTS, signal, before);
  const ofGroup = group !== undefined && ports.journal.history.latest(group) !== undefined ? group : undefined;
  const rows = fitting(events, eventRow(ports, ofGroup));
  const isCut = rows.length < events.length;
  const following = isCut ? events[rows.length - 1]?.seq : next;
  const isFiltered = FILTERS.some((name) => filters[name] !== undefined);
  const nothing =
    before !== undefined || next !== undefined ? t.events.noneLookedAt : isFiltered ? t.events.noneSuch : t.events.none;
  return html`${unread.map((one) => html`<p class="callout warn">${t.events.unread(code(`${one}=${filters[one]}`))}</p>`)}${events.length === 0 ? empty(nothing) : eventTable(t, rows, ofGroup)}${pager(
    t,
    '/events',
    filters,
    following !== undefined && { before: following },
    before === undefined,
    { next: t.events.older, first: t.events.newest },
  )}`;
}

/** Lists as many events as fit; `all` is the address of all of them. */
export function eventList(ports: View, entries: readonly JournalEntry[], all: string, ofGroup?: string): Html {
  const rows = fitting(entries, eventRow(ports, ofGroup));
  const others = html`<a href="${all}">${ports.t.events.all}</a>`;
  return html`${eventTable(ports.t, rows, ofGroup)}${leftOut(ports.t, entries.length - rows.length, others)}`;
}

function eventTable(t: Texts, rows: readonly Row[], ofGroup: string | undefined): Html {
  return table(
    t.events.newestFirst,
    [
      { head: t.events.seq, kind: 'figure' },
      { head: t.events.occurred },
      { head: t.events.type },
      ...(ofGroup === undefined ? [{ head: t.event.group, kind: 'name' as const }] : []),
      { head: t.events.by },
      { head: t.events.what, kind: 'wide' },
    ],
    rows,
  );
}

const eventRow =
  (ports: View, ofGroup: string | undefined) =>
  ({ seq, event }: JournalEntry): Row => ({
    id: `e-${seq}`,
    cells: [
      html`<a href="${href('/event', { id: seq })}">${seq}</a>`,
      occurred(ports.t, event, ports.clock.now()),
      ports.t.events.types[event.type],
      ...(ofGroup === undefined ? [groupLink(event.subject, ports.journal.groups.nameOf(event.subject))] : []),
      operator(ports.t, event),
      changes(ports.t, event, seq, `e-${seq}`),
    ],
  });

export const eventHref = (seq: number): string => href('/whole', { event: seq });

function occurred(t: Texts, { data: { occurredAt, occurredAtFrom } }: CanonicalEvent, now: number): Html {
  const note = t.events.times[occurredAtFrom];
  return html`${moment(t, occurredAt, now)}${note !== '' && html` <span class="quiet">${note}</span>`}`;
}

export function groupLink(groupId: string, name?: string): Html {
  const to = href('/group', { id: groupId });
  if (name === undefined || name === '') return html`<a class="group" href="${to}">${code(groupId)}</a>`;
  return html`<a class="group" href="${to}">${brief(name, 48)}<br><span class="quiet">${code(groupId)}</span></a>`;
}

export function operator(t: Texts, event: CanonicalEvent): Html {
  if (event.data.occurredAtFrom === 'read') return html`<span class="quiet">${t.events.reconcile}</span>`;
  const who = actorOf(event);
  return who === undefined ? html`<span class="quiet">${t.events.notStated}</span>` : brief(who, 32);
}

/** Returns the author of a group's latest change, never that of an earlier one. */
export function lastBy({ journal, t }: View, group: Group): Html {
  const who = operatorOf(group);
  if (who !== undefined) return brief(who, 32);
  const latest = journal.history.byId(latestEvent(group) ?? '');
  return latest === undefined ? optional(undefined) : operator(t, latest.event);
}

const MOST_FIELDS = 16;

/** Lists what the event says about the group, field by field; `/whole` has all of it. */
export function changes(t: Texts, event: CanonicalEvent, seq: number, id: string): Html {
  const { previousOwner, extra } = event.data;
  const rest = eventHref(seq);
  const told = fieldsOf(event).filter(([field]) => field !== 'groupType' && field !== 'destroyed');
  const lines = told.slice(0, MOST_FIELDS).map(([field, text], index): [string, Html] => {
    const before = field === 'owner' && previousOwner !== undefined && html`${brief(previousOwner)} → `;
    return [field, html`${before}${value(t, text, { id: `${id}-${index}`, rest })}`];
  });
  const left = told.length - lines.length;
  if (left > 0) lines.push(['…', html`<a href="${rest}">${t.events.more(left)}</a>`]);
  if (Object.keys(extra).length > 0) {
    lines.push(['extra', value(t, JSON.stringify(extra), { id: `${id}-extra`, rest, most: 60 })]);
  }
  if (lines.length === 0) return html`<span class="quiet">${t.events.noField}</span>`;
  return html`<dl class="changes">${lines.map(([field, text]) => html`<div><dt>${brief(field, 160)}</dt><dd>${text}</dd></div>`)}</dl>`;
}

export function numberOf(text: string | null): number | undefined {
  return text !== null && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}
