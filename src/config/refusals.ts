import type { z } from 'zod';
import { nearest } from '../model/text.ts';
import type { Place, Reading } from './document.ts';
import { descriptionAt, guideOf, type JsonSchema, knownKeys } from './json-schema.ts';
import { type Found, formatPath, type Path, type Problem, valueAt } from './problems.ts';

type Issue = z.core.$ZodIssue;

/** What the schema holds against one value. */
export interface Refusal {
  readonly path: Path;
  readonly issue: Issue;
  /** What would be taken instead, where the issue alone does not say. */
  readonly expected?: readonly string[];
}

/** zod's error map for these: a message that is not this one was written by the schema, and is kept. */
export const UNNAMED = '\0';

/** One refusal a value: of a union, those of the branch that fits the shape of the value, or one for all branches. */
export function refusalsOf(issues: readonly Issue[], data: unknown, prefix: Path = []): Refusal[] {
  return issues.flatMap((issue): Refusal[] => {
    const path = [...prefix, ...issue.path];
    if (issue.code !== 'invalid_union' || isUnknownKind(issue)) return [{ path, issue }];
    const [best] = issue.errors
      .filter((branch) => !branch.some((inner) => inner.path.length === 0 && isMismatch(inner)))
      .sort((one, other) => one.length - other.length);
    // A message of the union's own is about the value as a whole; what is wrong deeper inside says more.
    if (best !== undefined && (issue.message === UNNAMED || best.some((inner) => inner.path.length > 0))) {
      return refusalsOf(best, data, path);
    }
    return [{ path, issue, expected: [...new Set(issue.errors.flat().filter(isMismatch).flatMap(expectation))] }];
  });
}

/** A `kind` that no branch has. */
function isUnknownKind(issue: Issue): issue is Issue & { code: 'invalid_union'; discriminator: string } {
  return issue.code === 'invalid_union' && issue.discriminator !== undefined && issue.errors.length === 0;
}

/** True for "this is not even the right kind of value". */
export function isMismatch(issue: Issue): boolean {
  return issue.code === 'invalid_type' || issue.code === 'invalid_value' || issue.code === 'invalid_union';
}

/** Names what the schema refused, each at its place in the text. */
export function nameRefusals(
  refused: readonly Refusal[],
  reading: Reading,
  schema: z.ZodType,
  file: string,
): Problem[] {
  const guide = guideOf(schema);
  const named = refused
    .filter(({ path }) => !placeAt(reading.root, path).place.unusable)
    .flatMap((refusal) => nameRefusal(refusal, reading, guide));
  const meant = new Set(named.map((one) => one.meant));
  return (
    named
      // A key that stands there under a slightly wrong name is not reported as missing, too.
      .filter(({ path, missing }) => !missing || !meant.has(formatPath(path)))
      .map((one) => ({
        file,
        ...positionOf(reading, one),
        path: formatPath(one.path),
        message: one.message,
        ...(one.suggestion !== undefined && { suggestion: one.suggestion }),
      }))
  );
}

interface Named {
  readonly path: Path;
  readonly message: string;
  readonly suggestion?: string | undefined;
  /** The key itself is wrong, not its value. */
  readonly onKey?: boolean;
  /** It does not stand there at all. */
  readonly missing?: boolean;
  /** The path of the key that was probably meant. */
  readonly meant?: string | undefined;
}

function nameRefusal(refusal: Refusal, reading: Reading, guide: JsonSchema): Named[] {
  const { path, issue } = refusal;
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(guide, reading.data, path);
    return issue.keys.map((key) => {
      const near = nearest(key, known);
      const list = known.length === 0 ? undefined : `known here: ${known.join(', ')}`;
      return {
        path: [...path, key],
        message: 'unknown key',
        onKey: true,
        suggestion: near === undefined ? list : didYouMean(near),
        meant: near && formatPath([...path, near]),
      };
    });
  }
  const found = valueAt(reading.data, path);
  const missing = !found.exists && found.inMapping && isMismatch(issue);
  return [missing ? nameMissing(refusal, reading, guide) : nameRefused(refusal, reading, found)];
}

function nameMissing({ path, issue }: Refusal, reading: Reading, guide: JsonSchema): Named {
  const emptied = placeAt(reading.root, path).place.emptied.get(String(path.at(-1)));
  const message =
    emptied === undefined ? 'this key is missing' : `a value is needed, but ${variables(emptied)} expands to nothing`;
  const what = issue.message === UNNAMED ? descriptionAt(guide, reading.data, path) : issue.message;
  const choices = choicesIn(issue);
  return {
    path,
    message: what === undefined ? message : `${message}: ${what}`,
    suggestion: choices.length === 0 ? undefined : `one of ${choices.join(', ')}`,
    missing: emptied === undefined,
  };
}

