/** The faults. A round injects one of them and waits until the bridge has recovered from it. */
import { setTimeout as delay } from 'node:timers/promises';
import { fillDisk } from './disk.ts';
import type { Verdict } from './oracle.ts';
import { CUTS, type TcpProxy } from './proxy.ts';
import type { Random } from './random.ts';
import type { Testbed } from './testbed.ts';
import { waitUntil } from './wait.ts';
import { measureWindow, type Windows } from './window.ts';

export const FAULTS = [
  'bridge-kill',
  'kafka-kill',
  'elasticsearch-kill',
  'kafka-hang',
  'elasticsearch-hang',
  'kafka-cut',
  'elasticsearch-cut',
  'client-cut',
  'full-disk',
] as const;
export type FaultName = (typeof FAULTS)[number];

export interface RoundReport {
  /** A description of the fault, for the progress line. */
  readonly did: string;
  /**
   * Milliseconds from the moment the fault was over (the server answers again, the bridge answers again, the last
   * connection was cut, there is room) until everything recorded by then was taken by both connectors. Absent when the
   * next fault came first.
   */
  readonly recoveryMs?: number;
  readonly windows?: Windows;
  /** The result of a round with a bridge and a ledger of its own. */
  readonly verdict?: Verdict;
}

export interface Outages {
  /** The time for which a killed server stays down. */
  readonly downMs: readonly [least: number, most: number];
  readonly hangMs: number;
  /** Measures the time before Elasticsearch goes away, too, for as long as it will be away. */
  readonly compare: boolean;
  /** The share of Kafka's kills in which the bridge is killed while Kafka is away. */
  readonly bridgeToo: number;
}

export function runRound(fault: FaultName, testbed: Testbed, random: Random, outages: Outages): Promise<RoundReport> {
  const { proxies } = testbed.servers;
  switch (fault) {
    case 'bridge-kill':
      return killBridge(testbed, random);
    case 'kafka-kill':
      return killKafka(testbed, random, outages);
    case 'elasticsearch-kill':
      return killElasticsearch(testbed, random, outages);
    case 'kafka-hang':
      return hangKafka(testbed, outages);
    case 'elasticsearch-hang':
      return hangElasticsearch(testbed, outages);
    case 'kafka-cut':
      return cutServer(testbed, random, proxies.kafka);
    case 'elasticsearch-cut':
      return cutServer(testbed, random, proxies.elasticsearch);
    case 'client-cut':
      return cutClient(testbed, random);
    case 'full-disk':
      return fullDisk(testbed, random);
  }
}

/** Everything that is recorded now is taken by both connectors; resolves with the milliseconds that took. */
export async function recovery({ bridge }: Pick<Testbed, 'bridge'>): Promise<number> {
  let head: number | undefined;
  return waitUntil(async () => {
    const metrics = await bridge.metrics();
    head ??= metrics.head;
    const wanted = head;
    return [...metrics.cursors.values()].every((cursor) => cursor >= wanted);
  }, 'both connectors take everything that was recorded when the fault was over');
}

/** SIGKILL at any moment of its life, also while it starts; the next start follows at once. */
export async function killBridge(testbed: Testbed, random: Random): Promise<RoundReport> {
  const { bridge } = testbed;
  const whileStarting = random.next() < 0.2;
  if (whileStarting) {
    await bridge.kill();
    bridge.launch();
    await delay(random.between(0, 600));
  } else {
    await delay(random.between(300, 1_500));
  }
  await bridge.kill();
  bridge.launch();
  const began = performance.now();
  await bridge.answering();
  const did = `killed${whileStarting ? ' twice' : ''}, answers after ${seconds(performance.now() - began)}`;
  // Now and then the next kill comes before everything of the last round was delivered.
  return random.next() < 0.2 ? { did } : { did, recoveryMs: await recovery(testbed) };
}

