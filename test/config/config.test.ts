// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these texts are what is tested

import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { Environment } from '../../src/config/environment.ts';
import { expand } from '../../src/config/environment.ts';
import { type ConfigResult, parseConfig } from '../../src/config/file.ts';
import { admitVariables, configJsonSchema } from '../../src/config/json-schema.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problems.ts';
import { configSchema } from '../../src/config/schema.ts';
import { duration } from '../../src/config/units.ts';
import { nearest } from '../../src/model/text.ts';

const anything = z.record(z.string(), z.unknown());

function parse<Settings>(text: string, schema: z.ZodType<Settings>, env: Environment = {}): ConfigResult<Settings> {
  return parseConfig(text, { file: 'c.yaml', env, schema });
}

function settings<Settings>(text: string, schema: z.ZodType<Settings>, env: Environment = {}): Settings {
  const result = parse(text, schema, env);
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'));
  return result.config;
}

/** What a person would read, a line a problem. */
function complaints(text: string, schema: z.ZodType, env: Environment = {}): string[] {
  const result = parse(text, schema, env);
  return result.ok ? [] : result.problems.map(formatProblem);
}

describe('variables', () => {
  const env = { HOST: 'kafka-1', PORT: '9092', EMPTY: '', NESTED: '${HOST}' };

  it.each([
    ['no variables at all', 'no variables at all'],
    ['${HOST}', 'kafka-1'],
    ['http://${HOST}:${PORT}/x', 'http://kafka-1:9092/x'],
    ['${EMPTY}', ''],
    ['${HOST:-other}', 'kafka-1'],
    ['${NONE:-other}', 'other'],
    ['${EMPTY:-other}', 'other'],
    ['${NONE:-}', ''],
    ['${NONE:-http://127.0.0.1:9200/a?b=c#d}', 'http://127.0.0.1:9200/a?b=c#d'],
    ['${NONE:-:-}', ':-'],
    ['${NONE:-${HOST}:${ALSO_NONE:-1}}/x', 'kafka-1:1/x'],
    ['${NONE:-{"a": 1}}!', '{"a": 1}!'],
    ['${HOST:+tls}', 'tls'],
    ['${EMPTY:+tls}', ''],
    ['${NONE:+tls}', ''],
    ['${HOST:+on ${PORT}}', 'on 9092'],
    ['$${HOST}', '${HOST}'],
    ['$$${HOST}', '$${HOST}'],
    ['${NONE:-$${x}}', '${x}'],
    ['${HOST:-$${x}}!', 'kafka-1!'],
    ['$HOST, 5$, {HOST}', '$HOST, 5$, {HOST}'],
    ['${NESTED}', '${HOST}'],
  ])('expand %j to %j', (text, expanded) => {
    expect(expand(text, env)).toMatchObject({ text: expanded, faults: [] });
  });

  it('bring in what a file holds, without the line end behind it and without expanding it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'secrets-'));
    const file = join(folder, 'token');
    for (const [content, expanded] of [
      ['abc\n', 'abc'],
      ['abc\r\n', 'abc'],
      ['a\n\n', 'a\n'],
      ['${HOST} }', '${HOST} }'],
      ['', ''],
    ] as const) {
      writeFileSync(file, content);
      expect(expand(`<\${file:${file}}>`, env)).toMatchObject({ text: `<${expanded}>`, faults: [] });
    }
    // A variable of that name is none of this.
    expect(expand('${file:-x}', { file: 'y' })).toMatchObject({ text: 'y', faults: [] });
    writeFileSync(file, 'x'.repeat(70_000));
    expect(expand(`\${file:${file}}`, env).faults).toMatchObject([{ message: expect.stringContaining('too large') }]);
    rmSync(folder, { recursive: true });
    expect(expand(`a\${file:${file}}`, env).faults).toEqual([
      { index: 1, message: `the file ${file} cannot be read (ENOENT)`, suggestion: expect.stringContaining('path') },
    ]);
  });

  it('leave an operand alone that is not used', () => {
    expect(expand('${HOST:-${NONE}}${NONE:+${ALSO_NONE}}', env)).toMatchObject({ text: 'kafka-1', faults: [] });
  });

  it.each([
    ['a${HOST', 1, 'is not closed'],
    ['${HOST:-a', 0, 'is not closed'],
    ['${HOST:-{}', 0, 'no form of ${…} that is known'],
    ['${HOST:-{{}}}', 0, 'no form'],
    ['${}', 0, 'no form'],
    ['${:-x}', 0, 'no form'],
    ['${1A}', 0, 'no form'],
    ['${A B}', 0, 'no form'],
    ['${HOST-x}', 0, 'no form'],
    ['${file:}', 0, 'no form'],
    ['${file: }', 0, 'no form'],
    ['${file:/x', 0, 'is not closed'],
    ['${HOST:?x}', 0, 'no form'],
    ['${HOST:-a}${', 10, 'is not closed'],
    ['${NONE:-a${b}${ }}', 13, 'no form'],
  ])('refuse the malformed %j', (text, index, message) => {
    const { faults } = expand(text, { ...env, b: '' });
    expect(faults).toEqual([
      { index, message: expect.stringContaining(message), suggestion: expect.stringContaining('${NAME:-default}') },
    ]);
  });

  it('are all named when they are not set, and inherited names are not set either', () => {
    expect(expand('${ONE}-${constructor}', {}).faults).toMatchObject([
      { index: 0, message: 'the environment variable ONE is not set' },
      { index: 7, message: 'the environment variable constructor is not set' },
    ]);
  });

  it('leave a text without $ as it is', () => {
    const text = fc.string({ unit: 'binary' }).map((raw) => raw.replaceAll('$', ''));
    fc.assert(
      fc.property(text, (raw) => {
        expect(expand(raw, {})).toEqual({ text: raw, variables: [], faults: [] });
      }),
    );
  });

  it('bring any value through a quoted scalar unharmed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom("'${V}'", '"${V}"'), (V, scalar) => {
        expect(settings(`a: ${scalar}\nb: {c: [${scalar}]}\n`, anything, { V })).toEqual({ a: V, b: { c: [V] } });
      }),
    );
  });

  it('cannot bring in YAML, and are not expanded in keys', () => {
    const V = 'x\nadmin: {port: 1} # *';
    expect(settings('a: ${V}\n${V}: 1\n', anything, { V })).toEqual({ a: V, '${V}': 1 });
  });
});

