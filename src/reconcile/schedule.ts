import type { Config } from '../config/schema.ts';
import type { Journal } from '../journal/append.ts';
import type { Database } from '../journal/database.ts';
import type { GroupReader } from '../journal/groups.ts';
import { createReconcileReader, type ReconcileReader } from '../journal/reconcile-run.ts';
import type { Clock } from '../model/clock.ts';
import { BridgeError, describeFault, faultOf } from '../model/fault.ts';
import { type ReconcileRun, reconcileRun } from '../model/reconcile-run.ts';
import type { SignalBus } from '../model/signal.ts';
import { createGroupApi, type GroupApi } from './api.ts';
import { newCounts, runReconcile } from './run.ts';

type ReconcileConfig = Pick<Config, 'app' | 'reconcile'>;

export interface ReconcileRequest {
  /** Reads only these groups. */
  readonly groupIds?: readonly string[] | undefined;
  /** Reads and counts, records nothing. */
  readonly dryRun?: boolean | undefined;
}

export interface ReconcileStatus {
  readonly running: boolean;
  /** The run that goes on, or the latest one. */
  readonly run?: ReconcileRun;
  /** Milliseconds since 1970. */
  readonly nextAt?: number;
}

/** Starts runs when asked and, where `every` is set, by itself. One run goes on at a time. */
export interface Reconciler {
  /** Begins a run, or goes on with one that was stopped before its end. Throws a BridgeError when one is running. */
  start(request: ReconcileRequest): ReconcileStatus;
  status(): ReconcileStatus;
  /** Stops the run that goes on, if any; resolves when it has stopped. What it has read stays read. */
  stop(): Promise<void>;
}

/** The reconciler, if one is configured; another can take its place. */
export interface ReconcileSchedule {
  reconciler(): Reconciler | undefined;
  /** Stops a run that goes on (the next one goes on where it stopped), then takes the other settings. */
  exchange(config: ReconcileConfig): Promise<void>;
  /** Stops it for good. */
  end(): Promise<void>;
}

export interface ReconcilePorts {
  readonly journal: Pick<Journal, 'beginReconcile' | 'recordRead'>;
  readonly database: Pick<Database, 'connection'>;
  readonly groups: GroupReader;
  readonly clock: Clock;
  readonly signals: SignalBus;
  /** Aborts when the bridge stops. */
  readonly stopping: AbortSignal;
}

export function createReconcileSchedule(config: ReconcileConfig, ports: ReconcilePorts): ReconcileSchedule {
  const reader = createReconcileReader(ports.database.connection);
  let ending = new AbortController();

  const start = ({ app: { sdkAppId }, reconcile }: ReconcileConfig): Reconciler | undefined => {
    if (reconcile === undefined) return undefined;
    const api = createGroupApi({ ...reconcile.api, sdkAppId }, ports.clock);
    const signal = AbortSignal.any([ports.stopping, ending.signal]);
    return createReconciler({ ...reconcile, sdkAppId }, { ...ports, api, reader }, signal);
  };
  let reconciler = start(config);

  const end = async (): Promise<void> => {
    ending.abort();
    await reconciler?.stop();
  };
  return {
    reconciler: () => reconciler,
    async exchange(next) {
      await end();
      if (ports.stopping.aborted) return;
      ending = new AbortController();
      reconciler = start(next);
    },
    end,
  };
}

interface ReconcilerSettings {
  readonly sdkAppId: string;
  readonly groupTypes: readonly string[];
  /** Milliseconds between the end of a run and the start of the next; without it a run starts only when asked for. */
  readonly every?: number | undefined;
}

interface ReconcilerPorts extends Omit<ReconcilePorts, 'database' | 'stopping'> {
  readonly api: GroupApi;
  readonly reader: ReconcileReader;
}

/** What an interrupted run has read longer ago is read again. */
const RESUME_WITHIN_MS = 86_400_000;
/** The time after which a run that failed is tried again. */
const RETRY_MS = 60_000;

