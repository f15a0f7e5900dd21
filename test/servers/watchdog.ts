/**
 * A process of its own that stands between the tests and one server: it makes the server's folder, runs the server,
 * and when the tests are gone, however they ended, kills the server and removes the folder.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process to run in the watchdog's care. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** The user to run it as; ours when left out. */
  readonly owner?: Owner | undefined;
  /** The file of its output, written anew at each run. */
  readonly log: string;
  /** The file in which the real server writes its pid, when `file` only launches it. */
  readonly pidFile?: string;
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The messages to the watchdog. */
export type Order =
  | { kind: 'open'; prefix: string; owner?: Owner | undefined }
  | { kind: 'run'; command: Command }
  | { kind: 'end' };

/** The messages of the watchdog. */
export type Report =
  | { kind: 'opened'; folder: string }
  | { kind: 'running'; pid: number }
  | { kind: 'refused'; reason: string }
  | { kind: 'exited'; code: number | null; signal: string | null };

let folder: string | undefined;
let child: ChildProcess | undefined;
let pidFile: string | undefined;
let ending = false;

function report(message: Report): void {
  // The tests may be gone at any moment; `disconnect` says so, the failure to send need not.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}

function open(prefix: string, owner: Owner | undefined): void {
  folder = mkdtempSync(prefix);
  if (owner) chownSync(folder, owner.uid, owner.gid);
  report({ kind: 'opened', folder });
}

function run(command: Command): void {
  const log = openSync(command.log, 'w');
  const started = spawn(command.file, [...command.args], {
    cwd: command.cwd,
    env: { ...command.env },
    ...command.owner,
    // A group of its own, so that a launcher and the server it launched can be killed together.
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child = started;
  pidFile = command.pidFile;
  started.once('spawn', () => report({ kind: 'running', pid: started.pid ?? 0 }));
  started.once('error', (error) => {
    if (started.pid === undefined) child = undefined;
    report({ kind: 'refused', reason: error.message });
  });
  started.once('exit', (code, signal) => {
    child = undefined;
    report({ kind: 'exited', code, signal });
  });
}

function signal(pid: number, name: 'SIGKILL' | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** True when the condition came to hold in time. */
async function within(ms: number, holds: () => boolean): Promise<boolean> {
  const deadline = Date.now() + ms;
  while (!holds()) {
    if (Date.now() > deadline) return false;
    await sleep(20);
  }
  return true;
}

function serverPid(): number | undefined {
  try {
    return pidFile === undefined ? undefined : Number(readFileSync(pidFile, 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}

async function killChild(): Promise<void> {
  const group = child?.pid;
  if (group === undefined) return;
  // The server before its launcher: the launcher then reaps it, where no init process would.
  const server = serverPid();
  if (server !== undefined && signal(server, 'SIGKILL')) await within(2_000, () => child === undefined);
  signal(-group, 'SIGKILL');
  // A process that still writes to the folder would bring files back while it is being removed.
  await within(5_000, () => child === undefined && !signal(-group, 0));
}

async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  await killChild();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  process.exit(0);
}

process.on('message', (order: Order) => {
  if (ending) return;
  try {
    if (order.kind === 'open') open(order.prefix, order.owner);
    else if (order.kind === 'run') run(order.command);
    else void end();
  } catch (error) {
    report({ kind: 'refused', reason: error instanceof Error ? error.message : String(error) });
  }
});
// The other end of the channel closes when the tests' process ends, even by SIGKILL.
process.on('disconnect', () => void end());
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => void end());
if (!process.connected) void end();
