/** Acts the newcomer: clones this checkout, and runs what README.md says in its order, on the machine's own Node and without Java. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runProgram } from '../support/program.ts';
import { blocksOf } from './documents.ts';

const FIRST_EVENT_S = 60;
const PATIENCE_MS = 600_000;

const folder = mkdtempSync(join(tmpdir(), 'newcomer-'));
const clone = join(folder, 'group-sync-bridge');
const env = environment();
const blocks = blocksOf('README.md');
const start = performance.now();
const seconds = (): string => ((performance.now() - start) / 1_000).toFixed(1);
let bridge: ChildProcess | undefined;
try {
  await runs('git', ['clone', '--quiet', '--no-hardlinks', '.', clone]);
  bridge = spawn('bash', ['--norc', '-c', next('sh', 'npm ci && npm start')], { cwd: clone, env, detached: true });
  const said = heard(bridge);
  const banner = next('text', 'callbacks');
  await until(
    () => said().includes(banner),
    () => `no banner as printed:\n${said()}`,
  );
  expect(!/EBADENGINE|npm warn/i.test(said()), `npm complains:\n${said()}`);
  console.log(`${seconds()} s: npm ci && npm start printed what README.md shows`);

  const curl = next('sh', 'curl');
  const answer = next('json', 'ActionStatus');
  const event = JSON.parse(next('json', 'specversion')) as { id: string };
  expect((await sh(curl)).stdout.trim() === answer.trim(), 'curl is answered otherwise');
  const file = join(clone, 'data/events.ndjson');
  const written = (): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');
  await until(
    () => written().includes(event.id),
    () => `the event is not in ${file}`,
  );
  const [wall, cpu] = [Number(seconds()), cpuSeconds(bridge.pid ?? 0)];
  console.log(`${wall} s: the first event (${cpu.toFixed(1)} s of processor time)`);
  // Where others use the machine, only the time that was had counts.
  const isBusy = Number(loadavg()[0]) > availableParallelism() + 1;
  expect((isBusy ? cpu : wall) < FIRST_EVENT_S, `it took longer than ${FIRST_EVENT_S} s`);

  expect((await (await fetch('http://127.0.0.1:8081/')).text()).includes('<html'), 'there is no console');
  const began = performance.now();
  expect((await sh(next('sh', 'demo'))).code === 0, 'the demo failed');
  console.log(`${seconds()} s: the demo took ${((performance.now() - began) / 1_000).toFixed(1)} s`);
  const [line = ''] = /^npm run -s bridge -- status.*(?=#)/m.exec(next('sh', 'status')) ?? [];
  const hasJq = (await runProgram('jq', ['--version'])).code === 0;
  const piped = await sh(hasJq ? line : line.replace(/jq .*/, `node -e 'JSON.parse(fs.readFileSync(0))'`));
  expect(line !== '' && piped.code === 0, `what status prints is not JSON: ${piped.stderr}`);
  expect(!existsSync(join(folder, 'java-was-called')), 'Java or Maven was called');
  console.log(`${seconds()} s: done`);
} finally {
  // npm is not alone: its whole group is ended.
  if (bridge?.pid !== undefined && bridge.exitCode === null) {
    process.kill(-bridge.pid, 'SIGINT');
    await once(bridge, 'exit');
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}

/** A newcomer's environment: not the Node of this checkout, and a Java and a Maven that tell when they are called. */
function environment(): Record<string, string> {
  const fakes = join(folder, 'bin');
  mkdirSync(fakes);
  for (const name of ['java', 'mvn']) {
    writeFileSync(join(fakes, name), `#!/bin/sh\ntouch '${join(folder, 'java-was-called')}'\nexit 1\n`);
    chmodSync(join(fakes, name), 0o755);
  }
  const own = resolve('node_modules');
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((one) => !one.startsWith(own) && !one.includes('node-gyp-bin'));
  const rest = Object.entries(process.env).filter(
    ([name]) => !/^npm_|^KAFKA_|^ELASTICSEARCH_|^SDK_|^PORT$/i.test(name),
  );
  return {
    ...(Object.fromEntries(rest) as Record<string, string>),
    PATH: [fakes, ...path].join(delimiter),
    NO_COLOR: '1',
    npm_config_prefer_offline: 'true',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
  };
}

function next(language: string, words: string): string {
  const index = blocks.findIndex((block) => block.language === language && block.text.includes(words));
  const [found] = index < 0 ? [] : blocks.splice(0, index + 1).slice(-1);
  expect(found !== undefined, `README.md has no further ${language} block with ${words}`);
  return found?.text ?? '';
}

async function runs(file: string, args: readonly string[]): Promise<void> {
  const { code, stderr } = await runProgram(file, args);
  expect(code === 0, `${file} failed: ${stderr}`);
}

function sh(commands: string) {
  return runProgram('bash', ['--norc', '-euo', 'pipefail', '-c', commands], { cwd: clone, env });
}

function heard({ stdout, stderr }: ChildProcess): () => string {
  let text = '';
  for (const stream of [stdout, stderr]) {
    stream?.on('data', (chunk) => {
      text += chunk;
    });
  }
  return () => text;
}

async function until(isSo: () => boolean, otherwise: () => string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    expect(performance.now() < end && bridge?.exitCode === null, otherwise());
    await delay(50);
  }
}

function expect(isSo: boolean, otherwise: string): void {
  if (!isSo) throw new Error(otherwise);
}

/** Returns the processor time of a process and all that it started, on Linux; NaN elsewhere. */
function cpuSeconds(root: number): number {
  const stats = globSync('/proc/[0-9]*/stat').flatMap((file) => {
    try {
      const [, pid = '', rest = ''] = /^(\d+) \(.*\) (.*)$/s.exec(readFileSync(file, 'utf8')) ?? [];
      const fields = rest.split(' ').map(Number);
      // Those of children that have ended count with their parent.
      const ticks = fields.slice(11, 15).reduce((sum, one) => sum + one, 0);
      return [{ pid: Number(pid), parent: fields[1] ?? 0, ticks }];
    } catch {
      return [];
    }
  });
  const under = (pid: number): number =>
    stats.reduce((sum, one) => sum + (one.pid === pid ? one.ticks : one.parent === pid ? under(one.pid) : 0), 0);
  return stats.length === 0 ? Number.NaN : under(root) / 100;
}
