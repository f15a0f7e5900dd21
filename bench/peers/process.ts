import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, extname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createRequestBuffer } from '../load/callbacks.ts';
import type { RunningPeer } from './peer.ts';

const ANSWERS_WITHIN_MS = 90_000;

export interface PeerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly url: string;
  /** The folder that it may write to; removed at the end. */
  readonly folder: string;
}

/** A folder that is gone when the run is. */
export function peerFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `bench-${name}-`));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a peer in its folder; resolves once it answers a callback with 2xx. However this process ends, it is ended, too. */
export async function startPeer({ command, args, env, url, folder }: PeerCommand): Promise<RunningPeer> {
  const child = spawn(command, [...args], {
    cwd: folder,
    env: { ...process.env, ...env },
    // A group of its own: Ctrl-C is for this process, which ends the peer when it is done.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output = (output + chunk).slice(-8_000);
    });
  }
  const { pid = 0 } = child;
  const kill = (): void => {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  };
  process.on('exit', kill);
  const exited = once(child, 'exit');
  exited.catch(() => {});
  const close = async (): Promise<void> => {
    kill();
    if (child.exitCode === null && child.signalCode === null) await exited;
    process.off('exit', kill);
    rmSync(folder, { recursive: true, force: true });
  };
  const end = performance.now() + ANSWERS_WITHIN_MS;
  while (!(await answersCallback(url))) {
    if (child.exitCode !== null || performance.now() > end) {
      await close();
      throw new Error(`${command} does not answer\n${output}`);
    }
    await delay(200);
  }
  return { url, pid, close };
}

async function answersCallback(url: string): Promise<boolean> {
  const now = Date.now();
  const request = createRequestBuffer(new URL(url), 'probe')
    .next(0, 0, now * 1_000, now)
    .toString();
  const [head = '', body = ''] = request.split('\r\n\r\n');
  try {
    const target = new URL(/^POST (\S+)/.exec(head)?.[1] ?? '', url);
    const response = await fetch(target, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal: AbortSignal.timeout(5_000),
    });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

/** Runs `setup.sh` of a peer's folder, once and again when anything in it has changed. */
export function setUp(folder: string, print: (line: string) => void): void {
  const done = modified(join(folder, '.installed', 'done'));
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (path) => !path.startsWith('.installed') && !path.endsWith('peer.ts') && extname(path) !== '',
  );
  if (sources.every((path) => modified(join(folder, path)) <= done)) return;
  print(`  setting it up with ${join(folder, 'setup.sh')}`);
  execFileSync('sh', [join(folder, 'setup.sh')], { stdio: ['ignore', 'ignore', 'inherit'] });
}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

export function onPath(name: string): string | undefined {
  const files = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name));
  return files.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
