import { html } from 'hono/html';
import type { GroupCopy } from '../../delivery/copies.ts';
import type { JournalEntry } from '../../journal/deliveries.ts';
import type { Group, Version } from '../../model/group.ts';
import { plural } from '../../model/text.ts';
import { faultLines } from './connectors.ts';
import { eventTable, eventWords, operator } from './events.ts';
import { type Change, type FieldStory, storyOf } from './field-history.ts';
import { optional } from './groups.ts';
import { badge, type Page, type Tone } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, table } from './table.ts';
import { brief, code, type Html, href, moment, plain, relative, shown, upTo, value } from './text.ts';

/** So many of its events are looked at for the history of the fields. */
const MOST_EVENTS = 200;
const SHOWN_EVENTS = 20;
/** Copies are read back from their destinations, which costs those something. */
const COPIES_EVERY_MS = 5_000;
const COPIES_WITHIN_MS = 3_000;

/** `/group?id=`: its merged state, the history of each field, where each copy stands, its events. */
export function groupPage(ports: ConsolePorts, query: URLSearchParams): Page {
  const groupId = query.get('id') ?? '';
  const known = ports.group(groupId);
  if (known === undefined) {
    return {
      title: 'Unknown group',
      place: 'groups',
      status: 404,
      parts: [
        {
          render: () =>
            html`<h1>Unknown group</h1>${empty(html`Nothing was ever recorded of ${code(groupId)}. <a href="/groups">Search</a>`)}`,
        },
      ],
    };
  }
  const entries = (): JournalEntry[] => ports.history.ofGroup(groupId, MOST_EVENTS);
  const current = (): Group => ports.group(groupId) ?? known;
  return {
    title: upTo(known.name === undefined || known.name === '' ? groupId : known.name, 80),
    place: 'groups',
    parts: [
      { id: 'state', render: () => stateOf(current()) },
      { id: 'copies', every: COPIES_EVERY_MS, render: () => copiesOf(ports, groupId) },
      { id: 'history', render: () => historyOf(current(), entries(), ports.now()) },
      { id: 'events', render: () => eventsOf(ports, groupId, entries()) },
    ],
  };
}

function stateOf(group: Group): Html {
  const { groupId, name, groupType, owner, lastOperator, updatedAt, destroyed } = group;
  return html`<div class="title"><p class="quiet"><a href="/groups">Groups</a> /</p>
<h1>${name === undefined || name === '' ? code(groupId) : brief(name, 160)}</h1>
<p>${code(groupId)}${destroyed && html` ${badge('warn', 'Destroyed')}`}</p></div>
<dl class="facts">
<div><dt>Type</dt><dd>${optional(groupType)}</dd></div>
<div><dt>Owner</dt><dd>${optional(owner)}</dd></div>
<div><dt>Last changed</dt><dd>${updatedAt === undefined ? optional(undefined) : relative(Date.parse(updatedAt), 'ago')}</dd></div>
<div><dt>By</dt><dd>${optional(lastOperator)}</dd></div>
</dl>`;
}

function historyOf(group: Group, entries: readonly JournalEntry[], now: number): Html {
  const stories = storyOf(group, entries);
  return html`<section aria-labelledby="history-head"><h2 id="history-head">Fields and their history</h2>
<p class="quiet">${
    entries.length === MOST_EVENTS
      ? `From the group’s newest ${MOST_EVENTS} events.`
      : `From ${plural(entries.length, 'event')} that the journal still holds.`
  } The change that occurred latest wins, whenever it arrived.</p>
<div class="stories">${stories.map((story, index) => fieldStory(story, `field-${index}`, now))}</div></section>`;
}

/** So many changes of a field are seen at once. */
const RECENT_CHANGES = 4;

function fieldStory({ field, value: current, changes }: FieldStory, id: string, now: number): Html {
  const line = (change: Change): Html => changeLine(change, `${id}-${change.seq}`, now);
  const earlier = changes.slice(RECENT_CHANGES);
  return html`<article class="story" id="${id}" aria-labelledby="${id}-name"><div class="now">
<h3 id="${id}-name">${shown(field)}</h3><div>${
    current === undefined ? html`<span class="quiet">never set</span>` : value(current, `${id}-now`, 400)
  }</div></div>${
    changes.length > 0 &&
    html`<ol class="past" aria-label="Changes of ${plain(field)}, newest first">${changes.slice(0, RECENT_CHANGES).map(line)}</ol>`
  }${
    earlier.length > 0 &&
    html`<details class="earlier" id="${id}-earlier"><summary>${plural(earlier.length, 'earlier change')}</summary><ol class="past" aria-label="Earlier changes of ${plain(field)}">${earlier.map(line)}</ol></details>`
  }</article>`;
}

