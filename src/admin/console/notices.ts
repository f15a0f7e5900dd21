import type { Notice } from './layout.ts';
import type { Texts } from './texts/index.ts';

/** The results of actions. An address holds only the code and a number, so that nobody can put words into a page. */
export type NoticeCode = keyof Texts['notices'];

/** The notices that nothing was done. */
const BAD: ReadonlySet<NoticeCode> = new Set([
  'reconcile-running',
  'reconcile-unconfigured',
  'connector-unknown',
  'invalid',
  'failed',
  'sample-too-late',
]);
/** The notices that mean the same if their number is 0. */
const BAD_OF_NONE: ReadonlySet<NoticeCode> = new Set(['discarded', 'retried', 'quarantine-discarded']);

export function noticeOf({ notices }: Texts, query: URLSearchParams): Notice | undefined {
  const code = query.get('notice') ?? '';
  if (!Object.hasOwn(notices, code)) return undefined;
  const known = code as NoticeCode;
  const given = Number(query.get('n'));
  const n = Number.isSafeInteger(given) && given >= 0 ? given : 0;
  const isBad = BAD.has(known) || (n === 0 && BAD_OF_NONE.has(known));
  return { tone: isBad ? 'bad' : 'ok', text: notices[known](n) };
}
