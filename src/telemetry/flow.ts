import type { Clock } from '../model/clock.ts';
import type { Fault } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';

/** What a connector did lately. */
export interface Flow {
  /** Events delivered or superseded a second, over the last ten. */
  readonly perSecond: number;
  /** Since the bridge started. */
  readonly delivered: number;
  readonly lastFault?: {
    readonly fault: Fault;
    /** Milliseconds since 1970. */
    readonly at: number;
    /** The destination as a whole, one event that waits for its retry, or one that was given up. */
    readonly of: 'destination' | 'retry' | 'dead-letter';
    readonly groupId?: string;
  };
}

const SECONDS = 10;

/** Follows each connector by its signals; connectors may come and go. */
export function watchFlow(signals: SignalBus, clock: Clock): (connector: string) => Flow {
  interface Followed {
    /** By second, round and round. */
    readonly recent: { second: number; events: number }[];
    delivered: number;
    lastFault?: NonNullable<Flow['lastFault']>;
  }
  const all = new Map<string, Followed>();
  const of = (connector: string): Followed => {
    let found = all.get(connector);
    if (found === undefined) {
      found = { recent: [], delivered: 0 };
      all.set(connector, found);
    }
    return found;
  };
  const second = (): number => Math.floor(clock.now() / 1000);

  signals.on('lane.delivered', ({ connector, delivered, superseded }) => {
    const followed = of(connector);
    const now = second();
    const events = delivered + superseded;
    followed.delivered += events;
    const last = followed.recent.at(-1);
    if (last?.second === now) last.events += events;
    else followed.recent.push({ second: now, events });
    while (followed.recent.length > SECONDS + 1) followed.recent.shift();
  });
  signals.on('lane.unreachable', ({ connector, fault }) => {
    of(connector).lastFault = { fault, at: clock.now(), of: 'destination' };
  });
  signals.on('lane.retry', ({ connector, fault, groupId }) => {
    of(connector).lastFault = { fault, at: clock.now(), of: 'retry', groupId };
  });
  signals.on('lane.dead-letter', ({ connector, fault, groupId }) => {
    of(connector).lastFault = { fault, at: clock.now(), of: 'dead-letter', groupId };
  });

  return (connector) => {
    const followed = all.get(connector);
    if (followed === undefined) return { perSecond: 0, delivered: 0 };
    const now = second();
    // Whole seconds only: the one that goes on would make it look slower than it is.
    const events = followed.recent
      .filter((some) => some.second < now && some.second >= now - SECONDS)
      .reduce((sum, some) => sum + some.events, 0);
    const { delivered, lastFault } = followed;
    return { perSecond: events / SECONDS, delivered, ...(lastFault !== undefined && { lastFault }) };
  };
}
