/** The front page says the same in each language: what it is made of is compared, the words are up to people. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { blocksOf } from './documents.ts';

/** Returns what the page consists of, section by section; links and code may change places within a section, as word order asks. */
function shapeOf(file: string) {
  const text = readFileSync(file, 'utf8').replaceAll(/^( *)```[\s\S]*?^\1```$/gm, '');
  return text.split(/^(?=#+ )/m).map((section) => {
    const all = (pattern: RegExp): string[] => [...section.matchAll(pattern)].map(([, found = '']) => found);
    return {
      level: all(/^(#+) /gm),
      items: all(/^(- |\d+\. |\|)/gm),
      links: all(/\]\(([^)]+)\)/g).sort(),
      images: all(/!\[[^\]]*\]\(([^)]+)\)/g).sort(),
      code: all(/`([^`\n]+)`/g).sort(),
      addresses: all(/<(https?:[^>]+)>/g).sort(),
    };
  });
}

test.each(['README.ja.md', 'README.zh-CN.md'])('%s is in step with README.md', (file) => {
  const texts = (of: string): string[] => blocksOf(of).map(({ language, text }) => `${language}\n${text}`);
  expect(texts(file)).toEqual(texts('README.md'));
  expect(shapeOf(file)).toEqual(shapeOf('README.md'));
});