describe('the type of an expanded value', () => {
  const schema = z.strictObject({
    port: z.int().optional(),
    ratio: z.number().optional(),
    on: z.boolean().optional(),
    create: z.union([z.literal(false), z.strictObject({ shards: z.int() })]).optional(),
    text: z.string().min(2).optional(),
    path: z.string().regex(/^x/).optional(),
    either: z.union([z.string(), z.number()]).optional(),
    wait: duration.optional(),
    list: z.array(z.int()).optional(),
  });

  it('is the one that the schema wants', () => {
    const text = [
      'port: ${A:-8080}',
      'ratio: ${B}',
      'on: ${C:-true}',
      'create: ${D}',
      'text: ${E:-0123}',
      'either: ${A:-8080}',
      'wait: ${F}',
      'list: [1]',
    ].join('\n');
    expect(settings(text, schema, { B: '1e-3', D: 'false', F: '250' })).toEqual({
      port: 8080,
      ratio: 0.001,
      on: true,
      create: false,
      text: '0123',
      either: '8080',
      wait: 250,
      list: [1],
    });
  });

  it('is the same for what was quoted, and text stays text where text is wanted', () => {
    expect(settings('port: "${A:-8080}"\non: "true"\ntext: "0123"\n', schema)).toEqual({
      port: 8080,
      on: true,
      text: '0123',
    });
  });

  it('is named as written where no reading fits', () => {
    const env = { A: '80a', B: '99.5', C: 'yes', P: '8080' };
    expect(complaints('port: ${A}\nlist:\n- ${B}\non: ${C}\npath: ${P}\n', schema, env)).toEqual([
      'c.yaml:1:7 port: a number is expected, not a text (from ${A})',
      'c.yaml:3:3 list[0]: a whole number is expected (from ${B})',
      'c.yaml:4:5 on: true or false is expected, not a text (from ${C})',
      'c.yaml:5:7 path: a text that matches /^x/ is expected (from ${P})',
    ]);
  });

  it('makes a plain scalar that expands to nothing an absent key, and a quoted one an empty text', () => {
    const env = { EMPTY: '' };
    expect(settings('a: ${EMPTY}\nb: "${EMPTY}"\nc: [x, y]\nd:\n- ${EMPTY}\n- z\n', anything, env)).toEqual({
      b: '',
      c: ['x', 'y'],
      d: ['z'],
    });
    const required = z.strictObject({ token: z.string().describe('The password of the page.') });
    expect(complaints('token: ${EMPTY}\ntokem: ${EMPTY}\n', required, env)).toEqual([
      'c.yaml:1:8 token: a value is needed, but ${EMPTY} expands to nothing: The password of the page.',
      'c.yaml:2:1 tokem: unknown key — did you mean "token"?',
    ]);
  });
});

describe('YAML', () => {
  const keys = (n: number): string => Array.from({ length: n }, (_, key) => `k${key}: 1`).join(', ');

  it.each([
    ['a: [1\nb: 2\n', 'c.yaml:2:1 '],
    ['a:\n\tb: 1\n', 'c.yaml:2:1 Tabs are not allowed as indentation — indent with spaces'],
    ['a: 1\nb: "x\nc: 3\n', 'c.yaml:2:4 this quote is never closed'],
    ['a: 1\nb: x: y\n', 'c.yaml:2:4 Nested mappings are not allowed in compact mappings — mend the indentation'],
    ['a: @x\n', 'c.yaml:1:4 Plain value cannot start with reserved character @ — put the value in quotes'],
    ['a: 1\n---\nb: 2\n', 'c.yaml:2:1 the file holds more than one YAML document'],
    [
      'a: [${A}]\n',
      'c.yaml:1:5 Missing , or : between flow sequence items — inside [ ] and { } a variable needs quotes',
    ],
    ['a: !env X\n', 'c.yaml:1:4 Unresolved tag — put text that begins with ! in quotes'],
    ['a: *none\n', 'c.yaml:1:4 a: no such anchor stands above this — put text that begins with * in quotes'],
    ['a: &a [1, *a]\n', 'c.yaml:1:11 a[1]: this alias stands inside what it repeats'],
    ['? [1]\n: 2\n', 'c.yaml:1:3 a key must be a plain word, followed by a colon'],
    ['a:\n  __proto__: {}\n', 'c.yaml:2:3 a: a key must be a plain word, followed by a colon'],
    ['a: 1\r\nb:\r\n  c: 1\r\n  c: 2\r\n', 'c.yaml:4:3 b.c: this key appears twice — it stands in line 3 already'],
    ['', 'c.yaml:1:1 the file holds no settings'],
    ['\n# nothing\n', 'c.yaml:1:1 the file holds no settings'],
    ['\uFEFFa: @x', 'c.yaml:1:4 Plain value cannot start'],
    ['a: "\\q"\n', 'c.yaml:1:5 Invalid escape sequence — double the \\, or use single quotes'],
  ])('faults in %j are shown where they stand', (text, complaint) => {
    expect(complaints(text, anything)).toEqual([expect.stringContaining(complaint)]);
  });

  it('nested without end is refused', () => {
    expect(complaints(`a: ${'['.repeat(20_000)}`, anything)).toEqual([
      expect.stringContaining('this is nested too deeply'),
    ]);
  });

  it.each([
    '|',
    '>',
    '!',
    '*',
    '&',
    '@',
    '`',
    '"',
    "'",
    '%',
    ']',
    '}',
    '[',
    '{',
    ',',
    'a: ',
    '"a" ',
    '"\\',
    "'a' ",
    '\n]\n',
    '\n- ',
  ])('faults do not quote the text: a password may begin with %j', (beginning) => {
    const found = complaints(
      `port: x\npassword: ${beginning}hunter2\n`,
      z.object({ port: z.int(), password: z.int() }),
    );
    expect(found.join('\n')).toContain('c.yaml:');
    expect(found.join('\n')).not.toContain('hunter2');
  });

  it('with broken syntax is not shown to the schema, its other faults are', () => {
    expect(complaints('a: @x\nb: ${UNSET}\nb: 1\nc: 1\n', z.strictObject({}))).toEqual([
      expect.stringContaining('c.yaml:1:4 Plain value'),
      expect.stringContaining('c.yaml:2:4 b: the environment variable UNSET is not set'),
      expect.stringContaining('c.yaml:3:1 b: this key appears twice'),
    ]);
  });

  it('may repeat values by anchors and merge them, Windows line ends included', () => {
    const text = 'a: &a {x: 1, y: 2}\r\nb: *a\r\nc: {<<: *a, y: 3}\r\nd: {<<: [{z: 0}, *a]}\r\n';
    expect(settings(text, anything)).toEqual({
      a: { x: 1, y: 2 },
      b: { x: 1, y: 2 },
      c: { x: 1, y: 3 },
      d: { x: 1, y: 2, z: 0 },
    });
    expect(complaints('a: 1\nb: {<<: 5}\n', anything)).toEqual(['c.yaml:2:9 b: only mappings can be merged by <<']);
  });

  it('shows a fault in repeated values once, where they were written', () => {
    const schema = z.record(z.string(), z.strictObject({ x: z.int() }));
    expect(complaints('a: &a\n  x: no\nb: *a\nc: {<<: *a}\n', schema)).toEqual([
      'c.yaml:2:6 a.x: a number is expected, not a text',
    ]);
    expect(complaints('a: &a x\nb: {c: *a}\n', z.object({ b: z.object({ c: z.int() }) }))).toEqual([
      'c.yaml:2:8 b.c: a number is expected, not a text',
    ]);
  });

  it.each([
    ['mappings merged over and over', (n: number) => `a: &a {${keys(n)}}\nb: {<<: [${'*a, '.repeat(n)}]}\n`],
    ['anchors and aliases', (n: number) => `a: [${'&a x, *a, '.repeat(n)}]\n`],
    ['references that are never closed', (n: number) => `a: ${'${A:-{'.repeat(n)}\n`],
    ['slashes', (n: number) => `a: ${'//'.repeat(n)}\n`],
    ['unknown keys', (n: number) => `b: {${keys(n)}}\n${keys(n).replaceAll(', ', '\n')}`],
  ])('with %s is read in time that grows with its length', (_, text) => {
    const schema = z.strictObject({ a: z.array(z.int()), b: z.strictObject({}).optional() });
    const took = (n: number): number => {
      const begin = performance.now();
      expect(complaints(text(n), schema)).not.toEqual([]);
      return performance.now() - begin;
    };
    took(2_000);
    const [short, long] = [Math.min(took(2_000), took(2_000)), took(32_000)];
    // Quadratic would be 256 times as long.
    expect(long).toBeLessThan(Math.max(64 * short, 3_000));
  });

  it('does not unfold an alias bomb', () => {
    const levels = Array.from(
      { length: 12 },
      (_, level) => `l${level + 1}: &l${level + 1} [${`*l${level},`.repeat(9)}]`,
    );
    const found = complaints(['l0: &l0 [x]', ...levels].join('\n'), anything);
    expect(found).toEqual([
      expect.stringMatching(
        /^c\.yaml:\d+:\d+ l\d+(\[\d])+: the file holds more than 50000 values, each repetition by an alias counted$/,
      ),
    ]);
  });

  it('of any kind brings an answer, never an exception', () => {
    const piece = fc.constantFrom(
      'a',
      ': ',
      '\n',
      '- ',
      '${',
      '}',
      '${A}',
      '"',
      "'",
      '*a',
      '&a ',
      '<<',
      '[',
      '{',
      ',',
      '!t ',
      '|',
      '?',
      '#',
      '\t',
      '---\n',
      '\r\n',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 30 }), (pieces) => {
        const result = parse(pieces.join(''), z.strictObject({ a: z.union([z.int(), z.array(z.int())]) }), {});
        fc.pre(!result.ok);
        expect(result.problems).not.toEqual([]);
        for (const { line = 0, column = 0 } of result.problems) expect(Math.min(line, column)).toBeGreaterThan(0);
      }),
      { numRuns: 1_000, examples: [[['&', ': ']]] },
    );
  });
});

