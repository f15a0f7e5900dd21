import { html } from 'hono/html';
import type { GroupCopy } from '../../delivery/copies.ts';
import type { JournalEntry } from '../../journal/reads.ts';
import type { Group, Version } from '../../model/group.ts';
import { plural } from '../../model/text.ts';
import { faultLines } from './connectors.ts';
import { eventHref, eventList, eventWords, lastBy, operator } from './events.ts';
import { type FieldChange, type FieldHistory, fieldHistories } from './field-history.ts';
import { button } from './forms.ts';
import { badge, type Page, type Tone } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, fitting, leftOut, table } from './table.ts';
import { brief, code, type Html, href, moment, optional, plain, relative, upTo, value } from './text.ts';

/** The history of the fields is made from at most this many events. */
const MOST_EVENTS = 200;
const SHOWN_EVENTS = 20;
/** The markup of one field and its changes. */
const FIELD_CHARACTERS = 12_288;
/** More changes of a field than these have to be opened. */
const RECENT_CHANGES = 4;
/** Copies are read back from their destinations, which costs those something. */
const COPIES_EVERY_MS = 5_000;
const COPIES_WITHIN_MS = 3_000;

/** `/group?id=`: its merged state, the status of each copy, the history of each field, its events. */
export function groupPage(ports: ConsolePorts, query: URLSearchParams): Page {
  const groupId = query.get('id') ?? '';
  const known = ports.group(groupId);
  if (known === undefined) {
    const nothing = html`No event of ${code(groupId)} was ever recorded. <a href="/groups">Search</a>`;
    return {
      title: 'Unknown group',
      section: 'groups',
      status: 404,
      parts: [{ render: () => html`<h1>Unknown group</h1>${empty(nothing)}` }],
    };
  }
  const entries = (): JournalEntry[] => ports.history.ofGroup(groupId, MOST_EVENTS);
  const current = (): Group => ports.group(groupId) ?? known;
  return {
    title: upTo(known.name || groupId, 80),
    section: 'groups',
    parts: [
      { id: 'state', render: () => stateOf(ports, current()) },
      { id: 'copies', every: COPIES_EVERY_MS, render: () => copiesOf(ports, groupId) },
      { id: 'history', render: () => historyOf(current(), entries(), ports.now()) },
      { id: 'events', render: () => eventsOf(ports, groupId, entries()) },
    ],
  };
}

function stateOf(ports: ConsolePorts, group: Group): Html {
  const { groupId, name, groupType, owner, updatedAt, destroyed } = group;
  return html`<div><p class="quiet"><a href="/groups">Groups</a> /</p>
<h1>${name ? brief(name, 160) : code(groupId)}</h1>
<p>${code(groupId)}${destroyed && html` ${badge('warn', 'Destroyed')}`}</p></div>
<dl class="panel figures row">
<div><dt>Type</dt><dd>${optional(groupType)}</dd></div>
<div><dt>Owner</dt><dd>${optional(owner)}</dd></div>
<div><dt>Last changed</dt><dd>${updatedAt === undefined ? optional(undefined) : relative(Date.parse(updatedAt), 'ago')}</dd></div>
<div><dt>By</dt><dd>${lastBy(ports, group)}</dd></div>
</dl>${
    ports.status().connectors.some(({ name }) => ports.holdsGroups(name)) &&
    html`<div class="acts row">${button('bring', { group: groupId, back: href('/group', { id: groupId }) }, 'Bring this group again')}
<p class="quiet">Its merged state goes to each copy of groups once more; what somebody changed there is undone.</p></div>`
  }`;
}

function historyOf(group: Group, entries: readonly JournalEntry[], now: number): Html {
  const histories = fieldHistories(group, entries);
  const [all, first] = [wholeGroup(group.groupId), entries.at(-1)];
  const list = fitting(histories, (history, index) => fieldHistory(history, `field-${index}`, now, all));
  return html`<section aria-labelledby="history-head"><h2 id="history-head">Fields and their history</h2>
<p class="quiet">From the group’s newest ${plural(entries.length, 'event')}${first !== undefined && `, since seq ${first.seq}`}. The change that occurred latest wins, whenever it arrived.</p>
<div class="panel list">${list}</div>${leftOut(histories.length - list.length, html`<a href="${all}">the whole group</a>`)}</section>`;
}

const wholeGroup = (groupId: string): string => href('/whole', { group: groupId });

