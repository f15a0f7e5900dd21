import type { Registry } from 'prom-client';
import type { Clock } from '../../model/clock.ts';
import type { SignalBus } from '../../model/signal.ts';

/** What gauges ask for at each scrape. */
export interface MetricSources {
  readonly version: string;
  /** Names of the enabled ones as they are now: they may come and go. */
  connectors(): readonly string[];
  head(): number;
  /** Events recorded and not delivered: beyond the cursor, or waiting for a retry. */
  lag(connector: string): number;
  deadLetters(connector: string): number;
  quarantined(): number;
  journalBytes(): number;
  readonly journalMaxBytes: number;
  /** The journal was found damaged at this start: told before there is anybody to listen. */
  readonly setAside: boolean;
  /** In milliseconds: how often it runs, 0 when nothing is scheduled; the end of the latest run over all groups. */
  reconcile(): { readonly every: number; readonly endedAt?: number | undefined };
}

/** What each group of metrics is made of. */
export interface MetricPorts {
  readonly registry: Registry;
  readonly signals: SignalBus;
  readonly clock: Clock;
  readonly sources: MetricSources;
}
