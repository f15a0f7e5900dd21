/**
 * `npm run test:faults -- [--minutes N] [--rounds bridge-kill=200,kafka-kill=20,…] [--seed S] [--rate R]`, and
 * `npm run test:faults -- --cluster [--rounds N] [--rate R]` for three brokers and three nodes, see cluster.ts.
 *
 * Rounds of faults under a steady load; ends with 1 when anything that was answered OK is missing, out of order or a
 * dead letter. Ctrl-C ends it after the current round, with the comparison; a second one at once.
 */
import { parseArgs } from 'node:util';
import { missingPrerequisite } from '../servers/index.ts';
import { runCluster } from './cluster.ts';
import { whyNoSmallDisk } from './disk.ts';
import type { Verdict } from './oracle.ts';
import { createRandom, type Random } from './random.ts';
import { closingTable, namedFindings, type Round, windowTable } from './report.ts';
import { FAULTS, type FaultName, type Outages, runRound, seconds } from './rounds.ts';
import { startFaultyServers } from './servers.ts';
import { createTestbed, type Testbed } from './testbed.ts';
import { waitUntil } from './wait.ts';

const { values } = parseArgs({
  options: {
    cluster: { type: 'boolean', default: false },
    minutes: { type: 'string' },
    rounds: { type: 'string' },
    seed: { type: 'string' },
    rate: { type: 'string', default: '300' },
    'hang-seconds': { type: 'string', default: '30' },
  },
});

/** The rounds of one cycle when none are asked for: what is short comes more often. */
const CYCLE: Readonly<Record<FaultName, number>> = {
  'bridge-kill': 12,
  'kafka-kill': 2,
  'elasticsearch-kill': 1,
  'kafka-hang': 1,
  'elasticsearch-hang': 1,
  'kafka-cut': 2,
  'elasticsearch-cut': 2,
  'client-cut': 2,
  'full-disk': 1,
};
const DEFAULT_MINUTES = 5;
/** So often all of both copies is compared, so that a long run does not go on for nothing. */
const COMPARE_EVERY_MS = 15 * 60_000;

const seed = Number(values.seed ?? Date.now() % 1_000_000);
const minutes = Number(values.minutes ?? (values.rounds === undefined ? DEFAULT_MINUTES : Number.POSITIVE_INFINITY));
const outages: Outages = {
  downMs: [5_000, 10_000],
  hangMs: Number(values['hang-seconds']) * 1_000,
  compare: true,
  bridgeToo: 0.25,
};
const asked = values.rounds === undefined || values.cluster ? undefined : readRounds(values.rounds);

function readRounds(text: string): Partial<Record<FaultName, number>> {
  const pairs = text.split(',').map((pair) => {
    const [name = '', count] = pair.split('=');
    const fault = FAULTS.find((one) => one === name.trim());
    if (fault === undefined || !(Number(count) >= 0)) {
      throw new TypeError(`--rounds: ${pair} is not NAME=COUNT with one of ${FAULTS.join(', ')}`);
    }
    return [fault, Number(count)] as const;
  });
  return Object.fromEntries(pairs);
}

