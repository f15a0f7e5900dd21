import type { Sink, Source } from '../../connectors/contract.ts';
import { compileFilter } from '../../src/delivery/filter.ts';
import { type Lane, startLane } from '../../src/delivery/lane.ts';
import { createUpkeep, type UpkeepPorts, type UpkeepSettings } from '../../src/delivery/upkeep.ts';
import type { Clock } from '../../src/model/clock.ts';
import { type CopyState, UNSEEN_COPY } from '../../src/model/copy.ts';
import type { Group } from '../../src/model/group.ts';
import type { SignalBus } from '../../src/model/signal.ts';

interface WatchedLane {
  readonly sink: Sink;
  readonly verify: UpkeepSettings['verify'];
  readonly source: Source;
  readonly events?: UpkeepPorts['events'];
  readonly cursor?: number;
  readonly groups?: readonly Group[];
  readonly copy?: CopyState;
  readonly restore?: UpkeepSettings['restore'];
  readonly scope?: string;
  readonly note?: UpkeepPorts['note'];
  readonly missed?: UpkeepPorts['missed'];
  readonly clock: Clock;
  readonly signals: SignalBus;
}

const NO_EVENTS = { oldest: () => undefined, read: () => [], isOpen: () => false, has: () => false };

/** Starts a lane that looks after its copy. */
export function startWatchedLane(
  { sink, verify, source, clock, signals, ...more }: WatchedLane,
  stop: AbortSignal,
): Lane {
  const { events = NO_EVENTS, cursor = 0, groups: held = [], copy = UNSEEN_COPY, restore = 'auto', scope = '' } = more;
  const { note = () => {}, missed = () => 0 } = more;
  const groups = {
    page: (after: string, limit: number) => held.filter(({ groupId }) => groupId > after).slice(0, limit),
    get: (wanted: string) => held.find(({ groupId }) => groupId === wanted),
    count: () => held.length,
    latest: () => 0,
  };
  const upkeep = createUpkeep(
    { verify, restore },
    {
      scope,
      load: () => copy,
      save: () => {},
      groups,
      events,
      missed,
      note,
    },
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
      groups,
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
