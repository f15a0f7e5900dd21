import { figure, plural } from '../../model/text.ts';
import type { Notice } from './layout.ts';

/** The results of actions. A link holds only the code and a number, so that nobody can make a page say something else. */
const NOTICES = {
  paused: () => ok('Paused. Callbacks go on being recorded; the connector takes nothing until it is resumed.'),
  resumed: () => ok('Resumed.'),
  replaying: (n) => ok(`${plural(n, 'event')} will be delivered again.`),
  'nothing-to-replay': () => ok('Nothing to replay: no event was recorded from there on.'),
  restoring: (n) => ok(`${plural(n, 'group')} will be resynced to the destination.`),
  brought: (n) => ok(`The group is brought to ${plural(n, 'copy', 'copies')} again.`),
  retried: (n) => ok(`${plural(n, 'dead letter')} will be tried again; the page says what became of them.`),
  discarded: (n) =>
    n === 0
      ? bad('Nothing was discarded: there was no such dead letter.')
      : ok(`${plural(n, 'dead letter')} discarded.`),
  mapped: (n) =>
    ok(n === 0 ? 'None could be mapped: the bridge does not know this shape yet.' : `${figure(n)} mapped.`),
  'quarantine-discarded': (n) => ok(`${plural(n, 'callback')} discarded.`),
  'reconcile-started': () => ok('Reconcile has started.'),
  'reconcile-stopped': () => ok('Reconcile was stopped. What it has read stays read.'),
  'reconcile-running': () => bad('Not started: a reconcile is running already.'),
  'reconcile-unconfigured': () => bad('Reconcile is not configured.'),
  'connector-unknown': () => bad('Nothing was done: no connector of that name runs here any more.'),
  invalid: () =>
    bad(
      'Nothing was done: the form was not filled in as expected. For a replay, give the seq or the time that was chosen.',
    ),
  failed: () => bad('It could not be done. The log says why; is there room on the journal’s disk?'),
} as const satisfies Record<string, (n: number) => Notice>;

export type NoticeCode = keyof typeof NOTICES;

function ok(text: string): Notice {
  return { tone: 'ok', text };
}

function bad(text: string): Notice {
  return { tone: 'bad', text };
}

export function noticeOf(query: URLSearchParams): Notice | undefined {
  const code = query.get('notice') ?? '';
  const n = Number(query.get('n'));
  if (!Object.hasOwn(NOTICES, code)) return undefined;
  return NOTICES[code as NoticeCode](Number.isSafeInteger(n) && n >= 0 ? n : 0);
}
