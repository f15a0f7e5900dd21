/** The subject of a round of faults: the bridge on both servers, under a steady load. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../servers/index.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import { type BridgeMetrics, createFaultyBridge, type FaultyBridge } from './bridge.ts';
import { type Load, type LoadSettings, startLoad } from './load.ts';
import { type Copies, judgeCopies, type Verdict } from './oracle.ts';
import { startProxy, type TcpProxy } from './proxy.ts';
import type { Destinations, FaultyServers } from './servers.ts';
import { waitUntil } from './wait.ts';

export interface TestbedSettings {
  readonly load: LoadSettings;
  /** Options of both connectors in the bridge's configuration. */
  readonly connector?: Readonly<Record<string, unknown>>;
  readonly journal?: Readonly<Record<string, unknown>>;
  readonly receiver?: Readonly<Record<string, unknown>>;
  /** Others send callbacks, too: what is not in the list is nobody's concern. */
  readonly withOthers?: boolean;
  /** The folder of the journal; a temporary one when left out. */
  readonly journalFolder?: string;
  /** Whether the connectors go through the proxies at first. */
  readonly proxied?: boolean;
}

export interface Testbed<Servers extends Destinations = FaultyServers> {
  readonly servers: Servers;
  readonly bridge: FaultyBridge;
  readonly load: Load;
  readonly copies: Copies;
  /** Between the load and the bridge. */
  readonly clientProxy: TcpProxy;
  /** Whether the connectors go through the proxies. A change is an orderly restart. */
  route(proxied: boolean): Promise<void>;
  /** Pauses the load, waits for both connectors, compares the copies with the list of OK answers. */
  verify(): Promise<Verdict>;
  close(): Promise<void>;
}

export async function createTestbed<Servers extends Destinations>(
  servers: Servers,
  settings: TestbedSettings,
): Promise<Testbed<Servers>> {
  const { copies, connectors } = servers.destinations(settings.connector);
  const ports = { receiver: await freePort(), admin: await freePort() };
  const folder = mkdtempSync(join(tmpdir(), 'bridge-faults-'));
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
  process.on('exit', removeFolder);

  const configuration = (proxied: boolean): string => {
    const file = join(folder, proxied ? 'proxied.yaml' : 'direct.yaml');
    const config = {
      app: { sdkAppId: SDK_APP_ID },
      receiver: { ...settings.receiver, host: '127.0.0.1', port: ports.receiver },
      admin: { port: ports.admin },
      journal: { ...settings.journal, file: join(settings.journalFolder ?? folder, 'journal.db') },
      connectors: connectors(proxied),
    };
    writeFileSync(file, stringify(config));
    return file;
  };
  const files = { direct: configuration(false), proxied: configuration(true) };

  const bridge = createFaultyBridge(ports, settings.proxied ? files.proxied : files.direct);
  bridge.launch();
  await bridge.answering();
  const clientProxy = await startProxy(await freePort(), ports.receiver);
  const load = startLoad(settings.load, bridge.receiverUrl);

  return {
    servers,
    bridge,
    load,
    copies,
    clientProxy,
    async route(proxied) {
      const file = proxied ? files.proxied : files.direct;
      if (bridge.configFile === file) return;
      bridge.configFile = file;
      await bridge.stop();
      bridge.launch();
      await bridge.answering();
    },
    async verify() {
      await load.pause();
      try {
        await waitUntil(async () => isInStep(await bridge.metrics()), 'both connectors are in step', SETTLED_WITHIN_MS);
        return await judgeSettled(bridge, load, copies, settings.withOthers === true);
      } finally {
        load.resume();
      }
    },
    async close() {
      await load.stop();
      await clientProxy.close();
      if (bridge.running) await bridge.stop();
      process.off('exit', removeFolder);
      removeFolder();
    },
  };
}

/** Longer than an event may wait for its retry. */
const SETTLED_WITHIN_MS = 120_000;
const MISSING_FOR_MS = 45_000;

/** Single events before the cursor may still wait for their retry: what is missing must stay missing. */
async function judgeSettled(bridge: FaultyBridge, load: Load, copies: Copies, withOthers: boolean): Promise<Verdict> {
  const end = performance.now() + MISSING_FOR_MS;
  for (;;) {
    const { deadLetters } = await bridge.metrics();
    const verdict = await judgeCopies(load.ledger, copies, deadLetters, withOthers);
    const mayHeal = verdict.findings.some(({ kind }) => kind.startsWith('missing') || kind === 'copies differ');
    if (!mayHeal || performance.now() > end) return verdict;
  }
}

export function isInStep({ head, cursors }: BridgeMetrics): boolean {
  return [...cursors.values()].every((cursor) => cursor >= head);
}
