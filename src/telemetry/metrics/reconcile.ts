import type { SignalBus } from '../../model/signal.ts';
import type { Meter } from './meter.ts';

export interface ReconcileSources {
  /** In milliseconds: how often it runs, 0 when nothing is scheduled, and the end of the latest run over all groups. */
  reconcile(): { readonly every: number; readonly endedAt?: number | undefined };
}

/** Measures what reading the groups again brings to light. Dry runs do not count. */
export function measureReconcile(meter: Meter, signals: SignalBus, { reconcile }: ReconcileSources): void {
  const runs = meter.counter(
    'bridge_reconcile_runs_total',
    'Runs of reconcile that recorded what they found. outcome: done, incomplete (some groups not read), stopped.',
    ['outcome'],
  );
  const groups = meter.counter('bridge_reconcile_groups_total', 'Groups read. result: in_step, mended, gone, failed.', [
    'result',
  ]);
  const seconds = meter.gauge(
    'bridge_reconcile_duration_seconds',
    'How long the latest run took, from its begin to its end.',
  );
  meter.readGauge(
    'bridge_reconcile_last_end_timestamp_seconds',
    'When the latest run over all groups came to its end, in seconds since 1970; 0 before the first.',
    () => {
      const { endedAt } = reconcile();
      return endedAt === undefined ? undefined : endedAt / 1000;
    },
  );
  meter.readGauge(
    'bridge_reconcile_interval_seconds',
    'reconcile.every: how often it runs by itself; 0 when it does not.',
    () => reconcile().every / 1000,
  );
  const running = meter.gauge('bridge_reconcile_running', '1 while a run is under way.');

  for (const outcome of ['done', 'incomplete', 'stopped']) runs.inc({ outcome }, 0);
  for (const result of ['in_step', 'mended', 'gone', 'failed']) groups.inc({ result }, 0);
  signals.on('reconcile.started', () => running.set(1));
  signals.on('reconcile.ended', ({ ms, dryRun, counts, stopped }) => {
    running.set(0);
    if (dryRun) return;
    runs.inc({ outcome: stopped !== undefined ? 'stopped' : counts.failed > 0 ? 'incomplete' : 'done' });
    const { inStep: in_step, mended, gone, failed } = counts;
    for (const [result, number] of Object.entries({ in_step, mended, gone, failed })) groups.inc({ result }, number);
    seconds.set(ms / 1000);
  });
}
