/** How a worker ends that nobody answers. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { bridgeHome, startBridgeProcess } from '../support/bridge.process.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';

/** A broker that takes connections and says nothing, as one that is stopped in the middle does. */
async function startSilent(): Promise<{ readonly broker: string; connected(): number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.resume());
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { broker: `127.0.0.1:${(server.address() as AddressInfo).port}`, connected: () => sockets.size };
}

test('before a broker that hangs it ends within shutdownMs and a few seconds, however long an answer may take', async () => {
  const { broker, connected } = await startSilent();
  const home = bridgeHome(() => ({}));
  onTestFinished(home.remove);
  const config = {
    app: { sdkAppId: SDK_APP_ID },
    source: { kind: 'kafka', brokers: broker, topic: 'events', requestTimeoutMs: 45_000 },
    admin: { port: 0 },
    connectors: { audit: { kind: 'file', path: join(home.folder, 'events.ndjson') } },
    shutdownMs: '1s',
  };
  writeFileSync(home.configFile, stringify(config));
  const worker = await startBridgeProcess(home);
  await expect.poll(connected).toBeGreaterThan(1);
  const start = performance.now();
  expect(await worker.end('SIGTERM')).toBe(0);
  expect(performance.now() - start).toBeLessThan(15_000);
}, 90_000);
