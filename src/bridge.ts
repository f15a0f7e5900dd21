import { createAdminRoom } from './admin/room.ts';
import { ADMIN_SERVER } from './admin/server.ts';
import { enabledOf } from './config/diff.ts';
import { opennessOf } from './config/listeners.ts';
import { type ConfigSource, createReload } from './config/reload.ts';
import type { Config } from './config/schema.ts';
import { startDeliveryRoom } from './delivery/room.ts';
import { keepCertificate, readCertificate } from './http/certificate.ts';
import { shareDescriptors } from './http/descriptors.ts';
import { closeServer, listen } from './http/server.ts';
import { COMMANDS } from './intake/commands.ts';
import { malformedEnvelope, type ReceiverPorts, receiverSettings } from './intake/context.ts';
import { hearAgain } from './intake/mapping.ts';
import { createQuarantine } from './intake/quarantine.ts';
import { createReloadableReceiver } from './intake/reloadable.ts';
import { sampleSender } from './intake/sample.ts';
import { type JournalRoom, openJournalRoom } from './journal/room.ts';
import { urlHost } from './model/address.ts';
import { systemClock } from './model/clock.ts';
import { sourceOf } from './model/event.ts';
import { createServiceClock } from './model/service-clock.ts';
import { createSignals } from './model/signal.ts';
import { keepServiceAddresses, type ServiceAddresses } from './reconcile/addresses.ts';
import { createReconcileSchedule } from './reconcile/schedule.ts';
import { createLogger, type LogFormat, type LogLevel, logSignals } from './telemetry/log.ts';
import { type FindEvent, logCallbacks } from './telemetry/terminal-log.ts';
import { flushTraces, traceCallback } from './telemetry/trace.ts';

export type Bridge = Awaited<ReturnType<typeof startBridge>>;

export interface StartOptions {
  /** False if no callbacks are to be received, for a `reconcile` without a running bridge; true by default. */
  readonly receive?: boolean;
  /** The file to reload; without it a reload is refused. */
  readonly source?: ConfigSource;
  readonly version?: string;
  /** `json` by default. */
  readonly log?: LogFormat;
}

/** How many of the latest events tell, at the start, how far the service's clock usually is from this machine's. */
const LATELY = 32;

/** How long requests in flight may take when the bridge stops; the service gives up after 2 s. */
const IN_FLIGHT_MS = 2_500;

/** Builds the rooms in the order that events take through them, and stops them in reverse, so that nothing is left behind. */
export async function startBridge(initial: Config, logLevel: LogLevel = 'info', options: StartOptions = {}) {
  const base = createBase(initial, logLevel, options.log);
  try {
    const source = sourceOf(initial.app.sdkAppId);
    const journal = openJournalRoom({ ...base, source, settings: () => base.config.journal });
    base.onStop(journal.close);
    hearAgain(
      journal.history.recent(LATELY).map(({ event }) => event),
      base.service,
    );
    const delivery = startDeliveryRoom({ ...base, configured: () => base.config.connectors, source, journal });
    base.onStop(delivery.stop);
    base.logCallbacks((id) => {
      const entry = journal.history.byId(id);
      return entry && { seq: entry.seq, copies: () => delivery.operations.eventCopies(entry) };
    });
    const reconcile = startReconcileRoom(base, journal);
    const receiver = createReceiverRoom(base, journal);
    const reload = createReload({
      source: options.source,
      current: () => base.config,
      prepare({ config, added, changed, removed, applied }) {
        const exchangeReceiver = receiver.prepare(config);
        return async () => {
          // From here on retention keeps what added connectors need, and the metrics omit removed ones.
          base.config = config;
          exchangeReceiver();
          await delivery.exchange(enabledOf(config.connectors), [...removed, ...changed], [...added, ...changed]);
          if (applied.includes('reconcile')) await reconcile.exchange(config);
        };
      },
      signals: base.signals,
      stopping: () => base.stopping.signal.aborted,
    });
    const rooms = { journal, delivery, reconcile, receiver, reload };
    const settings = () => base.config;
    const version = options.version ?? 'unknown';
    const admin = createAdminRoom({ ...base, ...rooms, settings, commands: COMMANDS.keys(), version });
    if (options.receive !== false) await receiver.listen();
    const { host, port } = base.config.admin;
    const adminSettings = { ...ADMIN_SERVER, host, port, maxConnections: base.share.admin };
    const { origin: adminUrl } = await serve(base, admin.fetch, adminSettings);
    base.signals.emit('bridge.started', {
      receiver: receiver.url(),
      admin: adminUrl,
      connectors: base.connectors(),
      journal: base.config.journal.file,
    });
    // A newer version may map what an older one could not; if this fails, the next start tries again.
    receiver.quarantine.remap().catch(() => {});
    return {
      /** The URL for callbacks, with the actual port: `http://0.0.0.0:8080/callback`. */
      get receiverUrl() {
        return receiver.url();
      },
      adminUrl,
      get connectors() {
        return base.connectors();
      },
      /** Applies what changed in the file. Throws ConfigRefused if it cannot: then nothing changed. Both emit a signal, too. */
      reload,
      stop: base.stop,
    };
  } catch (thrown) {
    await base.abandon();
    throw thrown;
  }
}

