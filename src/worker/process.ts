import type { Server } from 'node:http';
import { clientOptions } from '../../connectors/kafka/connector.ts';
import { extentOf } from '../../connectors/kafka/consumer.ts';
import type { WorkerState } from '../admin/contract.ts';
import { malformedBody } from '../admin/refusal.ts';
import { createAdminServer } from '../admin/server.ts';
import { enabledOf } from '../config/diff.ts';
import { type Config, deadLetterTopic, type Source } from '../config/schema.ts';
import { watchLanes } from '../delivery/health.ts';
import { closeServer, listen, urlHost } from '../http/server.ts';
import { systemClock } from '../model/clock.ts';
import { BridgeError } from '../model/fault.ts';
import { createSignals, type SignalBus } from '../model/signal.ts';
import { createLogger, type LogLevel, logSignals } from '../telemetry/log.ts';
import { createWorkerMetrics } from '../telemetry/metrics.ts';
import { flushTraces } from '../telemetry/trace.ts';
import { startMembership } from './consumer.ts';
import { createLetterCount } from './dead-letter.ts';
import { openLetterBox } from './dead-letter-topic.ts';

export interface Worker {
  readonly adminUrl: string;
  readonly connectors: readonly string[];
  /** Lets what is with the destinations come to its end within `shutdownMs`, leaves the groups, closes. Safe to call twice. */
  stop(reason: string): Promise<void>;
}

/** How often it is looked what the topics hold, for the numbers shown. */
const LOOK_MS = 5_000;
const IN_FLIGHT_MS = 2_500;

/** Where the merged groups of a connector are kept: there may be several, and each has its own filter. */
export function groupsFile(config: Config, connector: string): string {
  return `${config.journal.file}.${connector}`;
}

/** As `startBridge`, with a topic of events in the place of callbacks and journal. */
export async function startWorker(
  config: Config,
  source: Source,
  logLevel: LogLevel = 'info',
  version = 'unknown',
): Promise<Worker> {
  const clock = systemClock;
  const signals = createSignals();
  logSignals(signals, createLogger(logLevel));
  const stopping = new AbortController();
  const enabled = enabledOf(config.connectors);
  const connectors = Object.keys(enabled);
  const deadLetters = deadLetterTopic(source);
  const box = { ...source, deadLetters: { ...source.deadLetters, topic: deadLetters } };
  const health = watchLanes(() => 0, signals);

  const letters = createLetterCount();
  const members = new Map<string, ReturnType<typeof startMembership>>();
  const boxes: ReturnType<typeof openLetterBox>[] = [];
  const lag = (name: string): number => members.get(name)?.lag() ?? 0;
  const metrics = createWorkerMetrics(signals, clock, {
    version,
    connectors: () => connectors,
    lag,
    openSince: watchOldestOpen(signals),
    deadLetters: letters.of,
  });

  const status = (): WorkerState => {
    const outside = connectors.filter((name) => members.get(name)?.partitions() === undefined);
    const reason = stopping.signal.aborted
      ? 'the worker is stopping'
      : outside.length > 0
        ? `not a member of its group: ${outside.join(', ')}`
        : undefined;
    return {
      ready: reason === undefined,
      ...(reason !== undefined && { reason }),
      source: { topic: source.topic, groupId: source.groupId, deadLetters },
      connectors: connectors.map((name) => ({
        name,
        kind: config.connectors[name]?.kind ?? '',
        ...health(name),
        lag: lag(name),
        deadLetters: letters.of(name),
        partitions: members.get(name)?.partitions() ?? [],
      })),
    };
  };
  const api = createAdminServer({ metrics, status, access: { token: config.admin.token }, clock, signals });
  let server: Server;
  let adminUrl: string;
  try {
    const listening = await listen(api.fetch, { host: config.admin.host, port: config.admin.port, malformedBody });
    server = listening.server;
    adminUrl = `http://${urlHost(config.admin.host)}:${listening.port}`;
  } catch (thrown) {
    throw thrown instanceof BridgeError ? new BridgeError({ ...thrown.fault, path: 'admin.port' }, thrown) : thrown;
  }

  const endAll = async (ms: number): Promise<void> => {
    await Promise.all([closeServer(server, IN_FLIGHT_MS), ...[...members.values()].map((member) => member.end(ms))]);
    await Promise.all(boxes.map((one) => one.close()));
  };
  const openBox = (note: (message: string) => void) => {
    const opened = openLetterBox(box, note);
    boxes.push(opened);
    return opened;
  };
  try {
    for (const [connector, its] of Object.entries(enabled)) {
      const letters = openBox((message) => signals.emit('lane.note', { connector, message }));
      const settings = { connector, config: its, source, groupsFile: groupsFile(config, connector) };
      members.set(connector, startMembership(settings, { letters, clock, signals, random: Math.random }));
    }
  } catch (thrown) {
    // A file of merged groups that cannot be used.
    await endAll(0);
    throw thrown;
  }
  signals.emit('bridge.started', { receiver: '', admin: adminUrl, connectors, journal: '' });

  const looker = openBox(() => {});
  const look = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        const extents = await extentOf(await clientOptions(source, 'source', stopping.signal));
        for (const member of members.values()) member.learn(extents);
        await looker.read(letters.take, stopping.signal);
      } catch {
        // The connectors say what is wrong; until then the numbers stay as they were.
      }
      await clock.sleep(LOOK_MS, stopping.signal);
    }
  };
  const looking = look();

  const end = async (reason: string): Promise<void> => {
    stopping.abort();
    signals.emit('bridge.stopping', { reason });
    await endAll(config.shutdownMs);
    await looking;
    await flushTraces();
    signals.emit('bridge.stopped', {});
  };
  let ended: Promise<void> | undefined;
  return {
    adminUrl,
    connectors,
    stop: (reason) => {
      ended ??= end(reason);
      return ended;
    },
  };
}

/** When the oldest record was written that a connector has not settled, as far as its lane has said. */
function watchOldestOpen(signals: SignalBus): (connector: string) => number | undefined {
  const since = new Map<string, number>();
  signals.on('lane.cursor', ({ connector, cursor, receivedAt }) => {
    // The cursor of a worker counts from the end of its partitions.
    if (cursor >= 0) since.delete(connector);
    else if (receivedAt !== undefined) since.set(connector, receivedAt);
  });
  return (connector) => since.get(connector);
}
