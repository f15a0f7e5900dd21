import { Counter, Gauge, Histogram } from 'prom-client';
import type { MetricPorts } from './sources.ts';

/** The file in which events are recorded. */
export function measureJournal({ registry, signals, sources }: MetricPorts): void {
  const registers = [registry];
  new Gauge({
    name: 'bridge_journal_events',
    help: 'Events recorded since the journal was created (the seq of the newest).',
    registers,
    collect() {
      this.set(sources.head());
    },
  });
  new Gauge({
    name: 'bridge_journal_bytes',
    help: 'Size of the journal’s files.',
    registers,
    collect() {
      this.set(sources.journalBytes());
    },
  });
  new Gauge({
    name: 'bridge_journal_max_bytes',
    help: 'journal.maxBytes: beyond it nothing can be recorded.',
    registers,
  }).set(sources.journalMaxBytes);
  const recordable = new Gauge({
    name: 'bridge_recordable',
    help: '1 while callbacks can be recorded, 0 since one could not be.',
    registers,
  });
  recordable.set(1);
  const commits = new Histogram({
    name: 'bridge_commit_seconds',
    help: 'Commits that answers wait for, each with its fsync.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2],
    registers,
  });
  new Gauge({
    name: 'bridge_journal_set_aside',
    help: '1 when the journal was found damaged at this start: it was set aside and a new one begun.',
    registers,
  }).set(Number(sources.setAside));
  const pruned = new Counter({
    name: 'bridge_pruned_total',
    help: 'Delivered events removed from the journal (journal.keepDelivered).',
    registers,
  });

  signals.on('journal.committed', ({ ms }) => commits.observe(ms / 1000));
  signals.on('journal.failed', () => recordable.set(0));
  signals.on('journal.recovered', () => recordable.set(1));
  signals.on('journal.pruned', ({ events }) => pruned.inc(events));
}
