import type { Sink, Source } from '../../connectors/contract.ts';
import { compileFilter } from '../../src/delivery/filter.ts';
import { type Lane, startLane } from '../../src/delivery/lane.ts';
import { createUpkeep, type UpkeepPorts, type UpkeepSettings } from '../../src/delivery/upkeep.ts';
import type { Clock } from '../../src/model/clock.ts';
import type { SignalBus } from '../../src/model/signal.ts';

interface WatchedLane {
  readonly sink: Sink;
  readonly verify: UpkeepSettings['verify'];
  readonly source: Source;
  readonly events?: UpkeepPorts['events'];
  readonly cursor?: number;
  readonly clock: Clock;
  readonly signals: SignalBus;
}

const NO_GROUPS = { page: () => [], get: () => undefined, count: () => 0, latest: () => 0 };
const NO_EVENTS = { oldest: () => undefined, read: () => [], isOpen: () => false };

/** Starts a lane that looks after its copy, which is of events or of no groups at all. */
export function startWatchedLane(
  { sink, verify, source, events = NO_EVENTS, cursor = 0, clock, signals }: WatchedLane,
  stop: AbortSignal,
): Lane {
  const upkeep = createUpkeep(
    { verify, restore: 'auto' },
    { load: () => ({ differing: 0 }), save: () => {}, groups: NO_GROUPS, events, note: () => {} },
  );
  return startLane(
    {
      connector: 'c',
      batch: { maxEvents: 100, maxWaitMs: 0 },
      retry: { initialMs: 100, maxMs: 1_000 },
      filter: compileFilter({}),
    },
    {
      open: async () => sink,
      source,
      groups: NO_GROUPS,
      upkeep,
      trace: (_connector, _batch, work) => work(),
      clock,
      signals,
      random: () => 0,
    },
    { paused: false, from: { cursor, waiting: [] } },
    stop,
  );
}
