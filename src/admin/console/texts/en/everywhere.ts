import { html } from 'hono/html';
import { figure, plural } from '../../../../model/text.ts';
import { ENGLISH } from '../../../../model/verdict.ts';
import type { Html } from '../../text.ts';

/** Of every page: what stands around it, the verdict, times, the results of actions, and the page to sign in. */
export const everywhere = {
  frame: {
    skip: 'Skip to the content',
    app: (id: Html) => html`app ${id}`,
    find: 'Find a group or an event',
    findHint: 'Group, event, RequestID',
    pages: 'Pages',
    utc: 'Times are UTC.',
    signOut: 'Sign out',
    reload: 'Reload the page for newer figures.',
    broken: 'This part cannot be shown just now.',
  },

  sections: {
    overview: 'Overview',
    events: 'Events',
    groups: 'Groups',
    'dead-letters': 'Dead letters',
    quarantine: 'Quarantine',
    reconcile: 'Reconcile',
  },

  /** For the script; {} is the time. */
  script: {
    units: ['d', 'h', 'min', 's'],
    ago: '{} ago',
    for: 'for {}',
    in: 'in {}',
    now: 'now',
    live: 'Live',
    lost: 'Not connected: the bridge does not answer. Trying again…',
    crowded: 'Not live: too many pages are being watched. Trying again…',
    asOf: 'The bridge does not answer. What you see is as of {} UTC.',
    again: 'Trying again…',
    undone: 'Nothing was done.',
  },

  signIn: {
    title: 'Sign in',
    notSignedIn: 'Not signed in',
    where: 'to the admin server of group-sync-bridge',
    token: 'Token',
    hint: html`It is <code>admin.token</code> in the bridge’s configuration.`,
    wrong: 'This is not the token of this bridge.',
    slowed: 'Too many wrong tokens came from your address. Wait a minute, then try again.',
  },

  verdict: ENGLISH,

  /** Before the script counts. */
  moments: { ago: (at: string) => at, for: (at: string) => `since ${at}`, in: (at: string) => `at ${at}` },

  text: {
    more: (count: number) => `${figure(count)} more characters`,
    label: 'The text',
    nothingKnown: 'nothing known',
    empty: 'empty',
    length: (count: number) => plural(count, 'character'),
    tooLarge: (count: number, where: string | Html) => html`${figure(count)} more, too large for this page: ${where}`,
    pager: 'More entries',
    later: 'Later ones',
    and: (more: string | Html) => html`, ${more}`,
    noMore: 'There are no more after these.',
    oldest: 'The oldest',
  },

  fault: { setting: 'Setting' },

  /** The results of actions, by their codes. */
  notices: {
    paused: () => 'Paused. Callbacks go on being recorded; the connector takes nothing until it is resumed.',
    resumed: () => 'Resumed.',
    replaying: (n: number) => `${plural(n, 'event')} will be delivered again.`,
    'nothing-to-replay': () => 'Nothing to replay: no event was recorded from there on.',
    restoring: (n: number) => `${plural(n, 'group')} will be resynced to the destination.`,
    brought: (n: number) => `The group is brought to ${plural(n, 'copy', 'copies')} again.`,
    retried: (n: number) => `${plural(n, 'dead letter')} will be tried again; the page says what became of them.`,
    discarded: (n: number) =>
      n === 0 ? 'Nothing was discarded: there was no such dead letter.' : `${plural(n, 'dead letter')} discarded.`,
    mapped: (n: number) =>
      n === 0 ? 'None could be mapped: the bridge does not know this shape yet.' : `${figure(n)} mapped.`,
    'quarantine-discarded': (n: number) => `${plural(n, 'callback')} discarded.`,
    'sample-sent': () => 'The sample was recorded: it shows below, with where it went.',
    'reconcile-started': () => 'Reconcile has started.',
    'reconcile-stopped': () => 'Reconcile was stopped. What it has read stays read.',
    'reconcile-running': () => 'Not started: a reconcile is running already.',
    'reconcile-unconfigured': () => 'Reconcile is not configured.',
    'connector-unknown': () => 'Nothing was done: no connector of that name runs here any more.',
    invalid: () =>
      'Nothing was done: the form was not filled in as expected. For a replay, give the seq or the time that was chosen.',
    failed: () => 'It could not be done. The log says why; is there room on the journal’s disk?',
  },
};
