import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { type Environment, expand } from './environment.ts';
import { formatPath, type Path, type Problem } from './problems.ts';
import { explain } from './syntax.ts';

/** Where a value stands in the text, and what its text may mean besides. */
export interface Place {
  /** The key in front of it; in a list, or at the top, there is none. */
  readonly key?: number;
  readonly value: number;
  readonly collection: boolean;
  readonly children: Map<string | number, Place>;
  /** Keys whose value expanded to nothing: they count as left out. */
  readonly emptied: Map<string, Place>;
  readonly variables: readonly string[];
  /** Its variables could not be expanded, so what the schema says about it means nothing. */
  readonly unusable?: boolean;
  /** What stands here if the schema refuses the first reading: 8080 for a plain `${PORT}`, a mapping for a bare `key:`. */
  readonly otherwise?: unknown;
}

/** A YAML text as plain data, with the place of each value. */
export interface Reading {
  readonly data: unknown;
  readonly root: Place;
  readonly problems: readonly Problem[];
  /** False when the text is no YAML: `data` is then of no use. */
  readonly wellFormed: boolean;
  at(offset: number): { line: number; column: number };
}

/** Far beyond any honest file, far below what hurts. */
const MAX_ALIASED_VALUES = 10_000;

/** Reads YAML and expands `${…}` in its scalars, never in its keys: a variable cannot bring in YAML. */
export function readDocument(text: string, file: string, environment: Environment): Reading {
  const lines = new LineCounter();
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    // Told by the walk below, which knows the path of the key and where it stood first.
    uniqueKeys: false,
    logLevel: 'error',
  });
  const problems: Problem[] = [];
  const report = (offset: number, path: Path, message: string, suggestion?: string): void => {
    problems.push({ file, ...at(offset), path: formatPath(path), message, ...(suggestion && { suggestion }) });
  };

  let previousLine = 0;
  for (const error of [...document.errors, ...document.warnings]) {
    const { offset, message, suggestion } = explain(error, document, text);
    const { line } = at(offset);
    // One slip makes the parser stumble several times on its line.
    if (line !== previousLine) report(offset, [], message, suggestion);
    previousLine = line;
  }

  const { data, place } = walk(document, text, environment, report, (offset) => at(offset).line);
  return { data, root: place, problems, wellFormed: document.errors.length === 0, at };
}

type Report = (offset: number, path: Path, message: string, suggestion?: string) => void;

interface Read {
  readonly data: unknown;
  readonly place: Place;
  /** A plain scalar that expanded to nothing. */
  readonly empty?: boolean;
}

