import { html } from 'hono/html';
import type { Group } from '../../model/group.ts';
import { figure, plural } from '../../model/text.ts';
import { groupLink, lastBy } from './events.ts';
import { pager } from './forms.ts';
import type { Page } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, fitting, type Row, table } from './table.ts';
import { brief, type Html, moment, optional } from './text.ts';

const PAGE_GROUPS = 100;

/** `/groups?search=&after=`: by id or name. */
export function groupsPage(ports: ConsolePorts, query: URLSearchParams, signal: AbortSignal): Page {
  const text = query.get('search') ?? '';
  const after = query.get('after') ?? '';
  const found = async (): Promise<Html> => {
    const { groups, complete, next } = await ports.history.search(text, PAGE_GROUPS, signal, after);
    if (groups.length === 0 && complete) {
      if (after !== '') return empty('There are no more groups.');
      return text === ''
        ? empty('No group is known yet: the first callback of a group makes it known.')
        : empty(html`No group has ${brief(text)} in its id or name.`);
    }
    const rows = fitting(groups, groupRow(ports, ports.now()));
    const fit = rows.length === groups.length;
    // The place of a group in the list, as the search gives it.
    const last = groups[rows.length - 1];
    const following = fit ? (complete ? undefined : next) : last && `${placeOf(last.groupId, text)}${last.groupId}`;
    const of = text === '' ? ` of ${figure(ports.groupCount())}` : complete && after === '' ? '' : ' of those found';
    return html`<p class="quiet" role="status">${plural(rows.length, 'group')}${of}.</p>${
      rows.length > 0 && groupTable(rows, text === '' ? 'Groups, by id' : 'Groups found')
    }${pager(
      '/groups',
      { search: text === '' ? undefined : text },
      following !== undefined && { after: following },
      after === '',
      {
        next: 'More groups',
        first: 'The first ones',
      },
    )}`;
  };
  return {
    title: 'Groups',
    section: 'groups',
    parts: [
      {
        render: () => html`<div class="row spread"><h1>Groups</h1>
<form class="row" method="get" action="/groups" role="search"><label for="search">Id or name</label>
<input id="search" name="search" type="search" value="${text}" autocomplete="off" spellcheck="false">
<button type="submit">Search</button></form></div>`,
      },
      { render: found },
    ],
  };
}

/** Groups whose id begins with the text come first. */
const placeOf = (groupId: string, text: string): '0' | '1' => (groupId.startsWith(text) ? '0' : '1');

function groupTable(rows: readonly Row[], caption: string): Html {
  return table(
    caption,
    [{ head: 'Group', kind: 'wide' }, { head: 'Type' }, { head: 'Owner' }, { head: 'Changed (UTC)' }, { head: 'By' }],
    rows,
  );
}

const groupRow =
  (ports: ConsolePorts, now: number) =>
  (group: Group, index: number): Row => {
    const { groupId, name, destroyed, groupType, owner, updatedAt } = group;
    return {
      id: `group-${index}`,
      cells: [
        html`${groupLink(groupId, name)}${destroyed && html` <span class="badge warn">destroyed</span>`}`,
        optional(groupType),
        optional(owner),
        updatedAt === undefined ? optional(undefined) : moment(Date.parse(updatedAt), now),
        lastBy(ports, group),
      ],
    };
  };
