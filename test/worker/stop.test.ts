/** How a worker ends that nobody answers. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { bridgeHome, startBridgeProcess } from '../support/bridge.process.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import { startSilence } from '../support/silence.ts';
import { startSilencedWorker } from '../support/worker.process.ts';

test('before a broker that hangs it ends within shutdownMs and a few seconds, however long an answer may take', async () => {
  const { worker, sockets } = await startSilencedWorker(45_000);
  await expect.poll(() => sockets.size).toBeGreaterThan(1);
  const start = performance.now();
  expect(await worker.end('SIGTERM')).toBe(0);
  expect(performance.now() - start).toBeLessThan(15_000);
}, 90_000);

test('what a module of the user’s throws where nobody awaits it ends the worker with a line of the log that says where', async () => {
  const { port } = await startSilence();
  const home = bridgeHome(() => ({}));
  onTestFinished(home.remove);
  writeFileSync(
    join(home.folder, 'mine.mjs'),
    `import { z } from 'group-sync-bridge/connector';
    process.on('SIGUSR2', () => void Promise.reject(new Error('stray')));
    export default {
      kind: 'mine', summary: 'Is not opened.', options: z.strictObject({}), readsBack: false,
      holds: () => 'events', places: () => [], open() {}, async *examine() {},
    };`,
  );
  const config = {
    app: { sdkAppId: SDK_APP_ID },
    source: { kind: 'kafka', brokers: `127.0.0.1:${port}`, topic: 'events' },
    admin: { port: 0 },
    connectors: { mine: { kind: './mine.mjs' } },
  };
  writeFileSync(home.configFile, stringify(config));
  const worker = await startBridgeProcess(home);
  expect(await worker.end('SIGUSR2')).toBe(1);
  const last = worker.stderr().trim().split('\n').at(-1);
  expect(JSON.parse(last ?? '')).toMatchObject({
    level: 50,
    code: 'internal',
    msg: expect.stringMatching(/^the process ends: stray, thrown at file:.*\/mine\.mjs\S*:2:\d+$/),
  });
});