function nameRefused({ path, issue, expected }: Refusal, reading: Reading, { exists, value }: Found): Named {
  const { place } = placeAt(reading.root, path);
  const shown = exists ? show(value, path, place) : undefined;
  const origin = exists && place.variables.length > 0 ? ` from ${variables(place)}` : '';
  const choices = choicesIn(issue);
  const near = typeof value === 'string' ? nearest(value, choices) : undefined;
  const suggestion = near === undefined ? undefined : didYouMean(near);

  if (isUnknownKind(issue)) {
    const known = `known: ${choices.join(', ')}`;
    const message = `unknown ${issue.discriminator}${shown === undefined ? '' : ` ${shown}`}${origin}`;
    return { path, message, suggestion: suggestion === undefined ? known : `${suggestion} ${known}` };
  }
  const own = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? UNNAMED) : issue.message;
  if (own !== UNNAMED) {
    const here = `${shown === undefined ? '' : `here: ${shown}`}${origin}`.trim();
    return { path, message: here === '' ? own : `${own} (${here})`, suggestion, onKey: issue.code === 'invalid_key' };
  }
  const wanted = [...new Set(expected ?? expectation(issue))].join(' or ');
  const instead = shown ?? (exists && isMismatch(issue) ? kindOf(value) : undefined);
  return {
    path,
    message: `${wanted} is expected${instead === undefined ? '' : `, not ${instead}`}${origin}`,
    suggestion,
  };
}

const didYouMean = (word: string): string => `did you mean "${word}"?`;

/** Keys that expanded to nothing were not shown to the schema, but a wrong name is wrong all the same. */
export function unknownEmptied(reading: Reading, schema: z.ZodType): Refusal[] {
  let guide: JsonSchema | undefined;
  const search = (place: Place, path: Path): Refusal[] => {
    const own = [...place.emptied.keys()].flatMap((key): Refusal[] => {
      guide ??= guideOf(schema);
      const known = knownKeys(guide, reading.data, path);
      if (known.length === 0 || known.includes(key)) return [];
      return [{ path, issue: { code: 'unrecognized_keys', keys: [key], path: [], message: UNNAMED } }];
    });
    return [...own, ...[...place.children].flatMap(([key, child]) => search(child, [...path, key]))];
  };
  return search(reading.root, []);
}

// Words

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'a mapping',
  record: 'a mapping',
  null: 'nothing',
};

function kindOf(value: unknown): string {
  const kind = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  return KINDS[kind] ?? kind;
}

function choicesIn(issue: Issue): string[] {
  if (issue.code === 'invalid_value') return issue.values.map(String);
  return isUnknownKind(issue) && 'options' in issue ? (issue.options ?? []).map(String) : [];
}

function expectation(issue: Issue): string[] {
  switch (issue.code) {
    case 'invalid_type':
      return [KINDS[issue.expected] ?? issue.expected];
    case 'invalid_value':
      return issue.values.length === 1 ? choicesIn(issue) : [`one of ${choicesIn(issue).join(', ')}`];
    case 'too_small':
      if (issue.origin === 'string' && issue.minimum === 1) return ['text that is not empty'];
      return [`${issue.inclusive === false ? 'more than' : 'at least'} ${counted(issue.minimum, issue.origin)}`];
    case 'too_big':
      return [`${issue.inclusive === false ? 'less than' : 'at most'} ${counted(issue.maximum, issue.origin)}`];
    case 'invalid_format':
      return [issue.format === 'regex' ? `text matching ${issue.pattern}` : `text in the form of ${issue.format}`];
    case 'not_multiple_of':
      return [`a multiple of ${issue.divisor}`];
    case 'invalid_union':
      return issue.errors.flat().filter(isMismatch).flatMap(expectation);
    default:
      return ['another value'];
  }
}

function counted(amount: number | bigint, origin: string): string {
  const unit = origin === 'string' ? ' character' : origin === 'array' ? ' item' : '';
  return `${amount}${unit}${unit === '' || Number(amount) === 1 ? '' : 's'}`;
}

const SECRET = /token|passw|passphrase|secret|key|sasl|credential/i;

/** A scalar for a message, unless its key or its variable looks like a secret's. */
function show(value: unknown, path: Path, place: Place): string | undefined {
  if (typeof value === 'object') return undefined;
  if ([...path, ...place.variables].some((word) => SECRET.test(String(word)))) return undefined;
  // What is kept in a file of its own is a secret.
  if (place.variables.some((name) => name.startsWith('file:'))) return undefined;
  if (typeof value !== 'string') return String(value);
  const text = value.replace(/\/\/\S*@/g, '//…@');
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

function variables(place: Place): string {
  return place.variables.map((name) => `\${${name}}`).join(', ');
}

// Places

/** The place of the deepest value on this path that stands in the text. */
export function placeAt(root: Place, path: Path): { place: Place; exact: boolean } {
  let place = root;
  for (const key of path) {
    const child = place.children.get(typeof key === 'number' ? key : String(key));
    if (child === undefined) return { place, exact: false };
    place = child;
  }
  return { place, exact: true };
}

function positionOf(reading: Reading, { path, onKey }: Named): { line: number; column: number } {
  const { place, exact } = placeAt(reading.root, path);
  const emptied = exact ? undefined : place.emptied.get(String(path.at(-1)));
  if (emptied !== undefined) return reading.at(onKey ? (emptied.key ?? emptied.value) : emptied.value);
  // A key missing from the file as a whole has nothing better to point at than its beginning.
  if (!exact && place === reading.root) return { line: 1, column: 1 };
  return reading.at(onKey || place.collection ? (place.key ?? place.value) : place.value);
}
