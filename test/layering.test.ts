import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { parseSync } from 'vite';
import { describe, expect, test } from 'vitest';

/** What a kind of destination may import, so that a new one needs no line here. */
const KIND = [
  'src/model/',
  'connectors/aws.ts',
  'connectors/contract.ts',
  'connectors/ensuring.ts',
  'connectors/members.ts',
  'connectors/portions.ts',
  'connectors/tls.ts',
];
const kinds = globSync('connectors/*/').map((folder) => [`${folder.replace(/\/$/, '')}/`, KIND]);

/** The rooms, in the order of an event's way, each with all that it may import beside itself. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  'src/model/': [],
  'src/client/': ['src/model/'],
  'connectors/aws.ts': ['src/model/'],
  'connectors/contract.ts': ['src/model/'],
  'connectors/ensuring.ts': ['connectors/contract.ts'],
  'connectors/members.ts': ['src/model/', 'connectors/contract.ts'],
  'connectors/guard.ts': ['src/model/', 'connectors/contract.ts'],
  'connectors/options.ts': ['connectors/contract.ts'],
  'connectors/portions.ts': [],
  'connectors/own.ts': [
    'src/model/',
    'src/kit/index.ts',
    'connectors/contract.ts',
    'connectors/guard.ts',
    'connectors/options.ts',
  ],
  'connectors/tls.ts': ['src/model/'],
  'connectors/shaping.ts': ['src/model/', 'connectors/contract.ts', 'connectors/transform.ts'],
  'connectors/transform.ts': ['src/model/'],
  ...Object.fromEntries(kinds),
  'connectors/kafka/': [...KIND, 'src/client/'],
  'connectors/index.ts': ['src/model/', 'connectors/'],
  'src/config/': ['src/model/', 'connectors/contract.ts', 'connectors/index.ts'],
  'src/http/': ['src/model/'],
  'src/intake/': ['src/model/', 'src/config/', 'src/http/'],
  'src/journal/': ['src/model/', 'connectors/contract.ts'],
  'src/delivery/': ['src/model/', 'src/config/', 'src/journal/', 'connectors/contract.ts', 'connectors/index.ts'],
  'src/kit/': ['src/model/', 'src/delivery/', 'connectors/contract.ts', 'connectors/guard.ts', 'connectors/options.ts'],
  'src/reconcile/': ['src/model/', 'src/config/', 'src/journal/'],
  'src/telemetry/': ['src/model/'],
  'src/admin/': [
    'src/model/',
    'src/config/',
    'src/http/',
    'src/journal/',
    'src/delivery/',
    'src/reconcile/',
    'src/telemetry/',
  ],
  'src/worker/': ['src/', 'connectors/contract.ts', 'connectors/index.ts'],
  'src/bridge.ts': ['src/', 'connectors/contract.ts', 'connectors/index.ts'],
  'src/cli/': ['src/', 'connectors/contract.ts', 'connectors/index.ts'],
  'src/cli.ts': ['src/'],
  'src/bin.ts': ['src/cli.ts'],
};

/** Files that put rooms together, beside those named above. */
const COMPOSITIONS: Readonly<Record<string, readonly string[]>> = {
  'src/delivery/thread/entry.ts': ['src/telemetry/'],
};

const files = [...globSync('src/**/*.ts'), ...globSync('connectors/**/*.ts')].sort();

/** Every module that a file names, whatever the form of the import; `new URL('./x', import.meta.url)` counts as one. */
function importsOf(file: string): string[] {
  const source = readFileSync(file, 'utf8');
  const { module } = parseSync(file, source);
  const named = [...module.staticImports.map(({ moduleRequest }) => moduleRequest.value)];
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest } of entries) if (moduleRequest) named.push(moduleRequest.value);
  }
  for (const { moduleRequest } of module.dynamicImports) {
    named.push(...relativeTexts(source.slice(moduleRequest.start, moduleRequest.end)));
  }
  for (const { start } of module.importMetas) {
    const call = source.lastIndexOf('new URL(', start);
    if (call >= 0 && start - call < 200) named.push(...relativeTexts(source.slice(call, start)));
  }
  return [...new Set(named.filter((name) => name.startsWith('.')))].map((name) => normalize(join(dirname(file), name)));
}

