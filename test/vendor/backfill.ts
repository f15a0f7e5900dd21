/**
 * `npm run test:backfill [-- --groups 100000]`: how fast a first reconcile reads groups, with the service's limits kept, with
 * them lifted, and through a service that answers 5 % of the calls with codes that pass. The service is the stand-in in a process of its own; the copy is a file.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { bridgeHome, runCommand } from '../support/bridge.process.ts';
import { IDENTIFIER, SECRET_KEY } from './stand-in.ts';

const { values } = parseArgs({ options: { groups: { type: 'string', default: '100000' } } });
const groups = Number(values.groups);

async function measure(name: string, limits: { list: number; groups: number }, transient = 0): Promise<void> {
  const worker = new Worker(new URL('./stand-in.worker.ts', import.meta.url), {
    workerData: { groups, limits, transient },
  });
  const baseUrl = await new Promise<string>((resolve) => worker.once('message', resolve));
  const api = { baseUrl, identifier: IDENTIFIER, secretKey: SECRET_KEY, callsPerSecond: limits };
  const home = bridgeHome((folder) => ({ file: { kind: 'file', path: join(folder, 'events.ndjson') } }), {
    reconcile: { api },
  });
  const { code, stdout, stderr } = await runCommand(['reconcile', '--config', home.configFile, '--json']);
  home.remove();
  await worker.terminate();
  if (code !== 0) throw new Error(stdout + stderr);
  const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
    startedAt: number;
    endedAt: number;
    counts: { read: number; mended: number; failed: number };
  };
  if (report.counts.read !== groups) throw new Error(`${report.counts.read} of ${groups} groups read`);
  const seconds = (report.endedAt - report.startedAt) / 1_000;
  console.log(
    `${name}: ${report.counts.read} groups read and ${report.counts.mended} recorded in ${seconds.toFixed(1)} s, ` +
      `${Math.round(report.counts.read / seconds)}/s`,
  );
}

await measure('the service’s limits (1 list and 200 calls a second)', { list: 1, groups: 200 });
await measure('limits lifted', { list: 100_000, groups: 100_000 });
await measure('5 % of the calls fail and pass', { list: 100_000, groups: 100_000 }, 0.05);
