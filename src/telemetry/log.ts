import pino, { type Logger } from 'pino';
import { describeFault } from '../model/fault.ts';
import type { SignalBus, Signals } from '../model/signal.ts';
import { plural } from '../model/text.ts';

export type LogLevel = 'info' | 'warn' | 'error' | 'silent';

/** JSON lines on standard error; standard output is for people. */
export function createLogger(level: LogLevel): Logger {
  return pino({ level, base: { name: 'group-sync-bridge' } }, pino.destination({ dest: 2, sync: true }));
}

/**
 * Levels by consequence: error = a person is needed, warn = nothing is lost, info = the life of the bridge. Normal
 * operation logs nothing per event. No line holds a body, a token or a secret.
 */
export function logSignals(signals: SignalBus, log: Logger): void {
  logProcess(signals, log);
  logCallers(signals, createRateLimit(log));
  logCertificate(signals, log);
  logJournal(signals, log);
  logReconcile(signals, log);
  logLanes(signals, log);
}

function logProcess(signals: SignalBus, log: Logger): void {
  signals.on('bridge.started', (started) => log.info(started, 'started'));
  signals.on('config.reloaded', (reloaded) => {
    const later = reloaded.needsRestart.join(', ');
    if (later === '') log.info(reloaded, 'the configuration was read again');
    else log.warn(reloaded, `the configuration was read again; takes effect at the next start: ${later}`);
  });
  signals.on('config.refused', ({ file, fault, problems }) =>
    log.error({ file, code: fault.code, problems }, `the configuration stays as it was: ${problems.join('; ')}`),
  );
  signals.on('bridge.stopping', ({ reason }) => log.info({ reason }, 'stopping'));
  signals.on('bridge.stopped', () => log.info('stopped'));
}

/** Logs what anyone may bring about from outside, as often as they like. */
function logCallers(signals: SignalBus, rateLimited: RateLimited): void {
  signals.on('callback.answered', ({ command, outcome, fault }) => {
    // Why callbacks cannot be recorded is said once, by the journal.
    if (fault === undefined || (outcome === 'failed' && fault.code !== 'overloaded')) return;
    rateLimited('warn', fault.code, { command, ...fault }, `refused a callback: ${describeFault(fault)}`);
  });
  signals.on('callback.crashed', ({ message }) =>
    rateLimited('error', message, { code: 'internal', message }, `a callback met a fault of the bridge: ${message}`),
  );
  signals.on('forward.failed', ({ command, fault }) =>
    rateLimited('warn', fault.code, { command, ...fault }, `not forwarded: ${describeFault(fault)}`),
  );
  signals.on('connection.limit', (crowd) =>
    rateLimited(
      'warn',
      `crowded-${crowd.evicted}`,
      crowd,
      crowd.evicted
        ? 'receiver.maxConnections is reached: the longest idle connection made room for a new one'
        : 'receiver.maxConnections is reached and all are busy: a connection was turned away',
    ),
  );
  signals.on('tls.handshake-failed', ({ message }) =>
    rateLimited('warn', 'tls-handshake', {}, `a TLS handshake failed: ${message}`),
  );
  signals.on('admin.token-wrong', ({ peer }) =>
    rateLimited('warn', 'admin-token', { peer }, 'refused a wrong admin.token'),
  );
}

function logCertificate(signals: SignalBus, log: Logger): void {
  signals.on('tls.loaded', ({ file, notAfter }) => {
    const expiry = { file, notAfter: new Date(notAfter).toISOString() };
    if (notAfter < Date.now()) log.error(expiry, 'the certificate has expired: callers will turn away');
    else log.info(expiry, 'showing this certificate to new connections');
  });
  signals.on('tls.failed', ({ fault }) =>
    log.error(fault, `the renewed certificate cannot be used, the one before stays: ${describeFault(fault)}`),
  );
}

function logJournal(signals: SignalBus, log: Logger): void {
  signals.on('clock.skew', (ahead) =>
    log.warn(ahead, 'EventTime is far ahead of this clock: the time of receipt is taken instead'),
  );
  signals.on('journal.failed', ({ fault }) =>
    log.error(fault, `callbacks cannot be recorded: ${describeFault(fault)}`),
  );
  signals.on('journal.recovered', () => log.info('callbacks can be recorded again'));
  signals.on('journal.damaged', (damage) =>
    log.error(
      damage,
      `the journal was damaged (${damage.reason}): it was set aside as ${damage.setAside}, and a new one begun`,
    ),
  );
  signals.on('journal.reindexed', (damage) =>
    log.warn(damage, `an index of the journal did not match its table (${damage.reason}) and was made anew`),
  );
  signals.on('journal.pruned', (pruned) => log.info(pruned, 'pruned delivered events'));
  signals.on('callback.quarantined', ({ fault }) =>
    log.error(fault, `a verified callback could not be mapped and stands in the quarantine: ${describeFault(fault)}`),
  );
  signals.on('quarantine.mapped', (result) => log.info(result, 'mapped the quarantine again'));
  signals.on('quarantine.discarded', (discarded) => log.warn(discarded, 'callbacks in the quarantine were discarded'));
}

