/** A worker's verdict is told to the addresses of `notify`, as a bridge's is. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { bridgeHome, startBridgeProcess } from '../support/bridge.process.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import { startSilence } from '../support/silence.ts';

test('a worker tells the addresses of `notify` when its verdict changes', async () => {
  const told: unknown[] = [];
  const hook = createServer(async (request, response) => {
    told.push(await json(request));
    response.end();
  });
  await once(hook.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void hook.close());
  const { port } = await startSilence();
  const home = bridgeHome(() => ({}));
  onTestFinished(home.remove);
  const config = {
    app: { sdkAppId: SDK_APP_ID },
    source: { kind: 'kafka', brokers: `127.0.0.1:${port}`, topic: 'events' },
    admin: { port: 0 },
    journal: { file: join(home.folder, 'worker.db') },
    notify: [{ url: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/` }],
    connectors: { audit: { kind: 'file', path: join(home.folder, 'events.ndjson') } },
    shutdownMs: 0,
  };
  writeFileSync(home.configFile, stringify(config));
  const worker = await startBridgeProcess(home);
  const recording = { tone: 'red', says: 'Events of events are not taken: not a member of its group: audit' };
  await expect.poll(() => told, { timeout: 30_000 }).toEqual([expect.objectContaining({ app: SDK_APP_ID, recording })]);
  expect(await worker.end('SIGTERM')).toBe(0);
});
