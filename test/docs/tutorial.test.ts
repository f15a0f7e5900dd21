/** docs/tutorial.md from its beginning to its end, on real servers: its blocks are what is run, its names made unique. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, inject, onTestFinished, test } from 'vitest';
import { freePort } from '../servers/index.ts';
import { followTopic } from '../servers/readback.ts';
import { runProgram } from '../support/program.ts';
import { blocksOf } from './documents.ts';

const brokers = inject('kafkaBrokers');
const elasticsearch = inject('elasticsearchUrl');

test.skipIf(brokers === '' || elasticsearch === '')('docs/tutorial.md', async () => {
  const id = randomUUID();
  const [port, adminPort] = [await freePort(), await freePort()];
  const blocks = blocksOf('docs/tutorial.md').map(({ language, text }) => ({
    language,
    text: text
      .replaceAll('tutorial.group-events', `tutorial.${id}`)
      .replaceAll('tutorial-groups', `tutorial-${id}`)
      .replaceAll('8080', String(port))
      .replaceAll('8081', String(adminPort)),
  }));
  const [yaml] = blocks.filter(({ language }) => language === 'yaml');
  const [answer] = blocks.filter(({ language }) => language === 'json');
  const commands = blocks.filter(({ language }) => language === 'sh').map(({ text }) => text);
  const command = (words: string): string => {
    const found = commands.shift() ?? '';
    expect(found).toContain(words);
    return found
      .replaceAll('npm run bridge --', `'${process.execPath}' '${resolve('src/cli.ts')}'`)
      .replaceAll('npm start --', `exec '${process.execPath}' '${resolve('src/cli.ts')}' start`);
  };

  const cwd = mkdtempSync(join(tmpdir(), 'tutorial-'));
  onTestFinished(() => rmSync(cwd, { recursive: true }));
  const env = { KAFKA_BROKERS: brokers, ELASTICSEARCH_URL: elasticsearch, NO_COLOR: '1' };
  const shell = (text: string) => runProgram('bash', ['-euo', 'pipefail', '-c', text], { cwd, env });

  command('npm ci');
  command('npm run servers');
  command('export KAFKA_BROKERS');
  writeFileSync(join(cwd, 'tutorial.yaml'), yaml?.text ?? '');
  expect(await shell(command('check'))).toMatchObject({ code: 0, stderr: '' });

  const bridge: ChildProcess = spawn('bash', ['-c', command('start')], { cwd, env: { ...process.env, ...env } });
  onTestFinished(() => void bridge.kill('SIGKILL'));
  let said = '';
  bridge.stdout?.on('data', (text) => {
    said += text;
  });
  await expect.poll(() => said).toContain(`http://127.0.0.1:${port}/callback`);

  expect(JSON.parse((await shell(command('MyFirstGroup'))).stdout)).toEqual(JSON.parse(answer?.text ?? ''));
  const status = command('status');
  await expect.poll(async () => (await shell(status)).stdout).toMatch(/group-events +kafka +running +0 +0\n/);
  await expect.poll(async () => (await shell(status)).stdout).toMatch(/group-index +elasticsearch +running +0 +0\n/);
  expect(JSON.parse((await shell(command('_source'))).stdout)).toMatchObject({ name: 'MyFirstGroup' });
  const kcat = command('kcat');
  if ((await runProgram('kcat', ['-V'])).code === 0)
    expect((await shell(kcat)).stdout).toMatch(/^@TGS#2J4SZEAEL \{.*"name":"MyFirstGroup".*\}\n$/);

  expect((await shell(command('Held up'))).stdout).toBe((answer?.text.trim() ?? '').repeat(2));
  const source = command('_source');
  await expect
    .poll(async () => JSON.parse((await shell(source)).stdout))
    .toMatchObject({ name: 'The newest name', notification: 'TestNotification' });
  const topic = await followTopic(brokers, `tutorial.${id}`);
  onTestFinished(() => topic.close());
  await topic.until((records) => records.length >= 3, 'three events', 30_000);
  const names = topic.records.map(({ value }) => JSON.parse(value ?? '{}').data.changed.name);
  expect(names).toEqual(['MyFirstGroup', 'The newest name', 'Held up']);

  bridge.kill('SIGINT');
  expect(await once(bridge, 'exit')).toEqual([0, null]);
  expect(commands).toEqual([]);
});
