/**
 * `npm run test:hostile [-- --minutes 10] [--rate 200] [--only amplifying,looking]`: the worst of what is known at once, by a process of its own on
 * loopback, while honest callbacks come; see attackers.ts. It ends with 1 where one of those was answered after 2 s or not
 * OK, is missing in a copy, or where memory grows.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startFaultyServers } from '../faults/servers.ts';
import { createTestbed } from '../faults/testbed.ts';
import { waitUntil } from '../faults/wait.ts';
import { freePort, missingPrerequisite } from '../servers/index.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    rate: { type: 'string', default: '200' },
    only: { type: 'string', default: '' },
  },
});
const minutes = Number(values.minutes);

/** The service gives up after this. */
const PATIENCE_MS = 2_000;
/** What the process may take in all, and what its memory may grow by between the second and the last third. */
const MOST_MB = 500;
const MOST_GROWTH_MB = 64;

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const residentMb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

const latencies = (samples: readonly number[]): string => {
  const sorted = samples.toSorted((a, b) => a - b);
  const [p50, p99, p999, most] = [0.5, 0.99, 0.999, 1].map((share) => `${percentile(sorted, share).toFixed(1)} ms`);
  return `${sorted.length} OK, p50 ${p50}, p99 ${p99}, p99.9 ${p999}, the slowest ${most}`;
};

async function main(): Promise<number> {
  const missing = await missingPrerequisite();
  if (missing !== undefined) {
    print(`Kafka and Elasticsearch cannot be started: ${missing}`);
    return 2;
  }
  const servers = await startFaultyServers(print);
  try {
    const handlerPort = await freePort();
    const testbed = await createTestbed(servers, {
      load: { rate: Number(values.rate), groups: 320, connections: 8 },
      // Small, so that strangers fill their share of it; and nothing holds them back by address.
      journal: { maxBytes: '128MiB', keepDelivered: '5s' },
      receiver: {
        rateLimit: false,
        otherCommands: { forwardTo: `http://127.0.0.1:${handlerPort}`, timeoutMs: 1_500 },
      },
      withOthers: true,
    });
    const { bridge, load } = testbed;
    try {
      await waitUntil(() => load.ledger.answeredOk > 2_000, 'the honest callbacks are under way');
      const calm = load.measure();
      await delay(20_000);
      print(`before: ${latencies(calm())}, ${residentMb(bridge.pid).toFixed(0)} MB resident`);
      load.failures();

      const program = fileURLToPath(new URL('attackers.ts', import.meta.url));
      const attackers = spawn(
        process.execPath,
        [program, bridge.receiverUrl, bridge.adminUrl, String(handlerPort), values.only],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      process.once('exit', () => attackers.kill('SIGKILL'));
      let counted = '';
      attackers.stdout.setEncoding('utf8').on('data', (text: string) => {
        counted += text;
      });
      const ended = once(attackers, 'exit');
      const measured = load.measure();
      const memory: number[] = [];
      const end = performance.now() + minutes * 60_000;
      for (let told = performance.now(); performance.now() < end; ) {
        await delay(1_000);
        if (attackers.exitCode !== null) throw new Error('the attackers ended by themselves');
        memory.push(residentMb(bridge.pid));
        if (performance.now() - told < 60_000) continue;
        told = performance.now();
        print(`${memory.length} s: ${load.ledger.answeredOk} OK, ${memory.at(-1)?.toFixed(0)} MB resident`);
      }
      const samples = measured();
      const failures = load.failures();
      attackers.kill('SIGTERM');
      await ended;

      const late = samples.filter((ms) => ms > PATIENCE_MS).length;
      const third = Math.floor(memory.length / 3);
      const mostOf = (part: readonly number[]): number => Math.max(...part);
      const [second, last] = [mostOf(memory.slice(third, 2 * third)), mostOf(memory.slice(2 * third))];
      print(`during: ${latencies(samples)}; after 2 s ${late}; not OK ${JSON.stringify(Object.fromEntries(failures))}`);
      print(
        `memory: at most ${mostOf(memory).toFixed(0)} MB; second third ${second.toFixed(0)}, last ${last.toFixed(0)} MB`,
      );
      print(`the attackers: ${counted}`);
      print('comparing both copies with the list of OK answers');
      const verdict = await testbed.verify();
      print(
        `copies: ${verdict.answeredOk} answered OK, ${verdict.findings.length} findings, ${verdict.deadLetters} dead letters`,
      );
      for (const finding of verdict.findings.slice(0, 10)) print(JSON.stringify(finding));
      for (const error of bridge.errors()) print(`the bridge logged an error: ${error}`);
      const isWell = late === 0 && failures.size === 0 && mostOf(memory) < MOST_MB && last - second < MOST_GROWTH_MB;
      return isWell && verdict.findings.length === 0 ? 0 : 1;
    } finally {
      await testbed.close();
    }
  } finally {
    await servers.stop();
  }
}

process.exit(await main());
