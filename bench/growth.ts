/**
 * `npm run bench:growth -- [--events 10000000] [--seconds 15] [--rounds 3] [--only journal,connectors]`
 *
 * Measures the cost of growth: appending to a journal of many events against an empty one, and answering while more
 * connectors deliver against one. Both sides in turn, several rounds, as ratios. 10,000,000 events take about 8 GB of
 * temporary disk and some minutes to fill in. Needs neither Kafka nor Elasticsearch.
 */
import { parseArgs } from 'node:util';
import { type BenchBridge, type BridgeSettings, startBenchBridge } from './bridge.ts';
import { closeOnSignals, createClosing } from './context.ts';
import { createFigures, type Figure, median } from './figures.ts';
import { fillJournal } from './journal-folder.ts';
import { startLoadGenerator } from './load/load.ts';
import { cpuMs, mainThreadCpuMs, memoryMb } from './processes.ts';
import { report } from './report.ts';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '10000000' },
    seconds: { type: 'string', default: '15' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: 'journal,connectors' },
    json: { type: 'boolean', default: false },
  },
});
const events = Number(values.events);
const ms = Number(values.seconds) * 1_000;
const rounds = Number(values.rounds);
const WARM_UP_MS = 2_000;
const RATE = 2_000;
const MANY = 4;

const print = (line: string): void => void process.stderr.write(`${line}\n`);
const closing = createClosing();
const interrupted = closeOnSignals(closing);
const load = startLoadGenerator();
closing.add(load.close);
const figures = createFigures(print);

/** The median of one side over the rounds. */
interface Side {
  readonly perSecond: number[];
  readonly p50: number[];
  readonly p99: number[];
  readonly cpu: number[];
  readonly receiver: number[];
  readonly start: number[];
  readonly memory: number[];
}

const newSide = (): Side => ({ perSecond: [], p50: [], p99: [], cpu: [], receiver: [], start: [], memory: [] });

async function measure(side: Side, settings: BridgeSettings): Promise<void> {
  const bridge: BenchBridge = await startBenchBridge({ closing }, { ...settings, launch: false });
  side.start.push(await bridge.launch());
  const few = await load.load({ url: bridge.url, ms, warmUpMs: WARM_UP_MS, rate: RATE });
  const before = { all: cpuMs(bridge.pid), receiver: mainThreadCpuMs(bridge.pid) };
  const most = await load.load({ url: bridge.url, ms, warmUpMs: WARM_UP_MS });
  const thousands = (most.ok + most.okInWarmUp) / 1_000;
  side.cpu.push((cpuMs(bridge.pid) - before.all) / thousands);
  side.receiver.push((mainThreadCpuMs(bridge.pid) - before.receiver) / thousands);
  side.perSecond.push(most.perSecond);
  side.p50.push(few.p50);
  side.p99.push(few.p99);
  side.memory.push(memoryMb(bridge.pid).peak);
  for (const [failure, count] of Object.entries({ ...few.failures, ...most.failures }))
    print(`  ${count} NOT OK: ${failure}`);
  await bridge.close();
}

const SHOWN: readonly (readonly [keyof Side, string, Figure['unit']])[] = [
  ['perSecond', 'acknowledged/s', '/s'],
  ['p50', `ack at ${RATE}/s p50`, 'ms'],
  ['p99', `ack at ${RATE}/s p99`, 'ms'],
  ['cpu', 'CPU per 1,000', 'ms'],
  ['receiver', 'of that the receiver’s thread', 'ms'],
  ['start', 'start to ready', 'ms'],
  ['memory', 'memory at most', 'MB'],
];

/** Both sides in turn, `rounds` times; a figure a side and their ratio. */
async function compare(one: string, first: BridgeSettings, other: string, second: BridgeSettings): Promise<void> {
  const sides = [newSide(), newSide()] as const;
  for (let round = 1; round <= rounds; round++) {
    print(`round ${round} of ${rounds}: ${one}, then ${other}`);
    await measure(sides[0], first);
    await measure(sides[1], second);
  }
  for (const [key, name, unit] of SHOWN) {
    const [base, grown] = [median(sides[0][key]), median(sides[1][key])];
    const means = `median of ${rounds} rounds in turn`;
    figures.add({ subject: one, name, value: base, unit, means });
    figures.add({ subject: other, name, value: grown, unit, means: `${means}: ${(grown / base).toFixed(2)} × ${one}` });
  }
}

const files =
  (count: number) =>
  (folder: string): Record<string, unknown> =>
    Object.fromEntries(
      Array.from({ length: count }, (_, n) => [
        `file-${n + 1}`,
        { kind: 'file', path: `${folder}/events-${n + 1}.ndjson` },
      ]),
    );

async function main(): Promise<void> {
  const startedAt = new Date();
  if (values.only.includes('journal')) {
    print(`filling a journal with ${events} events`);
    const filled = performance.now();
    const { folder, bytes, remove } = await fillJournal({ closing }, events, ['file-1']);
    const seconds = (performance.now() - filled) / 1_000;
    print(`filled in ${seconds.toFixed(0)} s`);
    const gigabytes = bytes / 2 ** 30;
    const connectors = files(1);
    const name = `journal of ${events} events (${gigabytes.toFixed(1)} GB)`;
    await compare('empty journal', { connectors }, name, { connectors, journalFolder: folder });
    await remove();
  }
  if (values.only.includes('connectors')) {
    await compare('1 connector', { connectors: files(1) }, `${MANY} connectors`, { connectors: files(MANY) });
  }
  report({ name: 'growth', startedAt, options: values, figures, json: values.json, print });
}

try {
  await main();
} catch (thrown) {
  if (!interrupted()) {
    print(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
    process.exitCode = 1;
  }
} finally {
  if (!interrupted()) await closing.closeAll();
}
