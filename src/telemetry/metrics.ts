import { type Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Clock } from '../model/clock.ts';
import { FAULT_CODES, FAULTS, type FaultCode } from '../model/fault.ts';
import type { CallbackOutcome, LaneState, SignalBus } from '../model/signal.ts';
import type { Standing, Verdict } from '../model/verdict.ts';
import { copyMetrics, lossMetrics, verdictMetrics } from './copies.ts';
import { BY_CONNECTOR, counter, gauge, histogram, type Metrics, read, readEach } from './meter.ts';

interface WorkerSources {
  readonly version: string;
  /** Read once at each scrape, so that all metrics agree. Connectors may come and go. */
  status(): { readonly connectors: readonly Standing[] };
}

export interface MetricSources extends WorkerSources {
  status(): ReturnType<WorkerSources['status']> & {
    readonly verdict: Verdict;
    readonly journal: { readonly head: number; readonly bytes: number; readonly quarantined: number };
  };
  /** The documented commands of the vendor. */
  readonly commands: Iterable<string>;
  /** In milliseconds; see ServiceClock. */
  clockDisagreement(): number;
  readonly journalMaxBytes: number;
  /** Whether the journal was found damaged at this start, before anybody could listen to signals. */
  readonly setAside: boolean;
  /** In milliseconds: how often it runs, or 0 if it is not scheduled, and the end of the latest run over all groups. */
  reconcile(): { readonly every: number; readonly endedAt?: number | undefined };
}

/** Returns everything on `GET /metrics`. */
export function createMetrics(signals: SignalBus, clock: Clock, given: MetricSources): Registry {
  const sources = { ...given, status: oncePerScrape(given.status) };
  const metrics = {
    ...callbackMetrics(sources, clock),
    ...journalMetrics(sources),
    ...laneMetrics(clock),
    ...copyMetrics,
    ...verdictMetrics(sources),
    ...reconcileMetrics(sources),
  };
  return createRegistry(metrics, signals, sources);
}

export function createWorkerMetrics(signals: SignalBus, clock: Clock, sources: WorkerSources): Registry {
  const status = oncePerScrape(sources.status);
  return createRegistry({ ...laneMetrics(clock), ...lossMetrics }, signals, { ...sources, status });
}

/** Shares one look, which costs some queries, among all readers of a scrape, since they run in one turn. */
function oncePerScrape<Status>(look: () => Status): () => Status {
  let latest: Status | undefined;
  return () => {
    if (latest === undefined) queueMicrotask(() => (latest = undefined));
    latest ??= look();
    return latest;
  };
}

const LOOP_MS = 250;

function createRegistry(metrics: Metrics, signals: SignalBus, { version, status }: WorkerSources): Registry {
  const registry = new Registry();
  const info = { name: 'bridge_info', help: '1, with the version of the bridge as a label.' };
  new Gauge({ ...info, labelNames: ['version'], registers: [registry] }).set({ version }, 1);
  for (const [name, register] of Object.entries(metrics))
    register(name, { registry, signals, connectors: () => status().connectors });
  // By default each sample of the event loop wakes the thread, a hundred times a second.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_MS });
  return registry;
}

const count = (counter: Counter): void => counter.inc();
const countConnector = (counter: Counter, { connector }: { readonly connector: string }): void =>
  counter.inc({ connector });

/** The outcomes of the commands that the bridge records. */
const OWN: ReadonlySet<CallbackOutcome> = new Set(['recorded', 'duplicate', 'quarantined']);

/** Returns the fault codes with such an HTTP status: those that a callback may be answered with. */
const receiverCodes = (when: (status: number) => boolean): FaultCode[] =>
  FAULT_CODES.filter((code) => when(FAULTS[code].status ?? NaN));

