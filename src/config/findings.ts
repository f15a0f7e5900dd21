import type { z } from 'zod';
import { MISSING, plainly } from '../model/complaint.ts';
import { isObject } from '../model/json.ts';
import { didYouMean, nearest } from '../model/text.ts';
import { type Finding, KEY_EXPECTED, type Place, type Reading } from './document.ts';
import { branchesAt, valueAt } from './guide.ts';
import type { JsonSchema } from './json-schema.ts';
import { formatPath, type Path } from './problems.ts';

type Issue = z.core.$ZodIssue;

/** zod's own message if no branch of a union fits. */
const NONE_FITS = 'Invalid input';

/** Words the schema's issues, each at its place in the text. Neither zod’s messages nor these hold a value. */
export function findingsOf(issues: readonly Issue[], reading: Reading, guide: JsonSchema): Finding[] {
  const usable = issues.flatMap(narrowed).filter(({ path }) => !placeOf(reading, path).place.unusable);
  const unknown = usable.flatMap((issue) => unknownKeys(issue, reading, guide));
  const others = usable.filter(({ code }) => code !== 'unrecognized_keys');
  return [
    ...unknown,
    ...others.flatMap((issue) => {
      if (issue.code === 'custom' || !isAbsent(reading.data, issue.path)) return [refused(issue, reading)];
      // A key that is only misspelt is not reported as missing, too.
      const name = formatPath(issue.path);
      const misspelt = !reading.places.has(name) && unknown.some(({ meant }) => meant === name);
      return misspelt ? [] : [missing(issue, reading, guide)];
    }),
  ];
}

/** Narrows the issue of a union down to those of the branch that fits the value's type, else to a single one. */
function narrowed(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue];
  const [best] = issue.errors
    .filter((branch) => !branch.some((inner) => inner.path.length === 0 && isMismatch(inner)))
    .sort((one, other) => one.length - other.length);
  // The union's own message is about the whole value; an issue deeper inside says more.
  if (best !== undefined && (issue.message === NONE_FITS || best.some(({ path }) => path.length > 0))) {
    return best.flatMap((inner) => narrowed({ ...inner, path: [...issue.path, ...inner.path] }));
  }
  const wanted = issue.errors
    .flat()
    .filter(isMismatch)
    .map(({ message }) => plainly(message));
  return [issue.message === NONE_FITS ? { ...issue, message: eitherOf([...new Set(wanted)]) } : issue];
}

/** Joins sentences into one: `false or an object is expected`. */
function eitherOf(sentences: readonly string[]): string {
  const wanted = sentences.map((one) => / is expected(, not .+)?$/.exec(one)?.index);
  if (wanted.includes(undefined)) return sentences.join(', or ');
  return `${sentences.map((one, at) => one.slice(0, wanted[at])).join(' or ')} is expected`;
}

function isMismatch({ code }: Issue): boolean {
  return code === 'invalid_type' || code === 'invalid_value' || code === 'invalid_union';
}

function unknownKeys(issue: Issue, reading: Reading, guide: JsonSchema): (Finding & { meant?: string })[] {
  if (issue.code !== 'unrecognized_keys') return [];
  const branches = branchesAt(guide, reading.data, issue.path);
  const known = [...new Set(branches.flatMap(({ properties = {} }) => Object.keys(properties)))];
  return issue.keys.map((key) => {
    const path = [...issue.path, key];
    const at = { offset: offsetOf(reading, path, true), path, message: 'unknown key' };
    const near = nearest(key, known);
    if (near !== undefined) {
      return { ...at, suggestion: didYouMean(key, known), meant: formatPath([...issue.path, near]) };
    }
    return known.length === 0 ? at : { ...at, suggestion: `known here: ${known.join(', ')}` };
  });
}

function isAbsent(data: unknown, path: Path): boolean {
  const owner = path.slice(0, -1).reduce(valueAt, data);
  return isObject(owner) && valueAt(owner, path.at(-1) ?? '') === undefined;
}

function missing(issue: Issue, reading: Reading, guide: JsonSchema): Finding {
  const { path } = issue;
  const { place, exact } = placeOf(reading, path);
  const what = exact ? `a value is needed, but ${variablesOf(place)} expands to nothing` : 'this key is missing';
  const described = branchesAt(guide, reading.data, path).find(({ description }) => description !== undefined);
  // zod's own message would only repeat that it is missing.
  const more = isZods(issue) ? described?.description : issue.message;
  const choices = choicesOf(issue);
  return {
    offset: offsetOf(reading, path),
    path,
    message: more === undefined ? what : `${what}: ${more}`,
    suggestion: choices.length === 0 ? undefined : `one of ${choices.join(', ')}`,
  };
}

function refused(issue: Issue, reading: Reading): Finding {
  const { path } = issue;
  const { place, exact } = placeOf(reading, path);
  const value = path.reduce(valueAt, reading.data);
  const origin = exact && place.variables.length > 0 ? ` (from ${variablesOf(place)})` : '';
  return {
    offset: offsetOf(reading, path, issue.code === 'invalid_key'),
    path,
    message: `${messageOf(issue)}${origin}`,
    suggestion: remedyOf(issue, value),
  };
}

function remedyOf(issue: Issue, value: unknown): string | undefined {
  const wanted = issue.code === 'invalid_type' ? issue.expected : undefined;
  if (typeof value !== 'string') {
    return wanted === 'string' && ['number', 'boolean'].includes(typeof value) ? 'put it in quotes' : undefined;
  }
  // For YAML, `key:value` is text, and so is a key with a full-width colon.
  if (wanted === 'object' && /^[\w-]+(：|:(?!\/\/))/.test(value)) return KEY_EXPECTED;
  if (wanted === 'array' && /^-\S/.test(value)) return 'a space follows each -';
  return didYouMean(value, choicesOf(issue));
}

function messageOf(issue: Issue): string {
  if (issue.code === 'invalid_key') return plainly(issue.issues[0]?.message ?? issue.message);
  if (issue.code !== 'invalid_union' || !issue.discriminator || !isZods(issue)) return plainly(issue.message);
  return `unknown ${issue.discriminator}, one of ${choicesOf(issue).join(', ')} is expected`;
}

const isZods = ({ message }: Issue): boolean => plainly(message) !== message || message.endsWith(MISSING);

function choicesOf(issue: Issue): string[] {
  if (issue.code === 'invalid_value') return issue.values.map(String);
  return issue.code === 'invalid_union' && 'options' in issue ? (issue.options ?? []).map(String) : [];
}

function variablesOf({ variables }: Place): string {
  return variables.map((name) => `\${${name}}`).join(', ');
}

/** Returns the place of the deepest value on this path that exists in the text. */
function placeOf({ places }: Reading, path: Path): { place: Place; exact: boolean } {
  for (let length = path.length; length >= 0; length -= 1) {
    const place = places.get(formatPath(path.slice(0, length)));
    if (place !== undefined) return { place, exact: length === path.length };
  }
  throw new Error('a document without a root');
}

function offsetOf(reading: Reading, path: Path, onKey = false): number {
  const { place, exact } = placeOf(reading, path);
  // A missing key of the top level is reported at the beginning of the file.
  if (!exact && place === reading.places.get('')) return 0;
  return onKey || place.collection ? (place.key ?? place.value) : place.value;
}
