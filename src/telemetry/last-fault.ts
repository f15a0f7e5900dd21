import type { Clock } from '../model/clock.ts';
import type { Fault } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';

export interface LastFault {
  readonly fault: Fault;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Whether it concerns the whole destination, an event that waits for its retry, or a dead letter. */
  readonly scope: 'destination' | 'retry' | 'dead-letter';
}

/** Remembers the latest fault of each connector; connectors may come and go. */
export function watchLastFaults(signals: SignalBus, clock: Clock): (connector: string) => LastFault | undefined {
  const latest = new Map<string, LastFault>();
  const note =
    (scope: LastFault['scope']) =>
    ({ connector, fault }: { readonly connector: string; readonly fault: Fault }): void =>
      void latest.set(connector, { fault, at: clock.now(), scope });
  signals.on('lane.unreachable', note('destination'));
  signals.on('lane.retry', note('retry'));
  signals.on('lane.dead-letter', note('dead-letter'));
  return (connector) => latest.get(connector);
}
