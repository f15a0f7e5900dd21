import { everywhere } from './en/everywhere.ts';
import { overview } from './en/overview.ts';
import { records } from './en/records.ts';
import { upkeep } from './en/upkeep.ts';

/** What the console says, and the shape of the other languages. What needs a number or a name is a function. */
export const en = {
  lang: 'en',
  /** The locale of dates: 2026-11-24 21:17:03. Numbers are written alike in all languages here: 1,234.5. */
  dates: 'sv-SE',
  ...everywhere,
  ...overview,
  ...records,
  ...upkeep,
};

export type Texts = typeof en;
