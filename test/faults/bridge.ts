/** The bridge under faults: a child process on fixed ports, killed and started again at any moment, also while it starts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { eventually } from '../servers/readback.ts';

export interface BridgeMetrics {
  /** Events recorded. */
  readonly head: number;
  /** By connector: everything up to here is delivered or stands in its rows. */
  readonly cursors: ReadonlyMap<string, number>;
  readonly deadLetters: number;
  /** Seconds from receipt to delivery since the bridge started, by connector. */
  readonly endToEnd: ReadonlyMap<string, { readonly sum: number; readonly count: number }>;
}

export interface FaultyBridge {
  readonly receiverUrl: string;
  readonly adminUrl: string;
  readonly pid: number;
  readonly running: boolean;
  /** The configuration that the next start takes. */
  configFile: string;
  /** Starts it without waiting for anything. */
  launch(): void;
  /** Resolves when it answers; rejects when it has ended. */
  answering(withinMs?: number): Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM, as on an orderly shutdown; rejects when it does not exit with 0. */
  stop(): Promise<void>;
  metrics(): Promise<BridgeMetrics>;
  /** The distinct messages of level error that it logged. */
  errors(): readonly string[];
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ERROR_LEVEL = 50;

export interface BridgePorts {
  readonly receiver: number;
  readonly admin: number;
}

export function createFaultyBridge(ports: BridgePorts, configFile: string, entry = 'src/cli.ts'): FaultyBridge {
  const receiverUrl = `http://127.0.0.1:${ports.receiver}/callback`;
  const adminUrl = `http://127.0.0.1:${ports.admin}`;
  const errors = new Set<string>();
  let child: ChildProcess | undefined;
  let log: string[] = [];

  const launch = (): void => {
    log = [];
    const launched = spawn(
      process.execPath,
      ['--max-semi-space-size=8', entry, 'start', '--config', bridge.configFile],
      {
        cwd: ROOT,
        stdio: ['ignore', 'ignore', 'pipe'],
        // A group of its own: Ctrl-C is for this process, which ends the bridge when it is done.
        detached: true,
        env: { ...process.env, NO_COLOR: '1' },
      },
    );
    child = launched;
    // However this process ends, the bridge does not outlive it.
    const endIt = (): void => void launched.kill('SIGKILL');
    process.on('exit', endIt);
    launched.once('exit', () => process.off('exit', endIt));
    let rest = '';
    launched.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(line);
    });
  };

  const take = (line: string): void => {
    log.push(line);
    if (log.length > 100) log.shift();
    try {
      const { level, msg } = JSON.parse(line) as { level: number; msg: string };
      if (level >= ERROR_LEVEL) errors.add(msg);
    } catch {
      errors.add(line);
    }
  };

  const ended = (): boolean => child === undefined || child.exitCode !== null || child.signalCode !== null;
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    const ending = child;
    if (ending === undefined || ended()) throw new Error(`the bridge has ended by itself\n${log.join('\n')}`);
    const exit = once(ending, 'exit');
    ending.kill(signal);
    await exit;
    child = undefined;
    return ending.exitCode;
  };

  const bridge: FaultyBridge = {
    receiverUrl,
    adminUrl,
    configFile,
    get pid() {
      return child?.pid ?? 0;
    },
    get running() {
      return !ended();
    },
    launch,
    answering: (withinMs = 60_000) => {
      let over: Error | undefined;
      const answers = eventually(
        async () => {
          if (ended()) {
            over = new Error(`the bridge ended while starting\n${log.join('\n')}`);
            return;
          }
          await (await fetch(`${adminUrl}/healthz`)).arrayBuffer();
        },
        `the bridge answers\n${log.join('\n')}`,
        withinMs,
      );
      return answers.then(() => {
        if (over !== undefined) throw over;
      });
    },
    async kill() {
      await end('SIGKILL');
    },
    async stop() {
      const code = await end('SIGTERM');
      if (code !== 0) throw new Error(`the bridge exited with ${code} on SIGTERM\n${log.join('\n')}`);
    },
    async metrics() {
      const response = await fetch(`${adminUrl}/metrics`, { signal: AbortSignal.timeout(10_000) });
      return readMetrics(await response.text());
    },
    errors: () => [...errors],
  };
  return bridge;
}

/** The numbers of the Prometheus text that the fault tests look at. */
function readMetrics(text: string): BridgeMetrics {
  const byConnector = (name: string): Map<string, number> => {
    const lines = text.matchAll(new RegExp(`^${name}\\{connector="([^"]+)"\\} (\\S+)$`, 'gm'));
    return new Map(Array.from(lines, ([, connector = '', value]) => [connector, Number(value)]));
  };
  const head = Number(/^bridge_journal_events (\S+)$/m.exec(text)?.[1]);
  const lags = byConnector('bridge_delivery_lag_events');
  if (Number.isNaN(head) || lags.size === 0) throw new Error(`these are not the bridge's metrics: ${text}`);
  const counts = byConnector('bridge_end_to_end_seconds_count');
  return {
    head,
    cursors: new Map(Array.from(lags, ([connector, lag]) => [connector, head - lag])),
    deadLetters: [...byConnector('bridge_dead_letters').values()].reduce((sum, count) => sum + count, 0),
    endToEnd: new Map(
      Array.from(byConnector('bridge_end_to_end_seconds_sum'), ([connector, sum]) => [
        connector,
        { sum, count: counts.get(connector) ?? 0 },
      ]),
    ),
  };
}
