/** Connectors that a configuration names by file or by package: they are as those that the bridge brings along, mistakes included. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type EventSink, Interrupted } from '../../connectors/contract.ts';
import { type Configured, examine, holdsOf, openSink, placesOf } from '../../connectors/index.ts';
import { ownAt } from '../../connectors/own.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problems.ts';
import { entryOf } from '../../src/model/entry.ts';
import { makeEvent, never, testHost, unreachableBy } from '../connectors/suite.ts';

const folder = mkdtempSync(join(tmpdir(), 'own-connectors-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(path: string, text: string): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

/** The module of a connector, with these parts in the place of those that work. */
const moduleOf = (parts = '', zod = 'group-sync-bridge/connector'): string => `
  import { z } from '${zod}';
  export default {
    kind: 'mine',
    summary: 'Writes to nowhere.',
    readsBack: false,
    maxEvents: 7,
    options: z.strictObject({
      target: z.string().min(2, { error: 'a target has two letters' }).describe('Where to.'),
      level: z.int().default(3).describe('How high.'),
      mode: z.enum(['slow', 'fast']).default('slow').describe('How.'),
    }),
    holds: () => 'events',
    places: ({ target }) => [{ name: 'target ' + target, option: 'target' }],
    open: async () => { throw new Error('not here'); },
    async *examine() {},
    ${parts}
  };`;

/** The problems of a configuration with this connector, as they are shown, without the name of the file. */
function problemsOf(connector: string, env: Record<string, string> = {}): string[] {
  const file = write('bridge.yaml', `app: { sdkAppId: 1 }\nconnectors:\n  mine:\n${connector}`);
  const result = loadConfig(file, env);
  return result.ok ? [] : result.problems.map((problem) => formatProblem(problem).slice(file.length + 1));
}

function connectorOf(connector: string, env: Record<string, string> = {}): unknown {
  const file = write('bridge.yaml', `app: { sdkAppId: 1 }\nconnectors:\n  mine: ${connector}\n`);
  const result = loadConfig(file, env);
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'));
  return result.config.connectors.mine;
}

test('a file is found from the folder of the configuration, whatever the working directory', () => {
  const file = write('connectors/mine.mjs', moduleOf());
  expect(
    connectorOf(`{ kind: ./connectors/mine.mjs, target: xy, level: "$\{LEVEL}", filter: { groupIds: [a] } }`, {
      LEVEL: '5',
    }),
  ).toEqual({
    kind: './connectors/mine.mjs',
    module: file,
    enabled: true,
    options: { target: 'xy', level: 5, mode: 'slow' },
    filter: { groupIds: ['a'] },
    batch: { maxEvents: 7, maxWaitMs: 0 },
    retry: { initialMs: 200, maxMs: 10_000 },
    verify: { every: 3_600_000, groupsPerSecond: 200, mend: true },
    restore: 'auto',
  });
});

test('TypeScript and CommonJS are as good', () => {
  const file = write('mine.ts', moduleOf('').replace('export default {', 'const n: number = 3;\nexport default {'));
  expect(connectorOf('{ kind: ./mine.ts, target: xy }')).toMatchObject({ module: file, options: { level: 3 } });
  const common = write('mine.cjs', `module.exports = require('./connectors/mine.mjs').default;`);
  expect(connectorOf('{ kind: ./mine.cjs, target: xy }')).toMatchObject({ module: common, options: { level: 3 } });
});

test('a package is found where it is installed beside the configuration, also one that can be imported only', () => {
  const exports = { '.': { types: './mine.d.ts', import: './mine.js' } };
  write('node_modules/@some/connector/package.json', JSON.stringify({ type: 'module', exports }));
  const file = write('node_modules/@some/connector/mine.js', moduleOf());
  expect(connectorOf('{ kind: "@some/connector", target: xy }')).toMatchObject({
    kind: '@some/connector',
    module: file,
  });
});

