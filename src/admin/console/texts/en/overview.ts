import { html } from 'hono/html';
import { figure, latency, plural, rate, size, span } from '../../../../model/text.ts';
import type { Html } from '../../text.ts';

/** Of the overview: the bridge, the last hour and its connectors. */
export const overview = {
  overview: {
    open: 'no app.callbackTokens, no receiver.allowFrom: whoever reaches the receiver can send callbacks, and fill the journal',
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
    kept: (seconds: number) => `Delivered events stay for ${span(seconds)}.`,
    quarantine: 'Callbacks of the service that could not be mapped, kept as they came.',
    reconcileOff: 'Not configured: changes that webhooks missed are not looked for.',
    details: 'Details',
    stopped: (ago: Html) => html`Stopped ${ago}`,
    ended: (ago: Html) => html`Ended ${ago}`,
    dryRun: ' (dry run)',
    result: (dryRun: boolean, mended: number, inStep: number) =>
      `${plural(mended, 'group')} ${dryRun ? 'differ' : 'mended'}, ${figure(inStep)} in step`,
    recent: 'Recent events',
    sample: 'Send a sample',
    sampleIs: 'A made-up callback goes to the receiver, and as an event of @TGS#SAMPLE0 to every connector.',
    nothing: 'Nothing has been recorded yet. The first callback shows here by itself.',
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
      `${plural(count, 'event')} received before ${before} UTC had been pruned when it was restored.`,
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
    fromBeginning: 'the beginning: all that is in the journal',
    fromSeq: 'a seq',
    fromTime: 'a time of receipt (UTC)',
    fromGroups: 'groups: the merged state of every group ever recorded',
    replaySafe: 'This is safe, since events keep their ids and copies converge; it costs deliveries.',
    replayNow: 'Replay',
  },
};
