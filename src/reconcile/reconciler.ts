import type { GroupReader } from '../journal/groups.ts';
import type { ReconcileReader, ReconcileRun } from '../journal/reconcile-run.ts';
import type { Clock } from '../model/clock.ts';
import type { CanonicalEvent } from '../model/event.ts';
import { BridgeError, describeFault, faultOf } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';
import type { GroupApi } from './api.ts';
import { newCounts, runReconcile } from './run.ts';

export interface ReconcilerSettings {
  readonly sdkAppId: string;
  readonly groupTypes: readonly string[];
  /** Milliseconds between the end of a run and the begin of the next; undefined: only when asked. */
  readonly every?: number | undefined;
}

export interface ReconcileRequest {
  /** Only these groups. */
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

export interface Reconciler {
  /** Begins a run, or goes on with one that was stopped half-way. Throws a BridgeError when one is running. */
  start(request: ReconcileRequest): ReconcileStatus;
  status(): ReconcileStatus;
  /** Stops the run that goes on, if any; resolves when it has. What it has read stays read. */
  stop(): Promise<void>;
}

export interface ReconcilerPorts {
  readonly api: GroupApi;
  readonly groups: GroupReader;
  readonly reader: ReconcileReader;
  begin(run: ReconcileRun): Promise<void>;
  /** Resolves once all of it is on disk; without `run` only the events. */
  record(events: readonly CanonicalEvent[], groupIds: readonly string[], run?: ReconcileRun): Promise<void>;
  readonly clock: Clock;
  readonly signals: SignalBus;
}

/** What an interrupted run has read longer ago is read again. */
const RESUME_WITHIN_MS = 86_400_000;

export function createReconciler(
  settings: ReconcilerSettings,
  ports: ReconcilerPorts,
  signal: AbortSignal,
): Reconciler {
  const { clock, signals, reader } = ports;
  let latest = reader.latest();
  let current:
    | { readonly run: ReconcileRun; readonly stop: AbortController; readonly ended: Promise<void> }
    | undefined;
  let nextAt: number | undefined;

  /** The run to go on with, or undefined. */
  const interrupted = (): ReconcileRun | undefined =>
    latest !== undefined && latest.endedAt === undefined && clock.now() - latest.startedAt < RESUME_WITHIN_MS
      ? latest
      : undefined;

  const begin = (request: ReconcileRequest): ReconcileRun => {
    // Only a run over everything that records can be gone on with: the others leave no trace.
    const whole = request.groupIds === undefined && request.dryRun !== true;
    const resumed = whole ? interrupted() : undefined;
    const { stopped: _, ...standing } = resumed ?? {
      startedAt: clock.now(),
      dryRun: request.dryRun === true,
      total: 0,
      counts: newCounts(),
      failures: [],
    };
    // What failed before is tried again.
    const run: ReconcileRun = { ...standing, counts: { ...standing.counts, failed: 0 }, failures: [] };
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    signals.emit('reconcile.started', { resumed: resumed !== undefined, dryRun: run.dryRun });
    const ended = work(request, run, whole, resumed !== undefined, either).finally(() => {
      latest = whole || latest?.endedAt !== undefined || latest === undefined ? run : latest;
      current = undefined;
      plan();
    });
    current = { run, stop, ended };
    return run;
  };

  async function work(
    { groupIds }: ReconcileRequest,
    run: ReconcileRun,
    whole: boolean,
    resumed: boolean,
    either: AbortSignal,
  ): Promise<void> {
    try {
      if (whole && !resumed) await ports.begin(run);
      await runReconcile(
        { sdkAppId: settings.sdkAppId, groupTypes: settings.groupTypes, groupIds, dryRun: run.dryRun },
        run,
        {
          api: ports.api,
          now: clock.now,
          group: ports.groups.get,
          knownIds: ports.groups.livingIds,
          isRead: (groupId) => resumed && reader.has(groupId),
          record: (events, ids) => ports.record(events, ids, whole ? run : undefined),
        },
        either,
      );
      run.endedAt = clock.now();
    } catch (thrown) {
      run.stopped = either.aborted ? 'it was stopped' : describeFault(faultOf(thrown, 'internal'));
      // There is nothing to go on with: it leaves no trace.
      if (!whole) run.endedAt = clock.now();
    }
    // Also when the journal takes no more: what is not noted is read again.
    if (whole) await ports.record([], [], run).catch(() => {});
    const { startedAt, dryRun, counts, stopped } = run;
    signals.emit('reconcile.ended', {
      ms: clock.now() - startedAt,
      dryRun,
      counts,
      ...(stopped !== undefined && { stopped }),
    });
  }

  /** One at a time: the next is planned when one has ended. After a failure it is not waited for the whole time. */
  let timer: NodeJS.Timeout | undefined;
  const plan = (): void => {
    clearTimeout(timer);
    if (settings.every === undefined || signal.aborted) return;
    const last =
      latest?.endedAt ?? (latest?.stopped === undefined ? undefined : clock.now() + RETRY_MS - settings.every);
    nextAt = last === undefined ? clock.now() : Math.max(clock.now(), last + settings.every);
    // setTimeout takes no more than 2^31 ms.
    timer = setTimeout(
      () => {
        if (nextAt !== undefined && clock.now() < nextAt) plan();
        else if (current === undefined) begin({});
      },
      Math.min(nextAt - clock.now(), 2 ** 31 - 1),
    );
    timer.unref();
  };
  plan();
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });

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

const RETRY_MS = 60_000;