/** SIGKILL of Kafka; in some rounds of the bridge, too, while Kafka is away. */
export async function killKafka(
  testbed: Testbed,
  random: Random,
  { downMs, bridgeToo: share }: Outages,
): Promise<RoundReport> {
  const { kafka } = testbed.servers;
  const down = random.between(...downMs);
  const bridgeToo = random.next() < share;
  await kafka.kill();
  await delay(down / 2);
  if (bridgeToo) {
    await testbed.bridge.kill();
    testbed.bridge.launch();
  }
  await delay(down / 2);
  await kafka.restart();
  await testbed.bridge.answering();
  return {
    did: `down for ${seconds(down)}${bridgeToo ? ', bridge killed meanwhile' : ''}`,
    recoveryMs: await recovery(testbed),
  };
}

export async function hangKafka(testbed: Testbed, { hangMs }: Outages): Promise<RoundReport> {
  const { kafka } = testbed.servers;
  kafka.suspend();
  await delay(hangMs);
  kafka.resume();
  return { did: `hung for ${seconds(hangMs)}`, recoveryMs: await recovery(testbed) };
}

/** The window of the fault ends before the restart, which takes this machine's processors from everybody. */
export async function killElasticsearch(
  testbed: Testbed,
  random: Random,
  { downMs, compare }: Outages,
): Promise<RoundReport> {
  const { elasticsearch } = testbed.servers;
  const down = random.between(...downMs);
  const before = await measureWindow(testbed, compare ? down : 0);
  await elasticsearch.kill();
  const during = await measureWindow(testbed, down);
  await elasticsearch.restart();
  return { did: `down for ${seconds(down)}`, recoveryMs: await recovery(testbed), windows: { before, during } };
}

export async function hangElasticsearch(testbed: Testbed, { hangMs, compare }: Outages): Promise<RoundReport> {
  const { elasticsearch } = testbed.servers;
  const before = await measureWindow(testbed, compare ? hangMs : 0);
  elasticsearch.suspend();
  const during = await measureWindow(testbed, hangMs);
  elasticsearch.resume();
  return { did: `hung for ${seconds(hangMs)}`, recoveryMs: await recovery(testbed), windows: { before, during } };
}

export async function cutServer(testbed: Testbed, random: Random, proxy: TcpProxy): Promise<RoundReport> {
  await testbed.route(true);
  const did = await cutSeveral(proxy, random);
  return { did, recoveryMs: await recovery(testbed) };
}

/** A callback without an answer is not owed, but may be delivered. */
export async function cutClient(testbed: Testbed, random: Random): Promise<RoundReport> {
  const { load, bridge, clientProxy } = testbed;
  load.target = bridge.receiverUrl.replace(/:\d+/, `:${clientProxy.port}`);
  const did = await cutSeveral(clientProxy, random);
  load.target = bridge.receiverUrl;
  return { did, recoveryMs: await recovery(testbed) };
}

/** A bridge of its own, beside the one under load. */
async function fullDisk(testbed: Testbed, random: Random): Promise<RoundReport> {
  // It takes Kafka's proxy out of service.
  await testbed.route(false);
  const restart = random.next() < 0.5;
  const { failures, recordsAgainMs, recoveryMs, verdict } = await fillDisk(testbed.servers, restart);
  const answers = `${failures.get('HTTP 503')} × 503${restart ? ', bridge killed when full' : ''}`;
  return { did: `${answers}, records again after ${seconds(recordsAgainMs)}`, recoveryMs, verdict };
}

async function cutSeveral(proxy: TcpProxy, random: Random): Promise<string> {
  const cuts = random.between(3, 6);
  const done = new Map<string, number>();
  for (let n = 0; n < cuts; n++) {
    await delay(random.between(0, 400));
    const cut = random.pick(CUTS);
    await proxy.cutNext(cut);
    done.set(cut, (done.get(cut) ?? 0) + 1);
  }
  return [...done].map(([cut, count]) => `${count} × ${cut}`).join(', ');
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