function relativeTexts(source: string): string[] {
  return [...source.matchAll(/['"`](\.{1,2}\/[^'"`]*\.ts)['"`]/g)].map(([, path = '']) => path);
}

function roomOf(file: string): string | undefined {
  return Object.keys(ROOMS).find((room) => file === room || (room.endsWith('/') && file.startsWith(room)));
}

function mayImport(file: string, imported: string): boolean {
  const room = roomOf(file);
  if (room === undefined) return false;
  const allowed = [room, ...(ROOMS[room] ?? []), ...(COMPOSITIONS[file] ?? [])];
  return allowed.some((place) => imported === place || (place.endsWith('/') && imported.startsWith(place)));
}

describe('the tree reads as the way of an event', () => {
  test('every file is in a room', () => {
    expect(files.filter((file) => roomOf(file) === undefined)).toEqual([]);
  });

  test('rooms import only what their line names', () => {
    const strangers = files.flatMap((file) =>
      importsOf(file)
        .filter((imported) => !mayImport(file, imported))
        .map((imported) => `${file} → ${imported}`),
    );
    expect(strangers).toEqual([]);
  });

  test('what is imported is there', () => {
    const missing = files.flatMap((file) => importsOf(file).filter((imported) => !existsSync(imported)));
    expect(missing).toEqual([]);
  });

  test.each([
    ['start', ['src/bridge.ts', 'src/worker/process.ts'], 'before it starts one'],
    ['status', ['src/config/schema.ts', 'connectors/index.ts'], 'to ask one that runs'],
  ])('%s does not load %j %s', (command, parts) => {
    const loaded = new Set<string>();
    const load = (file: string): void => {
      if (loaded.has(file)) return;
      loaded.add(file);
      for (const { moduleRequest, entries } of parseSync(file, readFileSync(file, 'utf8')).module.staticImports) {
        const isLoaded = entries.length === 0 || entries.some(({ isType }) => !isType);
        if (isLoaded && moduleRequest.value.startsWith('.')) load(normalize(join(dirname(file), moduleRequest.value)));
      }
    };
    load(`src/cli/${command}.ts`);
    expect(loaded).toContain('src/model/fault.ts');
    expect(parts.filter((file) => loaded.has(file) || !existsSync(file))).toEqual([]);
  });

  test('no line is left of a room that is gone', () => {
    expect(Object.keys({ ...ROOMS, ...COMPOSITIONS }).filter((room) => !existsSync(room))).toEqual([]);
  });

  test('no file has a name that says nothing', () => {
    expect(files.filter((file) => /\b(utils?|helpers?|common|misc)\b/i.test(file))).toEqual([]);
  });

  test('no file has more than 350 lines, be it code, texts or a style sheet', () => {
    const lengthOf = (file: string): number => readFileSync(file, 'utf8').split('\n').length - 1;
    expect(globSync('{src,connectors}/**/*.{ts,js,css}').filter((file) => lengthOf(file) > 350)).toEqual([]);
  });

  test('kafkajs and the clients of Elasticsearch and PostgreSQL are known to their connector’s folder only', () => {
    const knowing = (name: string): string[] =>
      files.filter((file) => readFileSync(file, 'utf8').includes(`from '${name}'`)).map(dirname);
    expect(new Set(knowing('kafkajs'))).toEqual(new Set(['connectors/kafka']));
    expect(new Set(knowing('@elastic/elasticsearch'))).toEqual(new Set(['connectors/elasticsearch']));
    expect(new Set(knowing('pg'))).toEqual(new Set(['connectors/postgres']));
  });
});
