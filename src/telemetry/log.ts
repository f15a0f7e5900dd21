import pino, { type Logger } from 'pino';
import { describeFault } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';

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
  signals.on('bridge.started', (started) => log.info(started, 'started'));
  signals.on('config.reloaded', (reloaded) => {
    const { needsRestart } = reloaded;
    if (needsRestart.length === 0) log.info(reloaded, 'the configuration was read again');
    else
      log.warn(
        reloaded,
        `the configuration was read again; takes effect at the next start: ${needsRestart.join(', ')}`,
      );
  });
  signals.on('config.refused', ({ file, fault, problems }) =>
    log.error({ file, code: fault.code, problems }, `the configuration stays as it was: ${problems.join('; ')}`),
  );
  signals.on('bridge.stopping', ({ reason }) => log.info({ reason }, 'stopping'));
  signals.on('bridge.stopped', () => log.info('stopped'));
  const seldom = createSeldom();
  signals.on('callback.answered', ({ command, outcome, fault }) => {
    // Why callbacks cannot be recorded is said once, by the journal.
    if (fault === undefined || (outcome === 'failed' && fault.code !== 'overloaded')) return;
    seldom(fault.code, (since) =>
      log.warn({ command, ...fault, since }, `refused a callback: ${describeFault(fault)}`),
    );
  });
  signals.on('callback.crashed', ({ message }) =>
    seldom(message, (since) =>
      log.error({ code: 'internal', message, since }, `a callback met a fault of the bridge: ${message}`),
    ),
  );
  signals.on('forward.failed', ({ command, fault }) =>
    seldom(fault.code, (since) => log.warn({ command, ...fault, since }, `not forwarded: ${describeFault(fault)}`)),
  );
  signals.on('connection.limit', (crowd) =>
    seldom(`crowded-${crowd.evicted}`, (since) =>
      log.warn(
        { ...crowd, since },
        crowd.evicted
          ? 'receiver.maxConnections is reached: the longest idle connection made room for a new one'
          : 'receiver.maxConnections is reached and all are busy: a connection was turned away',
      ),
    ),
  );
  signals.on('tls.handshake-failed', ({ message }) =>
    seldom('tls-handshake', (since) => log.warn({ since }, `a TLS handshake failed: ${message}`)),
  );
  signals.on('tls.loaded', ({ file, notAfter }) => {
    const expiry = { file, notAfter: new Date(notAfter).toISOString() };
    if (notAfter < Date.now()) log.error(expiry, 'the certificate has expired: callers will turn away');
    else log.info(expiry, 'showing this certificate to new connections');
  });
  signals.on('tls.failed', ({ fault }) =>
    log.error(fault, `the renewed certificate cannot be used, the one before stays: ${describeFault(fault)}`),
  );
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
  signals.on('journal.pruned', (pruned) => log.info(pruned, 'pruned delivered events'));
  signals.on('callback.quarantined', ({ fault }) =>
    log.error(fault, `a verified callback could not be mapped and stands in the quarantine: ${describeFault(fault)}`),
  );
  signals.on('quarantine.mapped', (result) => log.info(result, 'mapped the quarantine again'));
  signals.on('quarantine.discarded', (discarded) => log.warn(discarded, 'callbacks in the quarantine were discarded'));
  signals.on('admin.token-wrong', ({ peer }) =>
    seldom('admin-token', (since) => log.warn({ peer, since }, 'refused a wrong admin.token')),
  );
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
  signals.on('lane.restored', ({ ended, ...restored }) => {
    if (ended) log.info(restored, `${restored.connector}: every group of the journal was brought to it`);
  });
  signals.on('lane.restore-failed', ({ fault, ...about }) =>
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

const SELDOM_MS = 10_000;

/** Anyone can send what is refused, as often as they like: of one kind, one line in ten seconds, with how many there were. */
function createSeldom(): (kind: string, write: (since: number) => void) => void {
  const kinds = new Map<string, { at: number; since: number }>();
  return (kind, write) => {
    const last = kinds.get(kind) ?? { at: Number.NEGATIVE_INFINITY, since: 0 };
    last.since++;
    const now = performance.now();
    if (now - last.at >= SELDOM_MS) {
      write(last.since);
      last.at = now;
      last.since = 0;
    }
    kinds.set(kind, last);
  };
}
