import { html } from 'hono/html';
import { figure, plural, span } from '../../../../model/text.ts';
import type { Html } from '../../text.ts';

/** Of the pages where a person puts things right: dead letters, the quarantine, reconcile. */
export const upkeep = {
  deadLetters: {
    lead: 'Events that a destination refused for good. Later events were delivered all the same. Each stays here until it is retried or discarded.',
    unknown: (name: Html) => html`No connector called ${name} runs here.`,
    triedAgain: (taken: number, delivered: number, refused: number, open: number) =>
      `${plural(taken, 'dead letter')} tried again: ${figure(delivered)} delivered, ${figure(refused)} refused again${open > 0 ? `, ${figure(open)} under way` : ''}.`,
    cause: (cause: string | Html) => html`cause ${cause}`,
    export: 'Export',
    first: (ago: Html) => html`first ${ago}`,
    last: (ago: Html) => html`last ${ago}`,
    total: (count: number, connector: string) => html`<b>${plural(count, 'dead letter')}</b> of ${connector}`,
    byCause: (connector: string) => `Dead letters of ${connector}, by cause`,
    letters: 'Letters',
    givenUp: 'Given up',
    newest: 'Newest',
    actions: 'Actions',
    warning: (count: number, connector: string) =>
      `Removes ${plural(count, 'dead letter')} for good: ${connector} will never have what a replay does not bring again.`,
    confirm: (count: number) => `Discard ${figure(count)} for good`,
    none: (connector: string) => `${connector} has no dead letters.`,
    noneOfCause: (connector: string) => `${connector} has no dead letter of this cause.`,
    oldestFirst: (connector: string) => `Dead letters of ${connector}, oldest first`,
    why: 'Why refused',
    retry: 'Retry',
    retryAll: 'Retry all',
    discard: 'Discard…',
    discardAll: 'Discard all…',
  },

  quarantine: {
    lead: 'Callbacks of the service that did not fit the protocol as the bridge knows it. They were answered OK and kept as they came; an upgrade of the bridge maps them by itself.',
    none: 'The quarantine is empty. Callbacks are kept here only where app.callbackTokens is set: without a Sign anybody could fill it.',
    total: (count: number) => plural(count, 'callback'),
    map: 'Map again',
    callback: (id: number) => `Callback ${figure(id)}`,
    received: (ago: Html) => html`received ${ago}`,
    query: 'Query',
    body: (length: number) => `Body, ${plural(length, 'character')}`,
    warning: 'Removes it for good: the change that it describes is then lost.',
    confirm: (id: number) => `Discard callback ${id}`,
  },

  reconcile: {
    lead: 'Reads the groups again by the service’s REST API and records what differs: changes that webhooks missed are mended.',
    add: 'Add to the configuration, with the app’s key from the vendor’s console:',
    start: 'Start',
    continue: 'Continue',
    stop: 'Stop',
    confirm: 'Read, and mend what differs',
    dryRun: 'Dry run: only say what differs',
    next: (when: Html) => html`Next run ${when}`,
    neverRan: 'It has not run yet.',
    noDryRun:
      'There was no dry run since the last run or the start of the bridge: nobody knows how many groups will be mended, and how many destroyed. A dry run tells.',
    foretold: (when: Html, cut: boolean, mended: number, destroyed: number, known: number) =>
      html`By the dry run of ${when}${cut && ', which did not come to its end'}: ${plural(mended, 'group')} will be mended, and <b class="${destroyed > 0 ? 'bad' : ''}">${figure(destroyed)} of ${figure(known)} known</b> destroyed in every copy.`,
    held: (withheld: number, known: number, what: string) =>
      html`The service no longer has ${figure(withheld)} of ${figure(known)} groups known, more than <code>reconcile.maxGone</code>. ${what}: see that app.sdkAppId and the region are right. <code>reconcile --allow-gone</code> destroys them.`,
    willFail: 'A run destroys none of them and ends as failed',
    noneDestroyed: 'None of them was destroyed',
    nothingDiffers: 'Nothing differs.',
    findings: 'What a run would change',
    would: 'It would be',
    beforeAfter: 'Before → after',
    firstOf: (count: number, total: number) =>
      html`The first ${figure(count)} of ${figure(total)}: <code>reconcile --dry-run --json</code> has all of them.`,
    newField: 'new: not known before',
    current: (dryRun: boolean) => `The current run${dryRun ? ', a dry run' : ''}`,
    last: (dryRun: boolean) => `The last run${dryRun ? ', a dry run' : ''}`,
    states: {
      running: 'Running',
      stopped: 'Stopped',
      gone: 'Ended, too many gone',
      unread: 'Ended, some not read',
      ended: 'Ended',
    },
    started: (ago: Html) => html`started ${ago}`,
    took: (seconds: number) => `, took ${span(seconds)}`,
    progress: (read: number, total: number) => `${figure(read)} of ${figure(total)}`,
    read: 'Read',
    mended: (dryRun: boolean): string => (dryRun ? 'Differ' : 'Mended'),
    destroyed: (dryRun: boolean): string => (dryRun ? 'To be destroyed' : 'Destroyed'),
    ofKnown: (known: number) => `of ${figure(known)} known`,
    gone: 'Gone',
    failed: 'Failed',
    differed: 'What differed, by field',
    seeApi: 'see /api/reconcile',
    notRead: (count: number) => `Not read: the first ${count}`,
    why: 'Why',
  },
};