describe('the schema', () => {
  const schema = z.strictObject({
    app: z.strictObject({ id: z.int().describe('The number of the app.'), name: z.string().optional() }),
    mode: z.enum(['hold', 'fail']).default('hold'),
    sinks: z
      .record(
        z.string().regex(/^[a-z]+$/, { error: 'a name has small letters' }),
        z.discriminatedUnion('kind', [
          z.strictObject({
            kind: z.literal('kafka'),
            topic: z.string().min(1),
            create: z.union([z.literal(false), z.strictObject({ partitions: z.int().max(10) })]).default(false),
            brokers: z
              .union([z.array(z.string().regex(/:/)), z.string()], { error: 'brokers are expected' })
              .optional(),
            password: z.string().min(8, { error: 'the password is short' }).optional(),
            hosts: z.array(z.string()).min(1).optional(),
            sasl: z.strictObject({ user: z.enum(['a', 'b']) }).optional(),
          }),
          z.strictObject({ kind: z.literal('file'), path: z.string() }),
        ]),
      )
      .default({}),
    times: z
      .strictObject({ first: z.int(), last: z.int() })
      .refine((times) => times.first < times.last, { error: 'first is after last' })
      .optional(),
  });
  const app = 'app: {id: 1}\n';

  it('takes what fits, and a bare key as an empty mapping where one is wanted', () => {
    expect(settings(`${app}sinks:\n  # none\n`, schema)).toEqual({ app: { id: 1 }, mode: 'hold', sinks: {} });
    expect(complaints('app:\nsinks: {a: }\n', schema)).toEqual([
      'c.yaml:1:1 app.id: this key is missing: The number of the app.',
      'c.yaml:2:9 sinks.a.kind: this key is missing — one of kafka, file',
    ]);
    expect(complaints('app: {id: 1, name: }\n', schema)).toEqual([
      'c.yaml:1:14 app.name: a text is expected, not null',
    ]);
  });

  it.each([
    ['# a comment\nmode: hold\n', 'c.yaml:1:1 app: this key is missing'],
    ['mode: hold\napp:\n  name: x\n', 'c.yaml:2:1 app.id: this key is missing: The number of the app.'],
    [`${app}xyz: 1\n`, 'c.yaml:2:1 xyz: unknown key — known here: app, mode, sinks, times'],
    ['app:\n  ID: 1\n', 'c.yaml:2:3 app.ID: unknown key — did you mean "id"?'],
    [`${app}mode: hodl\n`, 'c.yaml:2:7 mode: one of "hold", "fail" is expected'],
    [`${app}mode: fial\n`, 'c.yaml:2:7 mode: one of "hold", "fail" is expected'],
    [`${app}mode: fails\n`, 'c.yaml:2:7 mode: one of "hold", "fail" is expected — did you mean "fail"?'],
    ['app: [1]\n', 'c.yaml:1:1 app: an object is expected, not a list'],
    ['- 1\n', 'c.yaml:1:1 an object is expected, not a list'],
    [`${app}sinks:\n  A: {kind: file, path: x}\n`, 'c.yaml:3:3 sinks.A: a name has small letters'],
    [`${app}sinks:\n  A: 5\n`, 'c.yaml:3:3 sinks.A: a name has small letters'],
    [`${app}sinks:\n  "a b": {kind: file, path: x}\n`, 'c.yaml:3:3 sinks["a b"]: a name has small letters'],
    [
      `${app}sinks: {a: {kind: kafak}}\n`,
      'c.yaml:2:19 sinks.a.kind: unknown kind, one of kafka, file is expected — did you mean "kafka"?',
    ],
    [`${app}sinks: {a: {kind: pulsar}}\n`, 'c.yaml:2:19 sinks.a.kind: unknown kind, one of kafka, file is expected'],
    [`${app}sinks: {a: {path: x}}\n`, 'c.yaml:2:9 sinks.a.kind: this key is missing — one of kafka, file'],
    [`${app}sinks: {a: [x]}\n`, 'c.yaml:2:9 sinks.a: an object is expected, not a list'],
    [`${app}sinks: {a: {kind: kafka, topc: x}}\n`, 'c.yaml:2:26 sinks.a.topc: unknown key — did you mean "topic"?'],
    [
      `${app}sinks: {a: {kind: file, path: x, topic: y}}\n`,
      'c.yaml:2:34 sinks.a.topic: unknown key — known here: kind, path',
    ],
    [`${app}sinks: {a: {kind: kafka, topic: ""}}\n`, 'c.yaml:2:33 sinks.a.topic: at least 1 character is expected'],
    [
      `${app}sinks: {a: {kind: kafka, topic: x, create: maybe}}\n`,
      'c.yaml:2:44 sinks.a.create: false or an object is expected',
    ],
    [
      `${app}sinks: {a: {kind: kafka, topic: x, create: {partitions: 11}}}\n`,
      'c.yaml:2:57 sinks.a.create.partitions: at most 10 is expected',
    ],
    [
      `${app}sinks: {a: {kind: kafka, topic: x, create: {partition: 1}}}\n`,
      'c.yaml:2:45 sinks.a.create.partition: unknown key — did you mean "partitions"?',
    ],
    [
      `${app}sinks: {a: {kind: kafka, topic: x, brokers: [b, "c:1"]}}\n`,
      'c.yaml:2:46 sinks.a.brokers[0]: a text that matches /:/ is expected',
    ],
    [`${app}sinks: {a: {kind: kafka, topic: x, brokers: 5}}\n`, 'c.yaml:2:45 sinks.a.brokers: brokers are expected'],
    [
      `${app}sinks: {a: {kind: kafka, topic: x, hosts: []}}\n`,
      'c.yaml:2:36 sinks.a.hosts: at least 1 item is expected',
    ],
    [`${app}times: {first: 2, last: 1}\n`, 'c.yaml:2:1 times: first is after last'],
  ])('refuses %j where it stands', (text, complaint) => {
    expect(complaints(text, schema)).toEqual([complaint]);
  });

  it('is told everything at once, in the order of the text', () => {
    const text = `app:
  id: \${ID}
  nam: x
mode: \${MODE:-x}
sinks:
  a:
    kind: kafka
    brokers: ["b", "\${B}"]
  a: 5
extra: 1
`;
    expect(complaints(text, schema)).toEqual([
      'c.yaml:2:7 app.id: the environment variable ID is not set — export ID=…, or give a default: ${ID:-default}',
      'c.yaml:3:3 app.nam: unknown key — did you mean "name"?',
      'c.yaml:4:7 mode: one of "hold", "fail" is expected (from ${MODE})',
      'c.yaml:6:3 sinks.a.topic: this key is missing',
      'c.yaml:8:15 sinks.a.brokers[0]: a text that matches /:/ is expected',
      'c.yaml:8:21 sinks.a.brokers[1]: the environment variable B is not set — export B=…, or give a default: ${B:-default}',
      'c.yaml:9:3 sinks.a: this key appears twice — it stands in line 6 already',
      'c.yaml:10:1 extra: unknown key — known here: app, mode, sinks, times',
    ]);
  });

  it('never gives a secret away', () => {
    const text = `app: {id: "//hunter2@host/"}
mode: \${MODE_TOKEN}
sinks:
  a: {kind: kafka, topic: x, password: hunter2, sasl: {user: hunter2}, brokers: [hunter2]}
`;
    const found = complaints(text.replace('[hunter2]', '["http://u:hunter2@b"]'), schema, { MODE_TOKEN: 'hunter2' });
    expect(found).toEqual([
      'c.yaml:1:11 app.id: a number is expected, not a text',
      'c.yaml:2:7 mode: one of "hold", "fail" is expected (from ${MODE_TOKEN})',
      'c.yaml:4:40 sinks.a.password: the password is short',
      'c.yaml:4:62 sinks.a.sasl.user: one of "a", "b" is expected',
    ]);
  });

  it('shows no part of a value, wherever a URL or a password was put', () => {
    const secret = 'hunter2';
    const values = [
      secret,
      `http://u:${secret}@h:9200`,
      `${secret}:9092`,
      `//${secret}@h`,
      `u:${secret}@h`,
      `[${secret}]`,
    ];
    const paths = [
      'app',
      'app.sdkAppId',
      'receiver.port',
      'receiver.path',
      'receiver.otherCommands',
      'connectors.a.kind',
    ];
    paths.push('receiver.otherCommands.forwardTo', 'connectors.a.nodes', 'connectors.b.brokers', 'connectors.b.sasl');
    paths.push('reconcile.api.baseUrl', 'admin.token', 'journal.maxBytes', 'receiver.allowFrom', 'connectors.a.auth');
    for (const path of paths) {
      for (const value of values) {
        const settings: Record<string, unknown> = {
          app: { sdkAppId: 1 },
          connectors: { a: { kind: 'elasticsearch' }, b: { kind: 'kafka', tls: 5 } },
        };
        const keys = path.split('.');
        const last = keys.pop() ?? '';
        let owner = settings;
        for (const key of keys) {
          owner[key] ??= {};
          owner = owner[key] as Record<string, unknown>;
        }
        for (const wrong of [value, '${V}', { [`http://${secret}`]: 1 }, [value, '${V}']]) {
          owner[last] = wrong;
          const found = complaints(stringify(settings), configSchema, { V: value });
          expect(found).not.toEqual([]);
          expect(found.join('\n')).not.toContain(secret);
        }
      }
    }
  });

  it('suggests the nearest name, and none that is far', () => {
    expect(nearest('topix', ['tonic', 'Topic'])).toBe('Topic');
    expect(nearest('host', ['port', 'path'])).toBeUndefined();
  });

  it('may be refused inside a value that was written as one text', () => {
    const list = z.strictObject({
      brokers: z
        .string()
        .transform((text) => text.split(','))
        .pipe(z.array(z.string().min(2))),
    });
    expect(complaints('brokers: ab,c\n', list)).toEqual(['c.yaml:1:10 brokers[1]: at least 2 characters are expected']);
  });
});

