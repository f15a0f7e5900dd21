import { parseAccept } from 'hono/utils/accept';
import { en, type Texts } from './en.ts';
import { ja } from './ja.ts';
import { zhCN } from './zh-CN.ts';

export type { Texts } from './en.ts';

/** By primary subtag: readers of zh-TW get this Chinese rather than English. */
const LANGUAGES: Readonly<Record<string, Texts>> = { en, ja, zh: zhCN };

/** Returns the texts in the language that Accept-Language prefers, or in English. */
export function textsFor(acceptLanguage: string | undefined): Texts {
  for (const { type, q } of parseAccept(acceptLanguage ?? '')) {
    const [primary = ''] = type.toLowerCase().split('-');
    if (q > 0 && Object.hasOwn(LANGUAGES, primary)) return LANGUAGES[primary] ?? en;
  }
  return en;
}
