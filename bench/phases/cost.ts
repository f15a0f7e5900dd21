import { setTimeout as delay } from 'node:timers/promises';
import { FDATASYNC, startBareServer } from '../bare/index.ts';
import { type BenchBridge, ELASTICSEARCH, KAFKA, startBenchBridge } from '../bridge.ts';
import type { Bench } from '../context.ts';
import { BRIDGE } from '../figures.ts';
import type { LoadResult } from '../load/order.ts';
import { cpuMs, mainThreadWaitedMs, memoryMb } from '../processes.ts';
import { cpuOf, noteFailures, SETTLED_WITHIN_MS } from './measure.ts';

export const LOW_RATE = 500;
const RATES = [5_000, 2_000, LOW_RATE, 100, 10];
/** What is compiled and cached is so since the full load. */
const WARM_UP_MS = 1_000;
/** So many times as long as another measurement: what happens once in a while belongs to it. */
const RESTS = 3;

/** Returns the name of the latencies at a fixed rate. */
export const atRate = (rate: number): string => `ack at ${rate}/s`;
export const cpuAtRate = (rate: number): string => `CPU per 1,000 at ${rate}/s`;
export const FULL_LOAD = 'CPU per 1,000 at full load';
export const JUST_STARTED = 'just started';

/**
 * What the bridge costs: at rest, under a full load, and in open loops at the rates that most apps have, while both connectors
 * deliver; beside it the bare server at the same rates.
 */
export async function measureCost(bench: Bench): Promise<void> {
  const { load, options, figures, closing, print } = bench;
  const { ms } = options;
  const bridge = await startBenchBridge(bench);
  const server = await startBareServer(FDATASYNC);
  closing.add(server.close);
  await bridge.inStep(SETTLED_WITHIN_MS);
  await measureRest(bench, bridge, JUST_STARTED);

  print('bridge: full load');
  const full = await cpuOf(bench, bridge, () => load.load({ url: bridge.url, ms, warmUpMs: options.warmUpMs }));
  noteFailures(bench, BRIDGE, full.result);
  const means = 'user and system time per 1,000 callbacks, until both copies hold them';
  figures.add({ subject: BRIDGE, name: FULL_LOAD, value: full.bridgeMs, unit: 'ms', means: `of the bridge: ${means}` });
  await load.load({ url: server.url, ms: options.warmUpMs });

  for (const rate of RATES) {
    print(`bridge, then ${FDATASYNC.name}: ${rate}/s, open loop`);
    const before = await counts(bridge);
    const { result, bridgeMs, allMs } = await cpuOf(bench, bridge, () => measureAnswers(bench, bridge, rate));
    const after = await counts(bridge);
    const name = cpuAtRate(rate);
    figures.add({ subject: BRIDGE, name, value: bridgeMs, unit: 'ms', means: `of the bridge: ${means}` });
    figures.add({ subject: BRIDGE, name: `${name}, all`, value: allMs.ms, unit: 'ms', means: `${allMs.of}: ${means}` });
    const seconds = (result.measuredMs + WARM_UP_MS) / 1_000;
    for (const [what, counted] of Object.entries(after)) {
      const value = (counted - (before[what] ?? 0)) / seconds;
      figures.add({ subject: BRIDGE, name: `${what} at ${rate}/s`, value, unit: '/s', means: MEANS[what] ?? '' });
    }

    const ofServer = cpuMs(server.pid);
    const bare = await load.load({ url: server.url, ms, warmUpMs: WARM_UP_MS, rate });
    noteFailures(bench, FDATASYNC.name, bare);
    figures.addLatency(FDATASYNC.name, atRate(rate), bare, 'answer, from when the callback was due');
    const value = ((cpuMs(server.pid) - ofServer) * 1_000) / (bare.ok + bare.okInWarmUp);
    figures.add({ subject: FDATASYNC.name, name, value, unit: 'ms', means: 'of its process, per 1,000 callbacks' });
  }
  await measurePaused(bench, bridge);
  await measureRest(bench, bridge, 'after the load');
  await bridge.close();
}

/** The latencies of answers at a fixed rate, and how long the thread that gives them waited for a core meanwhile. */
async function measureAnswers(bench: Bench, { url, pid }: BenchBridge, rate: number, when = ''): Promise<LoadResult> {
  const { load, options, figures } = bench;
  const before = mainThreadWaitedMs(pid);
  const result = await load.load({ url, ms: options.ms, warmUpMs: WARM_UP_MS, rate });
  const value = ((mainThreadWaitedMs(pid) - before) * 100) / (result.measuredMs + WARM_UP_MS);
  noteFailures(bench, BRIDGE, result);
  const name = atRate(rate) + when;
  figures.addLatency(BRIDGE, name, result, 'recorded on disk; from when the callback was due to its OK');
  const means = 'of the time the receiver’s thread was ready and others had the cores';
  figures.add({ subject: BRIDGE, name: `${name}, waiting for a core`, value, unit: '%', means });
  return result;
}

/** The difference to the same rate before is what delivering costs an answer: the servers’ share of the machine, and its own. */
async function measurePaused(bench: Bench, bridge: BenchBridge): Promise<void> {
  for (const connector of [KAFKA, ELASTICSEARCH]) await bridge.pause(connector);
  for (const rate of [2_000, LOW_RATE]) {
    bench.print(`bridge: ${rate}/s, open loop, both connectors paused`);
    await measureAnswers(bench, bridge, rate, ', paused');
  }
  for (const connector of [KAFKA, ELASTICSEARCH]) await bridge.resume(connector);
  await bridge.inStep(SETTLED_WITHIN_MS);
}

/** Nobody calls, and no page of the console is open. */
async function measureRest({ options, figures, print }: Bench, { pid }: BenchBridge, when: string): Promise<void> {
  print(`bridge: at rest, ${when}`);
  await delay(Math.min(3_000, options.ms));
  const ms = RESTS * options.ms;
  const before = cpuMs(pid);
  await delay(ms);
  const value = ((cpuMs(pid) - before) * 100) / ms;
  const means = `of one core, over ${ms / 1_000} s without a callback, both connectors connected`;
  figures.add({ subject: BRIDGE, name: `CPU at rest, ${when}`, value, unit: '%', means });
  const memory = { name: `memory at rest, ${when}`, value: memoryMb(pid).now, unit: 'MB' } as const;
  figures.add({ subject: BRIDGE, ...memory, means: 'resident at the end of that time' });
}

const MEANS: Readonly<Record<string, string>> = {
  commits: 'transactions that answers wait for',
  'deliveries to Kafka': 'batches, each a request for each partition concerned',
  'deliveries to Elasticsearch': 'batches, each a request that reads and one that writes',
};

/** What the bridge has done since it started. */
async function counts({ count }: BenchBridge): Promise<Readonly<Record<string, number>>> {
  return {
    commits: await count('bridge_commit_seconds_count'),
    'deliveries to Kafka': await count(`bridge_delivery_seconds_count{connector="${KAFKA}"}`),
    'deliveries to Elasticsearch': await count(`bridge_delivery_seconds_count{connector="${ELASTICSEARCH}"}`),
  };
}
