import {
  type Alias,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';
import { type Environment, expand } from './environment.ts';
import { formatPath, type Path } from './problems.ts';

/** Where a value is in the text. */
export interface Place {
  /** The offset of its key; absent in a list and at the top. */
  readonly key: number | undefined;
  readonly value: number;
  readonly collection: boolean;
  /** The variables and files that its text was expanded from. */
  readonly variables: readonly string[];
  /** Whether it could not be read, so that the schema's issues with it mean nothing. */
  readonly unusable: boolean;
}

export interface Finding {
  readonly offset: number;
  readonly path: Path;
  readonly message: string;
  readonly suggestion?: string | undefined;
}

export type Reading = ReturnType<typeof readDocument>;

/** Far beyond any honest file, and far below what hurts. Each repetition by an alias counts. */
const MAX_VALUES = 50_000;

/**
 * Reads YAML as plain data, with the place of each value by its path, and expands `${…}` in scalars, so that a variable
 * cannot introduce YAML; never in keys. If the text is not `wellFormed`, `data` is useless.
 */
export function readDocument(text: string, environment: Environment) {
  const lineCounter = new LineCounter();
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  // `readMap` reports repeated keys, since it knows where the first one is.
  const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: false, logLevel: 'error' });
  const targets = new Map<Alias, Node>();
  const anchors = new Map<string, Node>();
  visit(document, {
    Node(_, node) {
      const target = isAlias(node) ? anchors.get(node.source) : undefined;
      if (isAlias(node)) target !== undefined && targets.set(node, target);
      else if (node.anchor) anchors.set(node.anchor, node);
    },
  });

  const walk: Walk = {
    ...{ text, environment, targets, lineOf: (offset) => at(offset).line },
    ...{ places: new Map(), findings: [], open: new Set(), values: 0, lastQuote: undefined },
  };
  const data = read(walk, document.contents, []);
  let previousLine = 0;
  for (const error of [...document.errors, ...document.warnings]) {
    const finding = explain(error, walk);
    const { line } = at(finding.offset);
    // One slip causes several errors on its line, and more in all that follows.
    const isEcho = previousLine > 0 && error.message.includes(' in YAML stream');
    if (line !== previousLine && !isEcho) walk.findings.push(finding);
    previousLine = line;
  }
  const wellFormed = document.errors.length === 0 && walk.values <= MAX_VALUES;
  return { data, places: walk.places, findings: walk.findings, wellFormed, at };
}

interface Walk {
  readonly text: string;
  readonly environment: Environment;
  readonly targets: ReadonlyMap<Alias, Node>;
  readonly places: Map<string, Place>;
  readonly findings: Finding[];
  readonly open: Set<Node>;
  values: number;
  lastQuote: number | undefined;
  lineOf(offset: number): number;
}

function report({ findings }: Walk, offset: number, path: Path, message: string, suggestion?: string): void {
  findings.push({ offset, path, message, suggestion });
}

/** Returns undefined for a plain scalar that expands to nothing. `key` and `alias` are the offsets of what leads to it. */
function read(walk: Walk, node: unknown, path: Path, key?: number, alias?: number): unknown {
  const [from = 0, to = 0] = (isNode(node) && node.range) || [];
  const start = alias ?? (from < to ? from : (key ?? from));
  const mark = (more: Partial<Place> = {}): void => {
    const place = { key, value: start, collection: false, variables: [], unusable: false };
    walk.places.set(formatPath(path), { ...place, ...more });
  };
  if (!spend(walk, 1, start, path)) return undefined;
  if (isAlias(node)) {
    const target = targetOf(walk, node, path);
    if (target !== undefined) return read(walk, target, path, key, start);
    mark({ unusable: true });
    return '';
  }
  if (isCollection(node)) {
    mark({ collection: true });
    walk.open.add(node);
    const data = isMap(node) ? readMap(walk, node.items, path) : readList(walk, node.items, path);
    walk.open.delete(node);
    return data;
  }
  const value = isScalar(node) ? node.value : null;
  if (!isScalar(node) || typeof value !== 'string') {
    mark();
    return value;
  }
  if (node.type?.startsWith('QUOTE')) walk.lastQuote = start;
  const { text, variables, faults } = expand(value, walk.environment);
  // An error can point inside a scalar only if that is written without escapes and folding.
  const inside = from + (node.type?.startsWith('QUOTE') ? 1 : 0);
  const verbatim = walk.text.startsWith(value, inside);
  for (const { index, message, suggestion } of faults) {
    report(walk, verbatim ? inside + index : start, path, message, suggestion);
  }
  mark({ variables, unusable: faults.length > 0 });
  return text === '' && variables.length > 0 && faults.length === 0 && isPlain(node) ? undefined : text;
}

/** Counts values; returns false, and reports it once, if they are more than a file may hold. */
function spend(walk: Walk, values: number, offset: number, path: Path): boolean {
  const before = walk.values;
  walk.values += values;
  if (before <= MAX_VALUES && walk.values > MAX_VALUES) {
    report(walk, offset, path, `the file holds more than ${MAX_VALUES} values, counting each repetition by an alias`);
  }
  return walk.values <= MAX_VALUES;
}

