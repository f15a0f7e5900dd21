/** What the commands say of a worker, which has no journal and is one of several. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import { startSilence } from '../support/silence.ts';

test('a pause is said to last as long as it does; what a worker does not offer is refused with what it has', async () => {
  const { port } = await startSilence();
  const home = bridgeHome(() => ({}));
  onTestFinished(home.remove);
  const config = {
    app: { sdkAppId: SDK_APP_ID },
    source: { kind: 'kafka', brokers: `127.0.0.1:${port}`, topic: 'events', requestTimeoutMs: 2_000 },
    admin: { port: 0 },
    connectors: { audit: { kind: 'file', path: join(home.folder, 'events.ndjson') } },
    shutdownMs: '1s',
  };
  writeFileSync(home.configFile, stringify(config));
  const worker = await startBridgeProcess(home);
  const run = (...args: string[]) => runCommand([...args, '--admin', worker.adminUrl]);
  expect(await run('pause', 'audit')).toMatchObject({
    code: 0,
    stdout: 'audit is paused in this worker, until it is resumed or the worker ends; its events wait in the topic\n',
  });
  expect(await run('resume', 'audit')).toMatchObject({ code: 0, stdout: 'audit goes on\n' });
  expect(await run('replay', 'audit', '--from', 'beginning')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/a worker does not offer this — .*status, pause, resume and dead-letters/),
  });
  await worker.end('SIGTERM');
}, 60_000);
