/** The bridge as a child process, started in the way of a user: its end by a signal can be tested in no other way. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { SDK_APP_ID } from './callbacks.ts';

export interface BridgeHome {
  readonly folder: string;
  readonly configFile: string;
  remove(): void;
}

/** Makes a folder with a configuration on free ports and a journal of its own. */
export function bridgeHome(
  connectors: (folder: string) => Record<string, unknown>,
  more: Record<string, Record<string, unknown>> = {},
): BridgeHome {
  const folder = mkdtempSync(join(tmpdir(), 'bridge-'));
  const configFile = join(folder, 'bridge.yaml');
  const config = {
    app: { sdkAppId: SDK_APP_ID },
    receiver: { host: '127.0.0.1', port: 0 },
    admin: { port: 0 },
    connectors: connectors(folder),
    ...more,
    journal: { ...more.journal, file: join(folder, 'journal.db') },
  };
  writeFileSync(configFile, stringify(config));
  return { folder, configFile, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export interface BridgeProcess {
  readonly child: ChildProcess;
  readonly url: string;
  readonly adminUrl: string;
  /** Everything it printed so far. */
  stdout(): string;
  stderr(): string;
  post(callback: { search: string; body: string | Buffer<ArrayBuffer> }): Promise<{ status: number; text: string }>;
  /** Sends the signal and resolves with the exit code (null when the signal killed it). */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** Runs a command of the command line to its end. */
export async function runCommand(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['src/cli.ts', ...args], { env: { ...process.env, NO_COLOR: '1', ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** Resolves once the bridge says where it listens. To be called within a test, at whose end it is killed. */
export function startBridgeProcess(
  home: BridgeHome,
  env: Readonly<Record<string, string>> = {},
  nodeOptions: readonly string[] = [],
): Promise<BridgeProcess> {
  return spawnBridge(home, (child) => onTestFinished(() => void child.kill('SIGKILL')), env, nodeOptions);
}

/** The environment of a process whose clock is so far off. */
export function withClock(shiftMs: number): Record<string, string> {
  return { NODE_OPTIONS: `--import "data:text/javascript,const now=Date.now;Date.now=()=>now()+(${shiftMs})"` };
}

/** Another program than that of this checkout. */
export interface Installed {
  readonly program?: readonly [file: string, ...args: string[]];
  readonly cwd?: string;
}

/** Does the same outside of a test: the caller ends it. */
export async function spawnBridge(
  { configFile }: BridgeHome,
  spawned: (child: ChildProcess) => void = () => {},
  env: Readonly<Record<string, string>> = {},
  nodeOptions: readonly string[] = [],
  { program, cwd = process.cwd() }: Installed = {},
): Promise<BridgeProcess> {
  const [file, ...before] = program ?? [process.execPath, ...nodeOptions, 'src/cli.ts'];
  const child = spawn(file, [...before, 'start', '--config', configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd,
    env: { ...process.env, NO_COLOR: '1', ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  spawned(child);
  const ended = once(child, 'exit') as Promise<[number | null]>;
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
      if (stdout.includes('  try ')) resolve();
    });
    ended.then(([code]) => reject(new Error(`the bridge ended with ${code}: ${stdout}${stderr}`)));
  });
  const url = /callbacks +(\S+)/.exec(stdout)?.[1] ?? '';
  const adminUrl = /(?:console|admin) +(http:\/\/[^/\s]+)/.exec(stdout)?.[1] ?? '';
  return {
    child,
    url,
    adminUrl,
    stdout: () => stdout,
    stderr: () => stderr,
    async post({ search, body }) {
      const response = await fetch(`${url}?${search}`, { method: 'POST', body });
      return { status: response.status, text: await response.text() };
    },
    async end(signal) {
      child.kill(signal);
      return (await ended)[0];
    },
  };
}

/** Resolves once every connector has a lag of 0, and has no dead letters. */
export async function inStep({ adminUrl }: BridgeProcess, timeout = 60_000): Promise<void> {
  const differing = async (): Promise<unknown[]> => {
    const { connectors } = (await (await fetch(`${adminUrl}/api/status`)).json()) as {
      connectors: { name: string; lag: number; deadLetters: number }[];
    };
    return connectors.filter(({ lag, deadLetters }) => lag !== 0 || deadLetters !== 0);
  };
  await expect.poll(differing, { timeout, interval: 100 }).toEqual([]);
}
