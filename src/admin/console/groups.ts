import { html } from 'hono/html';
import type { Group } from '../../model/group.ts';
import { groupLink, lastBy } from './events.ts';
import { pager } from './forms.ts';
import { badge, entry, type Page } from './layout.ts';
import type { View } from './ports.ts';
import { empty, fitting, type Row, table } from './table.ts';
import { brief, type Html, moment, optional } from './text.ts';
import type { Texts } from './texts/index.ts';

const PAGE_GROUPS = 100;
/** How many events are searched for recently changed groups, of which the journal keeps no list. */
const LATE_EVENTS = 1_000;
const LATELY_EVERY_MS = 5_000;

/** `/groups?search=&after=&order=`: groups by id or name, or the recently changed ones. */
export function groupsPage(ports: View, query: URLSearchParams, signal: AbortSignal): Page {
  const { t } = ports;
  const text = query.get('search') ?? '';
  const after = query.get('after') ?? '';
  const isLately = query.get('order') === 'lately' && text === '';
  const lately = (): Html => {
    const events = ports.journal.history.recent(LATE_EVENTS);
    const ids = [...new Set(events.map(({ event }) => event.subject))].slice(0, PAGE_GROUPS);
    const groups = ids.flatMap((groupId) => ports.journal.groups.get(groupId) ?? []);
    if (groups.length === 0) return empty(t.groups.none);
    const rows = fitting(groups, groupRow(ports, ports.clock.now()));
    return html`<p class="quiet" role="status">${t.groups.latelyOf(rows.length, events.length)}</p>${groupTable(t, rows, t.groups.lately)}`;
  };
  const found = async (): Promise<Html> => {
    const { groups, complete, next } = await ports.journal.history.search(text, PAGE_GROUPS, signal, after);
    if (groups.length === 0 && complete) {
      if (after !== '') return empty(t.text.noMore);
      return text === '' ? empty(t.groups.none) : empty(t.groups.notFound(brief(text)));
    }
    const rows = fitting(groups, groupRow(ports, ports.clock.now()));
    const fit = rows.length === groups.length;
    // If not all fit, the list continues after the last one shown, by the place that the search would give.
    const last = groups[rows.length - 1];
    const following = fit ? (complete ? undefined : next) : last && `${placeOf(last.groupId, text)}${last.groupId}`;
    const isAll = complete && after === '';
    const count =
      text === ''
        ? t.groups.of(rows.length, ports.journal.groups.count())
        : t.groups[isAll ? 'found' : 'ofFound'](rows.length);
    return html`<p class="quiet" role="status">${count}</p>${
      rows.length > 0 && groupTable(t, rows, text === '' ? t.groups.byId : t.sections.groups)
    }${pager(
      t,
      '/groups',
      { search: text === '' ? undefined : text },
      following !== undefined && { after: following },
      after === '',
      { next: t.groups.more, first: t.groups.first },
    )}`;
  };
  return {
    title: t.sections.groups,
    section: 'groups',
    parts: [
      {
        render: () => html`<div class="row spread"><h1>${t.sections.groups}</h1>
<form class="row" method="get" action="/groups" role="search"><label for="search">${t.groups.search}</label>
<input id="search" name="search" type="search" value="${text}" autocomplete="off" spellcheck="false">
<button type="submit">${t.group.search}</button></form></div>`,
      },
      { render: () => orders(t, isLately) },
      isLately ? { id: 'groups', every: LATELY_EVERY_MS, render: lately } : { render: found },
    ],
  };
}

function orders(t: Texts, isLately: boolean): Html {
  const byId = entry('/groups', t.groups.byId, !isLately);
  const lately = entry('/groups?order=lately', t.groups.lately, isLately);
  return html`<nav class="tabs" aria-label="${t.groups.orders}"><ul class="row">${byId}${lately}</ul></nav>`;
}

/** As in the search: groups whose id begins with the text come first. */
const placeOf = (groupId: string, text: string): '0' | '1' => (groupId.startsWith(text) ? '0' : '1');

function groupTable(t: Texts, rows: readonly Row[], caption: string): Html {
  return table(
    caption,
    [
      { head: t.event.group, kind: 'wide' },
      { head: t.group.type },
      { head: t.group.owner },
      { head: t.group.lastChanged },
      { head: t.events.by },
    ],
    rows,
  );
}

const groupRow =
  (ports: View, now: number) =>
  (group: Group, index: number): Row => {
    const { groupId, name, destroyed, groupType, owner, updatedAt } = group;
    return {
      id: `group-${index}`,
      cells: [
        html`${groupLink(groupId, name)}${destroyed && html` ${badge('warn', ports.t.group.destroyed)}`}`,
        optional(groupType),
        optional(owner),
        updatedAt === undefined ? optional(undefined) : moment(ports.t, Date.parse(updatedAt), now),
        lastBy(ports, group),
      ],
    };
  };