test('its options are refused as those of other kinds, at their line and column, with what was meant', () => {
  write('mine.mjs', moduleOf());
  const said = problemsOf(
    `    kind: ./mine.mjs
    levl: 4
    mode: fasd
    target: $\{TARGET}
    batch: { maxEvents: 0 }
    level: x
`,
    { TARGET: 'x' },
  );
  expect(said).toEqual([
    '5:5 connectors.mine.levl: unknown key — did you mean "level"?',
    '6:11 connectors.mine.mode: one of "slow", "fast" is expected — did you mean "fast"?',
    `7:13 connectors.mine.target: a target has two letters (from $\{TARGET})`,
    '8:25 connectors.mine.batch.maxEvents: at least 1 is expected',
    '9:12 connectors.mine.level: a number is expected, not a text',
  ]);
  expect(problemsOf('    kind: ./mine.mjs\n')).toEqual(['3:3 connectors.mine.target: this key is missing: Where to.']);
});

test('kinds that are none are no choice where another connector says none', () => {
  write('mine.mjs', moduleOf());
  const said = problemsOf(
    '    kind: kafak\n  b:\n    kind: elasticserch\n  c: { kind: 5 }\n  d: {}\n  e: { kind: ./mine.mjs, target: xy }\n',
  );
  const kinds = 'kafka, elasticsearch, postgres, file, http';
  expect(said).toEqual([
    `4:11 connectors.mine.kind: unknown kind, one of ${kinds} is expected — did you mean "kafka"?`,
    `6:11 connectors.b.kind: unknown kind, one of ${kinds} is expected — did you mean "elasticsearch"?`,
    `7:14 connectors.c.kind: unknown kind, one of ${kinds}, ./mine.mjs is expected`,
    `8:3 connectors.d.kind: this key is missing — one of ${kinds}, ./mine.mjs`,
  ]);
});

test('it is given what its own schema made of its options, and nothing beside it', async () => {
  const strict = `((given) => { const keys = Object.keys(given).join(); if (keys !== 'target,level,mode') throw new Error(keys); })`;
  const sink = `{ holds: 'events', deliver: async () => new Map(), close: async () => {} }`;
  write(
    'strict.mjs',
    moduleOf(`
      holds(given) { ${strict}(given); return 'events'; },
      places(given) { ${strict}(given); return []; },
      async open(given) { ${strict}(given); return ${sink}; },
      async *examine(given) { ${strict}(given); },`),
  );
  const configured = connectorOf('{ kind: ./strict.mjs, target: xy, shape: { constants: { a: 1 } } }') as Configured;
  expect(holdsOf(configured)).toBe('events');
  expect(placesOf(configured)).toEqual([]);
  await (await openSink(configured, testHost(), never())).close();
  for await (const finding of examine(configured, testHost(), never())) expect(finding).toBeUndefined();
});

test('its schema may be of another copy of zod', () => {
  for (const part of ['package.json', 'index.js', 'v4']) {
    cpSync(resolve('node_modules/zod', part), join(folder, 'node_modules/zod', part), { recursive: true });
  }
  write('other.mjs', moduleOf('', 'zod'));
  expect(connectorOf('{ kind: ./other.mjs, target: xy }')).toMatchObject({ options: { target: 'xy', level: 3 } });
  expect(problemsOf('    kind: ./other.mjs\n    targt: x\n    level: 1.5\n')).toEqual([
    '5:5 connectors.mine.targt: unknown key — did you mean "target"?',
    '6:12 connectors.mine.level: a whole number is expected',
  ]);
});

