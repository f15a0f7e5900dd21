import { statSync } from 'node:fs';
import type { Server } from 'node:http';
import { connectors as kinds } from '../connectors/index.ts';
import { createApi } from './admin/api.ts';
import { createConsole } from './admin/console/console.ts';
import type { BridgeState } from './admin/contract.ts';
import { malformedBody } from './admin/refusal.ts';
import { type Change, enabledOf } from './config/diff.ts';
import { type ConfigSource, createReload, type ReloadResult } from './config/reload.ts';
import type { Config } from './config/schema.ts';
import { createCopies } from './delivery/copies.ts';
import { watchLanes } from './delivery/health.ts';
import { createOperations } from './delivery/operations.ts';
import { startRelay } from './delivery/thread/host.ts';
import { keepCertificate, readCertificate } from './http/certificate.ts';
import { limitConnections } from './http/connections.ts';
import { closeServer, listen, urlHost } from './http/server.ts';
import { COMMANDS } from './intake/commands.ts';
import { malformedEnvelope } from './intake/envelope.ts';
import { createQuarantine } from './intake/quarantine.ts';
import { createReloadableReceiver } from './intake/reloadable.ts';
import { openJournal } from './journal/append.ts';
import { openDatabase } from './journal/database.ts';
import { createDeliveryReader, createOpenSince } from './journal/deliveries.ts';
import { createGroupReader } from './journal/groups.ts';
import { createHistoryReader } from './journal/history.ts';
import { keepPruned } from './journal/retention.ts';
import { systemClock } from './model/clock.ts';
import { BridgeError, describeFault } from './model/fault.ts';
import { createSignals, type SignalBus } from './model/signal.ts';
import { createReconcileSchedule } from './reconcile/schedule.ts';
import { watchLastFaults } from './telemetry/last-fault.ts';
import { createLogger, type LogLevel, logSignals } from './telemetry/log.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { keepStats } from './telemetry/stats.ts';
import { flushTraces, traceCallback } from './telemetry/trace.ts';

export interface Bridge {
  /** Where callbacks are received, with the real port: `http://0.0.0.0:8080/callback`. */
  readonly receiverUrl: string;
  readonly adminUrl: string;
  /** Names of the enabled connectors, now. */
  readonly connectors: readonly string[];
  /** Takes over what changed in the file; throws ConfigRefused, and then nothing changed. Both are said by a signal, too. */
  reload(): Promise<ReloadResult>;
  /** Answers what is in flight, drains what it can within `shutdownMs`, closes. Safe to call twice. */
  stop(reason: string): Promise<void>;
}

export interface StartOptions {
  /** Without it no callbacks are received: reconcile by itself. */
  readonly receive?: boolean;
  /** Where the configuration was read from; without it there is nothing to reload. */
  readonly source?: ConfigSource;
  /** Of the bridge, for `bridge_info`. */
  readonly version?: string;
}

/** How long requests in flight may take to end once the bridge is told to stop; the service gives up after 2 s. */
const IN_FLIGHT_MS = 2_500;

