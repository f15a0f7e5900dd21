import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Command, Order, Owner, Report } from './watchdog.ts';

/** Options for starting a server. */
export interface ServerOptions {
  readonly onProgress?: (line: string) => void;
  /** More lines for server.properties or elasticsearch.yml; they win over ours. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Where it is reached by clients and by its like; free ones when left out. */
  readonly ports?: readonly [clients: number, peers: number];
  /** Megabytes of heap, instead of what one server alone gets. */
  readonly heapMb?: number;
  /** It is measured, and must be as quick as it can. */
  readonly lasts?: boolean;
}

/** Control over one running server. */
export interface ServerHandle {
  /** The server's own process, the Java one. */
  readonly pid: number;
  /** The folder of its data, configuration and log, until it is stopped. */
  readonly folder: string;
  /** SIGKILL; resolves when the process is gone. Data and port are kept. */
  kill(): Promise<void>;
  /** Starts again on the same data and port, ending it first if it runs; resolves when it answers. */
  restart(): Promise<void>;
  /** SIGSTOP: the process hangs, but its sockets stay open. */
  suspend(): void;
  /** SIGCONT: goes on after suspend. */
  resume(): void;
  /** Stops for good (SIGTERM, then SIGKILL) and removes the folder. Idempotent. */
  stop(): Promise<void>;
}

/** The parts of a kind of server that startServer needs. */
export interface ServerDefinition {
  readonly name: string;
  /** The user its folder belongs to; ours when left out. */
  readonly owner?: Owner | undefined;
  /** The parent of its folder; the system's temporary folder when left out. */
  readonly within?: string;
  /** Once, before the first start; returns the server's command. */
  prepare(folder: string, runToEnd: (command: Command) => Promise<void>): Promise<Command>;
  /** Asked until it is true; a rejection counts as no. */
  answers(folder: string): Promise<boolean>;
}

const startWithinMs = 90_000;
const termWithinMs = 10_000;