function walk(
  document: Document,
  text: string,
  environment: Environment,
  report: Report,
  lineOf: (offset: number) => number,
): Read {
  const tags = document.schema?.tags ?? [];
  const open = new Set<unknown>();
  const targets = new Map<Alias, Node>();
  let depth = 0;
  let aliased = 0;

  const placeOf = (value: number, key: number | undefined, collection: boolean): Place => ({
    ...(key !== undefined && { key }),
    value,
    collection,
    children: new Map(),
    emptied: new Map(),
    variables: [],
  });

  /** `key` is where the key stands; `after` where a value would, if there is none. */
  const read = (node: unknown, path: Path, after: number, key?: number): Read => {
    if (depth > 0) aliased += 1;
    if (isAlias(node)) return readAlias(node, path, key);
    if (isMap(node)) return readMap(node, path, key);
    if (isSeq(node)) return readList(node, path, key);
    if (isScalar(node)) return readScalar(node, path, key);
    return { data: null, place: { ...placeOf(key ?? after, key, false), otherwise: {} } };
  };

  const readAlias = (alias: Alias, path: Path, key: number | undefined): Read => {
    const start = alias.range?.[0] ?? 0;
    const unusable: Read = { data: null, place: { ...placeOf(start, key, false), unusable: true } };
    if (aliased > MAX_ALIASED_VALUES) return unusable;
    const target = targets.get(alias) ?? alias.resolve(document);
    if (target === undefined) {
      report(start, path, 'no such anchor stands above this', 'put text that begins with * in quotes');
      return unusable;
    }
    targets.set(alias, target);
    if (open.has(target)) {
      report(start, path, 'this alias stands inside what it repeats');
      return unusable;
    }
    depth += 1;
    const found = read(target, path, start, key);
    depth -= 1;
    if (aliased <= MAX_ALIASED_VALUES) return { ...found, place: { ...found.place, value: start } };
    if (depth === 0) report(start, path, `the aliases up to here repeat more than ${MAX_ALIASED_VALUES} values`);
    return unusable;
  };

  const readList = (list: YAMLSeq, path: Path, key: number | undefined): Read => {
    const data: unknown[] = [];
    const place = placeOf(list.range?.[0] ?? 0, key, true);
    open.add(list);
    for (const item of list.items) {
      const found = read(item, [...path, data.length], place.value);
      if (found.empty) continue;
      place.children.set(data.length, found.place);
      data.push(found.data);
    }
    open.delete(list);
    return { data, place };
  };

  const readMap = (map: YAMLMap, path: Path, key: number | undefined): Read => {
    const data: Record<string, unknown> = {};
    const place = placeOf(map.range?.[0] ?? 0, key, true);
    const seen = new Map<string, number>();
    const merged: { pair: Pair; start: number }[] = [];
    open.add(map);
    for (const pair of map.items) {
      const start = startOf(pair.key) ?? place.value;
      const name = keyName(pair.key);
      if (name === undefined || name === '__proto__') {
        report(start, path, 'a key must be a plain word, followed by a colon');
        continue;
      }
      const twin = seen.get(name);
      if (twin !== undefined) {
        report(start, [...path, name], 'this key appears twice', `it stands in line ${lineOf(twin)} already`);
      }
      seen.set(name, start);
      if (name === '<<' && isPlain(pair.key)) {
        merged.push({ pair, start });
        continue;
      }
      const found = read(pair.value, [...path, name], start, start);
      if (twin !== undefined) continue;
      if (found.empty) {
        place.emptied.set(name, found.place);
        continue;
      }
      data[name] = found.data;
      place.children.set(name, found.place);
    }
    for (const { pair, start } of merged) merge(pair.value, path, start, data, place);
    open.delete(map);
    return { data, place };
  };

  /** `<<: *defaults`, or a list of them: what the mapping itself says wins, then the earlier one. */
  const merge = (node: unknown, path: Path, start: number, data: Record<string, unknown>, place: Place): void => {
    for (const source of isSeq(node) ? node.items : [node]) {
      const found = read(source, path, start, start);
      if (found.place.unusable) continue;
      if (!found.place.collection || Array.isArray(found.data)) {
        report(startOf(source) ?? start, path, 'only mappings can be merged by <<');
        continue;
      }
      for (const [name, value] of Object.entries(found.data as Record<string, unknown>)) {
        const child = found.place.children.get(name);
        if (Object.hasOwn(data, name) || child === undefined) continue;
        data[name] = value;
        place.children.set(name, child);
      }
    }
  };

  const readScalar = (scalar: Scalar, path: Path, key: number | undefined): Read => {
    const [start = 0, end = 0] = scalar.range ?? [];
    const place = placeOf(start === end ? (key ?? start) : start, key, false);
    // A bare `receiver:` whose settings are all commented out is an empty mapping, where one is wanted.
    if (scalar.value === null && start === end) return { data: null, place: { ...place, otherwise: {} } };
    if (typeof scalar.value !== 'string') return { data: scalar.value, place };

    const { text: expanded, variables, faults } = expand(scalar.value, environment);
    // A scalar that stands in the text as it is read (no escapes, no folding) lets us point into it.
    const inside = start + (scalar.type?.startsWith('QUOTE') ? 1 : 0);
    const verbatim = text.startsWith(scalar.value, inside);
    for (const { index, message, suggestion } of faults) {
      report(verbatim ? inside + index : start, path, message, suggestion);
    }
    if (faults.length > 0) return { data: '', place: { ...place, variables, unusable: true } };
    if (variables.length === 0) return { data: expanded, place };
    if (!isPlain(scalar)) return { data: expanded, place: { ...place, variables } };
    const otherwise = resolvePlain(expanded);
    return {
      data: expanded,
      place: { ...place, variables, ...(otherwise !== undefined && { otherwise }) },
      empty: expanded === '',
    };
  };

  /** The number or boolean that a plain YAML scalar of this text would be. */
  const resolvePlain = (value: string): unknown => {
    const trimmed = value.trim();
    for (const tag of tags) {
      if (!('test' in tag) || tag.default !== true || !tag.test?.test(trimmed)) continue;
      const resolved: unknown = tag.resolve?.(trimmed, () => {}, {});
      const value = isScalar(resolved) ? resolved.value : resolved;
      return typeof value === 'number' || typeof value === 'boolean' ? value : undefined;
    }
    return undefined;
  };

  return read(document.contents, [], 0);
}

function isPlain(node: unknown): boolean {
  return isScalar(node) && node.type === 'PLAIN' && node.tag === undefined;
}

function startOf(node: unknown): number | undefined {
  return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range?.[0] : undefined;
}

/** As written: `0x10:` is the key "0x10". */
function keyName(node: unknown): string | undefined {
  if (!isScalar(node) || node.value === null) return undefined;
  return node.source ?? String(node.value);
}