function callbackMetrics({ commands, status, clockDisagreement }: MetricSources, clock: Clock): Metrics {
  return {
    bridge_callbacks_total: counter(
      'Callbacks answered. command: documented ones by name, else `other`, `none` without one. outcome: recorded, duplicate, quarantined, acknowledged, forwarded, refused, failed. fault: why it was refused or failed, a code of docs/reference/errors.md, else empty.',
      {
        'callback.answered': (counter, { command, outcome, fault }) =>
          counter.inc({ command, outcome, fault: fault?.code ?? '' }),
        'request.strayed': (counter, { code: fault }) => counter.inc({ command: 'none', outcome: 'refused', fault }),
      },
      { command: [...commands], outcome: [...OWN], fault: [''] },
      { command: [...commands], outcome: ['refused'], fault: receiverCodes((status) => status !== 503) },
      { command: [...commands], outcome: ['failed'], fault: receiverCodes((status) => status === 503) },
    ),
    bridge_ack_seconds: histogram(
      'From a request to its answer. The service gives up after 2 s.',
      // There is one just below the service's limit of 2 s; those beyond it are for held answers.
      [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 1.9, 2, 2.5, 5],
      { 'callback.answered': (histogram, { ms }) => histogram.observe(ms / 1000) },
    ),
    bridge_last_callback_timestamp_seconds: gauge(
      'When the latest callback that becomes an event was answered OK, in seconds since 1970; 0 before the first since the start.',
      { 'callback.answered': (gauge, { outcome }) => OWN.has(outcome) && gauge.set(clock.now() / 1000) },
    ),
    bridge_held_answers: gauge(
      'Answers currently held past the service’s time-out, because the journal cannot record.',
      { 'callback.held': (gauge, { held }) => gauge.set(held) },
    ),
    bridge_event_time_ahead_total: counter(
      'Callbacks with an implausible EventTime: more than 2 s ahead of this clock, before 2014, or in seconds.',
      { 'clock.skew': count },
    ),
    bridge_clock_skew_seconds: read(
      'How far the service’s clock seems to be ahead of this machine’s; 0 as long as they agree within 30 s.',
      () => clockDisagreement() / 1000,
    ),
    bridge_callback_crashes_total: counter('Callbacks that failed with an internal error of the bridge.', {
      'callback.crashed': count,
    }),
    bridge_unforwarded_total: counter(
      'Callbacks to which the upstream handler (receiver.otherCommands.forwardTo) gave no answer in time.',
      { 'forward.failed': (counter, { command }) => counter.inc({ command }) },
      { command: [] },
    ),
    bridge_lossy_callbacks_total: counter('Callbacks whose text was decoded with losses: its encoding is unknown.', {
      'callback.lossy': count,
    }),
    bridge_bounded_callbacks_total: counter(
      'Callbacks with fields beyond the limits of a group: they are in the event’s extra, not merged.',
      { 'callback.bounded': count },
    ),
    bridge_quarantined: read(
      'Callbacks of a verified sender that could not be mapped and are kept as received.',
      () => status().journal.quarantined,
    ),
    bridge_connections_crowded_total: counter(
      'Connections beyond the limit of a server. server: receiver (receiver.maxConnections), admin; fate: evicted (an idle one made room), refused.',
      {
        'connection.limit': (counter, { section, evicted }) =>
          counter.inc({ server: section, fate: evicted ? 'evicted' : 'refused' }),
      },
      { server: ['receiver', 'admin'], fate: ['evicted', 'refused'] },
    ),
    bridge_tls_handshakes_failed_total: counter('TLS handshakes that callers did not complete.', {
      'tls.handshake-failed': count,
    }),
    bridge_certificate_not_after_timestamp_seconds: gauge(
      'When the certificate of receiver.tls expires, in seconds since 1970; 0 where the bridge has none.',
      { 'tls.loaded': (gauge, { notAfter }) => gauge.set(notAfter / 1000) },
    ),
    bridge_certificate_failures_total: counter(
      'Renewed certificates that could not be used: the previous one stays in use.',
      {
        'tls.failed': count,
      },
    ),
  };
}

function journalMetrics({ status, journalMaxBytes, setAside }: MetricSources): Metrics {
  return {
    bridge_journal_events: read(
      'Events recorded since the journal was created (the seq of the newest).',
      () => status().journal.head,
    ),
    bridge_journal_bytes: read('Size of the journal’s files.', () => status().journal.bytes),
    bridge_journal_max_bytes: read('journal.maxBytes: beyond it nothing can be recorded.', () => journalMaxBytes),
    bridge_recordable: gauge(
      '1 while callbacks can be recorded, 0 since one could not be.',
      { 'journal.failed': (gauge) => gauge.set(0), 'journal.recovered': (gauge) => gauge.set(1) },
      1,
    ),
    bridge_commit_seconds: histogram(
      'Commits that answers wait for, each with its fsync.',
      [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2],
      { 'journal.committed': (histogram, { ms }) => histogram.observe(ms / 1000) },
    ),
    bridge_journal_set_aside: read(
      '1 when the journal was found damaged at this start: it was set aside and a new one started.',
      () => Number(setAside),
    ),
    bridge_pruned_total: counter('Delivered events removed from the journal (journal.keepDelivered).', {
      'journal.pruned': (counter, { events }) => counter.inc(events),
    }),
  };
}

const is =
  (kind: LaneState['kind']) =>
  ({ state }: Standing): number =>
    Number(state.kind === kind);