function targetOf(walk: Walk, alias: Alias, path: Path): Node | undefined {
  const [start = 0] = alias.range ?? [];
  const target = walk.targets.get(alias);
  if (target === undefined) {
    report(walk, start, path, 'no such anchor is defined above', 'put text that begins with * in quotes');
  } else if (walk.open.has(target)) {
    report(walk, start, path, 'this alias is inside the value that it repeats');
    return undefined;
  }
  return target;
}

function readList(walk: Walk, items: readonly unknown[], path: Path): unknown[] {
  const data: unknown[] = [];
  for (const item of items) {
    const value = read(walk, item, [...path, data.length]);
    if (value !== undefined) data.push(value);
  }
  return data;
}

function readMap(walk: Walk, pairs: readonly Pair[], path: Path, data: Record<string, unknown> = {}): unknown {
  const seen = new Map<string, number>();
  const merges: Pair[] = [];
  for (const pair of pairs) {
    const [start = 0] = (isNode(pair.key) && pair.key.range) || [];
    const name = keyName(pair.key);
    const twin = name === undefined ? undefined : seen.get(name);
    if (name === undefined || name === '__proto__') {
      report(walk, start, path, 'a key must be a plain word, followed by a colon');
    } else if (twin !== undefined) {
      const suggestion = `it is already in line ${walk.lineOf(twin)}`;
      report(walk, start, [...path, name], 'this key appears twice', suggestion);
    } else if (name === '<<' && isPlain(pair.key)) {
      merges.push(pair);
    } else if (!Object.hasOwn(data, name)) {
      seen.set(name, start);
      data[name] = read(walk, pair.value, [...path, name], start);
    }
  }
  for (const { value } of merges) merge(walk, value, path, data);
  return data;
}

/** Merges `<<: *defaults`, or a list of them: the mapping's own keys win, then the earlier ones. */
function merge(walk: Walk, node: unknown, path: Path, data: Record<string, unknown>): void {
  for (const source of isSeq(node) ? node.items : [node]) {
    const [start = 0] = (isNode(source) && source.range) || [];
    const target = isAlias(source) ? targetOf(walk, source, path) : source;
    if (target === undefined) continue;
    if (!isMap(target)) {
      report(walk, start, path, 'only mappings can be merged by <<');
      continue;
    }
    if (!spend(walk, 1 + target.items.length, start, path)) return;
    walk.open.add(target);
    readMap(walk, target.items, path, data);
    walk.open.delete(target);
  }
}

function isPlain(node: unknown): boolean {
  return isScalar(node) && node.type === 'PLAIN' && node.tag === undefined;
}

/** Returns the key as written: `0x10:` is the key "0x10". */
function keyName(node: unknown): string | undefined {
  if (!isScalar(node) || node.value === null) return undefined;
  return node.source ?? String(node.value);
}

type Code = YAMLError['code'];

export const KEY_EXPECTED = 'a colon and a space follow each key';

const REMEDIES: Readonly<Partial<Record<Code, string>>> = {
  TAB_AS_INDENT: 'indent with spaces',
  BAD_SCALAR_START: 'put the value in quotes',
  BAD_DQ_ESCAPE: 'double the \\, or use single quotes',
  TAG_RESOLVE_FAILED: 'put text that begins with ! in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'fix the indentation, or put a value that holds ": " in quotes',
  MULTIPLE_DOCS: 'remove the --- and what follows it',
  MULTILINE_IMPLICIT_KEY: KEY_EXPECTED,
};

const LACKS_COLON = /^Implicit map keys need to be followed by map values/;

/** Replacements for messages of the parser that only programmers understand. */
const MESSAGES: Readonly<Partial<Record<Code, string>>> = {
  MULTIPLE_DOCS: 'the file holds more than one YAML document',
  RESOURCE_EXHAUSTION: 'this is nested too deeply',
};

/** Words an error of the parser; never quotes the text, since an unquoted password can begin with |. */
function explain({ code, pos, message }: YAMLError, { text, lastQuote }: Walk): Finding {
  const [offset] = pos;
  if (/^Missing closing .quote$/.test(message) && lastQuote !== undefined) {
    // The parser notices it only at the end of the file.
    return { offset: lastQuote, path: [], message: 'this quote is never closed' };
  }
  const own = MESSAGES[code] ?? message.replace(/(?<=\w): .*| \\.*/s, '');
  const isVariable = offset > 0 && text.startsWith('${', offset - 1);
  const remedy = isVariable ? 'inside [ ] and { } a variable needs quotes' : REMEDIES[code];
  const suggestion = remedy ?? (LACKS_COLON.test(message) ? KEY_EXPECTED : undefined);
  return { offset: isVariable ? offset - 1 : offset, path: [], message: own, suggestion };
}