test('it may leave out verify, and keeps what it settled when a delivery ends early', async () => {
  const deliver = `async (batch) => {
    const outcome = { kind: 'delivered', receipt: batch[0].id };
    const fault = { code: 'destination-overloaded', message: 'wait', path: 'connectors.mine.target', suggestion: 'wait' };
    throw new Interrupted(new Map([[batch[0].id, outcome]]), new Unreachable(fault, undefined, 700));
  }`;
  const open = `open: async () => ({ holds: 'events', deliver: ${deliver}, close: async () => {} }), verifiable: false,`;
  const imports = "import { Interrupted, Unreachable } from 'group-sync-bridge/connector';";
  const file = write('webhook.mjs', imports + moduleOf(open));
  expect(connectorOf('{ kind: ./webhook.mjs, target: xy }')).toMatchObject({ verify: false });
  expect(problemsOf('    kind: ./webhook.mjs\n    target: xy\n    verify: {}\n')).toEqual([
    expect.stringMatching(/^6:5 connectors\.mine\.verify: .*leave verify out/),
  ]);
  const sink = await ownAt(file).open({}, testHost(), never());
  const event = makeEvent({ name: 'x' });
  const thrown = await (sink as EventSink).deliver([entryOf(1, event)], never()).catch((reason: unknown) => reason);
  expect(thrown).toBeInstanceOf(Interrupted);
  expect([...(thrown as Interrupted).settled.keys()]).toEqual([event.id]);
  expect((thrown as Interrupted).cause).toMatchObject({ name: 'Unreachable', afterMs: 700 });
});

test('groups in a shape are for those that say they give it to them', () => {
  write('plain.mjs', moduleOf("holds: () => 'groups',"));
  write('shaping.mjs', moduleOf("holds: () => 'groups', shapes: ['id'],"));
  const options = 'target: xy\n    shape: { fields: { name: title } }\n';
  expect(problemsOf(`    kind: ./plain.mjs\n    ${options}`)).toEqual([
    expect.stringMatching(/^6:\d+ connectors\.mine\.shape: /),
  ]);
  expect(problemsOf(`    kind: ./shaping.mjs\n    ${options}`)).toEqual([]);
});

test.each([
  [
    '[{ path: ["fields", "name"], message: "no titles here" }]',
    /^6:\d+ connectors\.mine\.shape\.fields\.name: no titles here$/,
  ],
  ['({ path: "fields" })', /^6:\d+ connectors\.mine\.shape: the module of this kind fails on this shape: /],
  ['(() => { throw new Error("broken"); })()', /^6:\d+ connectors\.mine\.shape: .* this shape: broken$/],
])('what it has against a shape is a problem where it stands: %s', (problems, said) => {
  const path = `refusing-${problems.length}.mjs`;
  write(path, moduleOf(`holds: () => 'groups', shapes: ['id'], shapeProblems: () => ${problems},`));
  expect(problemsOf(`    kind: ./${path}\n    target: xy\n    shape: { fields: { name: title } }\n`)).toEqual([
    expect.stringMatching(said),
  ]);
});

test('two connectors that write to one place are refused, whoever made them', () => {
  write('mine.mjs', moduleOf());
  const one = 'kind: ./mine.mjs, target: xy';
  expect(problemsOf(`    { ${one} }\n  other: { ${one} }\n`)).toEqual([
    '5:38 connectors.other.target: connectors.mine writes to the target xy already: choose another for one of the two',
  ]);
});

const unusable: Record<string, [text: string, problem: RegExp]> = {
  'a module without a default export': ['export const connector = {};', /its module has no default export — export/],
  'another default export': ['export default 5;', /is not a connector: .*an object is expected/],
  'a connector without open': [moduleOf('open: undefined,'), /is not a connector: open: a function is expected —/],
  'a connector without a kind and a summary': [
    moduleOf('kind: undefined, summary: "",'),
    /is not a connector: kind: .*; summary: /,
  ],
  'options that are no schema': [moduleOf('options: {},'), /is not a connector: options: a z.strictObject of zod 4/],
  'options that take unknown keys': [
    moduleOf('options: z.object({}),'),
    /is not a connector: options: a z.strictObject/,
  ],
  'options that are called as what every connector has': [
    moduleOf('options: z.strictObject({ filter: z.string(), path: z.string() }),'),
    /options named like settings of every connector: filter —/,
  ],
  'a module that throws': ['throw new Error("out of order");', /its module cannot be loaded: out of order —/],
  'a module that imports what is not there': [
    "import 'not-installed'; export default {};",
    /its module cannot be loaded: Cannot find package 'not-installed'/,
  ],
  'a module that cannot be parsed': ['export default {', /its module cannot be loaded: /],
  'a module that awaits at its top level': [
    'await 0; export default {};',
    /uses await at its top level — await in open/,
  ],
};

