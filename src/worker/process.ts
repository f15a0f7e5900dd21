import { source as sourceKind } from '../../connectors/index.ts';
import { connectorCopy, type WorkerState } from '../admin/contract.ts';
import { ADMIN_SERVER, createAdminServer } from '../admin/server.ts';
import { watchVerdict } from '../admin/verdict.ts';
import { enabledOf } from '../config/diff.ts';
import type { Config, Source } from '../config/schema.ts';
import { watchLanes, watchOpen } from '../delivery/health.ts';
import { unknownConnector } from '../delivery/operations.ts';
import { shareDescriptors } from '../http/descriptors.ts';
import { closeServer, listen } from '../http/server.ts';
import { urlHost } from '../model/address.ts';
import { systemClock } from '../model/clock.ts';
import { UNSEEN_COPY } from '../model/copy.ts';
import { sourceOf } from '../model/event.ts';
import { createSignals, type SignalBus } from '../model/signal.ts';
import { judge } from '../model/verdict.ts';
import { orAborted } from '../model/wait.ts';
import { createLogger, type LogFormat, type LogLevel, logSignals } from '../telemetry/log.ts';
import { createWorkerMetrics } from '../telemetry/metrics.ts';
import { keepNotifying } from '../telemetry/notify.ts';
import { flushTraces } from '../telemetry/trace.ts';
import { startWorkerLane, type WorkerLane } from './lane.ts';

const LOOK_MS = 5_000;
const IN_FLIGHT_MS = 2_500;

/** Starts a worker: like `startBridge`, with a topic of events instead of callbacks and journal. */
export async function startWorker(
  config: Config,
  source: Source,
  logLevel: LogLevel = 'info',
  version = 'unknown',
  log: LogFormat = 'json',
) {
  const clock = systemClock;
  const signals = createSignals();
  logSignals(signals, createLogger(logLevel, log));
  const stopping = new AbortController();
  const enabled = enabledOf(config.connectors);
  const connectors = Object.keys(enabled);
  const { countDeadLetters, open } = await sourceKind.load();
  const deadLetters = countDeadLetters(source);
  const lanes = new Map<string, WorkerLane>();
  const state = watchState(config, source, lanes, deadLetters.of, signals, stopping.signal);
  const metrics = createWorkerMetrics(signals, clock, { version, status: state });
  const { host, port, token } = config.admin;
  const admin = createAdminServer({ metrics, status: state, token, clock, signals });
  for (const kind of ['pause', 'resume'] as const) {
    admin.post(`/api/connectors/:name/${kind}`, async (context) => {
      const name = context.req.param('name');
      const found = lanes.get(name);
      if (found === undefined) throw unknownConnector(name, [...lanes.keys()]);
      await found.lane.ask({ kind });
      return context.json({});
    });
  }
  const { admin: maxConnections } = shareDescriptors(0);
  const { server, port: bound } = await listen(admin.fetch, { ...ADMIN_SERVER, host, port, maxConnections, signals });
  const adminUrl = `http://${urlHost(host)}:${bound}`;

  for (const [connector, its] of Object.entries(enabled)) {
    const groupsFile = `${config.journal.file}.${connector}`;
    const settings = { connector, config: its, app: sourceOf(config.app.sdkAppId), source, open, groupsFile };
    lanes.set(connector, startWorkerLane(settings, clock, signals));
  }
  signals.emit('bridge.started', { receiver: '', admin: adminUrl, connectors, journal: '' });
  void watchVerdict(() => state().verdict, clock, signals, stopping.signal);
  const { app, journal, notify } = config;
  // Workers in the same folder must not share the file of unsent notifications.
  const journalFile = `${journal.file}.${encodeURIComponent(sourceKind.describe(source).groupId)}`;
  const told = { settings: () => notify, sdkAppId: app.sdkAppId, journalFile };
  keepNotifying({ ...told, clock, signals, stopping });

  const look = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      // The lanes report what is wrong; until it is mended the figures stay unchanged.
      const learned = Promise.allSettled([
        ...[...lanes.values()].map((lane) => lane.source.learn()),
        deadLetters.learn(stopping.signal),
      ]);
      // A hanging broker must not keep the worker from ending.
      await orAborted(stopping.signal, learned).catch(() => {});
      await clock.sleep(LOOK_MS, stopping.signal);
    }
  };
  const looking = look();

  const end = async (reason: string): Promise<void> => {
    stopping.abort();
    signals.emit('bridge.stopping', { reason });
    await Promise.all([
      closeServer(server, IN_FLIGHT_MS),
      ...[...lanes.values()].map((lane) => lane.end(config.shutdownMs)),
    ]);
    await looking;
    await deadLetters.close();
    await flushTraces();
    signals.emit('bridge.stopped', {});
  };
  let ended: Promise<void> | undefined;
  return {
    adminUrl,
    connectors,
    /** Lets deliveries end within `shutdownMs`, leaves the consumer groups, closes. Safe to call twice. */
    stop(reason: string): Promise<void> {
      ended ??= end(reason);
      return ended;
    },
  };
}

function watchState(
  config: Config,
  source: Source,
  lanes: ReadonlyMap<string, WorkerLane>,
  deadLetters: (connector: string) => number,
  signals: SignalBus,
  stopping: AbortSignal,
): () => WorkerState {
  const connectors = Object.keys(enabledOf(config.connectors));
  const health = watchLanes({ cursor: () => 0, copy: () => UNSEEN_COPY }, signals);
  const openSince = watchOpen(systemClock, (name) => lanes.get(name)?.source.openSince());
  return () => {
    const outside = connectors.filter((name) => lanes.get(name)?.source.partitions() === undefined);
    const waitsFor = outside.length > 0 ? `not a member of its group: ${outside.join(', ')}` : undefined;
    const reason = stopping.aborted ? 'the worker is stopping' : waitsFor;
    const now = systemClock.now();
    const { topic, groupId, deadLetters: dead } = sourceKind.describe(source);
    const standing = connectors.map((name) => {
      const its = lanes.get(name)?.source;
      const lag = its?.lag() ?? null;
      const { copy, ...known } = health(name);
      return {
        name,
        kind: config.connectors[name]?.kind ?? '',
        ...known,
        // Counted from the end of the topic, since there is no cursor over all partitions.
        cursor: 0 - (lag ?? 0),
        lag,
        lagSeconds: Math.max(0, now - (openSince(name) ?? now)) / 1_000,
        deadLetters: deadLetters(name),
        partitions: its?.partitions() ?? [],
        ...(copy.incomplete !== undefined && { copy: connectorCopy.parse(copy) }),
      };
    });
    const taking =
      reason === undefined ? `Events of ${topic} are taken` : `Events of ${topic} are not taken: ${reason}`;
    return {
      ready: reason === undefined,
      ...(reason !== undefined && { reason }),
      verdict: judge({ tone: reason === undefined ? 'green' : 'red', says: taking }, standing, now),
      source: { topic, groupId, deadLetters: dead },
      connectors: standing,
    };
  };
}
