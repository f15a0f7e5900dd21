import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startBridge } from '../bridge.ts';
import { type Config, configSchema } from '../config/schema.ts';
import { type Fault, faultOf } from '../model/fault.ts';
import { generatedSample } from './samples.ts';
import { send } from './send.ts';

export interface SelfTested {
  readonly says: string;
  readonly fault?: Fault;
}

const DELIVERED_MS = 10_000;

/**
 * A signed sample callback, from the request to a delivered event, with this configuration's app and receiver: through a
 * bridge of its own, on a free port of loopback with a journal and a file in a temporary folder, so that nothing of it
 * reaches the real copies.
 */
export async function selfTest(config: Config): Promise<SelfTested> {
  const folder = mkdtempSync(join(tmpdir(), 'group-sync-bridge-self-test-'));
  try {
    const path = join(folder, 'events.ndjson');
    const connectors = configSchema.shape.connectors.parse({ file: { kind: 'file', path } }) as Config['connectors'];
    const { reconcile: _, ...own } = config;
    const { allowFrom: __, tls, ...receiver } = config.receiver;
    const bridge = await startBridge(
      {
        ...own,
        receiver: {
          ...receiver,
          // It has no client certificate to show.
          ...(tls !== undefined && { tls: { ...tls, clientCaFile: undefined } }),
          host: '127.0.0.1',
          port: 0,
          trustProxy: false,
          otherCommands: 'acknowledge',
        },
        admin: { ...config.admin, host: '127.0.0.1', port: 0 },
        journal: { ...config.journal, file: join(folder, 'journal.db') },
        connectors,
      },
      'silent',
    );
    try {
      return await through(config, bridge.receiverUrl, path);
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

async function through(config: Config, receiverUrl: string, path: string): Promise<SelfTested> {
  const { sdkAppId, callbackTokens } = config.app;
  const { tls } = config.receiver;
  const sample = generatedSample(sdkAppId, 0, 1, Date.now());
  const mark = randomUUID();
  const body = JSON.stringify({ ...(JSON.parse(sample.body) as object), Name: mark });
  const start = performance.now();
  const { failures } = await send(
    {
      to: new URL(receiverUrl),
      count: 1,
      rate: 0,
      connections: 1,
      token: callbackTokens?.[0],
      pinned: tls && readFileSync(tls.certFile, 'utf8'),
      sample: () => ({ ...sample, body }),
    },
    new AbortController().signal,
  );
  const [failure] = failures.keys();
  if (failure !== undefined) {
    const message = `a sample callback was not answered OK: ${failure}`;
    return { says: message, fault: { code: 'command-failed', message } };
  }
  const end = performance.now() + DELIVERED_MS;
  while (!contains(path, mark)) {
    if (performance.now() > end) {
      const message = `a sample callback was recorded, and not delivered within ${DELIVERED_MS / 1_000} s`;
      return { says: message, fault: { code: 'command-failed', message } };
    }
    await delay(10);
  }
  const signed =
    callbackTokens === undefined ? 'a sample callback (unsigned: there is no token)' : 'a signed sample callback';
  const ms = Math.round(performance.now() - start);
  return {
    says: `${signed} was recorded and delivered in ${ms} ms, in a bridge of its own: nothing reached your connectors`,
  };
}

function contains(path: string, mark: string): boolean {
  try {
    return readFileSync(path, 'utf8').includes(mark);
  } catch {
    return false;
  }
}
