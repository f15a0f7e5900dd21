/** `npm run test:fuzz [-- --count 100000 --seed 1]`: odd requests against a bridge of its own, on loopback. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { progress } from '../../src/cli/terminal.ts';
import { bridgeHome, spawnBridge } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';
import { CORPUS } from './corpus.ts';
import { fuzzRequest } from './requests.ts';
import {
  complaintAboutLog,
  complaintAboutSmuggling,
  exchange,
  judge,
  judgeCorpus,
  recordedGroups,
  residentMiB,
} from './session.ts';

const { values } = parseArgs({
  options: { count: { type: 'string', default: '100000' }, seed: { type: 'string' }, replay: { type: 'string' } },
});
/** With --replay only those bytes are sent, and what comes back is shown. */
const count = values.replay === undefined ? Number(values.count) : 0;
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const CONCURRENCY = 32;
const BATCH = 1_000;
/** The growth of memory that is allowed between the first third and the end. */
const MOST_GROWTH_MIB = 40;
/** The service gives up after 2 s; a callback of its own is sent with each batch. */
const PATIENCE_MS = 2_000;

const home = bridgeHome((folder) => ({ file: { kind: 'file', path: join(folder, 'events.ndjson') } }));
const bridge = await spawnBridge(home);
process.once('exit', () => bridge.child.kill('SIGKILL'));
process.once('SIGINT', () => process.exit(1));
const port = Number(new URL(bridge.url).port);
const pid = bridge.child.pid ?? 0;
const complaints: string[] = [];
const statuses = new Map<string, number>();
let slowest = 0;

for (const entry of CORPUS) {
  const { complaint } = await judgeCorpus(port, entry);
  if (complaint !== undefined) complaints.push(`corpus, ${entry.name}: ${complaint}`);
}

const start = performance.now();
let early = residentMiB(pid);
const bar = await progress('fuzzing', count);
for (let done = 0; done < count && complaints.length < 10; done += BATCH) {
  const requests = fc.sample(fuzzRequest, { numRuns: Math.min(BATCH, count - done), seed: seed + done });
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < requests.length) {
      const request = requests[next++];
      if (request === undefined) return;
      const { answers, complaint } = await judge(port, request);
      for (const { status } of answers) {
        const key = `${status} ${request.kind}`;
        statuses.set(key, (statuses.get(key) ?? 0) + 1);
      }
      if (complaint !== undefined) {
        const file = `fuzz-${seed}-${done + next}.bin`;
        writeFileSync(file, request.bytes);
        complaints.push(
          `${request.kind}: ${complaint}; the bytes are in ${file} (npm run test:fuzz -- --replay ${file})`,
        );
      }
      bar.advance();
    }
  };
  const probe = async (): Promise<void> => {
    const from = performance.now();
    const { status } = await bridge.post({ search: search(), body: body({ GroupId: `@TGS#P${done}` }) });
    slowest = Math.max(slowest, performance.now() - from);
    if (status !== 200) complaints.push(`a callback between the odd requests was answered ${status}`);
  };
  await Promise.all([probe(), ...Array.from({ length: CONCURRENCY }, worker)]);
  if (done < count / 3) early = residentMiB(pid);
}
bar.end();
const late = residentMiB(pid);
const seconds = (performance.now() - start) / 1_000;

if (values.replay !== undefined) {
  console.log((await exchange(port, readFileSync(values.replay))).toString());
}
if (slowest > PATIENCE_MS) complaints.push(`a callback between the odd requests took ${slowest.toFixed(0)} ms`);
if (late - early > MOST_GROWTH_MIB) complaints.push(`memory grew from ${early.toFixed(0)} to ${late.toFixed(0)} MiB`);
if (bridge.child.exitCode !== null) complaints.push(`the bridge ended with ${bridge.child.exitCode}`);
const code = await bridge.end('SIGTERM');
if (code !== 0) complaints.push(`SIGTERM: exit code ${code}`);
const smuggling = complaintAboutSmuggling(recordedGroups(join(home.folder, 'events.ndjson')));
for (const complaint of [smuggling, complaintAboutLog(bridge.stderr())]) if (complaint) complaints.push(complaint);
home.remove();

for (const [key, number] of [...statuses].sort()) console.log(`${String(number).padStart(8)}  ${key}`);
console.log(
  `seed ${seed}: ${count} requests in ${seconds.toFixed(0)} s, ${bridge.stderr().split('\n').length} log lines, memory ` +
    `${early.toFixed(0)} MiB after a third, ${late.toFixed(0)} MiB at the end, slowest callback in between ${slowest.toFixed(0)} ms`,
);
for (const complaint of complaints) console.error(complaint);
process.exitCode = complaints.length > 0 ? 1 : 0;