type Base = ReturnType<typeof createBase>;

/** What every room shares. */
function createBase(config: Config, logLevel: LogLevel, format: LogFormat = 'json') {
  const signals = createSignals();
  const log = createLogger(logLevel, format);
  logSignals(signals, log, new Set(format === 'text' ? ['callback.answered'] : []));
  const stopping = new AbortController();
  const stops: ((ms: number) => void | Promise<void>)[] = [];
  let stopped: Promise<void> | undefined;
  const stopAll = async (ms: number): Promise<void> => {
    stopping.abort();
    for (const stop of stops.splice(0).reverse()) await stop(ms);
  };
  const base = {
    /** The configuration in effect; a reload replaces it. */
    config,
    /** Logs each callback if the log is for people. */
    logCallbacks: (find: FindEvent) => void (format === 'text' && logCallbacks(signals, log, find, stopping.signal)),
    clock: systemClock,
    service: createServiceClock(systemClock, (skewMs) => signals.emit('clock.disagreement', { skewMs })),
    signals,
    stopping,
    /** How many of the open files each server may use. */
    share: shareDescriptors(config.receiver.maxConnections),
    connectors: (): readonly string[] => Object.keys(enabledOf(base.config.connectors)),
    /** Registers what stops a room, before those built earlier. Deliveries under way may take another `ms`. */
    onStop: (stop: (ms: number) => void | Promise<void>) => void stops.push(stop),
    /** Answers requests in flight, delivers what it can within `shutdownMs`, closes. Safe to call twice. */
    stop(reason: string): Promise<void> {
      const end = async (): Promise<void> => {
        signals.emit('bridge.stopping', { reason });
        await stopAll(base.config.shutdownMs);
        await flushTraces();
        signals.emit('bridge.stopped', {});
      };
      stopped ??= end();
      return stopped;
    },
    abandon: () => stopAll(0),
  };
  return base;
}

function startReconcileRoom(base: Base, { file, ...room }: JournalRoom) {
  const schedule = createReconcileSchedule(base.config, {
    ...base,
    ...room,
    findingsFile: `${file}.dry-run.ndjson`,
    stopping: base.stopping.signal,
  });
  base.onStop(schedule.end);
  return schedule;
}

function createReceiverRoom(base: Base, { file, journal, reader }: JournalRoom) {
  const { clock, service, signals, stopping } = base;
  const { tls } = base.config.receiver;
  const certificate = tls && readCertificate(tls);
  let addresses: ServiceAddresses | undefined;
  let peerOf: ReceiverPorts['peerOf'];
  const receiver = createReloadableReceiver(base.config, {
    record: journal.record,
    quarantine: journal.quarantine,
    clock,
    signals,
    service,
    serviceAddresses: () => addresses?.current(),
    stopping: () => stopping.signal.aborted,
    peerOf: (socket) => peerOf?.(socket),
    trace: traceCallback,
  });
  base.onStop(receiver.close);
  let origin = '';
  return {
    prepare: receiver.prepare,
    quarantine: createQuarantine(() => receiverSettings(base.config), { journal, reader, signals }),
    url: () => (origin === '' ? '' : origin + base.config.receiver.path),
    /** Returns what posts a made-up callback; undefined if that is impossible from here. */
    sampler: () => (origin === '' ? undefined : sampleSender(base.config, new URL(origin + base.config.receiver.path))),
    /** What needs a person's attention although callbacks are recorded. */
    warning: () => addresses?.warning(),
    async listen(): Promise<void> {
      addresses = keepServiceAddresses({
        ...base,
        settings: () => base.config,
        file: `${file}.addresses.json`,
        stopping: stopping.signal,
      });
      const { host, port, keepAlive, proxyProtocol, maxConnections: wanted } = base.config.receiver;
      const { share } = base;
      if (share.receiver < wanted)
        signals.emit('descriptors.few', { limit: share.limit, wanted, most: share.receiver });
      const listening = await serve(base, receiver.fetch, {
        section: 'receiver',
        host,
        port,
        malformedBody: malformedEnvelope,
        maxConnections: share.receiver,
        keepAliveMs: keepAlive,
        isProxy: proxyProtocol ? receiver.isProxy : undefined,
        certificate,
        onMalformed: ({ peer, why }) =>
          signals.emit('request.strayed', { peer, what: 'data on a connection', why, code: 'query-invalid' }),
      });
      peerOf = listening.peerOf;
      if (tls && certificate && 'setSecureContext' in listening.server) {
        keepCertificate(listening.server, certificate, signals, stopping.signal);
        signals.emit('tls.loaded', { file: tls.certFile, notAfter: certificate.notAfter });
      }
      const open = opennessOf(base.config);
      if (open !== undefined) signals.emit('receiver.open', { message: open });
      origin = listening.origin;
    },
  };
}

type Listen = Parameters<typeof listen>;

async function serve({ signals, onStop }: Base, fetch: Listen[0], options: Omit<Listen[1], 'signals'>) {
  const listening = await listen(fetch, { ...options, signals });
  onStop(() => closeServer(listening.server, IN_FLIGHT_MS));
  const scheme = options.certificate === undefined ? 'http' : 'https';
  return { ...listening, origin: `${scheme}://${urlHost(options.host)}:${listening.port}` };
}
