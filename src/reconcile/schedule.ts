import type { Config } from '../config/schema.ts';
import type { Database } from '../journal/database.ts';
import { createReconcileReader } from '../journal/reads.ts';
import { timerMs } from '../model/clock.ts';
import { BridgeError } from '../model/fault.ts';
import { type ReconcileRun, reconcileRun } from '../model/reconcile-run.ts';
import type { ServiceClock } from '../model/service-clock.ts';
import { createGroupApi, type ReconcileSettings } from './api.ts';
import { keepFindings } from './findings.ts';
import { newCounts, performRun, type RunPorts } from './run.ts';

type ReconcileConfig = Pick<Config, 'app' | 'reconcile'>;

interface ReconcileRequest {
  /** All groups by default. */
  readonly groupIds?: readonly string[] | undefined;
  readonly dryRun?: boolean | undefined;
  readonly allowGone?: boolean | undefined;
}

interface SchedulePorts extends Omit<RunPorts, 'api' | 'reader' | 'findings'> {
  readonly findingsFile: string;
  readonly database: Pick<Database, 'connection'>;
  /** Learns the service's time from its answers. */
  readonly service?: ServiceClock;
  readonly stopping: AbortSignal;
}

/** Keeps the reconciler, if one is configured, and can exchange it. */
export function createReconcileSchedule(config: ReconcileConfig, ports: SchedulePorts) {
  const reader = createReconcileReader(ports.database.connection);
  const findings = keepFindings(ports.findingsFile);
  let ending = new AbortController();

  const start = ({ app: { sdkAppId }, reconcile }: ReconcileConfig): Reconciler | undefined => {
    if (reconcile === undefined) return undefined;
    const api = createGroupApi({ ...reconcile.api, sdkAppId }, ports.clock, ports.service);
    const signal = AbortSignal.any([ports.stopping, ending.signal]);
    return createReconciler({ ...reconcile, sdkAppId }, { ...ports, api, reader, findings }, signal);
  };
  let reconciler = start(config);

  const end = async (): Promise<void> => {
    ending.abort();
    await reconciler?.stop();
  };
  return {
    reconciler: () => reconciler,
    /** Stops the current run (the next one resumes it), then applies the other settings. */
    async exchange(next: ReconcileConfig): Promise<void> {
      await end();
      if (ports.stopping.aborted) return;
      ending = new AbortController();
      reconciler = start(next);
    },
    end,
  };
}

/** An older interrupted run is not resumed. */
const RESUME_WITHIN_MS = 86_400_000;
const RETRY_MS = 60_000;

export type Reconciler = ReturnType<typeof createReconciler>;

/** Starts runs on request and, if `every` is set, by itself, one at a time. */
function createReconciler(settings: ReconcileSettings, ports: RunPorts, signal: AbortSignal) {
  const { clock, signals, reader, findings } = ports;
  let latest = reconcileRun.optional().parse(reader.latest());
  /** The latest run over everything, which is resumed if it was stopped, whatever was read since. */
  let latestWhole = latest;
  let current: { run: ReconcileRun; stop: AbortController; ended: Promise<void> } | undefined;
  let nextAt: number | undefined;
  let timer: NodeJS.Timeout | undefined;

  const begin = ({ groupIds, dryRun = false, allowGone = false }: ReconcileRequest): void => {
    const whole = groupIds === undefined && !dryRun;
    const now = clock.now();
    const open = whole && latestWhole?.endedAt === undefined ? latestWhole : undefined;
    const interrupted = open !== undefined && now - open.startedAt < RESUME_WITHIN_MS ? open : undefined;
    const resumed = interrupted !== undefined;
    const { stopped: _, ...before } = interrupted ?? { startedAt: now, dryRun, total: 0, counts: newCounts() };
    const run: ReconcileRun = { ...before, counts: { ...before.counts }, failures: [], unlisted: [] };
    const failedBefore = whole ? (latestWhole?.failures ?? []) : [];
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    clearTimeout(timer);
    signals.emit('reconcile.started', { resumed, dryRun });
    const ended = performRun(
      { run, groupIds, whole, resumed, allowGone, failedBefore },
      settings,
      ports,
      either,
    ).finally(() => {
      latest = run;
      if (whole) latestWhole = run;
      current = undefined;
      plan();
    });
    current = { run, stop, ended };
  };

  const plan = (): void => {
    if (settings.every === undefined || signal.aborted) return;
    const now = clock.now();
    const waitMs = waitBefore(settings.every, latestWhole, now);
    nextAt = now + waitMs;
    // `every` may be longer than a timer takes.
    timer = setTimeout(() => (timerMs(waitMs) < waitMs ? plan() : begin({})), timerMs(waitMs));
    timer.unref();
  };
  plan();
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });

  const status = () => {
    const run = current?.run ?? latest;
    return {
      running: current !== undefined,
      ...(run !== undefined && { run }),
      /** Milliseconds since 1970. */
      ...(current === undefined && settings.every !== undefined && nextAt !== undefined && { nextAt }),
    };
  };

  return {
    status,
    /** When the latest run over everything ended, in milliseconds since 1970. */
    lastEndedAt: () => latestWhole?.endedAt,
    /** Returns the latest run if it was a dry run, and none is running. */
    lastDryRun: () => (current === undefined && latest?.dryRun ? latest : undefined),
    findings: findings.page,
    /** Begins a run, or resumes a stopped one. Throws a BridgeError if one is running. */
    start(request: ReconcileRequest) {
      if (current !== undefined) {
        const suggestion = 'wait until it ends: status shows its progress';
        throw new BridgeError({ code: 'reconcile-running', message: 'reconcile is already running', suggestion });
      }
      begin(request);
      return status();
    },
    /** Stops the current run, if any; resolves when it has stopped. A whole run can be resumed. */
    async stop(): Promise<void> {
      current?.stop.abort();
      await current?.ended;
    },
  };
}

/** Returns the time until the next run in milliseconds; at most `every`, even if the clock was set back since. */
export function waitBefore(every: number, latest: ReconcileRun | undefined, now: number): number {
  if (latest?.endedAt === undefined) return latest?.stopped === undefined ? 0 : RETRY_MS;
  return Math.min(Math.max(0, latest.endedAt + every - now), every);
}
