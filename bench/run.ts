/**
 * `npm run bench -- [--only a,b] [--seconds N] [--quick] [--peers node-red,camel] [--json]`
 *
 * Measures the bridge, bare servers and peers in one run on real servers, prints one table and writes it as JSON.
 */
import { fileURLToPath } from 'node:url';
import { missingPrerequisite, startServers } from '../test/servers/index.ts';
import { type Bench, closeOnSignals, createClosing } from './context.ts';
import { createFigures } from './figures.ts';
import { startLoadGenerator } from './load/load.ts';
import { type Options, type PhaseName, readOptions, USAGE } from './options.ts';
import { measureBacklog } from './phases/backlog.ts';
import { measureBare } from './phases/bare.ts';
import { measureCost } from './phases/cost.ts';
import { measureDelivery } from './phases/delivery.ts';
import { measureMaximum } from './phases/maximum.ts';
import { measureOutages } from './phases/outages.ts';
import { measurePeers } from './phases/peers.ts';
import { measureStart } from './phases/start.ts';
import { measureSustained } from './phases/sustained.ts';
import { measureInTurn } from './phases/turns.ts';
import { warmServers } from './phases/warm.ts';
import { report } from './report.ts';

const PHASE: Readonly<Record<PhaseName, (bench: Bench) => Promise<void>>> = {
  bare: measureBare,
  maximum: measureMaximum,
  turns: measureInTurn,
  sustained: measureSustained,
  cost: measureCost,
  delivery: measureDelivery,
  outages: measureOutages,
  backlog: measureBacklog,
  start: measureStart,
  peers: measurePeers,
};

/** Those that put the servers under full load. */
const LOADING: readonly PhaseName[] = ['maximum', 'turns', 'sustained', 'cost', 'delivery', 'backlog', 'peers'];

const closing = createClosing();
const interrupted = closeOnSignals(closing);

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
  const servers = await startServers({ onProgress: print, lasts: true });
  closing.add(servers.stop);
  const load = startLoadGenerator();
  closing.add(load.close);
  const figures = createFigures(print);
  const profileFolder = options.profile ? fileURLToPath(new URL('results/profiles', import.meta.url)) : undefined;
  const entry = options.built ? 'dist/src/bin.js' : undefined;
  const bench: Bench = { servers, load, options, figures, closing, profileFolder, entry, print };
  const failed: string[] = [];
  const since = (): string => `[${((performance.now() - start) / 1_000).toFixed(0)} s]`;
  if (LOADING.some((name) => options.only.has(name)) && options.serversWarmUpMs > 0) {
    print(`\n${since()} servers warm up`);
    await warmServers(bench);
  }
  for (const [name, measure] of Object.entries(PHASE)) {
    if (!options.only.has(name as PhaseName)) continue;
    print(`\n${since()} ${name}`);
    const ofPhase = createClosing();
    const closePhase = closing.add(ofPhase.closeAll);
    try {
      await measure({ ...bench, closing: ofPhase });
    } catch (thrown) {
      if (interrupted()) throw thrown;
      // Earlier measurements are kept.
      failed.push(name);
      print(`${name} FAILED: ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
    } finally {
      if (!interrupted()) await closePhase();
    }
  }
  report({
    name: 'bench',
    startedAt,
    options: { ...options, only: [...options.only] },
    figures,
    json: options.json,
    print,
  });
  if (failed.length > 0) print(`FAILED: ${failed.join(', ')}`);
  return failed.length > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (thrown) {
  if (!interrupted()) {
    print(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
    process.exitCode = 1;
  }
} finally {
  if (!interrupted()) await closing.closeAll();
}
