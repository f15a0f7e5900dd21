/**
 * `npm run test:backlog -- [--events 1000000]`
 *
 * Both servers are killed, callbacks pile up in the journal, the servers come back and the backlog drains: a bridge at work
 * may take more memory than one that rests, but no more of it the longer the backlog grows, and every callback must arrive.
 * Ends with 1 otherwise.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { missingPrerequisite } from '../servers/index.ts';
import { namedFindings } from './report.ts';
import { seconds } from './rounds.ts';
import { type FaultyServers, startFaultyServers } from './servers.ts';
import { createTestbed, isInStep, type Testbed } from './testbed.ts';
import { waitUntil } from './wait.ts';

const { values } = parseArgs({ options: { events: { type: 'string', default: '1000000' } } });
const EVENTS = Number(values.events);
const WARM_UP_EVENTS = 5_000;
/** Over what it has after the warm-up: V8 lets the heaps of both threads grow to twice what is in use. */
const MOST_GROWTH_MB = 256;
/** While the second half of the backlog builds up, over the first: what grows with it would show here. */
const MOST_MORE_MB = 32;
const SAMPLE_MS = 250;
const PROGRESS_MS = 10_000;
const DRAIN_WITHIN_MS = 60 * 60_000;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));

/** Resident memory of a process, in MB. */
function residentMb(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) / 1024;
}

/** Samples the bridge's memory while `work` goes on; resolves with the highest. */
async function highestWhile(pid: number, work: Promise<unknown>, progress: () => Promise<string>): Promise<number> {
  let over = false;
  const watched = work.finally(() => {
    over = true;
  });
  watched.catch(() => {});
  let highest = 0;
  let shown = performance.now();
  while (!over) {
    highest = Math.max(highest, residentMb(pid));
    if (performance.now() - shown > PROGRESS_MS) {
      shown = performance.now();
      print(`  ${await progress()}, ${residentMb(pid).toFixed(0)} MB`);
    }
    await delay(SAMPLE_MS);
  }
  await watched;
  return highest;
}

async function measure(servers: FaultyServers, testbed: Testbed): Promise<number> {
  const { bridge, load } = testbed;
  const { ledger } = load;
  await waitUntil(() => ledger.answeredOk >= WARM_UP_EVENTS, 'the load is under way');
  await load.pause();
  await waitUntil(async () => isInStep(await bridge.metrics()), 'both connectors are in step');
  const start = residentMb(bridge.pid);
  print(`${ledger.answeredOk} callbacks delivered: ${start.toFixed(0)} MB`);

  await Promise.all([servers.kafka.kill(), servers.elasticsearch.kill()]);
  const wanted = ledger.answeredOk + EVENTS;
  load.resume();
  const buildUpAt = performance.now();
  const buildUpTo = (count: number): Promise<number> =>
    highestWhile(
      bridge.pid,
      waitUntil(() => ledger.answeredOk >= count, 'the backlog is there', DRAIN_WITHIN_MS),
      async () => `${ledger.answeredOk} answered OK`,
    );
  const firstHalf = await buildUpTo(wanted - EVENTS / 2);
  const secondHalf = await buildUpTo(wanted);
  await load.pause();
  const buildUpMs = performance.now() - buildUpAt;
  print(`${EVENTS} callbacks answered OK in ${seconds(buildUpMs)} without either server`);

  await Promise.all([servers.kafka.restart(), servers.elasticsearch.restart()]);
  const drainAt = performance.now();
  const whileDraining = await highestWhile(
    bridge.pid,
    waitUntil(async () => isInStep(await bridge.metrics()), 'both connectors are in step', DRAIN_WITHIN_MS, 250),
    async () => {
      const { head, cursors } = await bridge.metrics();
      return [...cursors].map(([connector, cursor]) => `${connector} lags ${head - cursor}`).join(', ');
    },
  );
  const drainMs = performance.now() - drainAt;
  const end = residentMb(bridge.pid);
  const verdict = await testbed.verify();
  await load.pause();

  const growth = Math.max(firstHalf, secondHalf, whileDraining) - start;
  const more = secondHalf - firstHalf;
  const rate = (ms: number): string => `${seconds(ms)}, ${Math.round((EVENTS * 1_000) / ms)}/s`;
  print(`\nbacklog of ${EVENTS} events: built up in ${rate(buildUpMs)}, drained in ${rate(drainMs)}`);
  print('resident memory of the bridge');
  print(`  at the start               ${start.toFixed(0)} MB`);
  print(`  at most, first half of it  ${firstHalf.toFixed(0)} MB`);
  print(`  second half                ${secondHalf.toFixed(0)} MB (at most ${MOST_MORE_MB} more allowed)`);
  print(`  at most while draining     ${whileDraining.toFixed(0)} MB`);
  print(`  at the end                 ${end.toFixed(0)} MB`);
  print(`  growth                     ${growth.toFixed(0)} MB (at most ${MOST_GROWTH_MB} allowed)`);
  const lost = verdict.findings.filter(({ kind }) => kind.startsWith('missing')).length;
  print(
    `answered OK ${verdict.answeredOk}, lost ${lost}, duplicated in Kafka ${verdict.duplicates}, ` +
      `other findings ${verdict.findings.length - lost}, dead letters ${verdict.deadLetters}`,
  );
  for (const line of namedFindings(verdict.findings, [])) print(line);
  return growth <= MOST_GROWTH_MB && more <= MOST_MORE_MB && verdict.findings.length === 0 && verdict.deadLetters === 0
    ? 0
    : 1;
}

async function main(): Promise<number> {
  const missing = await missingPrerequisite();
  if (missing !== undefined) {
    print(`Kafka and Elasticsearch cannot be started: ${missing}`);
    return 2;
  }
  const servers = await startFaultyServers(print);
  try {
    const testbed = await createTestbed(servers, {
      load: { rate: Number.POSITIVE_INFINITY, groups: 1_000, connections: 64 },
    });
    try {
      return await measure(servers, testbed);
    } finally {
      await testbed.close();
    }
  } finally {
    await servers.stop();
  }
}

// A client that saw its broker die may leave a timer, which would keep the process.
process.exit(await main());
