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

  const bridge = readme.start(readme.next('sh', 'npm ci && npm start'));
  const banner = readme.next('text');
  await expect.poll(() => bridge.stdout()).toBe(banner);

  expect((await readme.run(readme.next('sh', 'curl'))).stdout).toBe(readme.next('json').trim());
  const event = JSON.parse(readme.next('json'));
  const file = join(readme.folder, 'data/events.ndjson');
  await expect.poll(() => existsSync(file) && readFileSync(file, 'utf8')).toMatch(/\n$/);
  const written = JSON.parse(readFileSync(file, 'utf8'));
  expect({ ...written, data: { ...written.data, receivedAt: event.data.receivedAt } }).toEqual(event);

  expect(await (await fetch(`http://127.0.0.1:${adminPort}`)).text()).toContain('<html');
  bridge.child.kill('SIGINT');
  expect(await once(bridge.child, 'exit')).toEqual([0, null]);
});

test('is short', () => {
  expect(readFileSync('README.md', 'utf8').split('\n').length - 1).toBeLessThanOrEqual(150);
});