/** Builds the rooms in the order of an event's way; `stop` ends them in the same order, so that nothing recorded is left behind. */
export async function startBridge(
  initial: Config,
  logLevel: LogLevel = 'info',
  { receive = true, version = 'unknown', source }: StartOptions = {},
): Promise<Bridge> {
  const clock = systemClock;
  const signals = createSignals();
  logSignals(signals, createLogger(logLevel));
  const stopping = new AbortController();
  /** In effect: another after each reload. */
  let config = initial;
  let connectors = Object.keys(enabledOf(config.connectors));

  const { tls } = config.receiver;
  const certificate = tls && readCertificate(tls);
  // Before anything runs, since a file it needs may be unusable.
  const receiver = createReloadableReceiver(config, {
    record: (event) => journal.record(event),
    quarantine: (callback) => journal.quarantine(callback),
    clock,
    signals,
    stopping: () => stopping.signal.aborted,
    trace: traceCallback,
  });

  const { file, maxBytes } = config.journal;
  let setAside = false;
  const database = openDatabase(file, {
    maxBytes,
    onDamaged(damage) {
      setAside = true;
      signals.emit('journal.damaged', damage);
    },
    onReindexed: (damage) => signals.emit('journal.reindexed', damage),
  });
  const journal = openJournal(database, clock, signals);
  const reader = createDeliveryReader(database.connection);

  const health = watchLanes(reader.cursor, signals);
  const enabled = enabledOf(config.connectors);
  const relay = startRelay({ journalFile: file, connectors: enabled }, journal.settle, signals);
  signals.on('journal.committed', ({ events }) => {
    if (events > 0) relay.wake();
  });
  signals.on('journal.merged', () => relay.wake());

  const trouble = watchTrouble(signals);
  const lastFault = watchLastFaults(signals, clock);
  const journalBytes = (): number => sizeOf(database.file) + sizeOf(`${database.file}-wal`);
  const lag = (name: string): number => Math.max(0, journal.head() - health(name).cursor) + reader.countWaiting(name);
  const groups = createGroupReader(database.connection, journal.buffered);
  const reconciling = createReconcileSchedule(config, {
    journal,
    database,
    groups,
    clock,
    signals,
    stopping: stopping.signal,
  });
  const oldestOpen = createOpenSince(database.connection);
  const openSince = (name: string) => oldestOpen(name, health(name).cursor);
  const metrics = createMetrics(signals, clock, {
    version,
    commands: COMMANDS.keys(),
    connectors: () => connectors,
    head: journal.head,
    lag,
    openSince,
    deadLetters: reader.countDeadLetters,
    quarantined: reader.countQuarantined,
    journalBytes,
    journalMaxBytes: maxBytes,
    setAside,
    reconcile: () => ({
      every: config.reconcile?.every ?? 0,
      endedAt: reconciling.reconciler()?.status().run?.endedAt,
    }),
  });
  const quarantine = createQuarantine(config.app.sdkAppId, { journal, reader, signals });
  let receiverOrigin = '';
  const receiverUrl = (): string => (receiverOrigin === '' ? '' : receiverOrigin + config.receiver.path);
  const status = (): BridgeState => {
    const reconciler = reconciling.reconciler();
    const reason = stopping.signal.aborted ? 'the bridge is stopping' : trouble();
    const head = journal.head();
    return {
      ready: reason === undefined,
      ...(reason !== undefined && { reason }),
      receiver: receiverUrl(),
      ...(reconciler !== undefined && { reconcile: reconciler.status() }),
      journal: { file, head, bytes: journalBytes(), quarantined: reader.countQuarantined() },
      connectors: connectors.map((name) => {
        const shown = health(name);
        return {
          name,
          kind: config.connectors[name]?.kind ?? '',
          ...shown,
          lag: lag(name),
          deadLetters: reader.countDeadLetters(name),
        };
      }),
    };
  };
  const holdsGroups = (name: string): boolean => config.connectors[name]?.content === 'groups';
  const readsBack = (name: string): boolean =>
    kinds.find(({ kind }) => kind === config.connectors[name]?.kind)?.readsBack === true;
  const history = createHistoryReader(database.connection, { buffered: journal.buffered });
  const copies = createCopies({
    connectors: () => connectors,
    holder(name) {
      const found = config.connectors[name];
      return found && { kind: found.kind, filter: found.filter, readsBack: holdsGroups(name) && readsBack(name) };
    },
    deliveries: reader,
    groups,
    history,
    relay,
  });
  const operations = createOperations(
    () => connectors,
    holdsGroups,
    readsBack,
    journal,
    reader,
    groups,
    relay,
    signals,
    copies,
  );
  const console = createConsole({
    sdkAppId: config.app.sdkAppId,
    signedIn: config.admin.token !== undefined,
    now: clock.now,
    status,
    operations,
    holdsGroups,
    lastFault,
    behindSince: openSince,
    stats: keepStats(metrics, clock, stopping.signal),
    journal: { fill: journal.fill, maxBytes, keepDelivered: () => config.journal.keepDelivered },
    history,
    group: groups.get,
    quarantined: reader.quarantined,
    remapQuarantine: quarantine.remap,
    discardQuarantined: quarantine.discard,
    reconciler: reconciling.reconciler,
    stopping: stopping.signal,
  });
  const prepare = (change: Change): (() => Promise<void>) => {
    const exchangeReceiver = receiver.prepare(change.config);
    return async () => {
      // From here on retention keeps what those need that are added, and metrics show no more of those removed.
      config = change.config;
      const enabled = enabledOf(config.connectors);
      connectors = Object.keys(enabled);
      exchangeReceiver();
      const ending = [...change.removed, ...change.changed];
      await relay.exchange(enabled, ending, [...change.added, ...change.changed]);
      if (change.applied.includes('reconcile')) await reconciling.exchange(config);
    };
  };
  const reload = createReload({
    source,
    current: () => config,
    prepare,
    signals,
    stopping: () => stopping.signal.aborted,
  });
  const api = createApi({
    metrics,
    operations,
    groups,
    history,
    status,
    quarantined: reader.quarantined,
    remapQuarantine: quarantine.remap,
    reconciler: reconciling.reconciler,
    reload,
    discardQuarantined: quarantine.discard,
    access: { token: config.admin.token },
    clock,
    signals,
    console,
  });

  const servers: Server[] = [];
  const serve = async (setting: string, start: () => ReturnType<typeof listen>): Promise<number> => {
    try {
      const { server, port } = await start();
      servers.push(server);
      return port;
    } catch (thrown) {
      stopping.abort();
      for (const server of servers) server.close();
      await relay.stop(0);
      journal.close();
      throw thrown instanceof BridgeError ? new BridgeError({ ...thrown.fault, path: setting }, thrown) : thrown;
    }
  };
  const { host, port, keepAlive, maxConnections } = config.receiver;
  const startReceiver = async () => {
    const listening = await listen(receiver.fetch, {
      host,
      port,
      malformedBody: malformedEnvelope,
      keepAliveMs: keepAlive,
      certificate,
      onHandshakeFailed: (message) => signals.emit('tls.handshake-failed', { message }),
    });
    limitConnections(listening.server, maxConnections, signals);
    if (tls && certificate && 'setSecureContext' in listening.server) {
      keepCertificate(listening.server, tls, certificate, signals, stopping.signal);
      signals.emit('tls.loaded', { file: tls.certFile, notAfter: certificate.notAfter });
    }
    return listening;
  };
  const receiverPort = receive ? await serve('receiver.port', startReceiver) : undefined;
  const adminPort = await serve('admin.port', () =>
    listen(api.fetch, { host: config.admin.host, port: config.admin.port, malformedBody }),
  );
  if (receiverPort !== undefined) receiverOrigin = `${tls ? 'https' : 'http'}://${urlHost(host)}:${receiverPort}`;
  const adminUrl = `http://${urlHost(config.admin.host)}:${adminPort}`;
  signals.emit('bridge.started', { receiver: receiverUrl(), admin: adminUrl, connectors, journal: file });

  const retention = () => ({ keepDelivered: config.journal.keepDelivered, connectors });
  const pruning = keepPruned(retention, { journal, reader, clock, signals }, stopping.signal);
  // After an upgrade the bridge may know what it did not know before. Failing that, it is tried again at the next start.
  quarantine.remap().catch(() => {});

  const end = async (reason: string): Promise<void> => {
    stopping.abort();
    signals.emit('bridge.stopping', { reason });
    await Promise.all(servers.map((server) => closeServer(server, IN_FLIGHT_MS)));
    receiver.close();
    await reconciling.end();
    journal.flushGroups();
    await relay.stop(config.shutdownMs);
    await pruning;
    journal.close();
    await flushTraces();
    signals.emit('bridge.stopped', {});
  };
  let ended: Promise<void> | undefined;
  return {
    get receiverUrl() {
      return receiverUrl();
    },
    adminUrl,
    get connectors() {
      return connectors;
    },
    reload,
    stop: (reason) => {
      ended ??= end(reason);
      return ended;
    },
  };
}

/** Why callbacks cannot be recorded just now, if so. */
function watchTrouble(signals: SignalBus): () => string | undefined {
  let trouble: string | undefined;
  signals.on('journal.failed', ({ fault }) => {
    trouble = describeFault(fault);
  });
  signals.on('journal.recovered', () => {
    trouble = undefined;
  });
  return () => trouble;
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