function laneMetrics(clock: Clock): Metrics {
  return {
    bridge_connector_up: readEach(
      '1 while the destination accepts events; 0 while it is unavailable or the connector is paused.',
      is('running'),
    ),
    bridge_connector_paused: readEach('1 while a person has paused the connector.', is('paused')),
    bridge_delivery_lag_events: readEach(
      'Events recorded but not delivered yet, including those waiting for a retry.',
      ({ lag }) => lag,
    ),
    bridge_delivery_lag_seconds: readEach(
      'For how long the connector has not been in step; 0 when it is.',
      ({ lagSeconds }) => lagSeconds,
    ),
    bridge_dead_letters: readEach(
      'Events that the connector’s destination refused for good.',
      (one) => one.deadLetters,
    ),
    bridge_relay_restarts_total: counter('Times the delivery thread ended by itself and was restarted.', {
      'relay.crashed': count,
    }),
    bridge_delivered_total: counter(
      'Events delivered or superseded.',
      {
        'lane.delivered': (counter, { connector, delivered, superseded }) =>
          counter.inc({ connector }, delivered + superseded),
      },
      BY_CONNECTOR,
    ),
    bridge_delivery_retries_total: counter(
      'Deliveries that have to be retried: of one event, or of a batch while the destination is unavailable.',
      { 'lane.unreachable': countConnector, 'lane.retry': countConnector },
      BY_CONNECTOR,
    ),
    bridge_dead_lettered_total: counter(
      'Events that became dead letters, including those since retried or discarded.',
      { 'lane.dead-letter': countConnector },
      BY_CONNECTOR,
    ),
    bridge_restore_failures_total: counter(
      'Groups that a restore (replay --from groups, reconcile --against) could not write to the destination.',
      { 'lane.resync-failed': countConnector },
      BY_CONNECTOR,
    ),
    bridge_source_gap_records_total: counter(
      'Workers only: records that the topic removed before this connector had read them.',
      {
        'source.gap': (counter, { connector, from, to }) =>
          counter.inc({ connector }, Number(BigInt(to) - BigInt(from)) + 1),
      },
      BY_CONNECTOR,
    ),
    bridge_end_to_end_seconds: histogram(
      'From the receipt of a callback to its delivery.',
      [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600],
      {
        'lane.delivered': (histogram, { connector, receivedAt }) => {
          const now = clock.now();
          const series = histogram.labels({ connector });
          for (const at of receivedAt) series.observe(Math.max(0, now - at) / 1000);
        },
      },
      BY_CONNECTOR,
    ),
    bridge_delivery_seconds: histogram(
      'How long the destination took for a batch.',
      [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      { 'lane.delivered': (histogram, { connector, ms }) => histogram.observe({ connector }, ms / 1000) },
      BY_CONNECTOR,
    ),
  };
}

function reconcileMetrics({ reconcile }: MetricSources): Metrics {
  return {
    bridge_reconcile_runs_total: counter(
      'Runs of reconcile that recorded what they found. outcome: done, incomplete (some groups not read), withheld (more groups gone than reconcile.maxGone), stopped.',
      {
        'reconcile.ended': (counter, { dryRun, counts, stopped }) => {
          const ended = counts.withheld > 0 ? 'withheld' : counts.failed > 0 ? 'incomplete' : 'done';
          const outcome = stopped !== undefined ? 'stopped' : ended;
          if (!dryRun) counter.inc({ outcome });
        },
      },
      { outcome: ['done', 'incomplete', 'withheld', 'stopped'] },
    ),
    bridge_reconcile_groups_total: counter(
      'Groups read. result: in_step, mended, gone, failed.',
      {
        'reconcile.ended': (counter, { dryRun, counts: { inStep, mended, gone, failed } }) => {
          const results = dryRun ? {} : { in_step: inStep, mended, gone, failed };
          for (const [result, groups] of Object.entries(results)) counter.inc({ result }, groups);
        },
      },
      { result: ['in_step', 'mended', 'gone', 'failed'] },
    ),
    bridge_reconcile_duration_seconds: gauge('How long the latest run took.', {
      'reconcile.ended': (gauge, { ms, dryRun }) => !dryRun && gauge.set(ms / 1000),
    }),
    bridge_reconcile_last_end_timestamp_seconds: read(
      'When the latest run over all groups finished, in seconds since 1970; 0 before the first.',
      () => {
        const { endedAt } = reconcile();
        return endedAt === undefined ? undefined : endedAt / 1000;
      },
    ),
    bridge_reconcile_interval_seconds: read(
      'reconcile.every: how often it runs by itself; 0 when it does not.',
      () => reconcile().every / 1000,
    ),
    bridge_reconcile_running: gauge('1 while a run is under way.', {
      'reconcile.started': (gauge) => gauge.set(1),
      'reconcile.ended': (gauge) => gauge.set(0),
    }),
    bridge_config_reloads_total: counter(
      'Reloads of the configuration. outcome: applied, refused.',
      {
        'config.reloaded': (counter) => counter.inc({ outcome: 'applied' }),
        'config.refused': (counter) => counter.inc({ outcome: 'refused' }),
      },
      { outcome: ['applied', 'refused'] },
    ),
    bridge_config_last_reload_success: gauge(
      '1 while the configuration read last is in effect, 0 when it was refused.',
      { 'config.reloaded': (gauge) => gauge.set(1), 'config.refused': (gauge) => gauge.set(0) },
      1,
    ),
  };
}
