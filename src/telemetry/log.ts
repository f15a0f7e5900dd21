import pino, { type Logger } from 'pino';
import { causeOf } from '../model/cause.ts';
import { describeFault, type Fault } from '../model/fault.ts';
import { describeDisagreement } from '../model/service-clock.ts';
import type { SignalBus, SignalName, Signals } from '../model/signal.ts';
import { plural, visible } from '../model/text.ts';
import { sentenceOf } from './terminal-log.ts';

export type LogLevel = 'info' | 'warn' | 'error' | 'silent';

/** Lines of JSON for programs, or sentences for people. */
export type LogFormat = 'json' | 'text';

/** How many bytes may wait to be written; lines beyond that are dropped. */
const MOST_WAITING = 262_144;

const AGAIN_MS = 100;

/** Writes lines to standard error, escaped so that a terminal obeys nothing that came from outside. */
export function createLogger(level: LogLevel, format: LogFormat = 'json'): Logger {
  // A terminal may block its writer, so Ctrl-S would stop the answers to callbacks.
  (process.stderr as { _handle?: { setBlocking?(on: boolean): void } })._handle?.setBlocking?.(false);
  const stderr = pino.destination({ dest: 2, sync: true, maxLength: MOST_WAITING, retryEAGAIN: () => false });
  let waits = false;
  let lost = 0;
  // If no line can be written, on a full disk or to a stalled reader, callbacks must still be answered.
  stderr.on('error', () => {
    if (waits) return;
    waits = true;
    setTimeout(() => {
      waits = false;
      stderr.write('');
    }, AGAIN_MS).unref();
  });
  stderr.on('drop', () => lost++);
  stderr.on('drain', () => {
    if (lost === 0) return;
    log.warn({ lost }, `the log could not be written for a while: ${plural(lost, 'line')} missing here`);
    lost = 0;
  });
  const shown = format === 'json' ? visible : sentenceOf;
  const log = pino({ level, base: { name: 'group-sync-bridge' } }, { write: (line) => stderr.write(shown(line)) });
  return log;
}

type Level = 'info' | 'warn' | 'error';
type Line = readonly [level: Level, sentence: string, fields?: object];

/**
 * Levels by consequence: error = a person is needed, warn = nothing is lost, info = the life of the bridge. Normal operation
 * logs nothing per event. No line holds a body, a token or a secret. Signals in `without` are logged elsewhere.
 */
export function logSignals(signals: SignalBus, log: Logger, without: ReadonlySet<SignalName> = new Set()): void {
  const limited = createRateLimit(([level, sentence, fields], since) => log[level]({ ...fields, since }, sentence));
  signals.tap((name, payload) => {
    const line = without.has(name) ? undefined : LINES[name]?.(payload);
    const limit = LIMITS[name];
    if (line === undefined) return;
    if (limit !== undefined) return limited.write(name, limit(payload), line);
    const [level, sentence, fields] = line;
    if (name === 'bridge.stopped') limited.flush();
    log[level](fields ?? {}, sentence);
  });
}

/** The signals that others may cause in any number, each with the key by which its lines are limited. */
const LIMITS: { readonly [Name in SignalName]?: (payload: Signals[Name]) => string } = {
  'callback.answered': ({ fault, misnamed }) => fault?.code ?? (misnamed === undefined ? '' : 'misnamed'),
  'callback.crashed': () => '',
  'callback.quarantined': ({ fault }) => fault.code,
  'callback.lossy': () => '',
  'callback.bounded': () => '',
  'forward.failed': ({ fault }) => fault.code,
  'connection.limit': ({ section, evicted }) => `${section} ${evicted}`,
  'request.strayed': ({ code }) => code,
  'tls.handshake-failed': () => '',
  'admin.token-wrong': () => '',
  'clock.skew': () => '',
  'clock.disagreement': () => '',
  'journal.failed': ({ fault }) => fault.code,
  'journal.recovered': () => '',
  'journal.pruned': () => '',
  'lane.opened': ({ connector }) => connector,
  'lane.unreachable': ({ connector, fault }) => `${connector} ${fault.code}`,
  'lane.recovered': ({ connector }) => connector,
  'lane.retry': ({ connector, fault }) => `${connector} ${fault.code}`,
  'lane.dead-letter': ({ connector, fault }) => `${connector} ${causeOf(fault).id}`,
  'lane.resync-failed': ({ connector, fault }) => `${connector} ${fault.code}`,
  'relay.crashed': ({ fault }) => fault.code,
};

