import { html } from 'hono/html';
import { figure, plural } from '../../../../model/text.ts';
import type { Html } from '../../text.ts';

/** Of the pages of events and groups. */
export const records = {
  events: {
    group: 'Group id',
    type: 'Event',
    by: 'By',
    field: 'Field',
    since: 'Received since (UTC)',
    until: 'until',
    all: 'All events',
    id: 'Event id, seq or RequestID',
    follow: 'Follow',
    types: {
      'chat.group.info.changed': 'changed',
      'chat.group.created': 'created',
      'chat.group.destroyed': 'destroyed',
      'chat.group.owner.changed': 'owner changed',
      'chat.group.info.read': 'read by reconcile',
    },
    noneLookedAt: 'There are no such events among those that were looked at.',
    noneSuch: 'The journal holds no such event: none was recorded, or all were pruned.',
    none: 'Nothing has been recorded yet.',
    newestFirst: 'Events, newest first',
    older: 'Older events',
    newest: 'Newest events',
    seq: 'Seq',
    occurred: 'Occurred',
    what: 'What changed',
    times: { callback: '', receipt: 'time of receipt', read: 'time of the read' },
    reconcile: 'reconcile',
    notStated: 'not stated',
    more: (count: number) => `${count} more`,
    noField: 'no field that the bridge knows',
  },

  /** Of an event at a destination, or of a group's copy there. */
  standings: {
    delivered: 'Delivered',
    superseded: 'Superseded by something newer',
    behind: 'Behind',
    waiting: 'Waiting for a retry',
    dead: 'Dead letter',
    filtered: 'Filtered out',
    'in-step': 'In step',
    differs: 'Differs',
    missing: 'Missing',
    unknown: 'Unknown',
  },

  event: {
    unknown: 'Unknown event',
    nothing: (id: Html) =>
      html`No event has the id, the seq or the RequestID ${id}: none was recorded, or it was pruned.`,
    head: (seq: number, what: string) => `Event ${seq}: ${what}`,
    group: 'Group',
    received: 'Received',
    json: 'All of it, as JSON',
    detail: 'Where, when, or why not',
    unplaced: 'where and when is not known',
    attempts: (count: number) => plural(count, 'attempt'),
  },

  group: {
    unknown: 'Unknown group',
    nothing: (id: Html) => html`No event of ${id} was ever recorded.`,
    search: 'Search',
    destroyed: 'Destroyed',
    type: 'Type',
    owner: 'Owner',
    lastChanged: 'Last changed',
    bring: 'Bring this group again',
    bringing: 'Its merged state goes to each copy of groups once more; what somebody changed there is undone.',
    history: 'Fields and their history',
    since: (count: number, seq: number | undefined) =>
      `From the group’s newest ${plural(count, 'event')}${seq === undefined ? '' : `, since seq ${seq}`}. The change that occurred latest wins, whenever it arrived.`,
    whole: 'the whole group',
    changes: (field: string) => `Changes of ${field}, newest first`,
    earlier: (count: number) => plural(count, 'earlier change'),
    seeEvents: 'see the events',
    before: 'before: ',
    after: 'after: ',
    late: (at: Html) => html`arrived late, superseded by the change of ${at}`,
    copies: 'Copies',
    noConnector: 'No connector runs.',
    connector: 'Connector',
    status: 'Status',
    differsIn: (fields: readonly Html[], more: number) =>
      html`Differs in ${fields.map((field, at) => html`${at > 0 && ', '}${field}`)}${more > 0 && `, and ${more} more`}`,
    seeDeadLetters: 'See the dead letters',
    events: 'Events of this group',
    pruned: 'They were all pruned: the merged state outlives them.',
  },

  groups: {
    search: 'Id or name',
    none: 'No group is known yet: the first callback of a group makes it known.',
    notFound: (text: Html) => html`No group has ${text} in its id or name.`,
    of: (count: number, all: number) => `${plural(count, 'group')} of ${figure(all)}.`,
    found: (count: number) => `${plural(count, 'group')}.`,
    ofFound: (count: number) => `${plural(count, 'group')} of those found.`,
    orders: 'Order',
    byId: 'Groups, by id',
    lately: 'Groups, changed lately',
    latelyOf: (count: number, events: number) =>
      `${plural(count, 'group')} in the newest ${plural(events, 'event')}, the one recorded last first.`,
    more: 'More groups',
    first: 'The first ones',
  },

  whole: {
    nothing: 'Nothing',
    gone: 'Nothing is here: it was never recorded, or is gone.',
    part: (from: number, to: number, of: number) => `Characters ${figure(from)} to ${figure(to)} of ${figure(of)}.`,
    beginning: 'The beginning',
    next: 'The next part',
    event: (seq: number) => `Event ${figure(seq)}`,
    group: (id: string) => `Group ${id}`,
  },
};
