import type { z } from 'zod';
import { readStart } from '../model/bounded.ts';
import { messageOf } from '../model/fault.ts';
import { type Finding, type Reading, readDocument } from './document.ts';
import type { Environment } from './environment.ts';
import { findingsOf } from './findings.ts';
import { coerce, guideOf } from './guide.ts';
import { formatPath, type Problem } from './problems.ts';

export type ConfigResult<Settings> =
  | { readonly ok: true; readonly config: Settings }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export type FilesRead = readonly (readonly [file: string, what: string])[];

interface ParseOptions<Settings> {
  readonly file: string;
  readonly env: Environment;
  /** The schema, or a function that makes it from the data and the files that `${file:…}` reads. */
  readonly schema: z.ZodType<Settings> | ((data: unknown, files: FilesRead) => z.ZodType<Settings>);
  /** The sections whose problems matter; all of them by default. */
  readonly only?: readonly string[];
}

/** Far more than any honest file. */
const MAX_BYTES = 4 * 1_048_576;

export function readConfig<Settings>(
  file: string,
  options: Omit<ParseOptions<Settings>, 'file'>,
): ConfigResult<Settings> {
  const refused = (message: string, suggestion: string): ConfigResult<Settings> => ({
    ok: false,
    problems: [{ file, path: '', message, suggestion }],
  });
  let bytes: Buffer;
  try {
    bytes = readStart(file, MAX_BYTES + 1);
  } catch (thrown) {
    return refused(unreadable(thrown), 'name another with --config FILE');
  }
  if (bytes.length > MAX_BYTES) return refused(`the file is larger than ${MAX_BYTES} bytes`, 'name a configuration');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return refused('the file is not UTF-8', 'save it as UTF-8');
  }
  return parseConfig(text, { file, ...options });
}

function unreadable(thrown: unknown): string {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EISDIR') return 'this is a directory, a file is expected';
  if (code === 'EACCES') return 'this user may not read the file';
  return `the file cannot be read: ${messageOf(thrown)}`;
}

/** Reads text as YAML, expands `${…}` and applies the schema. Never throws; reports all problems at once, in text order. */
export function parseConfig<Settings>(
  text: string,
  { file, env, schema: given, only }: ParseOptions<Settings>,
): ConfigResult<Settings> {
  let reading: Reading;
  try {
    // A byte order mark would shift the columns of the first line.
    reading = readDocument(text.replace(/^\uFEFF/, ''), env);
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    return { ok: false, problems: [{ file, path: '', message: 'the file is nested too deeply' }] };
  }
  const matters = ({ path: [section] }: Finding): boolean =>
    section === undefined || (only?.includes(String(section)) ?? true);
  const findings = reading.findings.filter(matters);
  const refused = (): ConfigResult<Settings> => ({ ok: false, problems: problemsOf(findings, reading, file) });
  // What the schema found in half a document would only distract from what broke it.
  if (!reading.wellFormed) return refused();
  if (reading.data === null && findings.length === 0) {
    const suggestion = 'config/bridge.yaml is an example, `schema config` prints all settings';
    findings.push({ offset: 0, path: [], message: 'the file holds no settings', suggestion });
    return refused();
  }
  const schema = typeof given === 'function' ? given(reading.data, filesOf(reading)) : given;
  const guide = guideOf(schema);
  const data = coerce(reading.data, [guide]);
  const result = schema.safeParse(data);
  if (!result.success) {
    findings.push(...findingsOf(result.error.issues, { ...reading, data }, guide).filter(matters));
  }
  return result.success && findings.length === 0 ? { ok: true, config: result.data } : refused();
}

function filesOf({ places }: Reading): FilesRead {
  return [...places].flatMap(([path, { variables }]) =>
    variables.filter((one) => one.startsWith('file:')).map((one) => [one.slice('file:'.length), path] as const),
  );
}

/** Orders problems by position; reports those that aliases repeat once. */
function problemsOf(findings: readonly Finding[], { at }: Reading, file: string): Problem[] {
  const distinct = new Map(
    findings.map((finding) => [`${finding.offset}:${finding.message}`, finding] as const).reverse(),
  );
  return [...distinct.values()]
    .toSorted((one, other) => one.offset - other.offset)
    .map(({ offset, path, message, suggestion }) => ({
      ...{ file, ...at(offset), path: formatPath(path.map(masked)), message },
      ...(suggestion !== undefined && { suggestion }),
    }));
}

/** Hides all but the scheme of a URL that is a key by mistake: it may hold a password. */
function masked(key: PropertyKey): PropertyKey {
  return typeof key === 'string' ? key.replace(/:\/\/.*/s, '://…') : key;
}
