/** The bridge as a user starts it, on a topic, an index and a journal of its own. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { type BridgeMetrics, createFaultyBridge } from '../test/faults/bridge.ts';
import { freePort, type Servers } from '../test/servers/index.ts';
import type { Closing } from './context.ts';
import { removeCopies } from './copies.ts';

export const KAFKA = 'group-events';
export const ELASTICSEARCH = 'group-index';

export interface BenchBridge {
  readonly url: string;
  readonly pid: number;
  readonly topic: string;
  readonly index: string;
  readonly journalFile: string;
  metrics(): Promise<BridgeMetrics>;
  /** Returns the value of one series of its metrics, by its name and labels. */
  count(series: string): Promise<number>;
  /** Events recorded and not yet at each connector's cursor. */
  lags(): Promise<Readonly<Record<string, number>>>;
  /** Resolves with the ms it took until both copies hold everything, Infinity when that is longer than `withinMs`. */
  inStep(withinMs: number): Promise<number>;
  pause(connector: string): Promise<void>;
  resume(connector: string): Promise<void>;
  /** Ends the process; the journal, the topic and the index stay. */
  stop(): Promise<void>;
  /** Starts it again; resolves with the ms from the start of the process until it is ready. */
  launch(): Promise<number>;
  /** Ends it and removes everything. */
  close(): Promise<void>;
}

export interface BridgeSettings {
  /** Instead of the pair of Kafka and Elasticsearch. */
  readonly connectors?: (folder: string) => Record<string, unknown>;
  /** A folder with a journal.db in it, which stays. */
  readonly journalFolder?: string;
  /** Starts it at once; true when left out. */
  readonly launch?: boolean;
}

export interface BridgeHost {
  readonly closing: Closing;
  /** Not needed with connectors of one's own. */
  readonly servers?: Servers;
  /** The folder in which each of its threads leaves a CPU profile when it ends. */
  readonly profileFolder?: string | undefined;
  /** The file that is started; the sources when left out. */
  readonly entry?: string | undefined;
}

export async function startBenchBridge(bench: BridgeHost, settings: BridgeSettings = {}): Promise<BenchBridge> {
  const { servers } = bench;
  const connectors = settings.connectors;
  if (connectors === undefined && servers === undefined)
    throw new TypeError('neither servers nor connectors are given');
  const topic = `bench.${randomUUID()}`;
  const index = `bench-${randomUUID()}`;
  const ports = { receiver: await freePort(), admin: await freePort() };
  const folder = mkdtempSync(join(tmpdir(), 'bench-bridge-'));
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
  process.on('exit', removeFolder);
  const journalFile = join(settings.journalFolder ?? folder, 'journal.db');
  const configFile = join(folder, 'bridge.yaml');
  const config = {
    app: { sdkAppId: '1400701118' },
    receiver: { host: '127.0.0.1', port: ports.receiver },
    admin: { port: ports.admin },
    journal: { file: journalFile, maxBytes: '100GiB' },
    connectors: connectors?.(folder) ?? (servers && pair(servers, topic, index)),
  };
  writeFileSync(configFile, stringify(config));
  const bridge = createFaultyBridge(ports, configFile, bench.entry);

  const lags = async (): Promise<Record<string, number>> => {
    const { head, cursors } = await bridge.metrics();
    return Object.fromEntries([...cursors].map(([connector, cursor]) => [connector, Math.max(0, head - cursor)]));
  };
  const launch = async (): Promise<number> => {
    const start = performance.now();
    const { NODE_OPTIONS } = process.env;
    if (bench.profileFolder !== undefined) {
      process.env.NODE_OPTIONS = `--cpu-prof --cpu-prof-dir=${bench.profileFolder}`;
    }
    bridge.launch();
    if (NODE_OPTIONS === undefined) delete process.env.NODE_OPTIONS;
    else process.env.NODE_OPTIONS = NODE_OPTIONS;
    for (;;) {
      const ready = await fetch(`${bridge.adminUrl}/readyz`).then(
        async (response) => {
          await response.arrayBuffer();
          return response.ok;
        },
        () => false,
      );
      if (ready) return performance.now() - start;
      // It also says what became of a bridge that ended.
      if (!bridge.running) await bridge.answering(0);
      await delay(2);
    }
  };
  const stop = async (): Promise<void> => {
    if (bridge.running) await bridge.stop();
  };
  const post = async (connector: string, what: 'pause' | 'resume'): Promise<void> => {
    const response = await fetch(`${bridge.adminUrl}/api/connectors/${connector}/${what}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    if (!response.ok) throw new Error(`${what} ${connector}: ${await response.text()}`);
  };
  const close = bench.closing.add(async () => {
    await stop().catch(() => {});
    if (connectors === undefined && servers !== undefined) await removeCopies(servers, { topic, index });
    process.off('exit', removeFolder);
    removeFolder();
  });
  if (settings.launch !== false) await launch();

  return {
    url: bridge.receiverUrl,
    get pid() {
      return bridge.pid;
    },
    topic,
    index,
    journalFile,
    metrics: bridge.metrics,
    async count(series) {
      const text = await (await fetch(`${bridge.adminUrl}/metrics`)).text();
      const line = text.split('\n').find((one) => one.startsWith(`${series} `));
      return Number(line?.slice(series.length + 1));
    },
    lags,
    async inStep(withinMs) {
      const start = performance.now();
      for (;;) {
        const found = await lags().catch(() => ({ unknown: 1 }));
        const ms = performance.now() - start;
        if (Object.values(found).every((lag) => lag === 0)) return ms;
        if (ms > withinMs) return Number.POSITIVE_INFINITY;
        await delay(50);
      }
    },
    pause: (connector) => post(connector, 'pause'),
    resume: (connector) => post(connector, 'resume'),
    stop,
    launch,
    close,
  };
}

function pair(servers: Servers, topic: string, index: string): Record<string, unknown> {
  return {
    [KAFKA]: {
      kind: 'kafka',
      brokers: servers.kafka.brokers.split(','),
      topic,
      createTopic: { partitions: 6 },
    },
    [ELASTICSEARCH]: {
      kind: 'elasticsearch',
      nodes: servers.elasticsearch.url.split(','),
      index,
      content: 'groups',
      createIndex: { replicas: 0 },
    },
  };
}
