/** Text with words in braces that stand for values: `tim-{groupId}`. */

const WORD = /\{([^{}]*)\}/g;
/** Without the group, so that `split` leaves the word out. */
const WORD_ALONE = /\{[^{}]*\}/;

export const wordsOf = (template: string): string[] => Array.from(template.matchAll(WORD), ([, word = '']) => word);

export const fill = (template: string, values: Readonly<Record<string, string>>): string =>
  template.replace(WORD, (_, word) => values[word] ?? '');

/** Whether a template may be filled so that it is this text. */
export function mayBe(template: string, text: string): boolean {
  const parts = template.split(WORD_ALONE).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(text);
}

/** Whether two templates may be filled so that they are one text. */
export function mayMeet(one: string, other: string): boolean {
  if (wordsOf(one).length === 0) return mayBe(other, one);
  if (wordsOf(other).length === 0) return mayBe(one, other);
  const [[begin = '', end = ''], [otherBegin = '', otherEnd = '']] = [endsOf(one), endsOf(other)];
  // What stands between can stand in one text, one after the other: only the ends keep two templates apart.
  const begins = begin.startsWith(otherBegin) || otherBegin.startsWith(begin);
  return begins && (end.endsWith(otherEnd) || otherEnd.endsWith(end));
}

function endsOf(template: string): readonly string[] {
  const parts = template.split(WORD_ALONE);
  return [parts.at(0) ?? '', parts.at(-1) ?? ''];
}

export type Naming = ReturnType<typeof namingOf>;

/** Returns what makes the names of one kind: the variable alone differs, so that no two get the same name. */
export function namingOf(template: string, variable: 'groupId' | 'id', source: string) {
  const [before = '', after = ''] = template.split(`{${variable}}`).map((part) => fill(part, { source }));
  return {
    /** Whether what two apps call alike has two names. */
    perApp: wordsOf(template).includes('source'),
    of: (name: string): string => before + name + after,
    /** Undefined where the text was not made here. */
    back: (text: string): string | undefined =>
      text.length >= before.length + after.length && text.startsWith(before) && text.endsWith(after)
        ? text.slice(before.length, text.length - after.length)
        : undefined,
  };
}

/** Says what is wrong with a template of names; undefined where two of them can never be the same. */
export function namingProblem(template: string, variable: 'groupId' | 'id'): string | undefined {
  const words = wordsOf(template);
  const stranger = words.find((word) => word !== variable && word !== 'source');
  if (stranger !== undefined) return `{${stranger}} cannot stand here, only {${variable}} and {source}`;
  if (words.filter((word) => word === variable).length !== 1) {
    return `{${variable}} must stand in it once, or two would get one name`;
  }
  return template.includes('}{') ? 'something must stand between two words in braces' : undefined;
}
