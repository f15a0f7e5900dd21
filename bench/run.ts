/**
 * `npm run bench -- [--only a,b] [--seconds N] [--quick] [--peers node-red,camel] [--json]`
 *
 * Measures the bridge, bare servers and peers in one run on real servers, prints one table and writes it as JSON.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { missingPrerequisite, startServers } from '../test/servers/index.ts';
import { type Bench, createClosing } from './context.ts';
import { createFigures, ratioToBare, table } from './figures.ts';
import { startLoadGenerator } from './load/load.ts';
import { type Options, type PhaseName, readOptions, USAGE } from './options.ts';
import { measureBacklog } from './phases/backlog.ts';
import { measureBare } from './phases/bare.ts';
import { measureDelivery } from './phases/delivery.ts';
import { measureLatency } from './phases/latency.ts';
import { measureMaximum } from './phases/maximum.ts';
import { measureOutages } from './phases/outages.ts';
import { measurePeers } from './phases/peers.ts';
import { measureStart } from './phases/start.ts';
import { measureSustained } from './phases/sustained.ts';
import { targets } from './targets.ts';

const PHASE: Readonly<Record<PhaseName, (bench: Bench) => Promise<void>>> = {
  bare: measureBare,
  maximum: measureMaximum,
  sustained: measureSustained,
  latency: measureLatency,
  delivery: measureDelivery,
  outages: measureOutages,
  backlog: measureBacklog,
  start: measureStart,
  peers: measurePeers,
};

const closing = createClosing();
let interrupted = false;
for (const [name, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(name, () => {
    if (interrupted) process.exit(code);
    interrupted = true;
    process.stderr.write('stopping everything; once more ends it at once\n');
    void closing.closeAll().finally(() => process.exit(code));
  });
}

/** Progress goes to stderr, so that stdout holds the results alone. */
const print = (line: string): void => void process.stderr.write(`${line}\n`);

function read(): Options | 'help' | undefined {
  try {
    return readOptions(process.argv.slice(2));
  } catch (thrown) {
    print(`${(thrown as Error).message}\n\n${USAGE}`);
    return undefined;
  }
}

async function main(): Promise<number> {
  const options = read();
  if (options === undefined) return 2;
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const { KAFKA_BROKERS, ELASTICSEARCH_URL } = process.env;
  const missing = KAFKA_BROKERS && ELASTICSEARCH_URL ? undefined : await missingPrerequisite();
  if (missing !== undefined) {
    print(`Kafka and Elasticsearch cannot be started: ${missing}`);
    return 2;
  }
  const start = performance.now();
  const startedAt = new Date();
  print('Starting Kafka and Elasticsearch');
  const servers = await startServers({ onProgress: print });
  closing.add(servers.stop);
  const load = startLoadGenerator();
  closing.add(load.close);
  const figures = createFigures(print);
  const bench: Bench = { servers, load, options, figures, closing, print };
  for (const [name, measure] of Object.entries(PHASE)) {
    if (!options.only.has(name as PhaseName)) continue;
    print(`\n[${((performance.now() - start) / 1_000).toFixed(0)} s] ${name}`);
    await measure(bench);
  }
  const met = targets(figures);
  const machine = {
    cpus: cpus().length,
    model: cpus()[0]?.model ?? '',
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  };
  const result = {
    startedAt: startedAt.toISOString(),
    seconds: Math.round((performance.now() - start) / 1_000),
    machine,
    options: { ...options, only: [...options.only] },
    figures: figures.all.map((figure) => ({ ...figure, ratioToBare: ratioToBare(figures, figure) })),
    targets: met,
  };
  const folder = new URL('results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = new URL(`${startedAt.toISOString().replaceAll(':', '-')}.json`, folder);
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  else {
    process.stdout.write(
      `\n${machine.cpus} × ${machine.model}, ${machine.memoryGb} GB, Node ${machine.node}, ${result.seconds} s\n\n`,
    );
    process.stdout.write(`${table(figures)}\n\n`);
    for (const { wanted, reached, met: is } of met)
      process.stdout.write(`${is ? 'reached' : 'NOT reached'}: ${wanted}: ${reached}\n`);
  }
  print(`\nwritten to ${fileURLToPath(file)}`);
  return 0;
}

try {
  process.exitCode = await main();
} catch (thrown) {
  if (!interrupted) {
    print(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
    process.exitCode = 1;
  }
} finally {
  if (!interrupted) await closing.closeAll();
}
