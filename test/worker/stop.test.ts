/** How a worker ends that nobody answers. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { bridgeHome, startBridgeProcess } from '../support/bridge.process.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import { startSilence } from '../support/silence.ts';

test('before a broker that hangs it ends within shutdownMs and a few seconds, however long an answer may take', async () => {
  const { port, sockets } = await startSilence();
  const home = bridgeHome(() => ({}));
  onTestFinished(home.remove);
  const config = {
    app: { sdkAppId: SDK_APP_ID },
    source: { kind: 'kafka', brokers: `127.0.0.1:${port}`, topic: 'events', requestTimeoutMs: 45_000 },
    admin: { port: 0 },
    connectors: { audit: { kind: 'file', path: join(home.folder, 'events.ndjson') } },
    shutdownMs: '1s',
  };
  writeFileSync(home.configFile, stringify(config));
  const worker = await startBridgeProcess(home);
  await expect.poll(() => sockets.size).toBeGreaterThan(1);
  const start = performance.now();
  expect(await worker.end('SIGTERM')).toBe(0);
  expect(performance.now() - start).toBeLessThan(15_000);
}, 90_000);
