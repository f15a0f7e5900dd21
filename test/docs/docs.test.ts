import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { elasticsearch } from '../../connectors/elasticsearch/connector.ts';
import { lackingFields, refusingFields } from '../../connectors/elasticsearch/new-index.ts';
import { FAULT_GUIDE } from '../../scripts/fault-guide.ts';
import { type Schema, schemaOf } from '../../scripts/option-table.ts';
import { programOf } from '../../src/cli/program.ts';
import { laneOptions } from '../../src/config/connectors.ts';
import { EXCHANGEABLE } from '../../src/config/diff.ts';
import { parseConfig } from '../../src/config/file.ts';
import { schemaOf as schemaOfConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { FAULTS } from '../../src/model/fault.ts';
import { plainShape } from '../../src/model/shape.ts';
import { runCommand } from '../support/bridge.process.ts';
import { runProgram } from '../support/program.ts';
import { blocksOf, commandsIn, documents } from './documents.ts';

const blocks = documents.flatMap(blocksOf);

describe('the parts that are made from the sources', () => {
  test('are up to date: npm run docs', async () => {
    const { code, stderr } = await runProgram(process.execPath, ['scripts/docs.ts', '--check']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  test('every setting has a description', () => {
    const undescribed = (schema: Schema, prefix: string): string[] =>
      Object.entries(schema.properties ?? {}).flatMap(([key, property]) => {
        const inner = [property, ...(property.anyOf ?? [])].find(({ properties }) => properties !== undefined);
        const own = property.description === undefined && inner === undefined ? [prefix + key] : [];
        return [...own, ...(inner ? undescribed(inner, `${prefix}${key}.`) : [])];
      });
    expect([...undescribed(schemaOf(configSchema), ''), ...undescribed(schemaOf(laneOptions), 'NAME.')]).toEqual([]);
  });

  test('every fault has one line in scripts/fault-guide.ts, which says what to do', () => {
    const told = FAULT_GUIDE.flatMap(({ faults }) => Object.keys(faults));
    expect(told.sort()).toEqual(Object.keys(FAULTS).sort());
  });
});

test('what is listed by hand lacks none: what a reload takes at once, and what the receiver answers', () => {
  const reload = readFileSync('docs/how-to/reload.md', 'utf8');
  const atOnce = /\*\*In effect at once\*\*(.*?)\n- /s.exec(reload)?.[1] ?? '';
  expect([...EXCHANGEABLE].filter((path) => !atOnce.includes(`${path.split('.').at(-1)}\``))).toEqual([]);
  const answers = readFileSync('docs/reference/http.md', 'utf8')
    .match(/^\| \d{3}.*?\|/gm)
    ?.join();
  const statuses = Object.values(FAULTS).flatMap(({ status = [] }) => status);
  expect(statuses.filter((status) => !answers?.includes(String(status)))).toEqual([]);
});

describe('every YAML block of the documents can be loaded', () => {
  const yaml = blocks.filter(({ language }) => language === 'yaml');

  // Examples leave out required sections, which are filled in.
  test.each(yaml)('$file, block $index', ({ file, text }) => {
    const app = /^app:/m.test(text) ? '' : 'app: { sdkAppId: 1 }\n';
    const rest = /^connectors:/m.test(text) ? '' : 'connectors: { audit-file: { kind: file, path: x } }\n';
    const env = {
      SDK_APP_ID: '1400701118',
      CALLBACK_TOKEN: 'token',
      TOKEN_A: 'a',
      TOKEN_B: 'b',
      NEXT_CALLBACK_TOKEN: 'next',
      TENCENT_SECRET_KEY: 'key',
      ADMIN_TOKEN: 'a-token-of-16-or-more',
      WEBHOOK_SECRET: `whsec_${'A'.repeat(32)}`,
      KAFKA_BROKERS: '127.0.0.1:9092',
      ELASTICSEARCH_URL: 'http://127.0.0.1:9200',
    };
    // Connectors of one's own are those of the example.
    const schema = (data: unknown) => schemaOfConfig(data, 'examples/connector/bridge.yaml');
    const result = parseConfig<unknown>(`${app}${rest}${text}`, { file, env, schema });
    expect(result.ok ? [] : result.problems).toEqual([]);
  });
});

test('the mapping of one’s own in connectors/elasticsearch/README.md has every field that check --connect asks for', () => {
  const [own] = blocksOf('connectors/elasticsearch/README.md').filter(({ text }) => /"mappings"/.test(text));
  const { mappings } = JSON.parse(own?.text ?? '{}');
  const options = elasticsearch.options.parse({ nodes: ['http://127.0.0.1:9200'], index: 'x', content: 'groups' });
  expect(lackingFields(options, plainShape('groups'), mappings)).toBe(undefined);
  expect(refusingFields(options, plainShape('groups'), { mappings })).toEqual([]);
});

/** Programs of others, whose arguments are not checked. */
const PROGRAMS_OF_OTHERS = [
  'cat',
  'cd',
  'curl',
  'docker',
  'export',
  'go',
  'grep',
  'jq',
  'kcat',
  'kubectl',
  'mvn',
  'node',
  'npx',
  'openssl',
  'psql',
  'sqlite3',
  'umask',
];

const program = await programOf();

describe('every command of the documents is one', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
  for (const command of [program, ...program.commands, ...leaves(program)]) {
    command.configureOutput({ writeErr: () => {}, writeOut: () => {} });
    if (command.commands.length === 0) command.action(() => {});
  }

  /** Returns the arguments for this project's command line, or undefined for a program of others. */
  function argumentsOf([name = '', ...words]: readonly string[]): readonly string[] | undefined {
    if (name === 'npx' && words[0] === 'group-sync-bridge') return words.slice(1);
    if (name === 'npm') {
      const [command = '', ...rest] = words.filter((word) => !['--silent', '-s'].includes(word));
      const given = rest.includes('--') ? rest.slice(rest.indexOf('--') + 1) : [];
      if (['ci', 'install', 'pack'].includes(command)) return undefined;
      const script = command === 'run' ? (rest[0] ?? '') : command;
      expect(Object.keys(scripts), `npm run ${script}`).toContain(script);
      const [, own] = /^node src\/cli\.ts ?(\w*)$/.exec(scripts[script] ?? '') ?? [];
      return own === undefined ? undefined : own === '' ? given : [own, ...given];
    }
    expect(/[\w./-]*\/(python|pip)$|^python3$/.test(name) ? [name] : PROGRAMS_OF_OTHERS, name).toContain(name);
    return undefined;
  }

  const commands = blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ file, text }) => commandsIn(text).map((words) => ({ file, line: words.join(' '), words })));

  test.each(commands)('$file: $line', async ({ words }) => {
    const args = argumentsOf(words);
    if (args === undefined) return;
    expect(() => program.parse(args, { from: 'user' })).not.toThrow();
    // Those that need nothing but this checkout are run.
    const [name = ''] = args;
    const file = args[args.indexOf('--config') + 1] ?? '';
    const harmless = name === 'schema' || (name === 'check' && !args.includes('--connect') && existsSync(file));
    if (harmless) expect(await runCommand(args)).toMatchObject({ code: 0, stderr: '' });
  });

  test('in the middle of a sentence, too', () => {
    const spans = documents.flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/`(np[mx] (?:run|start|test|group-sync-bridge)[^`\n]*)`/g)].map(
        ([, span = '']) => ({ file, span }),
      ),
    );
    expect(spans.length).toBeGreaterThan(5);
    for (const { file, span } of spans) {
      // COMMAND, NAME and FILE stand for any.
      if (span.includes('COMMAND')) continue;
      const args = argumentsOf(commandsIn(span)[0] ?? []);
      if (args !== undefined && args.length > 0)
        expect(() => program.parse(args, { from: 'user' }), `${file}: ${span}`).not.toThrow();
    }
  });

  test('and one that is none would have been found', () => {
    expect(() => program.parse(['replay', 'group-index'], { from: 'user' })).toThrow(/--from/);
    expect(() => program.parse(['status', '--misspelt'], { from: 'user' })).toThrow(/--misspelt/);
    expect(() => program.parse(['quarantine', 'forget'], { from: 'user' })).toThrow();
  });
});

function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

test('every script answers --help with what it is for', async () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
  // The bench answers by itself; what `docs` is made of and vitest do, too.
  const ours = Object.entries(scripts).filter(
    ([name, command]) => /^node .*(test|bench|scripts)\/[\w/-]+\.ts$/.test(command) && name !== 'bench',
  );
  expect(ours.length).toBeGreaterThan(10);
  for (const [name, command] of ours) {
    expect(command, name).toMatch(/^node --import \.\/scripts\/help\.ts /);
    expect(readFileSync(command.split(' ').at(-1) ?? '', 'utf8'), name).toMatch(/^\/\*\*/);
  }
  const [, ...args] = scripts['test:powercut']?.split(' ') ?? [];
  const { code, stdout } = await runProgram(process.execPath, [...args, '--help']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^`npm run test:powercut .*\n\nRecords/) });
});

