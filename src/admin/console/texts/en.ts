import { html } from 'hono/html';
import type { FaultCode } from '../../../model/fault.ts';
import { figure, latency, plural, rate, size, span } from '../../../model/text.ts';
import { ENGLISH } from '../../../model/verdict.ts';
import type { Html } from '../text.ts';
import { pages } from './en/pages.ts';

/** The texts of the console, and the shape of the other languages. Texts with a number or a name are functions. */
export const en = {
  lang: 'en',
  /** The locale of dates: 2026-11-24 21:17:03. All languages here write numbers alike: 1,234.5. */
  dates: 'sv-SE',
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

  /** As shown until the script counts. */
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

  /** The meaning of a fault's code, since its message is in English. */
  fault: { setting: 'Setting', means: {} as Partial<Record<FaultCode, string>> },

  notices: {
    paused: () => 'Paused. Callbacks are still recorded; nothing is delivered until the connector is resumed.',
    resumed: () => 'Resumed.',
    replaying: (n: number) => `${plural(n, 'event')} will be delivered again.`,
    'nothing-to-replay': () => 'Nothing to replay: no event was recorded from that point on.',
    restoring: (n: number) => `${plural(n, 'group')} will be resynced to the destination.`,
    brought: () => 'The group is being written again to each copy that should hold it.',
    retried: (n: number) =>
      n === 0
        ? 'Nothing to retry: there was no such dead letter.'
        : `${plural(n, 'dead letter')} will be retried; the page shows the result.`,
    discarded: (n: number) =>
      n === 0 ? 'Nothing was discarded: there was no such dead letter.' : `${plural(n, 'dead letter')} discarded.`,
    mapped: (n: number) =>
      n === 0 ? 'None could be mapped: the bridge does not know this shape yet.' : `${figure(n)} mapped.`,
    'quarantine-discarded': (n: number) =>
      n === 0 ? 'Nothing was discarded: there was no such callback.' : `${plural(n, 'callback')} discarded.`,
    'sample-too-late': () => 'No sample was sent: the bridge has already recorded something.',
    'sample-sent': () => 'The sample was recorded: see below where it went.',
    'reconcile-started': () => 'Reconcile has started.',
    'reconcile-stopped': () => 'Reconcile was stopped. What it has read is kept.',
    'reconcile-running': () => 'Not started: reconcile is already running.',
    'reconcile-unconfigured': () => 'Reconcile is not configured.',
    'connector-unknown': () => 'Nothing was done: no connector of that name is running.',
    invalid: () => 'Nothing was done: the form is incomplete. For a replay, give the seq or the time that was chosen.',
    failed: () => 'That failed. The log says why; check the space on the journal’s disk.',
  },

  overview: {
    open: 'no app.callbackTokens, no receiver.allowFrom: anyone who reaches the receiver can send callbacks and fill the journal',
    receiver: (url: Html) => html`at ${url}`,
    callbacks: 'Callbacks',
    perSecond: 'a second',
    answered: 'Answered within',
    mostBehind: 'Most behind',
    events: (count: number): string => (count === 1 ? 'event' : 'events'),
    unreachable: (count: number, all: number) =>
      html`<b class="bad">${count} of ${all}</b> <span class="quiet">unreachable</span>`,
    reachable: (all: number) => html`<b>${all}</b> <span class="quiet">reachable</span>`,
    refusals: 'Callbacks that were not accepted',
    refusal: (what: Html, sender: Html | undefined, last: Html) =>
      html`<b>${what}</b>${sender !== undefined && html` from ${sender}`}, last ${last}`,
    hour: 'The last hour',
    figures: 'The same in figures',
    journal: 'Journal',
    recorded: (count: number, bytes: number) =>
      html`<b>${figure(count)}</b> ${count === 1 ? 'event' : 'events'} recorded so far, ${size(bytes)} on disk`,
    fill: 'How full the journal is',
    used: (share: string, most: number) => `${share} of ${size(most)} in use`,
    prunedEarly: 'delivered events are pruned early',
    kept: (seconds: number) => `Delivered events are kept for ${span(seconds)}.`,
    quarantine: 'Callbacks of the service that could not be mapped, kept as received.',
    reconcileOff: 'Not configured: missed webhooks are not repaired.',
    details: 'Details',
    stopped: (ago: Html) => html`Stopped ${ago}`,
    ended: (ago: Html) => html`Ended ${ago}`,
    dryRun: ' (dry run)',
    result: (dryRun: boolean, mended: number, inStep: number) =>
      `${plural(mended, 'group')} ${dryRun ? 'differ' : 'mended'}, ${figure(inStep)} in step`,
    recent: 'Recent events',
    sample: 'Send a sample',
    sampleIs: 'Sends a sample callback to the receiver, and its event of @TGS#SAMPLE0 to every connector.',
    nothing: 'Nothing has been recorded yet. The first callback will appear here.',
  },

  plots: {
    outcomes: {
      recorded: 'recorded',
      duplicate: 'duplicate',
      acknowledged: 'acknowledged',
      forwarded: 'forwarded',
      quarantined: 'quarantined',
      refused: 'refused',
      failed: 'failed',
      'passed-on': 'passed on',
    },
    rate: 'Callbacks a second',
    rateSummary: (total: number, parts: readonly string[], highest: number) =>
      `${plural(total, 'callback')} in the last hour: ${parts.join(', ')}. At most ${rate(highest)} a second.`,
    part: (count: number, what: string) => `${figure(count)} ${what}`,
    none: 'no callbacks',
    column: (perSecond: number, parts: readonly string[]) => `${rate(perSecond)}/s: ${parts.join(', ')}`,
    latency: 'Time to the answer',
    nothing: 'No callback was answered in the last hour.',
    latencySummary: (typical: number, worst: number) =>
      `Typically ${latency(typical)} (median), at worst ${latency(worst)} (99th percentile of half a minute); the service gives up after 2 s.`,
    worst: 'p99, at worst',
    limit: '2 s: the service gives up',
    now: 'now',
    table: 'Callbacks of the last hour, five minutes a row; newest first',
    from: 'From (UTC)',
    hover: (from: string, to: string, what: string) => `${from}–${to} UTC: ${what}`,
  },

  connectors: {
    title: 'Connectors',
    kind: { groups: (kind: string) => `${kind}, groups`, events: (kind: string) => `${kind}, events` },
    behind: 'Behind',
    delivered: 'Delivered',
    toReview: (count: number) => html`<b>${figure(count)}</b> to review`,
    pause: 'Pause',
    resume: 'Resume',
    replay: 'Replay…',
    unreachable: (since: Html, next: Html) => html`Unreachable ${since}; next try ${next}.`,
    safe: 'Nothing is lost: events wait in the journal.',
    lastError: (ago: Html, scope: string) => html`Last error ${ago}, ${scope}`,
    scopes: {
      destination: 'resolved since',
      retry: 'one event, which is retried',
      'dead-letter': 'a dead letter',
    },
    incomplete: (since: Html, reason: Html) => html`Incomplete ${since}: ${reason}`,
    lacking: (count: number, before: string) =>
      `${plural(count, 'event')} received before ${before} UTC were pruned and cannot be delivered.`,
    notCompared: 'Not compared (verify is off)',
    verified: (ago: Html) => html`Verified ${ago}`,
    differing: (count: number) => html`: <b class="bad">${plural(count, 'difference')}</b> not mended`,
    resyncing: 'Resyncing groups',
    resynced: 'Groups resynced',
    progress: (done: number, total: number, written: number) =>
      `${figure(done)} of ${figure(total)}, ${figure(written)} written`,
    failed: (count: number) => html`, <b class="bad">${figure(count)} failed</b>`,
    /** The badge of a connector, by the kind of the verdict's trouble. */
    troubles: {
      unreachable: 'Unreachable',
      incomplete: 'Incomplete',
      'dead-letters': 'Dead letters',
      behind: 'Behind',
      connecting: 'Connecting',
      paused: 'Paused',
      differs: 'Differs',
      unverified: 'Not verified',
    },
    replayFrom: (name: string) => `Deliver again to ${name}, from`,
    fromBeginning: 'the beginning: everything in the journal',
    fromSeq: 'a seq',
    fromTime: 'a time of receipt (UTC)',
    fromGroups: 'groups: the merged state of every group ever recorded',
    replaySafe: 'This is safe: events keep their ids and copies converge. It only costs deliveries.',
    replayNow: 'Replay',
  },

  ...pages,
};

export type Texts = typeof en;
