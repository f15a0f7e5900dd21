import { statSync } from 'node:fs';
import type { Server } from 'node:http';
import { connectors as kinds } from '../connectors/index.ts';
import { systemClock } from './canon/clock.ts';
import { BridgeError, describeFault } from './canon/fault.ts';
import { createSignals, type SignalBus } from './canon/signal.ts';
import { type Config, toAddressList } from './config/schema.ts';
import { keepCertificate, readAuthority, readCertificate } from './intake/certificate.ts';
import { limitConnections } from './intake/connections.ts';
import { createForwarder, type Forwarder } from './intake/forward.ts';
import { mapKept } from './intake/quarantine.ts';
import { createReceiver, type ReceiverSettings } from './intake/receiver.ts';
import { closeServer, listen } from './intake/server.ts';
import { type Journal, openJournal } from './journal/append.ts';
import { type Database, openDatabase } from './journal/database.ts';
import { createDeliveryReader, type DeliveryReader } from './journal/deliveries.ts';
import { createGroupReader } from './journal/groups.ts';
import { createReconcileReader } from './journal/reconciled.ts';
import { keepPruned } from './journal/retention.ts';
import { createGroupApi } from './reconcile/api.ts';
import { createReconciler, type Reconciler } from './reconcile/reconciler.ts';
import { watchLanes } from './relay/health.ts';
import { createOperations } from './relay/operations.ts';
import { startRelay } from './relay/relay.ts';
import { type BridgeStatus, createApi } from './watch/api.ts';
import { createLogger, type LogLevel, logSignals } from './watch/log.ts';
import { createMetrics } from './watch/metrics.ts';

export interface Bridge {
  /** Where callbacks are received, with the real port: `http://0.0.0.0:8080/callback`. */
  readonly receiverUrl: string;
  readonly adminUrl: string;
  /** Names of the enabled connectors. */
  readonly connectors: readonly string[];
  /** Answers what is in flight, drains what it can within `shutdownMs`, closes. Safe to call twice. */
  stop(reason: string): Promise<void>;
}

export interface StartOptions {
  /** Without it no callbacks are received: reconcile by itself. */
  readonly receive?: boolean;
}

/** How long requests in flight may take to end once the bridge is told to stop; the service gives up after 2 s. */
const IN_FLIGHT_MS = 2_500;

