import type { Notice } from './layout.ts';
import type { Texts } from './texts/index.ts';

/** The results of actions. A link holds only the code and a number, so that nobody can make a page say something else. */
export type NoticeCode = keyof Texts['notices'];

/** Those that say that nothing was done. */
const BAD: ReadonlySet<NoticeCode> = new Set([
  'reconcile-running',
  'reconcile-unconfigured',
  'connector-unknown',
  'invalid',
  'failed',
]);

export function noticeOf({ notices }: Texts, query: URLSearchParams): Notice | undefined {
  const code = query.get('notice') ?? '';
  if (!Object.hasOwn(notices, code)) return undefined;
  const known = code as NoticeCode;
  const given = Number(query.get('n'));
  const n = Number.isSafeInteger(given) && given >= 0 ? given : 0;
  const isBad = BAD.has(known) || (known === 'discarded' && n === 0);
  return { tone: isBad ? 'bad' : 'ok', text: notices[known](n) };
}
