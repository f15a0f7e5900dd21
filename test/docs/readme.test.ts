/** The front page: what a newcomer copies from it prints what stands there. */
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../servers/index.ts';
import { walkThrough } from './walkthrough.ts';

test('the first minute of README.md', async () => {
  const [port, adminPort] = [String(await freePort()), String(await freePort())];
  const readme = walkThrough('README.md', { '8080': port, '8081': adminPort }, { PORT: port });
  mkdirSync(join(readme.folder, 'config'));
  const config = join(readme.folder, 'config/bridge.yaml');
  cpSync('config/bridge.yaml', config);
  await appendFile(config, `\nadmin: { port: ${adminPort} }\n`);

  const bridge = readme.start(`${readme.next('sh', 'npm ci && npm start').trim()} -- --log text`);
  const banner = readme.next('text');
  await expect.poll(() => bridge.stdout()).toBe(banner);
  // On a busy machine the file may be opened later than the line of a callback waits for its event.
  await expect.poll(() => bridge.stderr()).toContain('audit-file: connected');

  expect((await readme.run(readme.next('sh', 'curl'))).stdout).toBe(readme.next('json').trim());
  const event = JSON.parse(readme.next('json'));
  const file = join(readme.folder, 'data/events.ndjson');
  await expect.poll(() => existsSync(file) && readFileSync(file, 'utf8')).toMatch(/\n$/);
  // Times differ from run to run.
  const line = /`\d\d:\d\d:\d\dZ (200 recorded .*?)`/.exec(readFileSync('README.md', 'utf8'))?.[1] ?? 'no such line';
  const told = new RegExp(line.replaceAll(/[\d.]+ ms/g, '[\\d.]+ m?s'));
  await expect.poll(() => bridge.stderr()).toMatch(told);
  const written = JSON.parse(readFileSync(file, 'utf8'));
  expect({ ...written, data: { ...written.data, receivedAt: event.data.receivedAt } }).toEqual(event);

  expect(await (await fetch(`http://127.0.0.1:${adminPort}`)).text()).toContain('<html');

  const sent = await readme.run('npm run bridge -- send --count 20 --groups 2');
  expect(sent.stdout).toContain(`\nsee them: http://127.0.0.1:${adminPort}/events and data/events.ndjson\n`);
  const events = () =>
    readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  await expect.poll(events).toHaveLength(21);
  // Each is stamped when it is sent.
  const stamped = events()
    .slice(1)
    .map(({ data }) => data.receivedAt - data.occurredAt);
  expect(Math.max(...stamped)).toBeLessThan(5_000);

  const demo = await readme.run(readme.next('sh', 'demo'));
  expect(demo).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(/^Console +http.*\n.*\nOne group/s),
  });
  expect(demo.stdout).toMatch(
    /leaves name as it is.*no second event.*All 20 groups of the reader have the latest values/s,
  );

  bridge.child.kill('SIGINT');
  expect(await once(bridge.child, 'exit')).toEqual([0, null]);
}, 120_000);

test('is short', () => {
  expect(readFileSync('README.md', 'utf8').split('\n').length - 1).toBeLessThanOrEqual(150);
});