/** Builds the rooms in the order of an event's way; `stop` ends them in the same order, so that nothing recorded is left behind. */
export async function startBridge(
  config: Config,
  logLevel: LogLevel = 'info',
  { receive = true }: StartOptions = {},
): Promise<Bridge> {
  const clock = systemClock;
  const signals = createSignals();
  logSignals(signals, createLogger(logLevel));
  const stopping = new AbortController();

  const { tls } = config.receiver;
  const certificate = tls && readCertificate(tls);
  const forwarder = forwarderOf(config);

  const { file, maxBytes, keepDelivered } = config.journal;
  const database = openDatabase(file, { maxBytes, onDamaged: (damage) => signals.emit('journal.damaged', damage) });
  const journal = openJournal(database, clock, signals);
  const reader = createDeliveryReader(database.connection);
  const connectors = Object.keys(config.connectors).filter((name) => config.connectors[name]?.enabled);

  const health = watchLanes(new Map(connectors.map((name) => [name, reader.cursor(name)])), signals);
  const relay = startRelay({ journalFile: file, connectors: config.connectors }, journal.settle, signals);
  signals.on('journal.committed', ({ events }) => {
    if (events > 0) relay.wake();
  });

  const trouble = watchTrouble(signals);
  const receiver = createReceiver(receiverSettings(config), {
    record: journal.record,
    quarantine: journal.quarantine,
    ...(forwarder !== undefined && { forward: forwarder.forward }),
    clock,
    signals,
    stopping: () => stopping.signal.aborted,
  });

  const journalBytes = (): number => sizeOf(file) + sizeOf(`${file}-wal`);
  const lag = (name: string): number => Math.max(0, journal.head() - health(name).cursor) + reader.countWaiting(name);
  const groups = createGroupReader(database.connection);
  const reconciler = reconcilerOf(config, journal, database, signals, stopping.signal);
  const metrics = createMetrics(signals, clock, {
    connectors,
    head: journal.head,
    lag,
    deadLetters: reader.countDeadLetters,
    quarantined: reader.countQuarantined,
    journalBytes,
  });
  const remapQuarantine = () => remap(config.app.sdkAppId, journal, reader, signals);
  let receiverUrl = '';
  const status = (): BridgeStatus => {
    const reason = stopping.signal.aborted ? 'the bridge is stopping' : trouble();
    const head = journal.head();
    return {
      ready: reason === undefined,
      ...(reason !== undefined && { reason }),
      receiver: receiverUrl,
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
  const operations = createOperations(connectors, holdsGroups, readsBack, journal, reader, groups, relay, signals);
  const api = createApi({
    metrics,
    operations,
    status,
    quarantined: reader.quarantined,
    remapQuarantine,
    discardQuarantined: (ids) => discardQuarantined(journal, reader, signals, ids),
    reconciler,
    access: { token: config.admin.token },
    clock,
    signals,
  });

  const servers: Server[] = [];
  const serve = async (setting: string, start: () => ReturnType<typeof listen>): Promise<number> => {
    try {
      const { server, port } = await start();
      servers.push(server);
      return port;
    } catch (thrown) {
      for (const server of servers) server.close();
      await relay.stop(0);
      journal.close();
      throw thrown instanceof BridgeError ? new BridgeError({ ...thrown.fault, path: setting }, thrown) : thrown;
    }
  };
  const { host, port, path, keepAlive, maxConnections } = config.receiver;
  const startReceiver = async () => {
    const listening = await listen(receiver.fetch, host, port, {
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
  const adminPort = await serve('admin.port', () => listen(api.fetch, config.admin.host, config.admin.port));
  if (receiverPort !== undefined) receiverUrl = `${tls ? 'https' : 'http'}://${urlHost(host)}:${receiverPort}${path}`;
  const adminUrl = `http://${urlHost(config.admin.host)}:${adminPort}`;
  signals.emit('bridge.started', { receiver: receiverUrl, admin: adminUrl, connectors, journal: file });

  const pruning = keepPruned({ keepDelivered, connectors }, journal, reader, clock, signals, stopping.signal);
  // After an upgrade the bridge may know what it did not know before. Failing that, it is tried again at the next start.
  remapQuarantine().catch(() => {});

  const end = async (reason: string): Promise<void> => {
    stopping.abort();
    signals.emit('bridge.stopping', { reason });
    await Promise.all(servers.map((server) => closeServer(server, IN_FLIGHT_MS)));
    forwarder?.close();
    await reconciler?.stop();
    await relay.stop(config.shutdownMs);
    await pruning;
    journal.close();
    signals.emit('bridge.stopped', {});
  };
  let ended: Promise<void> | undefined;
  return {
    receiverUrl,
    adminUrl,
    connectors,
    stop: (reason) => {
      ended ??= end(reason);
      return ended;
    },
  };
}

function receiverSettings({ app, receiver }: Config): ReceiverSettings {
  const { otherCommands, allowFrom, trustProxy, allowBefore, ...others } = receiver;
  return {
    ...others,
    sdkAppId: app.sdkAppId,
    sign: app.callbackTokens && { tokens: app.callbackTokens, windowMs: app.signWindow },
    allowed: allowFrom && toAddressList(allowFrom),
    proxies: trustProxy === false ? undefined : toAddressList(trustProxy),
    otherCommands: typeof otherCommands === 'string' ? otherCommands : 'forward',
    forwardAll: typeof otherCommands !== 'string' && otherCommands.forwardAll,
    allowBefore: new Set(allowBefore),
  };
}

/** Undefined where it is not configured. */
function reconcilerOf(
  { app: { sdkAppId }, reconcile }: Config,
  journal: Journal,
  { connection }: Database,
  signals: SignalBus,
  signal: AbortSignal,
): Reconciler | undefined {
  if (reconcile === undefined) return undefined;
  return createReconciler(
    { ...reconcile, sdkAppId },
    {
      api: createGroupApi({ ...reconcile.api, sdkAppId }, systemClock),
      groups: createGroupReader(connection),
      reader: createReconcileReader(connection),
      begin: journal.beginReconcile,
      record: journal.recordRead,
      clock: systemClock,
      signals,
    },
    signal,
  );
}

function forwarderOf({ receiver: { otherCommands } }: Config): Forwarder | undefined {
  if (typeof otherCommands === 'string') return undefined;
  const { caFile, ...settings } = otherCommands;
  return createForwarder({ ...settings, ca: caFile && readAuthority('receiver.otherCommands.caFile', caFile) });
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

/** Maps what stands in the quarantine once more. */
async function remap(sdkAppId: string, journal: Journal, reader: DeliveryReader, signals: SignalBus) {
  let mapped = 0;
  let after = 0;
  for (;;) {
    const kept = reader.quarantined(after, 100);
    if (kept.length === 0) break;
    for (const callback of kept) {
      after = callback.id;
      const event = mapKept(sdkAppId, callback);
      if (event === undefined) continue;
      // Recorded first: ended in between, it is mapped again, and its id makes it the same event.
      await journal.record(event);
      await journal.releaseQuarantined([callback.id]);
      mapped++;
    }
  }
  const left = reader.countQuarantined();
  if (mapped > 0 || left > 0) signals.emit('quarantine.mapped', { mapped, left });
  return { mapped, left };
}

/** All that stand there now, or those that are named. */
async function discardQuarantined(
  journal: Journal,
  reader: DeliveryReader,
  signals: SignalBus,
  ids?: readonly number[],
): Promise<number> {
  let count = 0;
  if (ids !== undefined) count = await journal.releaseQuarantined(ids);
  else {
    // What is kept from now on, nobody has seen yet.
    for (let left = reader.countQuarantined(), after = 0; left > 0; ) {
      const page = reader.quarantined(after, Math.min(left, 100));
      if (page.length === 0) break;
      after = page.at(-1)?.id ?? after;
      left -= page.length;
      count += await journal.releaseQuarantined(page.map(({ id }) => id));
    }
  }
  if (count > 0) signals.emit('quarantine.discarded', { count });
  return count;
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
