/** The package for readers as npm packs and installs it: one dependency, types that narrow, sentences in the editor. */
import {
  existsSync,
  globSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { publint } from 'publint';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { toMessage } from '../../connectors/kafka/message.ts';
import { receivedEvent } from '../../src/client/event.ts';
import { entryOf } from '../../src/model/entry.ts';
import { group } from '../../src/model/group.ts';
import { madeEvent } from '../support/events.ts';
import { mergedGroups } from '../support/histories.ts';
import { runProgram } from '../support/program.ts';
import { blocksOf } from './documents.ts';
import { olderNode } from './node-versions.ts';

const folder = mkdtempSync(join(tmpdir(), 'consumer-'));
const home = join(folder, 'node_modules/@group-sync-bridge/consumer');
const tsc = resolve('node_modules/typescript/bin/tsc');
let tarball = '';

beforeAll(async () => {
  const packed = await runProgram(process.execPath, ['scripts/pack-consumer.ts', '--pack-destination', folder]);
  expect({ code: packed.code, stderr: packed.code === 0 ? '' : packed.stderr }).toEqual({ code: 0, stderr: '' });
  tarball = join(folder, packed.stdout.trim());
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  const { code, stderr } = await runProgram('npm', ['install', tarball, ...quiet], { cwd: folder });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
afterAll(() => rmSync(folder, { recursive: true }));

test('installs with zod and nothing else', () => {
  expect(readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual([
    '@group-sync-bridge',
    'zod',
  ]);
  const imported = globSync('**/*.js', { cwd: home }).flatMap((file) =>
    [...readFileSync(join(home, file), 'utf8').matchAll(/(?:from|import)\s*\(?'([^.'][^']*)'/g)].map(
      ([, name]) => name,
    ),
  );
  expect(new Set(imported)).toEqual(new Set(['zod']));
});

const SCRIPT = `
import { merge, parseEvent } from '@group-sync-bridge/consumer';
let group;
for (const value of process.argv.slice(2)) {
  const parsed = parseEvent({ value: Buffer.from(value) });
  if (!parsed.ok) throw new Error(parsed.fault.message);
  group = merge(group, parsed.event);
}
console.log(JSON.stringify(group));
`;

async function mergesIn(node: string): Promise<void> {
  writeFileSync(join(folder, 'reader.mjs'), SCRIPT);
  const events = [madeEvent(2), madeEvent(1), madeEvent(2)];
  const values = events.map((event) => String(toMessage(entryOf(1, event), 'structured').value));
  const { code, stdout, stderr } = await runProgram(node, ['reader.mjs', ...values], { cwd: folder });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect([JSON.parse(stdout)]).toEqual([...mergedGroups(events).values()]);
}

test('runs on this Node', () => mergesIn(process.execPath));

test('and on an older one, from 20 on', async ({ skip }) => {
  const node = await olderNode();
  if (node === undefined) return skip('no Node from 20 on that is older than this one is on the path');
  await mergesIn(node);
});

test.each(['README.md', 'docs/how-to/read.md'])('runs as %s shows it', async (file) => {
  const [snippet] = blocksOf(file).filter(({ language }) => language === 'ts');
  const message = 'const message = { value: Buffer.from(process.argv[2]) };\n';
  writeFileSync(join(folder, 'snippet.mjs'), message + snippet?.text);
  const value = String(toMessage(entryOf(1, madeEvent(1)), 'structured').value);
  const { code, stdout, stderr } = await runProgram(process.execPath, ['snippet.mjs', value], { cwd: folder });
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'undefined → name 1\n', stderr: '' });
});

/** Returns what the compiler has to say under `strict`, with kafkajs beside the package. */
async function compile(source: string): Promise<string> {
  const kafkajs = join(folder, 'node_modules/kafkajs');
  if (!existsSync(kafkajs)) symlinkSync(resolve('node_modules/kafkajs'), kafkajs);
  onTestFinished(() => rmSync(kafkajs, { force: true }));
  const options = {
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2022', 'dom'],
    types: [],
    strict: true,
    noEmit: true,
  };
  const compilerOptions = {
    ...options,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: true,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['reader.ts'] }));
  writeFileSync(join(folder, 'reader.ts'), source);
  const { stdout } = await runProgram(process.execPath, [tsc, '-p', folder, '--pretty', 'false']);
  return stdout;
}

const NARROWED = `
import { createGroupView, type Group, type GroupEvent, type GroupStore, merge, parseEvent } from '@group-sync-bridge/consumer';
const parsed = parseEvent({ value: '' });
if (parsed.ok) {
  const { event } = parsed;
  if (event.type === 'chat.group.owner.changed') event.data.owner satisfies string;
  switch (event.type) {
    case 'chat.group.info.changed':
    case 'chat.group.created':
    case 'chat.group.destroyed':
    case 'chat.group.owner.changed':
    case 'chat.group.info.read':
      break;
    default:
      event satisfies never;
  }
  const group: Group = merge(merge(undefined, event), event);
  createGroupView({ onChange: (before, after, event, fields) => void [before, event, fields.includes('customFields.level')] }).apply(event);
  void group;
}
`;

test('its types narrow', async () => {
  expect(await compile(NARROWED)).toBe('');
  const wrong = `${NARROWED}\nif (parsed.ok) parsed.event.data.owner satisfies string;`;
  expect(await compile(`${wrong}\n(undefined as unknown as GroupEvent).data.nmae;`)).toMatch(
    /reader\.ts.*TS1360: Type 'string \| undefined'[\s\S]*'nmae' does not exist/,
  );
});

test('the ten lines of its README compile', async () => {
  const [block] = blocksOf('src/client/README.md').filter(({ language }) => language === 'ts');
  expect(block?.text.trim().split('\n').length).toBeLessThanOrEqual(10);
  expect(await compile(block?.text ?? '')).toBe('');
});

test('each field has a sentence in the editor', () => {
  const lines = ['types', 'group-changes', 'group-view'].flatMap((name) => {
    const all = readFileSync(join(home, `client/${name}.d.ts`), 'utf8').split('\n');
    return all.map((line, n) => ({ line, before: all[n - 1] ?? '' }));
  });
  const fields = lines.filter(({ line }) => /^ {4}(readonly )?\w+\??[:(]/.test(line));
  expect(fields.length).toBeGreaterThan(50);
  expect(fields.filter(({ before }) => !before.trimEnd().endsWith('*/')).map(({ line }) => line)).toEqual([]);
});

test('brings the schemas and the AsyncAPI document', () => {
  const read = (file: string) => JSON.parse(readFileSync(join(home, file), 'utf8'));
  expect(read('schemas/event.json')).toEqual(z.toJSONSchema(receivedEvent));
  expect(read('schemas/group.json')).toEqual(z.toJSONSchema(group));
  expect(read('asyncapi.json')).toMatchObject({ asyncapi: '3.0.0', info: { version: read('package.json').version } });
});

test('publint and "are the types wrong?" find nothing', async () => {
  const { messages } = await publint({
    strict: true,
    pack: { tarball: Uint8Array.from(readFileSync(tarball)).buffer },
  });
  expect(messages).toEqual([]);
  const attw = resolve('node_modules/@arethetypeswrong/cli/dist/index.js');
  const args = [attw, tarball, '--profile', 'esm-only', '--format', 'ascii', '--no-color', '--no-emoji'];
  const { code, stdout } = await runProgram(process.execPath, args);
  expect({ code, shown: code === 0 ? '' : stdout }).toEqual({ code: 0, shown: '' });
});