function logReconcile(signals: SignalBus, log: Logger): void {
  signals.on('reconcile.started', (started) =>
    log.info(started, started.resumed ? 'reconcile goes on where it stopped' : 'reconcile begins'),
  );
  signals.on('reconcile.ended', ({ ms, dryRun, counts, stopped }) => {
    const { read, inStep, mended, gone, failed } = counts;
    const about = { ms, dryRun, read, inStep, mended, gone, failed };
    if (stopped !== undefined) log.warn({ ...about, stopped }, `reconcile stopped before its end: ${stopped}`);
    else if (failed > 0) log.warn(about, 'reconcile ended; some groups could not be read');
    else log.info(about, 'reconcile ended');
  });
}

function logLanes(signals: SignalBus, log: Logger): void {
  signals.on('dead-letters.discarded', (discarded) => log.warn(discarded, 'dead letters were discarded'));
  signals.on('lane.opened', ({ connector }) => log.info({ connector }, `${connector}: connected`));
  signals.on('worker.assigned', ({ connector, partitions }) => {
    const which = partitions.length === 0 ? 'none' : partitions.join(', ');
    log.info({ connector, partitions }, `${connector}: its partitions of the source: ${which}`);
  });
  signals.on('lane.note', ({ connector, message }) => log.info({ connector }, `${connector}: ${message}`));
  signals.on('lane.unreachable', ({ connector, fault, attempt, retryInMs }) =>
    log.warn(
      { connector, ...fault, attempt, retryInMs },
      `${connector}: waiting, nothing is lost: ${describeFault(fault)}`,
    ),
  );
  signals.on('lane.recovered', ({ connector, downMs }) =>
    log.info({ connector, downMs }, `${connector}: delivering again`),
  );
  signals.on('lane.resync', ({ ended, ...resync }) => {
    if (ended) log.info(resync, `${resync.connector}: ${describeResync(resync)}`);
  });
  signals.on('lane.resync-failed', ({ fault, ...about }) =>
    log.error({ ...about, ...fault }, `${about.connector}: a group was not taken: ${describeFault(fault)}`),
  );
  signals.on('lane.retry', ({ fault, ...about }) =>
    log.warn({ ...about, ...fault }, `${about.connector}: an event waits for its retry: ${describeFault(fault)}`),
  );
  signals.on('lane.dead-letter', ({ fault, ...about }) =>
    log.error({ ...about, ...fault }, `${about.connector}: an event was refused for good: ${describeFault(fault)}`),
  );
  signals.on('relay.crashed', ({ fault, restartInMs }) =>
    log.error({ ...fault, restartInMs }, `the relay’s thread ended and is started again: ${describeFault(fault)}`),
  );
}

/** Says what a resync did, and to how many groups. */
function describeResync({
  how,
  named,
  done,
  mended,
  failed,
}: Omit<Signals['lane.resync'], 'connector' | 'ended'>): string {
  const groups = named ? `${plural(done, 'named group')}` : `all ${plural(done, 'group')} of the journal`;
  const refused = failed === 0 ? '' : `, ${failed} not taken`;
  switch (how) {
    case 'join':
      return `brought ${groups} to it${refused}`;
    case 'repair':
      return `compared with ${groups}: ${mended} not in step and mended${refused}`;
    case 'compare':
      return `compared with ${groups}, nothing was written: ${mended} not in step${refused}`;
  }
}

type RateLimited = (level: 'warn' | 'error', kind: string, fields: object, message: string) => void;

const LINE_EVERY_MS = 10_000;

/** Writes at most one line of a kind in ten seconds; its field `since` counts it and those suppressed since the last one. */
function createRateLimit(log: Logger): RateLimited {
  const kinds = new Map<string, { writtenAt: number; suppressed: number }>();
  return (level, kind, fields, message) => {
    const last = kinds.get(kind);
    const now = performance.now();
    if (last !== undefined && now - last.writtenAt < LINE_EVERY_MS) {
      last.suppressed++;
      return;
    }
    log[level]({ ...fields, since: 1 + (last?.suppressed ?? 0) }, message);
    kinds.set(kind, { writtenAt: now, suppressed: 0 });
  };
}