test.each(Object.entries(unusable))(
  '%s is a problem of its kind, and nothing else is said of it',
  (name, [text, problem]) => {
    const path = `unusable/${name.replaceAll(' ', '-')}.mjs`;
    write(path, text);
    const said = problemsOf(`    path: x\n    kind: ./${path}\n`);
    expect(said).toEqual([expect.stringMatching(/^5:11 connectors\.mine\.kind: /)]);
    expect(said[0]).toMatch(problem);
  },
);

test.each([
  ['./nowhere.mjs', 'there is no such file — its path is relative to the folder of the configuration'],
  ['nowhere', /^unknown kind, one of kafka, .* is expected — or the path of a module of your own, such as/],
  ['fs', /^unknown kind, one of kafka, /],
  ['kafak', /^unknown kind, one of kafka, .* is expected — did you mean "kafka"\?$/],
])('what cannot be found is a problem, too: kind: %s', (kind, problem) => {
  const [said = '', ...others] = problemsOf(`    kind: ${kind}\n    path: x\n`);
  expect(others).toEqual([]);
  expect(said).toMatch(/^4:11 connectors\.mine\.kind: /);
  expect(said.slice('4:11 connectors.mine.kind: '.length)).toEqual(
    typeof problem === 'string' ? problem : expect.stringMatching(problem),
  );
});

test.each([
  [
    'a schema that throws',
    'options: z.strictObject({ target: z.string().refine(() => { throw new Error("broken"); }) }),',
  ],
  ['a schema that asks elsewhere', 'options: z.strictObject({ target: z.string().refine(async () => true) }),'],
  ['places that throw', 'places: () => { throw new Error("broken"); },'],
  ['places that are texts', 'places: () => ["here"],'],
  ['places that name no option', 'places: ({ target }) => [{ name: target }],'],
  ['holds that says neither', 'holds: () => "everything",'],
  [
    'options that become nothing',
    'options: z.strictObject({ target: z.string() }).transform(() => null), places: () => [],',
  ],
  [
    'options that no thread can be given',
    'options: z.strictObject({ target: z.string().transform((text) => () => text) }),',
  ],
])('%s is a problem of its kind', (name, parts) => {
  const path = `odd/${name.replaceAll(' ', '-')}.mjs`;
  write(path, moduleOf(parts));
  expect(problemsOf(`    kind: ./${path}\n    target: xy\n`)).toEqual([
    // In one line.
    expect.stringMatching(/^4:11 connectors\.mine\.kind: the module of this kind fails on these options: .+$/),
  ]);
});

test('what it makes of its options takes the place of no setting that every connector has', () => {
  const filter = 'options: z.strictObject({ target: z.string() }).transform(() => ({ filter: 5 })),';
  write('filtering.mjs', moduleOf(filter));
  expect(connectorOf('{ kind: ./filtering.mjs, target: xy }')).toHaveProperty('filter', {});
});

test('a module that cannot be loaded any more has its lane wait, and no thread ends of it', async () => {
  const connector = ownAt(join(folder, 'removed.mjs'));
  const host = testHost();
  expect(connector.holds({})).toBe('events');
  const fault = await unreachableBy(() => connector.open({}, host, never()));
  expect(fault).toMatchObject({ code: 'destination-misconfigured', path: `connectors.${host.name}.kind` });
});
