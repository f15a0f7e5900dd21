import { html } from 'hono/html';
import type { JournalEntry } from '../../journal/reads.ts';
import type { Group } from '../../model/group.ts';
import { truncate } from '../../model/text.ts';
import { copyList } from './event.ts';
import { eventHref, eventList, lastBy, operator } from './events.ts';
import { type FieldChange, type FieldHistory, fieldHistories } from './field-history.ts';
import { button } from './forms.ts';
import { badge, type Page, unknownPage } from './layout.ts';
import type { View } from './ports.ts';
import { empty, fitting, leftOut } from './table.ts';
import { brief, code, type Html, href, moment, optional, plain, relative, value } from './text.ts';
import type { Texts } from './texts/index.ts';

const MOST_EVENTS = 200;
const SHOWN_EVENTS = 20;
/** The limit for the markup of one field's changes. */
const FIELD_CHARACTERS = 12_288;
const RECENT_CHANGES = 4;
/** Reading copies back is a burden on their destinations. */
const COPIES_EVERY_MS = 5_000;
const COPIES_WITHIN_MS = 3_000;

/** `/group?id=`: a group's merged state, the status of each copy, the history of each field, its events. */
export function groupPage(ports: View, query: URLSearchParams): Page {
  const { t } = ports;
  const groupId = query.get('id') ?? '';
  const known = ports.journal.groups.get(groupId);
  if (known === undefined) {
    const nothing = html`${t.group.nothing(code(groupId))} <a href="/groups">${t.group.search}</a>`;
    return unknownPage('groups', t.group.unknown, nothing);
  }
  const entries = (): JournalEntry[] => ports.journal.history.ofGroup(groupId, MOST_EVENTS);
  const current = (): Group => ports.journal.groups.get(groupId) ?? known;
  return {
    title: truncate(known.name || groupId, 80),
    section: 'groups',
    parts: [
      { id: 'state', render: () => stateOf(ports, current()) },
      { id: 'copies', every: COPIES_EVERY_MS, render: () => copiesOf(ports, groupId) },
      { id: 'history', render: () => historyOf(t, current(), entries(), ports.clock.now()) },
      { id: 'events', render: () => eventsOf(ports, groupId, entries()) },
    ],
  };
}

function stateOf(ports: View, group: Group): Html {
  const { t } = ports;
  const { groupId, name, groupType, owner, updatedAt, destroyed } = group;
  return html`<div><p class="quiet"><a href="/groups">${t.sections.groups}</a> /</p>
<h1>${name ? brief(name, 160) : code(groupId)}</h1>
<p>${code(groupId)}${destroyed && html` ${badge('warn', t.group.destroyed)}`}</p></div>
<dl class="panel figures row">
<div><dt>${t.group.type}</dt><dd>${optional(groupType)}</dd></div>
<div><dt>${t.group.owner}</dt><dd>${optional(owner)}</dd></div>
<div><dt>${t.group.lastChanged}</dt><dd>${updatedAt === undefined ? optional(undefined) : relative(t, Date.parse(updatedAt), 'ago')}</dd></div>
<div><dt>${t.events.by}</dt><dd>${lastBy(ports, group)}</dd></div>
</dl>${
    ports.status().connectors.some(({ name }) => ports.delivery.destination(name).holdsGroups) &&
    html`<div class="acts row">${button('bring', { group: groupId, back: href('/group', { id: groupId }) }, t.group.bring)}
<p class="quiet">${t.group.bringing}</p></div>`
  }`;
}

function historyOf(t: Texts, group: Group, entries: readonly JournalEntry[], now: number): Html {
  const histories = fieldHistories(group, entries);
  const [all, first] = [wholeGroup(group.groupId), entries.at(-1)];
  const list = fitting(histories, (history, index) => fieldHistory(t, history, `field-${index}`, now, all));
  return html`<section aria-labelledby="history-head"><h2 id="history-head">${t.group.history}</h2>
<p class="quiet">${t.group.since(entries.length, first?.seq)}</p>
<div class="panel list">${list}</div>${leftOut(t, histories.length - list.length, html`<a href="${all}">${t.group.whole}</a>`)}</section>`;
}

const wholeGroup = (groupId: string): string => href('/whole', { group: groupId });

function fieldHistory(
  t: Texts,
  { field, value: current, changes }: FieldHistory,
  id: string,
  now: number,
  rest: string,
): Html {
  const line = (change: FieldChange, index: number): Html =>
    changeLine(t, change, `${id}-${change.seq}`, now, index === 0);
  const recent = fitting(changes.slice(0, RECENT_CHANGES), line, FIELD_CHARACTERS);
  const others = changes.slice(recent.length);
  const earlier = fitting(others, (change) => line(change, -1), FIELD_CHARACTERS);
  return html`<article class="field" id="${id}" aria-labelledby="${id}-name">
<h3 id="${id}-name">${brief(field, 160)}</h3><div>${value(t, current, {
    id: `${id}-now`,
    rest,
    most: 400,
  })}${recent.length > 0 && html`<ol class="past" aria-label="${t.group.changes(plain(field))}">${recent}</ol>`}${
    others.length > 0 &&
    html`<details id="${id}-earlier"><summary class="quiet">${t.group.earlier(others.length)}</summary><ol class="past" aria-label="${t.group.changes(plain(field))}">${earlier}</ol>${leftOut(t, others.length - earlier.length, t.group.seeEvents)}</details>`
  }</div></article>`;
}

function changeLine(t: Texts, change: FieldChange, id: string, now: number, newest: boolean): Html {
  const { event, before, after, supersededBy, seq } = change;
  const late = supersededBy !== undefined;
  const old = value(t, before, { id: `${id}-b` });
  const fresh = value(t, after, { id: `${id}-a`, rest: eventHref(seq) });
  return html`<li id="${id}" class="${late ? 'late' : newest ? 'current' : ''}"><p>${moment(t, event.data.occurredAt, now)} ${operator(
    t,
    event,
  )} <span class="quiet">${t.events.types[event.type]}${t.text.and(
    html`seq <a href="${href('/event', { id: seq })}">${seq}</a>`,
  )}</span>${late && html` ${badge('held', t.group.late(moment(t, supersededBy[0], now)))}`}</p>
<div class="fromto"><div><span class="aside">${t.group.before}</span>${
    late || before === undefined ? old : html`<del class="bad">${old}</del>`
  }</div><span class="quiet" aria-hidden="true">→</span><div><span class="aside">${t.group.after}</span>${
    late ? html`<s class="quiet">${fresh}</s>` : html`<ins class="ok">${fresh}</ins>`
  }</div></div></li>`;
}

async function copiesOf(ports: View, groupId: string): Promise<Html> {
  const { t } = ports;
  const within = AbortSignal.any([ports.stopping.signal, AbortSignal.timeout(COPIES_WITHIN_MS)]);
  const copies = await ports.delivery.operations.copies(groupId, within);
  return copyList(t, copies);
}

function eventsOf(ports: View, groupId: string, entries: readonly JournalEntry[]): Html {
  const { t } = ports;
  return html`<section aria-labelledby="events-head"><div class="row spread"><h2 id="events-head">${t.group.events}</h2>${
    entries.length > SHOWN_EVENTS && html`<a href="${href('/events', { group: groupId })}">${t.events.all}</a>`
  }</div>${
    entries.length === 0
      ? empty(t.group.pruned)
      : eventList(ports, entries.slice(0, SHOWN_EVENTS), href('/events', { group: groupId }), groupId)
  }</section>`;
}