describe('every link of the documents leads somewhere', () => {
  /** Returns the anchors of a document, made in GitHub's way. */
  const anchors = (file: string): string[] =>
    [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );

  test.each(documents)('%s', (file) => {
    const text = readFileSync(file, 'utf8').replaceAll(/^ *```[\s\S]*?^ *```$/gm, '');
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [path = '', anchor] = target.split('#');
      const there = path === '' ? file : normalize(join(dirname(file), path));
      expect(existsSync(there), `${file} links to ${target}`).toBe(true);
      if (anchor !== undefined && there.endsWith('.md'))
        expect(anchors(there), `${file} links to ${target}`).toContain(anchor);
    }
  });

  test('every page under docs/ is linked from docs/README.md, but for single decisions', () => {
    const index = readFileSync('docs/README.md', 'utf8');
    const pages = documents.filter((file) => /^docs\/(?!README|decisions\/\d)/.test(file));
    expect(pages.filter((page) => !index.includes(`(${page.replace('docs/', '')})`))).toEqual([]);
    const decisions = readFileSync('docs/decisions/README.md', 'utf8');
    const single = documents.filter((file) => /^docs\/decisions\/\d/.test(file));
    expect(single.filter((page) => !decisions.includes(`(${page.replace('docs/decisions/', '')})`))).toEqual([]);
  });
});
