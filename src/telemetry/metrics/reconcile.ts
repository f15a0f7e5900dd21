import { Counter, Gauge } from 'prom-client';
import type { MetricPorts } from './sources.ts';

/** What reading the groups again brings to light. Dry runs do not count. */
export function measureReconcile({ registry, signals, sources }: MetricPorts): void {
  const registers = [registry];
  const runs = new Counter({
    name: 'bridge_reconcile_runs_total',
    help: 'Runs of reconcile that recorded what they found. outcome: done, incomplete (some groups not read), stopped.',
    labelNames: ['outcome'],
    registers,
  });
  const groups = new Counter({
    name: 'bridge_reconcile_groups_total',
    help: 'Groups read. result: in_step, mended, gone, failed.',
    labelNames: ['result'],
    registers,
  });
  const seconds = new Gauge({
    name: 'bridge_reconcile_duration_seconds',
    help: 'How long the latest run took, from its begin to its end.',
    registers,
  });
  new Gauge({
    name: 'bridge_reconcile_last_end_timestamp_seconds',
    help: 'When the latest run over all groups came to its end, in seconds since 1970; 0 before the first.',
    registers,
    collect() {
      // Of a run under way there is none: that of the one before stands.
      const { endedAt } = sources.reconcile();
      if (endedAt !== undefined) this.set(endedAt / 1000);
    },
  });
  new Gauge({
    name: 'bridge_reconcile_interval_seconds',
    help: 'reconcile.every: how often it runs by itself; 0 when it does not.',
    registers,
    collect() {
      this.set(sources.reconcile().every / 1000);
    },
  });
  const running = new Gauge({
    name: 'bridge_reconcile_running',
    help: '1 while a run is under way.',
    registers,
  });

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
