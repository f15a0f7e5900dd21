import { html } from 'hono/html';
import type { Group } from '../../model/group.ts';
import { plural } from '../../model/text.ts';
import { groupLink, lastBy } from './events.ts';
import type { Page } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, fitting, type Row, table } from './table.ts';
import { brief, type Html, moment, optional } from './text.ts';

const MOST = 100;

/** `/groups?search=`: by id or name. */
export function groupsPage(ports: ConsolePorts, query: URLSearchParams, signal: AbortSignal): Page {
  const text = query.get('search') ?? '';
  const found = async (): Promise<Html> => {
    const { groups, complete } = await ports.history.search(text, MOST, signal);
    if (groups.length === 0) {
      return text === ''
        ? empty('No group is known yet: the first callback of a group makes it known.')
        : empty(html`No group has ${brief(text)} in its id or name.`);
    }
    const rows = fitting(groups, groupRow(ports, ports.now()));
    const all = complete && rows.length === groups.length;
    return html`<p class="quiet" role="status">${
      all ? `${plural(groups.length, 'group')}.` : `The first ${rows.length}: a longer text narrows the search.`
    }</p>${groupTable(rows, text === '' ? 'Groups, by id' : 'Groups found')}`;
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