/** The reasons for which a callback may fail although the journal can record others. */
const OWN_REASONS = new Set(['overloaded', 'journal-groups-full', 'quarantine-full']);

const LINES: { readonly [Name in SignalName]?: (payload: Signals[Name]) => Line | undefined } = {
  'bridge.started': (started) => ['info', 'started', started],
  'bridge.stopping': (stopping) => ['info', 'stopping', stopping],
  'bridge.stopped': () => ['info', 'stopped'],
  'config.reloaded'(reloaded) {
    const later = reloaded.needsRestart.join(', ');
    if (later === '') return ['info', 'the configuration was reloaded', reloaded];
    return ['warn', `the configuration was reloaded; takes effect at the next start: ${later}`, reloaded];
  },
  'config.refused': ({ file, fault: { code }, problems }) => [
    'error',
    `the configuration was not reloaded: ${problems.join('; ')}`,
    { file, code, problems },
  ],

  'callback.answered'({ command, outcome, fault, event, misnamed }) {
    if (misnamed !== undefined) {
      const sentence = `a callback was recorded with unknown fields, which had no effect: ${misnamed.join(', ')}`;
      return ['warn', sentence, { command, eventId: event?.id, groupId: event?.subject }];
    }
    // The journal says once why nothing can be recorded.
    if (fault === undefined || (outcome === 'failed' && !OWN_REASONS.has(fault.code))) return undefined;
    return withFault('warn', 'refused a callback')({ command, fault });
  },
  'callback.crashed'({ message }) {
    return ['error', `a callback failed with an internal error: ${message}`, { code: 'internal', message }];
  },
  'callback.quarantined': withFault('error', 'a verified callback could not be mapped and is in the quarantine'),
  'callback.lossy': (about) => [
    'warn',
    'a body is neither UTF-8 nor in the charset it names: unreadable bytes are U+FFFD in the event',
    about,
  ],
  'callback.bounded': (about) => [
    'warn',
    'fields beyond the limits of a group were not merged: they are in the event’s extra',
    about,
  ],
  'quarantine.mapped': (result) => ['info', 'mapped the quarantine again', result],
  'quarantine.discarded': (discarded) => ['warn', 'callbacks in the quarantine were discarded', discarded],
  'forward.failed': withFault('warn', 'not forwarded'),
  'connection.limit'(crowd) {
    const full =
      crowd.section === 'receiver'
        ? `${crowd.most} connections are open (receiver.maxConnections, or what the limit of open files leaves)`
        : `${crowd.most} connections to the admin server are open`;
    const fate = crowd.evicted
      ? 'the longest idle one made room for a new one'
      : 'all of them are busy: a new one was turned away';
    return ['warn', `${full}: ${fate}`, crowd];
  },
  'receiver.open': ({ message }) => ['warn', message],
  'descriptors.few': (few) => [
    'warn',
    `this process may open ${few.limit} files: the receiver takes at most ${few.most} connections, not the ${few.wanted} of receiver.maxConnections (raise the limit, ulimit -n, or lower the setting)`,
    few,
  ],
  'request.strayed': (strayed) => ['warn', `${strayed.what} is not a callback: ${strayed.why}`, strayed],
  'tls.handshake-failed': ({ message }) => ['warn', `a TLS handshake failed: ${message}`],
  'tls.loaded'({ file, notAfter }) {
    const expiry = { file, notAfter: new Date(notAfter).toISOString() };
    if (notAfter < Date.now()) return ['error', 'the certificate has expired: callers will turn away', expiry];
    return ['info', 'using this certificate for new connections', expiry];
  },
  'addresses.changed': (changed) => ['info', 'the addresses that the service calls from have changed', changed],
  'addresses.failed': withFault('warn', 'the service’s addresses cannot be fetched, the previous ones stay in use'),
  'tls.failed': withFault('error', 'the renewed certificate cannot be used, the previous one stays in use'),
  'admin.token-wrong': (wrong) => ['warn', 'refused a wrong admin.token', wrong],

  'clock.skew': (ahead) => [
    'warn',
    'EventTime is implausible: it is read as seconds, or the time of receipt is used',
    ahead,
  ],
  'clock.disagreement': ({ skewMs }) =>
    skewMs === 0
      ? ['info', 'this machine’s clock and the service’s agree again']
      : ['warn', describeDisagreement(skewMs), { skewMs }],
  'journal.failed': withFault('error', 'callbacks cannot be recorded'),
  'journal.recovered': () => ['info', 'callbacks can be recorded again'],
  'journal.damaged'(damage) {
    const { reason, setAside } = damage;
    const sentence = `the journal was damaged (${reason}): it was set aside as ${setAside}, and a new one started`;
    return ['error', sentence, damage];
  },
  'journal.reindexed'(damage) {
    const sentence = `an index of the journal did not match its table (${damage.reason}) and was rebuilt`;
    return ['warn', sentence, damage];
  },
  'journal.pruned': (pruned) => ['info', 'pruned delivered events', pruned],

  'verdict.changed'({ recording, copies: { tone, says } }) {
    const level = recording.tone === 'red' || tone === 'red' ? 'error' : tone === 'amber' ? 'warn' : 'info';
    return [level, `${recording.says}. ${says}.`, { recording: recording.tone, copies: tone }];
  },
  'notify.failed': ({ to, message }) => [
    'warn',
    `${to} could not be notified of the verdict, will try again: ${message}`,
    { to },
  ],
  'reconcile.started'(started) {
    return ['info', started.resumed ? 'reconcile resumes where it stopped' : 'reconcile started', started];
  },
  'reconcile.ended'({ ms, dryRun, counts, stopped }) {
    const { read, inStep, mended, gone, failed, withheld } = counts;
    const about = { ms, dryRun, read, inStep, mended, gone, failed };
    if (stopped !== undefined) return ['warn', `reconcile stopped before its end: ${stopped}`, { ...about, stopped }];
    if (withheld > 0) {
      const sentence = `reconcile destroyed none of ${withheld} groups that the service no longer has: more than reconcile.maxGone`;
      return [dryRun ? 'info' : 'error', sentence, { ...about, withheld }];
    }
    if (failed > 0) return ['warn', 'reconcile ended; some groups could not be read', about];
    return ['info', 'reconcile ended', about];
  },

  'dead-letters.discarded': (discarded) => ['warn', 'dead letters were discarded', discarded],
  'lane.opened': ({ connector }) => ['info', `${connector}: connected`, { connector }],
  'worker.assigned'(assigned) {
    const which = assigned.partitions.join(', ') || 'none';
    return ['info', `${assigned.connector}: its partitions of the source: ${which}`, assigned];
  },
  'source.gap'(gap) {
    const { connector, topic, partition, from, to } = gap;
    const sentence = `${connector}: the records ${from} to ${to} of ${topic}, partition ${partition}, were removed before they were read`;
    return [
      'error',
      `${sentence} — where callbacks are received, run reconcile, or replay what the journal still holds`,
      gap,
    ];
  },
  'lane.note': ({ connector, message }) => ['info', `${connector}: ${message}`, { connector }],
  'lane.unreachable': withFault('warn', 'waiting, nothing is lost'),
  'lane.recovered': (recovered) => ['info', `${recovered.connector}: delivering again`, recovered],
  'lane.resync': ({ ended, differing: _, ...resync }) =>
    ended ? ['info', `${resync.connector}: ${describeResync(resync)}`, resync] : undefined,
  'lane.resync-failed': withFault('error', 'a group was refused'),
  'copy.lost': ({ connector, reason, next }) => [
    'error',
    `${connector}: incomplete: ${reason} — ${next}`,
    { connector, reason },
  ],
  'copy.restored'(restored) {
    const { connector, brought, lacking, before } = restored;
    const gone = `; ${plural(lacking, 'event')} received before ${new Date(before).toISOString()} were pruned and cannot be`;
    return ['info', `${connector}: complete again: ${brought} written${lacking > 0 ? gone : ''}`, restored];
  },
  'copy.verified'({ why, ...verified }) {
    const { connector, looked, found, mended } = verified;
    const because = why === undefined ? '' : `; why not all: ${describeFault(why)}`;
    if (found === 0) return undefined;
    return [
      'warn',
      `${connector}: ${found} of ${looked} compared were missing or different, ${mended} were mended${because}`,
      { ...verified, ...why },
    ];
  },
  'lane.retry': withFault('warn', 'an event is waiting for a retry'),
  'lane.dead-letter': withFault('error', 'an event was refused for good'),
  'relay.crashed': withFault('error', 'the delivery thread ended and is being restarted'),
};