function fieldHistory({ field, value: current, changes }: FieldHistory, id: string, now: number, rest: string): Html {
  const line = (change: FieldChange, index: number): Html =>
    changeLine(change, `${id}-${change.seq}`, now, index === 0);
  const recent = fitting(changes.slice(0, RECENT_CHANGES), line, FIELD_CHARACTERS);
  const others = changes.slice(recent.length);
  const earlier = fitting(others, (change) => line(change, -1), FIELD_CHARACTERS);
  return html`<article class="field" id="${id}" aria-labelledby="${id}-name">
<h3 id="${id}-name">${brief(field, 160)}</h3><div>${
    current === undefined
      ? html`<span class="quiet">never set</span>`
      : value(current, { id: `${id}-now`, rest, most: 400 })
  }${recent.length > 0 && html`<ol class="past" aria-label="Changes of ${plain(field)}, newest first">${recent}</ol>`}${
    others.length > 0 &&
    html`<details id="${id}-earlier"><summary class="quiet">${plural(others.length, 'earlier change')}</summary><ol class="past" aria-label="Earlier changes of ${plain(
      field,
    )}">${earlier}</ol>${leftOut(others.length - earlier.length, 'see the events')}</details>`
  }</div></article>`;
}

function changeLine(change: FieldChange, id: string, now: number, newest: boolean): Html {
  const { event, before, after, supersededBy, seq } = change;
  const late = supersededBy !== undefined;
  const old = before === undefined ? html`<span class="quiet">nothing known</span>` : value(before, { id: `${id}-b` });
  const fresh = value(after, { id: `${id}-a`, rest: eventHref(seq) });
  return html`<li id="${id}" class="${late ? 'late' : newest ? 'current' : ''}"><p>${moment(event.data.occurredAt, now)} ${operator(
    event,
  )} <span class="quiet">${eventWords(event)}, seq <a href="${href('/event', { id: seq })}">${seq}</a></span>${late && html` ${lateBadge(supersededBy, now)}`}</p>
<div class="fromto"><div><span class="aside">before: </span>${
    late || before === undefined ? old : html`<del class="bad">${old}</del>`
  }</div><span class="quiet" aria-hidden="true">→</span><div><span class="aside">after: </span>${
    late ? html`<s class="quiet">${fresh}</s>` : html`<ins class="ok">${fresh}</ins>`
  }</div></div></li>`;
}

function lateBadge([occurredAt]: Version, now: number): Html {
  return badge('held', html`arrived late, superseded by the change of ${moment(occurredAt, now)}`);
}

const STATUSES: Readonly<Record<GroupCopy['standing'], readonly [Tone, string]>> = {
  'in-step': ['ok', 'In step'],
  differs: ['warn', 'Differs'],
  missing: ['warn', 'Missing'],
  behind: ['busy', 'Behind'],
  waiting: ['busy', 'Waiting for a retry'],
  dead: ['bad', 'Dead letter'],
  filtered: ['held', 'Filtered out'],
  unknown: ['held', 'Unknown'],
};

async function copiesOf(ports: ConsolePorts, groupId: string): Promise<Html> {
  const within = AbortSignal.any([ports.stopping, AbortSignal.timeout(COPIES_WITHIN_MS)]);
  const copies = await ports.operations.copies(groupId, within);
  const row = (copy: GroupCopy) => ({
    id: `copy-${copy.connector}`,
    cells: [
      html`${copy.connector} <span class="quiet">${copy.kind}</span>`,
      badge(...STATUSES[copy.standing]),
      copyDetail(copy),
    ],
  });
  return html`<section aria-labelledby="copies-head"><h2 id="copies-head">Copies</h2>${
    copies.length === 0
      ? empty('No connector runs.')
      : table(
          'The status of each copy of this group',
          [{ head: 'Connector' }, { head: 'Status' }, { head: 'Location', kind: 'wide' }],
          copies.map(row),
        )
  }</section>`;
}

function copyDetail({ connector, standing, where, differs = [], fault }: GroupCopy): Html {
  if (where === undefined && differs.length === 0 && fault === undefined) return optional(undefined);
  return html`${where !== undefined && html`<p>${code(where)}</p>`}${
    differs.length > 0 &&
    html`<p>Differs in ${differs.slice(0, 20).map((field, at) => html`${at > 0 && ', '}${code(field)}`)}${differs.length > 20 && `, and ${differs.length - 20} more`}</p>`
  }${fault !== undefined && faultLines(fault, `copy-${connector}`)}${
    standing === 'dead' && html`<p><a href="${href('/dead-letters', { connector })}">See the dead letters</a></p>`
  }`;
}

function eventsOf(ports: ConsolePorts, groupId: string, entries: readonly JournalEntry[]): Html {
  return html`<section aria-labelledby="events-head"><div class="row spread"><h2 id="events-head">Events of this group</h2>${
    entries.length > SHOWN_EVENTS && html`<a href="${href('/events', { group: groupId })}">All of them</a>`
  }</div>${
    entries.length === 0
      ? empty('They were all pruned: the merged state outlives them.')
      : eventList(
          ports,
          entries.slice(0, SHOWN_EVENTS),
          'Events of this group, newest first',
          href('/events', { group: groupId }),
          groupId,
        )
  }</section>`;
}
