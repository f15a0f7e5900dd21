import type { SignalBus } from '../../model/signal.ts';
import type { Meter } from './meter.ts';

export interface JournalSources {
  head(): number;
  journalBytes(): number;
  readonly journalMaxBytes: number;
  /** True when the journal was found damaged at this start, before anybody could listen to signals. */
  readonly setAside: boolean;
}

const COMMIT_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2];

/** Measures the file in which events are recorded. */
export function measureJournal(meter: Meter, signals: SignalBus, sources: JournalSources): void {
  meter.readGauge(
    'bridge_journal_events',
    'Events recorded since the journal was created (the seq of the newest).',
    sources.head,
  );
  meter.readGauge('bridge_journal_bytes', 'Size of the journal’s files.', sources.journalBytes);
  meter.gauge(
    'bridge_journal_max_bytes',
    'journal.maxBytes: beyond it nothing can be recorded.',
    sources.journalMaxBytes,
  );
  const recordable = meter.gauge(
    'bridge_recordable',
    '1 while callbacks can be recorded, 0 since one could not be.',
    1,
  );
  signals.on('journal.failed', () => recordable.set(0));
  signals.on('journal.recovered', () => recordable.set(1));
  const commits = meter.histogram(
    'bridge_commit_seconds',
    'Commits that answers wait for, each with its fsync.',
    COMMIT_BUCKETS,
  );
  signals.on('journal.committed', ({ ms }) => commits.observe(ms / 1000));
  meter.gauge(
    'bridge_journal_set_aside',
    '1 when the journal was found damaged at this start: it was set aside and a new one begun.',
    Number(sources.setAside),
  );
  const pruned = meter.counter(
    'bridge_pruned_total',
    'Delivered events removed from the journal (journal.keepDelivered).',
  );
  signals.on('journal.pruned', ({ events }) => pruned.inc(events));
}
