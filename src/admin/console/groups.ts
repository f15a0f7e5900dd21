import { html } from 'hono/html';
import type { Group } from '../../model/group.ts';
import { plural } from '../../model/text.ts';
import { groupLink } from './events.ts';
import type { Page } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, table } from './table.ts';
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
    return html`<p class="quiet" role="status">${
      complete ? `${plural(groups.length, 'group')}.` : `The first ${groups.length}: a longer text narrows the search.`
    }</p>${groupTable(groups, ports.now(), text === '' ? 'Groups, by id' : 'Groups found')}`;
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

function groupTable(groups: readonly Group[], now: number, caption: string): Html {
  return table(
    caption,
    [{ head: 'Group', kind: 'wide' }, { head: 'Type' }, { head: 'Owner' }, { head: 'Changed (UTC)' }, { head: 'By' }],
    groups.map((group, index) => ({
      id: `group-${index}`,
      cells: [
        html`${groupLink(group.groupId, group.name)}${group.destroyed && html` <span class="badge warn">destroyed</span>`}`,
        optional(group.groupType),
        optional(group.owner),
        group.updatedAt === undefined ? optional(undefined) : moment(Date.parse(group.updatedAt), now),
        optional(group.lastOperator),
      ],
    })),
  );
}