/** Starts a server in a new temporary folder; resolves when it answers. On failure nothing is left running or lying about. */
export async function startServer(
  definition: ServerDefinition,
  onProgress: (line: string) => void = () => {},
): Promise<ServerHandle> {
  const server = new WatchedServer(definition, onProgress);
  try {
    await server.open();
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}

class WatchedServer implements ServerHandle {
  readonly #definition: ServerDefinition;
  readonly #onProgress: (line: string) => void;
  readonly #watchdog: ChildProcess;
  readonly #reports: Report[] = [];
  #folder = '';
  #pid = 0;
  #command: Command | undefined;
  #stopping: Promise<void> | undefined;

  constructor(definition: ServerDefinition, onProgress: (line: string) => void) {
    this.#definition = definition;
    this.#onProgress = onProgress;
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.#watchdog = spawn(process.execPath, [fileURLToPath(new URL('watchdog.ts', import.meta.url))], {
      // A session of its own: a terminal's Ctrl-C must not end it before it has cleaned up.
      detached: true,
      env,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#watchdog.on('message', (report: Report) => this.#reports.push(report));
    this.#watchdog.on('error', (error) => this.#reports.push({ kind: 'refused', reason: error.message }));
    // A server that nobody stopped must not keep its parent from ending; the watchdog cleans up then.
    this.#watchdog.unref();
    this.#watchdog.channel?.unref();
  }

  get pid(): number {
    return this.#pid;
  }

  get folder(): string {
    return this.#folder;
  }

  async open(): Promise<void> {
    const { name, owner, within, prepare } = this.#definition;
    const prefix = join(within ?? tmpdir(), `group-sync-bridge-${name.toLowerCase()}-`);
    this.#tell({ kind: 'open', prefix, owner });
    this.#folder = (await this.#next('opened')).folder;
    this.#command = await prepare(this.#folder, (command) => this.#runToEnd(command));
    await this.#start(this.#command);
  }

  async kill(): Promise<void> {
    this.#signal('SIGKILL');
    await this.#exited();
  }

  async restart(): Promise<void> {
    if (this.#stopping || !this.#command) throw new Error(`${this.#definition.name} was stopped for good`);
    await this.#terminate();
    await this.#start(this.#command);
  }

  suspend(): void {
    if (!this.#signal('SIGSTOP')) throw new Error(`${this.#definition.name} is not running`);
  }

  resume(): void {
    if (!this.#signal('SIGCONT')) throw new Error(`${this.#definition.name} is not running`);
  }

  stop(): Promise<void> {
    // Its failures change nothing: close kills what is left.
    this.#stopping ??= this.#terminate()
      .catch(() => {})
      .then(() => this.close());
    return this.#stopping;
  }

  /** Ends the watchdog, and with it whatever still runs. */
  async close(): Promise<void> {
    if (this.#watchdogIsGone()) {
      this.#signal('SIGKILL');
      if (this.#folder) await rm(this.#folder, { recursive: true, force: true, maxRetries: 10 });
      return;
    }
    const gone = once(this.#watchdog, 'exit', { signal: AbortSignal.timeout(30_000) });
    // Referenced for the wait: nothing else may be keeping this process alive.
    this.#watchdog.ref();
    this.#tell({ kind: 'end' });
    await gone;
  }

  async #start(command: Command): Promise<void> {
    const { name, answers } = this.#definition;
    const begun = performance.now();
    const launched = await this.#run(command);
    while (!(await answers(this.#folder).catch(() => false))) {
      const exit = this.#exit();
      if (exit) throw await this.#failure(`ended while starting (${exit.signal ?? `exit code ${exit.code}`})`);
      if (performance.now() - begun > startWithinMs) {
        throw await this.#failure(`does not answer ${startWithinMs / 1000} s after its start`);
      }
      await sleep(50);
    }
    this.#pid = command.pidFile === undefined ? launched : Number(await readFile(command.pidFile, 'utf8'));
    this.#onProgress(`${name} answers after ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  }

  async #runToEnd(command: Command): Promise<void> {
    await this.#run(command);
    await this.#exited();
    const exit = this.#exit();
    if (exit?.code !== 0)
      throw await this.#failure(`could not be prepared (${exit?.signal ?? `exit code ${exit?.code}`})`);
  }

  async #run(command: Command): Promise<number> {
    this.#reports.length = 0;
    this.#pid = 0;
    this.#tell({ kind: 'run', command });
    this.#pid = (await this.#next('running')).pid;
    return this.#pid;
  }

  async #terminate(): Promise<void> {
    this.#signal('SIGTERM');
    // A suspended process takes the SIGTERM only when it goes on.
    this.#signal('SIGCONT');
    await this.#exited(termWithinMs).catch(() => this.kill());
  }

  #signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): boolean {
    // By then the number may belong to another process.
    if (this.#pid === 0 || this.#exit()) return false;
    try {
      return process.kill(this.#pid, name);
    } catch {
      return false;
    }
  }

  #tell(order: Order): void {
    if (this.#watchdog.connected) this.#watchdog.send(order);
  }

  #exit(): Extract<Report, { kind: 'exited' }> | undefined {
    return this.#reports.find((report) => report.kind === 'exited');
  }

  async #exited(ms = 30_000): Promise<void> {
    if (this.#pid !== 0) await this.#next('exited', ms);
  }

  async #next<K extends Report['kind']>(kind: K, ms = 30_000): Promise<Extract<Report, { kind: K }>> {
    const deadline = performance.now() + ms;
    for (;;) {
      for (const report of this.#reports) {
        if (report.kind === kind) return report as Extract<Report, { kind: K }>;
        if (report.kind === 'refused') throw await this.#failure(`cannot be run: ${report.reason}`);
      }
      if (this.#watchdogIsGone()) throw await this.#failure('lost its watchdog process');
      if (performance.now() > deadline) throw await this.#failure(`not ${kind} within ${ms / 1000} s`);
      await sleep(10);
    }
  }

  #watchdogIsGone(): boolean {
    const { pid, exitCode, signalCode } = this.#watchdog;
    return pid === undefined || exitCode !== null || signalCode !== null;
  }

  async #failure(what: string): Promise<Error> {
    const log = this.#command?.log ?? logFile(this.#folder);
    const lines = (await readFile(log, 'utf8').catch(() => '')).trimEnd().split('\n');
    // Without the stack frames, which would leave no room for what was said before them.
    const tail = lines
      .filter((line) => !/^\s+at /.test(line))
      .slice(-40)
      .join('\n');
    return new Error(`${this.#definition.name} ${what}${tail ? `\n--- end of its log ---\n${tail}` : ''}`);
  }
}

/** Returns the file of a server's output. */
export function logFile(folder: string): string {
  return join(folder, 'server.log');
}
