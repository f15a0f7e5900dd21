import type { Texts } from './en.ts';
import { everywhere } from './zh-CN/everywhere.ts';
import { overview } from './zh-CN/overview.ts';
import { records } from './zh-CN/records.ts';
import { upkeep } from './zh-CN/upkeep.ts';

export const zhCN = {
  lang: 'zh-CN',
  dates: 'zh-CN',
  ...everywhere,
  ...overview,
  ...records,
  ...upkeep,
} satisfies Texts;