function changeLine({ event, before, after, late, seq }: Change, id: string, now: number): Html {
  return html`<li id="${id}" class="${late === undefined ? '' : 'late'}"><p class="what">${moment(event.data.occurredAt, now)} ${operator(
    event,
  )} <span class="quiet">${eventWords(event)}, seq ${seq}</span>${
    late !== undefined && html` ${badge('held', html`arrived late, superseded by ${versionWords(late.than, now)}`)}`
  }</p><div class="fromto"><div><span class="aside">before: </span>${
    before === undefined
      ? html`<span class="quiet">nothing known</span>`
      : late === undefined
        ? html`<del>${value(before, `${id}-b`)}</del>`
        : value(before, `${id}-b`)
  }</div><span class="arrow" aria-hidden="true">→</span><div><span class="aside">after: </span>${
    late === undefined ? html`<ins>${value(after, `${id}-a`)}</ins>` : html`<s>${value(after, `${id}-a`)}</s>`
  }</div></div></li>`;
}

function versionWords([occurredAt]: Version, now: number): Html {
  return html`the change of ${moment(occurredAt, now)}`;
}

const STANDINGS: Readonly<Record<GroupCopy['standing'], readonly [Tone, string]>> = {
  'in-step': ['ok', 'In step'],
  differs: ['warn', 'Differs'],
  missing: ['warn', 'Missing'],
  behind: ['busy', 'Behind'],
  waiting: ['busy', 'Waits for a retry'],
  dead: ['bad', 'Dead letter'],
  filtered: ['held', 'Filtered out'],
  unknown: ['held', 'Cannot be told'],
};

async function copiesOf(ports: ConsolePorts, groupId: string): Promise<Html> {
  const copies = await ports.operations.copies(
    groupId,
    AbortSignal.any([ports.stopping, AbortSignal.timeout(COPIES_WITHIN_MS)]),
  );
  return html`<section aria-labelledby="copies-head"><h2 id="copies-head">Copies</h2>${
    copies.length === 0
      ? empty('No connector runs.')
      : table(
          'Where each copy of this group stands',
          [{ head: 'Connector' }, { head: 'Standing' }, { head: 'Where it lies', kind: 'wide' }],
          copies.map((copy) => ({
            id: `copy-${copy.connector}`,
            cells: [
              html`${copy.connector} <span class="quiet">${copy.kind}</span>`,
              badge(...STANDINGS[copy.standing]),
              copyDetail(copy),
            ],
          })),
        )
  }</section>`;
}

function copyDetail({ connector, standing, where, differs, fault }: GroupCopy): Html {
  if (where === undefined && differs === undefined && fault === undefined) return html`<span class="quiet">–</span>`;
  return html`${where !== undefined && html`<p>${code(where)}</p>`}${
    differs !== undefined &&
    differs.length > 0 &&
    html`<p>Differs in ${differs.map((field, at) => html`${at > 0 && ', '}${code(field)}`)}</p>`
  }${fault !== undefined && faultLines(fault, `copy-${connector}`)}${
    standing === 'dead' && html`<p><a href="${href('/dead-letters', { connector })}">See the dead letters</a></p>`
  }`;
}

function eventsOf(ports: ConsolePorts, groupId: string, entries: readonly JournalEntry[]): Html {
  return html`<section aria-labelledby="events-head"><div class="head"><h2 id="events-head">Its events</h2>${
    entries.length > SHOWN_EVENTS && html`<a href="${href('/events', { group: groupId })}">All of them</a>`
  }</div>${
    entries.length === 0
      ? empty('They were all pruned: the merged state outlives them.')
      : eventTable(ports, entries.slice(0, SHOWN_EVENTS), 'Events of this group, newest first', true)
  }</section>`;
}