describe('the configuration of the bridge', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bridge-config-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  function fileWith(content: string | Buffer): string {
    const file = join(folder, 'bridge.yaml');
    writeFileSync(file, content);
    return file;
  }

  const shipped = readdirSync('config').filter((name) => name.endsWith('.yaml'));

  it.each(shipped)('loads from config/%s with nothing set', (name) => {
    expect(loadConfig(join('config', name), {})).toMatchObject({
      ok: true,
      config: { app: { sdkAppId: '1400701118' } },
    });
    expect(readFileSync(join('config', name), 'utf8')).toMatch(
      /^# yaml-language-server: \$schema=\.\/bridge\.schema\.json\n/,
    );
  });

  it('takes its values from the environment', () => {
    const env = {
      SDK_APP_ID: '20000001',
      PORT: '9999',
      KAFKA_BROKERS: 'k1:9092,k2:9092',
      ELASTICSEARCH_URL: 'https://u:p@es:9200',
      ELASTICSEARCH_REPLICAS: '0',
    };
    expect(loadConfig('config/kafka-elasticsearch.yaml', env)).toMatchObject({
      ok: true,
      config: {
        app: { sdkAppId: '20000001' },
        receiver: { port: 9999 },
        connectors: {
          'group-events': {
            kind: 'kafka',
            enabled: true,
            brokers: ['k1:9092', 'k2:9092'],
            topic: 'chat.group-info.events',
          },
          'group-index': {
            kind: 'elasticsearch',
            nodes: ['https://u:p@es:9200'],
            createIndex: { shards: 1, replicas: 0 },
          },
          'audit-file': { kind: 'file', enabled: false },
        },
      },
    });
  });

  it('names the file it cannot read, and what to do', () => {
    const complaint = (file: string) => {
      const result = loadConfig(file, {});
      return result.ok ? [] : result.problems.map(formatProblem);
    };
    const missing = join(folder, 'none.yaml');
    expect(complaint(missing)).toEqual([`${missing}: there is no such file — name another with --config FILE`]);
    expect(complaint(folder)).toEqual([
      `${folder}: this is a directory, a file is expected — name another with --config FILE`,
    ]);
    expect(complaint(fileWith(Buffer.from([0x61, 0x3a, 0x20, 0xff])))).toEqual([
      expect.stringContaining('bridge.yaml: the file is not UTF-8'),
    ]);
  });

  it('says that it may not read a file', () => {
    const locked = fileWith('');
    chmodSync(folder, 0o755);
    chmodSync(locked, 0);
    // Root may read everything: the child becomes another user once it has loaded what it runs.
    const script = `import { loadConfig } from './src/config/load.ts';
      if (process.getuid() === 0) process.setuid(65534);
      process.stdout.write(JSON.stringify(loadConfig(process.argv[1], {})));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script, locked], {
      encoding: 'utf8',
    });
    rmSync(locked);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      problems: [
        {
          file: locked,
          message: 'the file may not be read by this user',
          suggestion: expect.stringContaining('--config'),
        },
      ],
    });
  });

  it.each([
    ['a secret', 'app: {sdkAppId: 1, callbackTokens: ["${file:ODD}"]}\n', 'too large for a secret', 'it is empty'],
    [
      'a certificate',
      'app: {sdkAppId: 1}\nreceiver: {tls: {certFile: ODD, keyFile: ODD}}\n',
      'cannot be used',
      'cannot be used',
    ],
    ['the configuration', undefined, 'larger than', 'holds no settings'],
  ])(
    'reads no device without an end, and waits for no pipe that nobody writes to: as %s',
    (_, text, endless, silent) => {
      const pipe = join(folder, 'pipe');
      spawnSync('mkfifo', [pipe]);
      for (const [odd, says] of [
        ['/dev/zero', endless],
        [pipe, silent],
      ] as const) {
        const file =
          text === undefined ? odd : fileWith(`${text.replaceAll('ODD', odd)}connectors: {a: {kind: file, path: x}}\n`);
        const check = spawnSync(process.execPath, ['src/cli.ts', 'check', '--config', file], {
          encoding: 'utf8',
          timeout: 8_000,
        });
        expect([odd, check.status, check.stderr]).toEqual([odd, 2, expect.stringContaining(says)]);
      }
      rmSync(pipe);
    },
    20_000,
  );

  it.each([
    ['journal: {maxBytes: 512KiB}', ':21 journal.maxBytes: a size of at least 1MiB is expected: '],
    ['journal: {maxBytes: 10GB}', ':21 journal.maxBytes: a size of at least 1MiB is expected: '],
    ['reconcile: {api: {secretKey: a}, maxGone: "5 %"}', ':43 reconcile.maxGone: a number of groups or a percentage '],
    ['reconcile: {api: {secretKey: a}, maxGone: 5.5}', ':43 reconcile.maxGone: a number of groups or a percentage '],
    [
      'app: {sdkAppId: 1, callbackTokens: [123456]}',
      ':37 app.callbackTokens[0]: a text is expected, not a number — put it in quotes',
    ],
    [
      'app:\n  sdkAppId 1\n  signWindow: 60s',
      ':3 Implicit keys need to be on a single line — a colon and a space follow each key',
    ],
    ['app:\n  sdkAppId:1400701118', ':3 app: an object is expected, not a text — a colon and a space follow each key'],
    ['app:\n  sdkAppId：1400701118', ':3 app: an object is expected, not a text — a colon and a space follow each key'],
    [
      'shutdownMs:/tmp/x',
      ':1 Implicit map keys need to be followed by map values — a colon and a space follow each key',
    ],
    [
      'app:\n  sdkAppId: 1\n  callbackTokens:\n    -abc',
      ':5 app.callbackTokens: a list is expected, not a text — a space follows each -',
    ],
    ['source: {kind: kafka, topic: t, brokers: -b:9092}', ':42 source.brokers[0]: a broker is expected as host:port'],
    ['journal: {file: $HOME/j.db}', ':17 journal.file: a shell alone knows $NAME: put the name in braces'],
    ['app: sdkAppId', ':6 app: an object is expected, not a text'],
    ['app:\n\u00a0\u00a0sdkAppId: 1', ':1 ["\\u00a0\\u00a0sdkAppId"]: unknown key — known here: '],
    ['app:\n\u3000sdkAppId: 1', ':1 ["\\u3000sdkAppId"]: unknown key — known here: '],
  ])('says of %j what is expected', (settings, told) => {
    const app = settings.startsWith('app') ? '' : 'app: {sdkAppId: 1}\n';
    const text = `connectors: {a: {kind: file, path: x}}\n${app}${settings}\n`;
    expect(complaints(text, configSchema).join('\n')).toContain(told);
  });

  it('tells one slip in the YAML once, however much of the file follows', () => {
    const slips = complaints('app: {sdkAppId: ${ID}}\nconnectors:\n  a:\n    kind: file\n', configSchema, { ID: '1' });
    expect(slips).toEqual([expect.stringContaining('inside [ ] and { } a variable needs quotes')]);
  });

  it('explains the mistakes people make', () => {
    const text = `app:
  sdkAppid: 1400701118
receiver:
  port: \${PORT:-http}
  allowFrom: ["10.0.0.0/40"]
connectors:
  my events:
    kind: file
    path: x
  group-events:
    kind: kafka
    topc: chat
    brokers: ["127.0.0.1"]
`;
    const result = loadConfig(fileWith(text), {});
    const found = result.ok
      ? []
      : result.problems.map(formatProblem).map((line) => line.slice(line.indexOf('.yaml') + 5));
    expect(found).toEqual([
      ':2:3 app.sdkAppid: unknown key — did you mean "sdkAppId"?',
      ':4:9 receiver.port: a number is expected, not a text (from ${PORT})',
      ':5:15 receiver.allowFrom[0]: an IP address or a CIDR range is expected, such as 183.192.202.0/25',
      ':7:3 connectors["my events"]: a connector’s name holds letters, digits, - and _ only (at most 63)',
      ':12:5 connectors.group-events.topc: unknown key — did you mean "topic"?',
      expect.stringMatching(/^:13:15 connectors\.group-events\.brokers\[0\]: .*host:port/),
    ]);
  });

  it.each([
    ['receiver: {port: 8081}', 'c.yaml:3:18 receiver.port: '],
    ['admin: {port: 8080}', 'c.yaml:3:15 admin.port: '],
    ['receiver: {port: 9000, host: 127.0.0.1}\nadmin: {host: localhost, port: 9000}', 'c.yaml:4:32 admin.port: '],
    ['receiver: {port: 9000, host: "::"}\nadmin: {port: 9000}', 'c.yaml:4:15 admin.port: '],
    ['receiver: {port: 9000, host: 10.0.0.1}\nadmin: {port: 9000}', undefined],
    ['receiver: {port: 0}\nadmin: {port: 0}', undefined],
  ])('refuses one port for two servers: %j', (servers, place) => {
    const base = 'app: {sdkAppId: 1}\nconnectors: {a: {kind: file, path: x}}\n';
    const refused = expect.stringContaining(`${place}receiver and admin cannot listen on one port`);
    expect(complaints(`${base}${servers}\n`, configSchema)).toEqual(place === undefined ? [] : [refused]);
  });

  it.each(['1023KiB', '1MB', '0GiB'])('says what a size is: %s', (size) => {
    const text = `app: {sdkAppId: 1}\njournal: {maxBytes: ${size}}\nconnectors: {a: {kind: file, path: x}}\n`;
    const says =
      'c.yaml:2:21 journal.maxBytes: a size of at least 1MiB is expected: bytes, or a number with KiB, MiB or';
    expect(complaints(text, configSchema)).toEqual([expect.stringContaining(says)]);
  });

  const kafka = (more: string) => `{kind: kafka, brokers: ["k1:9092", "k2:9092"], topic: t${more}}`;
  const template = (topic: string, format = 'structured') =>
    `{kind: kafka, brokers: ["k1:9092"], topic: "${topic}", format: ${format}}`;
  const index = (more: string) => `{kind: elasticsearch, nodes: ["http://e:9200"], index: i${more}}`;
  const at = (node: string, more = '') => `{kind: elasticsearch, nodes: "http://${node}", index: i${more}}`;
  const table = (host: string, more = '') => `{kind: postgres, url: "postgresql://u@${host}/d", table: t${more}}`;
  const broker = (address: string, more = '') => `{kind: kafka, brokers: "${address}", topic: t${more}}`;
  const NAMES_ONLY = 'filter: {changedFields: [name]}';
  it.each([
    [
      '{kind: file, path: same.ndjson}',
      '{kind: file, path: ./same.ndjson}',
      'path',
      'connectors.one writes to the file',
    ],
    [
      '{kind: file, path: a.ndjson}',
      '{kind: file, path: data/../data/journal.db}',
      'path',
      'journal.file writes to the',
    ],
    [
      kafka(''),
      '{kind: kafka, brokers: K2:9092, topic: t, content: groups}',
      'topic',
      'writes to the topic t at k2:9092',
    ],
    [kafka(''), kafka(', format: binary'), 'topic', 'connectors.one writes to the topic'],
    [index(''), index(', onDestroyed: delete'), 'index', 'connectors.one writes to the index i at http://e:9200/'],
    [index(''), index(', content: events'), 'index', 'connectors.one writes to the index i at http://e:9200/'],
    [index(', onDestroyed: mark'), index(', onDestroyed: delete'), 'index', 'connectors.one writes to the index i'],
    [kafka(', content: groups'), kafka(`, content: groups, ${NAMES_ONLY}`), 'topic', 'connectors.one writes to the'],
    [template('t.{groupType}'), kafka('.Public, format: binary'), 'topic', 't.{groupType} at k1:9092, which may be'],
    [kafka('.Public'), template('{type}.Public', 'binary'), 'topic', 't.Public at k1:9092, which may be'],
    [template('t.{groupType}'), template('{app}.{type}', 'binary'), 'topic', 't.{groupType} at k1:9092, which may be'],
    [at('localhost:9200'), at('127.0.0.1:9200', ', content: events'), 'index', 'connectors.one writes to the index i'],
    [at('h.:9200/x/'), at('h:9200/x', ', content: events'), 'index', 'connectors.one writes to the index i'],
    [
      table('127.0.0.1'),
      table('localhost', ', content: events'),
      'table',
      'connectors.one writes to the table public.t',
    ],
    [
      broker('localhost.:9092'),
      broker('127.0.0.1:9092', ', content: groups'),
      'topic',
      'to the topic t at 127.0.0.1:9092',
    ],
    // Each its share of the same.
    [template('t.{groupType}'), kafka('.Public'), undefined, ''],
    [template('t.{groupType}.a'), template('{type}.b', 'binary'), undefined, ''],
    [kafka(', filter: {groupTypes: [Public]}'), kafka(', filter: {groupTypes: [Private]}'), undefined, ''],
    [index(', filter: {groupTypes: [Public]}'), index(', filter: {groupTypes: [Private]}'), undefined, ''],
    [index(''), index(`, ${NAMES_ONLY}`), undefined, ''],
    [kafka(''), kafka(`, ${NAMES_ONLY}`), undefined, ''],
    ['{kind: file, path: same.ndjson}', '{kind: file, path: same.ndjson, enabled: false}', undefined, ''],
    ['{kind: file, path: one.ndjson}', '{kind: file, path: two.ndjson}', undefined, ''],
  ])('refuses two connectors that spoil each other’s work: %s and %s', (one, two, option, says) => {
    const found = complaints(`app: {sdkAppId: 1}\nconnectors:\n  one: ${one}\n  two: ${two}\n`, configSchema);
    if (option === undefined) return expect(found).toEqual([]);
    const line = new RegExp(`^c\\.yaml:4:\\d+ connectors\\.two\\.${option}: `);
    expect(found).toEqual([expect.stringMatching(line)]);
    expect(found[0]).toContain(says);
  });

  it.each([
    [kafka(', content: groups, format: binary'), 'format: groups are no CloudEvents, and have no format: leave it out'],
    [index(', content: events, onDestroyed: delete'), 'onDestroyed: of events nothing is deleted: leave it out'],
  ])('refuses what has no effect beside the content: %s', (one, says) => {
    const found = complaints(`app: {sdkAppId: 1}\nconnectors:\n  one: ${one}\n`, configSchema);
    expect(found).toEqual([expect.stringMatching(new RegExp(`^c\\.yaml:3:\\d+ connectors\\.one\\.${says}$`))]);
  });

  it.each([
    ['file', '{kind: file, path: data/../data/journal.db-wal}', 'journal.file writes to the file'],
    ['file', '{kind: file, path: data/journal.db.lock}', 'journal.file writes to the file'],
    ['tls', '{kind: file, path: ./key.pem}', 'receiver.tls.keyFile is read from the file'],
    ['mapping', '{kind: file, path: mapping.json}', 'connectors.e.createIndex.file is read from the file'],
    ['forward', '{kind: file, path: ca.pem}', 'receiver.otherCommands.caFile is read from the file'],
    // What reconcile keeps there is removed at each start, and written anew.
    ['dry run', '{kind: file, path: data/journal.db.dry-run.ndjson}', 'journal.file writes to the file'],
    ['addresses', '{kind: file, path: data/journal.db.addresses.json}', 'journal.file writes to the file'],
  ])('refuses a connector that writes over a file of the bridge: %s, %s', (_, connector, says) => {
    const tls = '{certFile: cert.pem, keyFile: key.pem}';
    const forward = '{forwardTo: "https://127.0.0.1:9443", caFile: ca.pem}';
    const text = `app: {sdkAppId: 1}\nreceiver: {tls: ${tls}, otherCommands: ${forward}}\nconnectors: {a: ${connector}, e: ${index(', createIndex: {file: mapping.json}')}}\n`;
    const found = complaints(text, configSchema);
    expect(found).toEqual([expect.stringMatching(/^c\.yaml:3:\d+ connectors\.a\.path: /)]);
    expect(found[0]).toContain(says);
  });

  it.each([
    ['journal: {file: ./key.pem}', 'journal.file: receiver.tls.keyFile is read from the file'],
    ['journal: {file: ca.pem}', 'journal.file: connectors.k.tls.caFile is read from the file'],
    ['journal: {file: shape.mjs}', 'journal.file: shape.transform is read from the file'],
    ['journal: {file: token}', 'journal.file: app.callbackTokens[0] is read from the file'],
    ['journal: {file: c.yaml}', 'journal.file: the configuration is read from the file'],
    ['journal: {file: ../x/c.yaml}', 'journal.file: the configuration is read from the file'],
    ['journal: {file: j.db}', 'connectors.b.path: journal.file writes to the file'],
  ])('refuses to write over a file that is read, or to where another writes: %s', (journal, says) => {
    const folder = join(mkdtempSync(join(tmpdir(), 'config-')), 'x');
    mkdirSync(folder);
    onTestFinished(() => rmSync(dirname(folder), { recursive: true }));
    const file = join(folder, 'c.yaml');
    const token = join(folder, 'token');
    writeFileSync(token, 'a-token');
    const text = `app: {sdkAppId: 1, callbackTokens: ["\${file:${token}}"]}
receiver: {tls: {certFile: cert.pem, keyFile: key.pem}}
${journal}
connectors:
  k: {kind: kafka, brokers: "k:9092", topic: t, tls: {caFile: ca.pem}, shape: {transform: shape.mjs}}
  a: {kind: file, path: c.yaml}
  b: {kind: file, path: j.db.dry-run.ndjson}
`;
    writeFileSync(
      file,
      text.replace(/(?<=[fF]ile: |path: )[\w./]+/g, (path) => join(folder, path)),
    );
    const result = loadConfig(file, {});
    const found = result.ok ? [] : result.problems.map(formatProblem);
    const config = 'connectors.a.path: the configuration is read from the file';
    const wanted = says.startsWith('journal') ? [says, config] : [config, says];
    expect(found).toEqual(wanted.map((one) => expect.stringContaining(one)));
  });

  const forwardTo = (url: string) => `receiver: {port: 8080, otherCommands: {forwardTo: "${url}"}}`;
  const toItself = 'leads back to this bridge';
  it.each([
    [forwardTo('http://127.0.0.1:8080'), 'receiver.otherCommands.forwardTo', toItself],
    [forwardTo('http://localhost:8080/callback'), 'receiver.otherCommands.forwardTo', toItself],
    ['receiver: {host: "::", otherCommands: {forwardTo: "http://[::1]:8080"}}', 'forwardTo', toItself],
    ['receiver: {host: 10.0.0.1, otherCommands: {forwardTo: "http://10.0.0.1:8080"}}', 'forwardTo', toItself],
    ['notify: [{url: "http://127.0.0.1:8081/x"}]', 'notify[0].url', toItself],
    // Where every address is listened to, a caller reaches this machine by it.
    ['receiver: {host: 127.0.0.1, otherCommands: {forwardTo: "http://0.0.0.0:8080"}}', 'forwardTo', toItself],
    ['receiver: {host: "::1", otherCommands: {forwardTo: "http://[::]:8080"}}', 'forwardTo', toItself],
    [
      'receiver: {host: 127.0.0.1, otherCommands: {forwardTo: "http://[::ffff:127.0.0.1]:8080"}}',
      'forwardTo',
      toItself,
    ],
    // Another port, or another address of this machine, is another program.
    [forwardTo('http://127.0.0.1:9000'), undefined, ''],
    ['receiver: {host: 10.0.0.1, otherCommands: {forwardTo: "http://127.0.0.1:8080"}}', undefined, ''],
    [forwardTo('http://[::1]:8081'), undefined, ''],
    [forwardTo('http://handler.example:8080'), undefined, ''],
    ['receiver: {port: 0}\nadmin: {port: 0}\nnotify: [{url: "http://127.0.0.1"}]', undefined, ''],
  ])('refuses to send to the bridge itself: %s', (settings, path, says) => {
    const base = 'app: {sdkAppId: 1}\nconnectors: {a: {kind: file, path: x}}\n';
    const found = complaints(`${base}${settings}\n`, configSchema);
    expect(found).toEqual(path === undefined ? [] : [expect.stringContaining(says)]);
    expect(found.join()).toContain(path ?? '');
  });

  it.each([
    ['connectors: {a: {kind: http, url: "https://h/x#part"}}', 'connectors.a.url: what stands after # is never sent'],
    ['connectors: {a: {kind: elasticsearch, nodes: ["http://h:9200/?pretty"], index: i}}', 'nodes[0]: '],
    ['connectors: {a: {kind: elasticsearch, nodes: "http://g:9200,http://h:9200/p#x", index: i}}', 'a.nodes: '],
    ['notify: [{url: "https://h/x#part"}]', 'notify[0].url: '],
    ['notify: [{url: "https://u:p@h/x"}]', 'notify[0].url: '],
    ['reconcile: {api: {secretKey: k, baseUrl: "https://:p@h"}}', 'reconcile.api.baseUrl: '],
    ['reconcile: {api: {secretKey: k, baseUrl: "https://h/v4"}}', 'baseUrl: /v4/… is added to it'],
    [
      'reconcile: {api: {secretKey: k, baseUrl: ["https://h/p/v4/group_open_http_svc/"]}}',
      'baseUrl[0]: /v4/… is added',
    ],
    ['reconcile: {api: {secretKey: k, baseUrl: "https://h/v4-proxy/"}}', undefined],
    ['connectors: {a: {kind: http, url: "https://h/x?key=1"}}', undefined],
  ])('refuses a part of a URL that would be left out, or stand there twice: %s', (settings, says) => {
    const base = `app: {sdkAppId: 1}\n${settings.startsWith('connectors') ? '' : 'connectors: {f: {kind: file, path: x}}\n'}`;
    const found = complaints(`${base}${settings}\n`, configSchema);
    expect(found).toEqual(says === undefined ? [] : [expect.stringContaining(says)]);
  });

  it.each(['/a/../b', '/..', '/a/./b', '/a/.', '/a/%2e%2E/b', '/a\\b'])(
    'refuses a path that callers change: %s',
    (path) => {
      for (const key of ['path', 'healthPath']) {
        const text = `app: {sdkAppId: 1}\nreceiver: {${key}: '${path}'}\nconnectors: {a: {kind: file, path: x}}\n`;
        expect(complaints(text, configSchema)).toEqual([
          expect.stringContaining(`receiver.${key}: a path is expected`),
        ]);
      }
    },
  );

  it('takes a path as callers send it', () => {
    const receiver = { path: '/回调/{x}|', healthPath: '/état' };
    const written = { app: { sdkAppId: 1 }, receiver, connectors: { a: { kind: 'file', path: 'x' } } };
    const { path, healthPath } = configSchema.parse(written).receiver;
    expect([path, healthPath]).toEqual(['/%E5%9B%9E%E8%B0%83/%7Bx%7D|', '/%C3%A9tat']);
  });

  it.each(['/callback', '/callback/'])('refuses %s as the path of the probe, too: callbacks arrive there', (path) => {
    const text = `app: {sdkAppId: 1}\nreceiver: {healthPath: ${path}}\nconnectors: {a: {kind: file, path: x}}\n`;
    const says = 'receiver.healthPath: another path than receiver.path is expected';
    expect(complaints(text, configSchema)).toEqual([expect.stringContaining(says)]);
  });

  it.each([
    ['receiver: {host: "[::1]"}', 'receiver.host: '],
    ['receiver: {host: "*"}', 'receiver.host: '],
    ['receiver: {host: "0.0.0.0:8080"}', 'receiver.host: '],
    ['admin: {host: "http://127.0.0.1"}', 'admin.host: '],
    ['receiver: {host: "10.0.0.1 "}', 'receiver.host: '],
    ['journal: {file: ~/journal.db}', 'journal.file: '],
    ['journal: {file: "data/journal.db\\r"}', 'journal.file: it holds a line end'],
    ['journal: {file: "a\\0b"}', 'journal.file: '],
    ['journal: {file: data/}', 'journal.file: it names a folder'],
    ['journal: {file: /proc/nothing/journal.db}', 'journal.file: the kernel’s own files keep nothing'],
  ])('refuses at once what no system call takes as it is meant: %j', (setting, complaint) => {
    const base = 'app: {sdkAppId: 1}\nconnectors: {a: {kind: file, path: x}}\n';
    expect(complaints(base + setting, configSchema)).toEqual([expect.stringContaining(complaint)]);
  });

  it('refuses such paths of connectors, too, and takes all that are right', () => {
    const base = 'app: {sdkAppId: 1}\nconnectors: {a: {kind: file, path: ';
    for (const path of ['"x\\n"', '~/x', 'file:///x', '"a\\0b"', '" x"', 'data/', 'data/..', '.']) {
      expect(complaints(`${base}${path}}}`, configSchema), path).toEqual([
        expect.stringContaining('connectors.a.path: '),
      ]);
    }
    for (const path of ['a b/c~d.ndjson', './~x', '事件.ndjson', '/dev/stdout']) {
      expect(complaints(`${base}${path}}}`, configSchema), path).toEqual([]);
    }
    for (const host of ['"::"', '"::1"', '"fe80::1%eth0"', 'localhost', 'chat-1.internal', '0.0.0.0', 'a_b.c.']) {
      expect(complaints(`${base}x}}\nreceiver: {host: ${host}}`, configSchema), host).toEqual([]);
    }
  });

  it.each([
    ['kafka, brokers: "k:9092", topic: t, connectionTimeoutMs'],
    ['kafka, brokers: "k:9092", topic: t, requestTimeoutMs'],
    ['elasticsearch, nodes: "http://e:9200", index: i, requestTimeoutMs'],
    ['http, url: "https://h.example", timeoutMs'],
    ['postgres, url: "postgresql://u@h/d", table: t, statementTimeoutMs'],
  ])('refuses a time that no timer takes: kind: %s', (options) => {
    const text = `app: {sdkAppId: 1}\nconnectors: {a: {kind: ${options}: 3000000000}}\n`;
    expect(complaints(text, configSchema)).toEqual([expect.stringContaining('at most 600000 is expected')]);
  });

  it('takes no SDKAppID that no callback can name', () => {
    const of = (id: string) => `app: {sdkAppId: "${id}"}\nconnectors: {a: {kind: file, path: x}}\n`;
    expect(complaints(of('0'), configSchema)).toEqual([expect.stringContaining('the SDKAppID of your Chat app')]);
    for (const id of ['01400701118', ' 1400701118 ']) {
      expect(settings(of(id), configSchema)).toMatchObject({ app: { sdkAppId: '1400701118' } });
    }
  });

  it('explains an SDKAppID or a duration that is none', () => {
    const app = configSchema.shape.app;
    expect(complaints('sdkAppId: abc\n', app)[0]).toContain('the SDKAppID of your Chat app is expected');
    expect(complaints('d: 7x\n', z.strictObject({ d: duration }))[0]).toContain('a duration is expected');
  });
});

describe('the JSON Schema', () => {
  // Made by: npm run -s bridge -- schema config > config/bridge.schema.json; npm run format
  it('in config/bridge.schema.json is the current one', () => {
    expect(JSON.parse(readFileSync('config/bridge.schema.json', 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(configJsonSchema())),
    );
  });

  it('is one that editors know, by name and dialect', () => {
    expect(configJsonSchema()).toMatchObject({
      $schema: 'http://json-schema.org/draft-07/schema#',
      $id: 'urn:group-sync-bridge:config',
      title: 'group-sync-bridge configuration',
      required: ['app', 'connectors'],
      additionalProperties: false,
    });
  });

  it('lets a variable stand for every scalar that would refuse it', () => {
    const variable = { type: 'string', pattern: '\\$\\{' };
    const schema = z.strictObject({
      kind: z.literal('kafka'),
      free: z.string(),
      port: z.int().min(0).max(9).default(1).describe('The port.'),
      list: z.array(z.boolean()),
      mode: z.record(z.string(), z.enum(['a', 'b'])),
      either: z.union([z.int().min(0).max(9), z.string().regex(/^x$/), z.strictObject({ on: z.boolean() })]),
    });
    expect(admitVariables(z.toJSONSchema(schema, { io: 'input', target: 'draft-7' })).properties).toEqual({
      kind: { type: 'string', const: 'kafka' },
      free: { type: 'string' },
      port: { description: 'The port.', default: 1, anyOf: [{ type: 'integer', minimum: 0, maximum: 9 }, variable] },
      list: { type: 'array', items: { anyOf: [{ type: 'boolean' }, variable] } },
      mode: {
        type: 'object',
        propertyNames: { type: 'string' },
        additionalProperties: { anyOf: [{ type: 'string', enum: ['a', 'b'] }, variable] },
      },
      either: {
        anyOf: [
          { type: 'integer', minimum: 0, maximum: 9 },
          { type: 'string', pattern: '^x$' },
          {
            type: 'object',
            properties: { on: { anyOf: [{ type: 'boolean' }, variable] } },
            required: ['on'],
            additionalProperties: false,
          },
          variable,
        ],
      },
    });
  });
});
