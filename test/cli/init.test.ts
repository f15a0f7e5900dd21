/** `init` writes a configuration that a bridge starts on, and never over one that is there. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { answersOf, yamlOf } from '../../src/cli/init.ts';
import { requireConfig } from '../../src/cli/options.ts';
import { parseConfig } from '../../src/config/file.ts';
import { configSchema } from '../../src/config/schema.ts';
import { runCommand } from '../support/bridge.process.ts';

test('what no option gives is asked for, until it is right', async () => {
  const said = ['12x', '1400701118', ' t0ken ', '', 'http://a:9200'];
  const asked: string[] = [];
  const ask = async (question: string) => {
    asked.push(question);
    return said.shift() ?? '';
  };
  expect(await answersOf({ brokers: 'a:9092, b:9092' }, undefined, ask)).toEqual({
    sdkAppId: '1400701118',
    token: 't0ken',
    brokers: 'a:9092, b:9092',
    elasticsearch: '',
  });
  expect(asked.map((question) => question.split(' ')[0])).toEqual(['SDKAppID', 'Digits', 'Token', 'Elasticsearch']);
  await expect(answersOf({}, undefined, undefined)).rejects.toThrow(/an SDKAppID of digits is needed/);
});

test.each([
  [{ token: '', brokers: '', elasticsearch: '' }, ['events-file']],
  [{ token: 't', brokers: 'a:9092, b:9092', elasticsearch: 'http://a:9200' }, ['group-events', 'group-index']],
])('%j is a valid configuration', (given, connectors) => {
  const text = yamlOf({ sdkAppId: '1400701118', ...given }, 'CALLBACK_TOKEN');
  const env = { CALLBACK_TOKEN: 'a-"quoted"-token' };
  const result = parseConfig(text, { file: 'x', env, schema: configSchema });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  expect(Object.keys(result.config.connectors)).toEqual(connectors);
  expect(result.config.app.callbackTokens).toEqual(given.token === '' ? undefined : [env.CALLBACK_TOKEN]);
});

test('below /proc, where Node would try for ever to make a folder, nothing is written', async () => {
  const { code, stderr } = await runCommand(['init', '--sdk-app-id', '1', '--config', '/proc/none/bridge.yaml']);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/keep nothing: name a file on a disk/) });
});

test('the file is examined, the next step said, and nothing written over', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'init-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "new bridge’s/it's.yaml");
  const args = ['init', '--sdk-app-id', '1400701118', '--config', file];
  const written = await runCommand([...args, '--brokers', '127.0.0.1:1'], { CALLBACK_TOKEN: 'secret' });
  expect(written.code).toBe(1);
  expect(written.stderr).toMatch(/cannot be used as configured: group-events/);
  expect(written.stdout).toMatch(/written: .*valid.*✗ .*\n\nnext: .*start --config .*console is http:\/\/127/s);
  const [, named = ''] = /start --config (.*)\n/.exec(written.stdout) ?? [];
  expect(execFileSync('sh', ['-c', `printf %s ${named}`], { encoding: 'utf8' })).toBe(file);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const before = readFileSync(file, 'utf8');
  expect(before).not.toContain('secret');
  expect(await runCommand(args)).toMatchObject({ code: 1, stderr: expect.stringContaining('already exists') });
  expect(readFileSync(file, 'utf8')).toBe(before);
});

test('what is given wrongly is told, and nothing stays written: the next try finds its place free', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'init-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'bridge.yaml');
  const init = (env: Record<string, string>, ...args: string[]) =>
    runCommand(['init', '--config', file, '--sdk-app-id', '1400701118', ...args], { CALLBACK_TOKEN: '', ...env });
  for (const [env, args, what] of [
    [{}, ['--brokers', '127.0.0.1'], /brokers\[0\]: a broker is expected/],
    [{}, ['--brokers', '127.0.0.1:1,'], /brokers\[1\]/],
    [{ CALLBACK_TOKEN: 'a b' }, [], /callbackTokens\[0\]: it holds a space/],
    [{ CALLBACK_TOKEN: ' a b ' }, [], /callbackTokens\[0\]: it holds a space/],
  ] as const) {
    expect(await init(env, ...args)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(what) });
    expect(readdirSync(folder)).toEqual([]);
  }
  expect(await init({ CALLBACK_TOKEN: ' t ' })).toMatchObject({ code: 0 });
  // A token that somebody typed stands in a file, one for each configuration of the folder.
  expect(await init({ CALLBACK_TOKEN: ' u ' }, '--config', join(folder, 'other.yaml'))).toMatchObject({ code: 0 });
  expect(readdirSync(folder)).toHaveLength(4);
});

test('what it wrote is what the other commands read, unless another is named or stands in config/', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'init-'));
  const before = process.cwd();
  process.chdir(folder);
  onTestFinished(() => {
    process.chdir(before);
    rmSync(folder, { recursive: true });
  });
  const answers = { sdkAppId: '1400701119', token: '', brokers: '', elasticsearch: '' };
  expect((await requireConfig(undefined)).file).toBe(join(before, 'config/bridge.yaml'));
  writeFileSync('bridge.yaml', yamlOf(answers, 'CALLBACK_TOKEN'));
  expect(await requireConfig(undefined)).toMatchObject({
    file: 'bridge.yaml',
    config: { app: { sdkAppId: '1400701119' } },
  });
  mkdirSync('config');
  writeFileSync('config/bridge.yaml', yamlOf(answers, 'CALLBACK_TOKEN'));
  expect((await requireConfig(undefined)).file).toBe('config/bridge.yaml');
});
