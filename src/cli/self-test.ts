import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Config, configSchema } from '../config/schema.ts';
import { generatedSample, sendOne } from '../intake/sample.ts';
import { type Fault, faultOf } from '../model/fault.ts';
import { failed } from './options.ts';

const DELIVERED_MS = 10_000;

/**
 * Sends a signed sample callback, and waits for its delivery, with this configuration's app and receiver, but through a
 * bridge of its own, on loopback and in a temporary folder, so that the real copies do not change.
 */
export async function selfTest(config: Config): Promise<{ says: string; fault?: Fault }> {
  const folder = mkdtempSync(join(tmpdir(), 'group-sync-bridge-self-test-'));
  try {
    const path = join(folder, 'events.ndjson');
    const { startBridge } = await import('../bridge.ts');
    const bridge = await startBridge(isolated(config, folder, path), 'silent');
    try {
      return { says: await deliverSample(config, bridge.receiverUrl, path) };
    } finally {
      await bridge.stop('self-test');
    }
  } catch (thrown) {
    const fault = faultOf(thrown, 'command-failed');
    return { says: fault.message, fault };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function isolated({ reconcile: _, ...config }: Config, folder: string, path: string): Config {
  const { allowFrom: __, tls, ...receiver } = config.receiver;
  return {
    ...config,
    receiver: {
      ...receiver,
      // The sample is sent without a client certificate.
      ...(tls !== undefined && { tls: { ...tls, clientCaFile: undefined } }),
      host: '127.0.0.1',
      port: 0,
      trustProxy: false,
      proxyProtocol: false,
      otherCommands: 'acknowledge',
    },
    admin: { ...config.admin, host: '127.0.0.1', port: 0 },
    journal: { ...config.journal, file: join(folder, 'journal.db') },
    connectors: configSchema.shape.connectors.parse({ file: { kind: 'file', path } }) as Config['connectors'],
  };
}

/** Resolves with how it went; throws a fault if the callback is refused or not delivered in time. */
async function deliverSample(config: Config, receiverUrl: string, path: string): Promise<string> {
  const { app } = config;
  const sample = generatedSample(app.sdkAppId, 0, 1, Date.now());
  const mark = randomUUID();
  const body = JSON.stringify({ ...(JSON.parse(sample.body) as object), Name: mark });
  const start = performance.now();
  const never = new AbortController().signal;
  const failure = await sendOne(config, new URL(receiverUrl), { ...sample, body }, never);
  if (failure !== undefined) throw failed(`a sample callback was not answered OK: ${failure}`);
  const end = performance.now() + DELIVERED_MS;
  while (!(existsSync(path) && readFileSync(path, 'utf8').includes(mark))) {
    if (performance.now() > end)
      throw failed(`a sample callback was recorded but not delivered within ${DELIVERED_MS / 1_000} s`);
    await delay(10);
  }
  const signed =
    app.callbackTokens === undefined ? 'a sample callback (unsigned: there is no token)' : 'a signed sample callback';
  const ms = Math.round(performance.now() - start);
  return `${signed} was recorded and delivered in ${ms} ms, in a bridge of its own: nothing reached your connectors`;
}
