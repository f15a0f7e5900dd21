import type { Texts } from './en.ts';
import { everywhere } from './ja/everywhere.ts';
import { overview } from './ja/overview.ts';
import { records } from './ja/records.ts';
import { upkeep } from './ja/upkeep.ts';

export const ja = {
  lang: 'ja',
  dates: 'ja-JP',
  ...everywhere,
  ...overview,
  ...records,
  ...upkeep,
} satisfies Texts;
