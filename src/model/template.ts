/** Templates: text with words in braces that stand for values, such as `tim-{groupId}`. */

const WORD = /\{([^{}]*)\}/g;
/** Without a capturing group, so that `split` drops the words. */
const WORD_ALONE = /\{[^{}]*\}/;

export const wordsOf = (template: string): string[] => Array.from(template.matchAll(WORD), ([, word = '']) => word);

export const fill = (template: string, values: Readonly<Record<string, string>>): string =>
  template.replace(WORD, (_, word) => values[word] ?? '');

/** Whether some values make the template this text. */
export function mayBe(template: string, text: string): boolean {
  const parts = template.split(WORD_ALONE).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(text);
}

/** Whether some values make both templates the same text. */
export function mayMeet(one: string, other: string): boolean {
  if (wordsOf(one).length === 0) return mayBe(other, one);
  if (wordsOf(other).length === 0) return mayBe(one, other);
  const [[begin = '', end = ''], [otherBegin = '', otherEnd = '']] = [endsOf(one), endsOf(other)];
  // Their middles can follow one another in one text: only the ends keep two templates apart.
  const begins = begin.startsWith(otherBegin) || otherBegin.startsWith(begin);
  return begins && (end.endsWith(otherEnd) || otherEnd.endsWith(end));
}

function endsOf(template: string): readonly string[] {
  const parts = template.split(WORD_ALONE);
  return [parts.at(0) ?? '', parts.at(-1) ?? ''];
}

export type Naming = ReturnType<typeof namingOf>;

/** Returns the functions that make names from one template; only the variable differs, so names are distinct. */
export function namingOf(template: string, variable: 'groupId' | 'id', source: string) {
  const [before = '', after = ''] = template.split(`{${variable}}`).map((part) => fill(part, { source }));
  return {
    /** Whether the same name of two apps becomes two names. */
    perApp: wordsOf(template).includes('source'),
    of: (name: string): string => before + name + after,
    /** Undefined if the text was not made here. */
    back: (text: string): string | undefined =>
      text.length >= before.length + after.length && text.startsWith(before) && text.endsWith(after)
        ? text.slice(before.length, text.length - after.length)
        : undefined,
  };
}

/** Says what is wrong with a template of names; undefined if no two of its names can be equal. */
export function namingProblem(template: string, variable: 'groupId' | 'id'): string | undefined {
  const words = wordsOf(template);
  const stranger = words.find((word) => word !== variable && word !== 'source');
  if (stranger !== undefined) return `{${stranger}} cannot stand here, only {${variable}} and {source}`;
  if (words.filter((word) => word === variable).length !== 1) {
    return `{${variable}} must stand in it once, or two would get one name`;
  }
  return template.includes('}{') ? 'something must stand between two words in braces' : undefined;
}
