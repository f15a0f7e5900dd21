import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { messageOf } from '../model/fault.ts';
import { type Place, type Reading, readDocument } from './document.ts';
import type { Environment } from './environment.ts';
import { formatProblem, type Path, type Problem } from './problems.ts';
import { isMismatch, nameRefusals, placeAt, type Refusal, refusalsOf, UNNAMED, unknownEmptied } from './refusals.ts';
import { type Config, configSchema } from './schema.ts';

export { type Environment, formatProblem, type Problem };

export type ConfigResult<Settings> =
  | { readonly ok: true; readonly config: Settings }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export interface ParseOptions<Settings> {
  /** The name of the file, for the problems. */
  readonly file: string;
  readonly env: Environment;
  readonly schema: z.ZodType<Settings>;
}

/** Reads the configuration of the bridge. Never throws; all problems at once. */
export function loadConfig(file: string, env: Environment): ConfigResult<Config> {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (thrown) {
    return { ok: false, problems: [unreadable(file, thrown)] };
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return {
      ok: false,
      problems: [{ file, path: '', message: 'the file is not UTF-8', suggestion: 'save it as UTF-8' }],
    };
  }
  // What all connectors have in common is lost in the inferred type, not in the schema.
  return parseConfig(text, { file, env, schema: configSchema }) as ConfigResult<Config>;
}

function unreadable(file: string, thrown: unknown): Problem {
  const named = {
    ENOENT: 'there is no such file',
    EISDIR: 'this is a directory, a file is expected',
    EACCES: 'the file may not be read by this user',
  };
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  const message = named[code as keyof typeof named] ?? `the file cannot be read: ${messageOf(thrown)}`;
  return { file, path: '', message, suggestion: 'name another with --config FILE' };
}

/** Text → YAML → `${…}` → schema. Never throws; all problems at once, in the order of the text. */
export function parseConfig<Settings>(
  text: string,
  { file, env, schema }: ParseOptions<Settings>,
): ConfigResult<Settings> {
  let reading: Reading;
  try {
    // A byte order mark would push the first line one column to the right.
    reading = readDocument(text.replace(/^\uFEFF/, ''), file, env);
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    return { ok: false, problems: [{ file, path: '', message: 'the file is nested too deeply' }] };
  }
  // What the schema says about half a document would only distract from what broke it.
  if (!reading.wellFormed) return { ok: false, problems: inOrder(reading.problems) };
  if (reading.data === null && reading.problems.length === 0) {
    const suggestion = 'config/bridge.yaml is an example, `schema config` prints all settings';
    return {
      ok: false,
      problems: [{ file, line: 1, column: 1, path: '', message: 'the file holds no settings', suggestion }],
    };
  }

  const checked = check(reading, schema);
  const refused = [...(checked.ok ? [] : checked.refused), ...unknownEmptied(reading, schema)];
  const named = refused.length === 0 ? [] : nameRefusals(refused, reading, schema, file);
  const problems = inOrder([...reading.problems, ...named]);
  return checked.ok && problems.length === 0 ? { ok: true, config: checked.config } : { ok: false, problems };
}

type Checked<Settings> =
  | { readonly ok: true; readonly config: Settings }
  | { readonly ok: false; readonly refused: readonly Refusal[] };

/**
 * Runs the schema. Where it refuses a value that can be read otherwise (8080 for a plain `${PORT}`) it is asked again:
 * only the schema knows whether 0123 is text or a number. Changes `reading.data` to the readings that were taken.
 */
function check<Settings>(reading: Reading, schema: z.ZodType<Settings>): Checked<Settings> {
  const run = (): Checked<Settings> => {
    const result = schema.safeParse(reading.data, { error: () => UNNAMED });
    return result.success
      ? { ok: true, config: result.data }
      : { ok: false, refused: refusalsOf(result.error.issues, reading.data) };
  };

  const reread = new Map<Place, { path: Path; first: unknown; mismatch: boolean }>();
  let checked = run();
  for (let changed = true; changed && !checked.ok; ) {
    changed = false;
    for (const { path, issue } of checked.refused) {
      // The document itself has no owner to be put into.
      if (path.length === 0) continue;
      const { place, exact } = placeAt(reading.root, path);
      if (!exact || place.otherwise === undefined || reread.has(place)) continue;
      if (typeof place.otherwise === 'object' && !wantsMapping(issue)) continue;
      reread.set(place, { path, first: replace(reading.data, path, place.otherwise), mismatch: isMismatch(issue) });
      changed = true;
    }
    if (changed) checked = run();
  }
  if (checked.ok) return checked;

  // A reading that fits even less is taken back: "/8080 is no path" says more than "text is expected, not 8080".
  const { refused } = checked;
  const worse = [...reread].filter(
    ([place, { mismatch }]) =>
      !mismatch && refused.some(({ path, issue }) => placeAt(reading.root, path).place === place && isMismatch(issue)),
  );
  for (const [, { path, first }] of worse) replace(reading.data, path, first);
  return worse.length > 0 ? run() : checked;
}

function wantsMapping(issue: Refusal['issue']): boolean {
  return issue.code === 'invalid_type' && (issue.expected === 'object' || issue.expected === 'record');
}

/** Puts a value into plain data, at a path that is there; gives back what was. */
function replace(data: unknown, path: Path, value: unknown): unknown {
  let owner = data as Record<PropertyKey, unknown>;
  for (const key of path.slice(0, -1)) owner = owner[key] as Record<PropertyKey, unknown>;
  const last = path.at(-1) ?? '';
  const before = owner[last];
  owner[last] = value;
  return before;
}

/** By position; what an alias repeats is said once. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const said = new Set<string>();
  return problems
    .toSorted((one, other) => (one.line ?? 0) - (other.line ?? 0) || (one.column ?? 0) - (other.column ?? 0))
    .filter(({ line, column, message }) => {
      const key = `${line}:${column}:${message}`;
      return !said.has(key) && said.add(key);
    });
}
