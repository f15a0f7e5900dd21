/** A worker as a process, in front of a broker that takes connections and says nothing. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { bridgeHome, startBridgeProcess } from './bridge.process.ts';
import { SDK_APP_ID } from './callbacks.ts';
import { startSilence } from './silence.ts';

export async function startSilencedWorker(requestTimeoutMs: number) {
  const { port, sockets } = await startSilence();
  const home = bridgeHome(() => ({}));
  onTestFinished(home.remove);
  const config = {
    app: { sdkAppId: SDK_APP_ID },
    source: { kind: 'kafka', brokers: `127.0.0.1:${port}`, topic: 'events', requestTimeoutMs },
    admin: { port: 0 },
    connectors: { audit: { kind: 'file', path: join(home.folder, 'events.ndjson') } },
    shutdownMs: '1s',
  };
  writeFileSync(home.configFile, stringify(config));
  return { worker: await startBridgeProcess(home), sockets };
}