/** Makes the line of a signal that carries a fault; it begins with the connector's name, if there is one. */
function withFault(level: Level, sentence: string) {
  return ({ fault, ...about }: { readonly fault: Fault; readonly connector?: string; readonly command?: string }) => {
    const who = about.connector === undefined ? '' : `${about.connector}: `;
    return [level, `${who}${sentence}: ${describeFault(fault)}`, { ...about, ...fault }] as const;
  };
}

function describeResync(resync: Omit<Signals['lane.resync'], 'connector' | 'ended'>): string {
  const { how, named, done, mended, failed } = resync;
  const groups = named ? `${plural(done, 'named group')}` : `all ${plural(done, 'group')} of the journal`;
  const refused = failed === 0 ? '' : `, ${failed} refused`;
  switch (how) {
    case 'join':
      return `wrote ${groups} to it${refused}`;
    case 'repair':
      return `compared with ${groups}: ${mended} not in step and mended${refused}`;
    case 'compare':
      return `compared with ${groups}, writing nothing: ${mended} not in step${refused}`;
  }
}

const LINE_EVERY_MS = 10_000;
/** A destination's reasons may vary without end: beyond this many kinds, all lines of a signal count as one kind. */
const MOST_KINDS = 100;

/**
 * Writes the first line of a kind at once, and after ten seconds the latest of those that followed. `since` is their number
 * since the line before. `flush` writes what still waits.
 */
function createRateLimit(write: (line: Line, since: number) => void) {
  const kinds = new Map<string, { timer: NodeJS.Timeout; latest?: Line; count: number }>();
  const begin = (kind: string): void => {
    kinds.set(kind, { timer: setTimeout(end, LINE_EVERY_MS, kind).unref(), count: 0 });
  };
  const end = (kind: string): void => {
    const { timer, latest, count } = kinds.get(kind) ?? {};
    clearTimeout(timer);
    kinds.delete(kind);
    if (latest === undefined) return;
    write(latest, count ?? 1);
    begin(kind);
  };
  return {
    write(name: SignalName, detail: string, line: Line): void {
      const wanted = `${name} ${detail}`;
      const kind = kinds.has(wanted) || kinds.size < MOST_KINDS ? wanted : name;
      const current = kinds.get(kind);
      if (current !== undefined) {
        current.latest = line;
        current.count++;
        return;
      }
      begin(kind);
      write(line, 1);
    },
    flush: () => [...kinds.keys()].forEach(end),
  };
}