function shuffledRounds(counts: Partial<Record<FaultName, number>>, random: Random): FaultName[] {
  return random.shuffled(FAULTS.flatMap((fault) => Array<FaultName>(counts[fault] ?? 0).fill(fault)));
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

let interrupted = false;
process.on('SIGINT', () => {
  if (interrupted) process.exit(130);
  interrupted = true;
  print('Ctrl-C: comparing after this round; once more ends it at once');
});
process.on('SIGTERM', () => process.exit(143));

/** Long enough for both servers and the bridge to have warmed up: windows of time are compared. */
const WARM_UP_CALLBACKS = 5_000;

async function runRounds(testbed: Testbed, random: Random): Promise<{ rounds: Round[]; verdict: Verdict }> {
  const { load } = testbed;
  const noDisk = whyNoSmallDisk();
  if (noDisk !== undefined) print(`full-disk is left out: ${noDisk}`);
  const possible = (queue: FaultName[]): FaultName[] =>
    noDisk === undefined ? queue : queue.filter((fault) => fault !== 'full-disk');

  await waitUntil(() => load.ledger.answeredOk > WARM_UP_CALLBACKS, 'the load is under way');
  const end = performance.now() + minutes * 60_000;
  const rounds: Round[] = [];
  let queue = possible(shuffledRounds(asked ?? CYCLE, random));
  const total = asked === undefined ? '' : `/${queue.length}`;
  let compared = performance.now();
  while (!interrupted && performance.now() < end) {
    if (queue.length === 0 && asked === undefined) queue = possible(shuffledRounds(CYCLE, random));
    const fault = queue.shift();
    if (fault === undefined) break;
    const round = rounds.length + 1;
    load.round = round;
    if (fault !== 'kafka-cut' && fault !== 'elasticsearch-cut') await testbed.route(false);
    const report = await runRound(fault, testbed, random, outages);
    rounds.push({ ...report, fault, round });
    const failures = [...load.failures()].map(([failure, count]) => `${count} × ${failure}`).join(', ');
    print(
      `round ${round}${total} ${fault}: ${report.did}; ` +
        `${report.recoveryMs === undefined ? 'not waited for' : `recovered in ${seconds(report.recoveryMs)}`}; ` +
        `${load.ledger.answeredOk} OK so far${failures === '' ? '' : `, not OK: ${failures}`}`,
    );
    if (performance.now() - compared > COMPARE_EVERY_MS) {
      compared = performance.now();
      const verdict = await testbed.verify();
      print(`compared ${verdict.answeredOk} callbacks: ${isClean(verdict) ? 'all there' : 'NOT all as it must be'}`);
      if (!isClean(verdict)) return { rounds, verdict };
    }
    if (report.verdict !== undefined && !isClean(report.verdict)) break;
  }
  print('comparing both copies with the list of OK answers');
  return { rounds, verdict: await testbed.verify() };
}

function isClean({ findings, deadLetters }: Verdict): boolean {
  return findings.length === 0 && deadLetters === 0;
}

const RECOVERY =
  'Recovery: from the moment the fault was over (server or bridge answers again, last cut, room on the disk) until both' +
  ' connectors took all that was recorded by then. After an outage most of it is the wait for the next try (default retry).';
const WINDOWS =
  'The receiver (client side, from the moment a callback was due to its OK) and Kafka while Elasticsearch is away,' +
  ' against as long before it:';

async function main(): Promise<number> {
  const missing = await missingPrerequisite();
  if (missing !== undefined) {
    print(`Kafka and Elasticsearch cannot be started: ${missing}`);
    return 2;
  }
  if (values.cluster) return runCluster(Number(values.rounds ?? 60), Number(values.rate), print);
  print(`seed ${seed}, ${values.rate} callbacks a second`);
  const servers = await startFaultyServers(print);
  try {
    const testbed = await createTestbed(servers, {
      load: { rate: Number(values.rate), groups: 320, connections: 8 },
      // Pruning goes on beside the faults.
      journal: { keepDelivered: '30s' },
      connector: { requestTimeoutMs: 10_000 },
    });
    try {
      const { rounds, verdict } = await runRounds(testbed, createRandom(seed));
      const verdicts = [verdict, ...rounds.flatMap((round) => round.verdict ?? [])];
      const findings = verdicts.flatMap((one) => one.findings);
      const deadLetters = verdicts.reduce((sum, one) => sum + one.deadLetters, 0);
      print(`\n${closingTable(rounds, verdict)}`);
      print(RECOVERY);
      const windows = windowTable(rounds);
      if (windows !== undefined) print(`\n${WINDOWS}\n${windows}`);
      const disorder = findings.filter(({ kind }) => kind === 'out of order').length;
      const withoutOk = verdicts.reduce((sum, one) => sum + one.deliveredWithoutOk, 0);
      print(`\nout of order ${disorder}, dead letters ${deadLetters}, delivered though never answered OK ${withoutOk}`);
      for (const error of testbed.bridge.errors()) print(`the bridge logged an error: ${error}`);
      for (const line of namedFindings(findings, rounds)) print(line);
      return verdicts.every(isClean) ? 0 : 1;
    } finally {
      await testbed.close();
    }
  } finally {
    await servers.stop();
  }
}

// A client that saw its broker die may leave a timer, which would keep the process.
process.exit(await main());
