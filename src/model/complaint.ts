/** Zod's own messages in this project's words. Messages that a schema defines stay as they are. */
import type { z } from 'zod';

export const MISSING = 'it is missing';

const NAMES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  function: 'a function',
  undefined: 'nothing',
};
const named = (type: string): string => NAMES[type] ?? type;

const BOUNDS: Readonly<Record<string, string>> = {
  '>=': 'at least',
  '>': 'more than',
  '<=': 'at most',
  '<': 'less than',
  exactly: 'exactly',
};

function bound(adjective: string, most: string, unit?: string): string {
  const what = `${BOUNDS[adjective]} ${most}`;
  if (unit === undefined) return `${what} is expected`;
  const one = unit.replace(/ies$/, 'y').replace(/s$/, '');
  return most === '1' ? `${what} ${one} is expected` : `${what} ${unit} are expected`;
}

function type(expected: string, received: string): string {
  const isNear = received === 'NaN' || (expected === 'int' && received === 'number');
  return `${named(expected)} is expected${isNear ? '' : `, not ${named(received)}`}`;
}

const choices = (all: string): string => `one of ${all.split(/ ?\| ?/).join(', ')} is expected`;

const SENTENCES: readonly (readonly [RegExp, (...groups: string[]) => string])[] = [
  [/^Invalid input: expected .+, received undefined$/, () => MISSING],
  [/^Invalid input: expected (.+), received (.+)$/, type],
  [/^Invalid input: expected (.+)$/, (value) => `${value} is expected`],
  [/^Invalid input\b.*$/, () => 'something else is expected'],
  [/^Invalid option: expected one of (.+)$/, choices],
  [/^Invalid discriminator value\. Expected (.+)$/, choices],
  [
    /^Too \w+: expected .+ to (?:be|have) (exactly|[<>]=?) ?(.+?)(?: (items|characters|entries|bytes|elements))?$/,
    bound,
  ],
  [/^Invalid string: must match pattern (.+)$/, (pattern) => `a text that matches ${pattern} is expected`],
  [/^Invalid string: must start with (.+)$/, (text) => `a text that begins with ${text} is expected`],
  [/^Invalid string: must end with (.+)$/, (text) => `a text that ends with ${text} is expected`],
  [/^Invalid string: must include (.+)$/, (text) => `a text that holds ${text} is expected`],
  [/^Invalid number: must be a (multiple of .+)$/, (what) => `a ${what} is expected`],
  [/^Unrecognized (keys?): (.+)$/, (keys, names) => `unknown ${keys} ${names}`],
  [/^Invalid (key|value) in \w+$/, (which) => `a ${which} in it is not allowed`],
  [/^Invalid ([\w-]+(?: \w+)*)$/, (format) => `a valid ${format} is expected`],
];

export function plainly(message: string): string {
  for (const [zods, ours] of SENTENCES) {
    const found = zods.exec(message);
    if (found !== null) return ours(...found.slice(1));
  }
  return message;
}

/** Returns what is wrong in one line: `open: a function is expected`. */
export function issuesOf(
  { issues }: Pick<z.ZodError, 'issues'>,
  pathOf = (path: readonly PropertyKey[]): string => path.join('.'),
) {
  return issues
    .map(({ path, message }) => [pathOf(path), plainly(message)].filter((part) => part !== '').join(': '))
    .join('; ');
}
