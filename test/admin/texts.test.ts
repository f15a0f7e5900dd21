/** The console's texts: each language has all of them, and says with the same figures and names what English says. */
import { describe, expect, test } from 'vitest';
import { FAULT_GUIDE } from '../../scripts/fault-guide.ts';
import { faultLines } from '../../src/admin/console/connectors.ts';
import { noticeOf } from '../../src/admin/console/notices.ts';
import { en } from '../../src/admin/console/texts/en.ts';
import { type Texts, textsFor } from '../../src/admin/console/texts/index.ts';
import { ja } from '../../src/admin/console/texts/ja.ts';
import { zhCN } from '../../src/admin/console/texts/zh-CN.ts';
import type { Fault } from '../../src/model/fault.ts';

/** Stands for any argument: a number that can be told from others, text, and a list of one. */
function sample(number: number) {
  const value = Object.assign(new Number(number), {
    map: (each: (one: unknown, at: number) => unknown) => [each(value, 0)],
    join: () => String(number),
  });
  return value;
}
const ARGUMENTS = [2_301, 2_402, 2_503, 2_604, 2_705].map(sample);

/** Returns each text by its path, functions called. */
async function saidBy(texts: unknown, path = ''): Promise<[string, string][]> {
  if (typeof texts === 'function') return [[path, String(await texts(...ARGUMENTS))]];
  if (typeof texts !== 'object' || texts instanceof Number || texts === null) return [[path, String(texts)]];
  // Markup is an object, too.
  if ('isEscaped' in texts || texts instanceof Promise) return [[path, String(await texts)]];
  return (await Promise.all(Object.entries(texts).map(([key, inner]) => saidBy(inner, `${path}.${key}`)))).flat();
}

const figuresIn = (text: string): string[] =>
  (text.match(/\d[\d,.]*\d|\d/g) ?? []).map((figure) => figure.replaceAll(',', '')).sort();
const namesIn = (text: string): string[] => (text.match(/<code>.*?<\/code>|\bapp\.\w+|\{\}|\/api\/\w+/g) ?? []).sort();
const unmarked = (text: string): string => text.replaceAll(/<[^>]*>/g, '');

/** Names, figures and times, with hardly a word. */
const WORDLESS = [
  '.dates',
  '.lang',
  '.events.seq',
  '.moments.ago',
  '.moments.in',
  '.plots.hover',
  '.reconcile.progress',
];

describe.each<[string, Texts]>([
  ['ja', ja],
  ['zh-CN', zhCN],
])('%s', (lang, texts) => {
  test('lacks no text and has none that English has not', async () => {
    const paths = async (of: unknown): Promise<string[]> =>
      (await saidBy(of)).flatMap(([path]) => (path.startsWith('.fault.means.') ? [] : path)).sort();
    expect(await paths(texts)).toEqual(await paths(en));
    expect(texts.lang).toBe(lang);
  });

  test('says what each fault means that a page may show, beside what it says in English', async () => {
    const shown = FAULT_GUIDE.slice(0, 4).flatMap(({ faults }) => Object.keys(faults));
    expect(Object.keys(texts.fault.means).sort()).toEqual(shown.sort());
    const fault: Fault = { code: 'destination-missing', message: 'no such topic', suggestion: 'create it' };
    const said = String(await faultLines(texts, fault, 'id'));
    expect(said).toContain(texts.fault.means['destination-missing']);
    expect(said).toMatch(/<div class="fault" lang="en">.*no such topic.*destination-missing.*create it/s);
  });

  test('says the same figures and names', async () => {
    const english = new Map(await saidBy(en));
    for (const [path, text] of await saidBy(texts)) {
      const original = english.get(path) ?? '';
      const figures = figuresIn(unmarked(original));
      expect(figuresIn(unmarked(text)), `${path}: ${text}`).toEqual(expect.arrayContaining(figures));
      expect(namesIn(text), `${path}: ${text}`).toEqual(namesIn(original));
    }
  });

  test('leaves nothing in English', async () => {
    const own = /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}/u;
    const english = new Map(await saidBy(en));
    const left = (await saidBy(texts)).filter(
      ([path, text]) => !own.test(text) && !WORDLESS.includes(path) && /\p{L}/u.test(unmarked(english.get(path) ?? '')),
    );
    expect(left).toEqual([]);
  });
});

test.each([
  [undefined, 'en'],
  ['', 'en'],
  ['*', 'en'],
  ['ja', 'ja'],
  ['JA-jp', 'ja'],
  ['zh', 'zh-CN'],
  ['zh-Hans-CN,zh;q=0.9,en;q=0.8', 'zh-CN'],
  ['en-GB,ja;q=0.9', 'en'],
  ['fr,de;q=0.9', 'en'],
  ['fr,en;q=0.4,zh-CN;q=0.7', 'zh-CN'],
  ['ja;q=0,zh;q=0.1', 'zh-CN'],
  ['ja;q=0', 'en'],
  ['jam,constructor,__proto__;q=0.9', 'en'],
  [';;;q=x,,ja;q=, zh;q=2', 'ja'],
])('Accept-Language: %s is answered in %s', (header, lang) => {
  expect(textsFor(header).lang).toBe(lang);
});

test.each(['discarded', 'retried', 'quarantine-discarded'])(
  '%s: a notice of none is of another tone and wording',
  (code) => {
    for (const texts of [en, ja, zhCN]) {
      const said = (n: number) => noticeOf(texts, new URLSearchParams({ notice: code, n: String(n) }));
      expect(said(0)?.tone).toBe('bad');
      expect(said(0)?.text).not.toContain('0');
      expect(said(2)).toMatchObject({ tone: 'ok', text: expect.stringContaining('2') });
    }
  },
);

test('what a run would do is not said to be done', () => {
  const { would, mended } = zhCN.reconcile;
  expect(`${would}${mended(false)}`).toBe('将会修复');
});