function createReconciler(settings: ReconcilerSettings, ports: ReconcilerPorts, signal: AbortSignal): Reconciler {
  const { clock, signals, reader } = ports;
  const noted = reader.latest();
  let latest = noted === undefined ? undefined : reconcileRun.parse(noted);
  let current:
    | { readonly run: ReconcileRun; readonly stop: AbortController; readonly ended: Promise<void> }
    | undefined;
  let nextAt: number | undefined;

  /** Returns the run to go on with. */
  const interrupted = (): ReconcileRun | undefined =>
    latest !== undefined && latest.endedAt === undefined && clock.now() - latest.startedAt < RESUME_WITHIN_MS
      ? latest
      : undefined;

  const begin = (request: ReconcileRequest): void => {
    const whole = request.groupIds === undefined && request.dryRun !== true;
    const resumed = whole ? interrupted() : undefined;
    const { stopped: _, ...before } = resumed ?? {
      startedAt: clock.now(),
      dryRun: request.dryRun === true,
      total: 0,
      counts: newCounts(),
      failures: [],
    };
    // What failed before is tried again.
    const run: ReconcileRun = { ...before, counts: { ...before.counts, failed: 0 }, failures: [] };
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    const planned = { run, groupIds: request.groupIds, whole, resumed: resumed !== undefined };
    signals.emit('reconcile.started', { resumed: resumed !== undefined, dryRun: run.dryRun });
    const ended = perform(planned, settings, ports, either).finally(() => {
      latest = whole || latest?.endedAt !== undefined || latest === undefined ? run : latest;
      current = undefined;
      plan();
    });
    current = { run, stop, ended };
  };

  /** Plans the next run; after a failure it comes before `every` is over. */
  const plan = (): void => {
    if (settings.every === undefined || signal.aborted) return;
    const waitMs = waitBefore(settings.every, latest, clock.now());
    nextAt = clock.now() + waitMs;
    timer.start(waitMs);
  };
  const timer = createTimer(() => {
    if (current === undefined) begin({});
  });
  plan();
  signal.addEventListener('abort', timer.stop, { once: true });

  const status = (): ReconcileStatus => {
    const run = current?.run ?? latest;
    return {
      running: current !== undefined,
      ...(run !== undefined && { run }),
      ...(current === undefined && settings.every !== undefined && nextAt !== undefined && { nextAt }),
    };
  };

  return {
    start(request) {
      if (current !== undefined) {
        throw new BridgeError({
          code: 'reconcile-running',
          message: 'a reconcile is running already',
          suggestion: 'wait for its end: status shows how far it is',
        });
      }
      begin(request);
      return status();
    },
    status,
    async stop() {
      current?.stop.abort();
      await current?.ended;
    },
  };
}

/** setTimeout takes no more. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** A timer of any length, which keeps no process alive; a start takes the place of the one before. */
function createTimer(over: () => void): { start(ms: number): void; stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  const start = (ms: number): void => {
    clearTimeout(timer);
    const partMs = Math.min(ms, MAX_TIMEOUT_MS);
    timer = setTimeout(() => (partMs < ms ? start(ms - partMs) : over()), partMs);
    timer.unref();
  };
  return { start, stop: () => clearTimeout(timer) };
}

interface Planned {
  readonly run: ReconcileRun;
  readonly groupIds?: readonly string[] | undefined;
  /** Only a run over everything that records can be resumed: the others leave no trace. */
  readonly whole: boolean;
  readonly resumed: boolean;
}

/** Performs the run and notes in it how it ended. */
async function perform(
  { run, groupIds, whole, resumed }: Planned,
  settings: ReconcilerSettings,
  ports: ReconcilerPorts,
  signal: AbortSignal,
): Promise<void> {
  try {
    if (whole && !resumed) await ports.journal.beginReconcile(run);
    await runReconcile(
      { sdkAppId: settings.sdkAppId, groupTypes: settings.groupTypes, groupIds, dryRun: run.dryRun },
      run,
      {
        api: ports.api,
        now: ports.clock.now,
        group: ports.groups.get,
        knownIds: ports.groups.livingIds,
        isRead: (groupId) => resumed && ports.reader.has(groupId),
        record: (events, ids) => ports.journal.recordRead(events, ids, whole ? run : undefined),
      },
      signal,
    );
    run.endedAt = ports.clock.now();
  } catch (thrown) {
    run.stopped = signal.aborted ? 'it was stopped' : describeFault(faultOf(thrown, 'internal'));
    // Nothing can be resumed of it: it leaves no trace.
    if (!whole) run.endedAt = ports.clock.now();
  }
  // The journal may take no more: what is not noted is read again.
  if (whole) await ports.journal.recordRead([], [], run).catch(() => {});
  const { startedAt, dryRun, counts, stopped } = run;
  ports.signals.emit('reconcile.ended', {
    ms: Math.max(0, ports.clock.now() - startedAt),
    dryRun,
    counts,
    ...(stopped !== undefined && { stopped }),
  });
}

/** Returns the milliseconds before the next run: after one that ended at most `every`, whatever the clock was set to since. */
export function waitBefore(every: number, latest: ReconcileRun | undefined, now: number): number {
  if (latest?.endedAt === undefined) return latest?.stopped === undefined ? 0 : RETRY_MS;
  return Math.min(Math.max(0, latest.endedAt + every - now), every);
}
