import type { Host, Sink, Source, SourceWork } from '../../connectors/contract.ts';
import { holdsOf, openSink, source as sourceKind } from '../../connectors/index.ts';
import type { ConnectorConfig, Source as SourceConfig } from '../config/schema.ts';
import { compileFilter } from '../delivery/filter.ts';
import { type Lane, startLane } from '../delivery/lane.ts';
import type { Clock } from '../model/clock.ts';
import type { SignalBus } from '../model/signal.ts';
import { orAborted, within } from '../model/wait.ts';
import { traceDelivery } from '../telemetry/trace.ts';
import { type FollowedGroups, openFollowedGroups } from './group-store.ts';

export type WorkerLane = ReturnType<typeof startWorkerLane>;

interface WorkerLaneSettings {
  readonly connector: string;
  readonly config: ConnectorConfig;
  /** The `source` of this app's events. */
  readonly app: string;
  readonly source: SourceConfig;
  readonly open: SourceWork<SourceConfig>['open'];
  /** Where merged groups are kept, if the sink needs whole ones. */
  readonly groupsFile: string;
}

/** How long a sink or a source may take to react to the abort and close before it is abandoned. */
const CLOSE_MS = 3_000;

/** Starts the lane of one connector of a worker, whose source is shared with the other workers. */
export function startWorkerLane(
  { connector, config, app, source: options, open, groupsFile }: WorkerLaneSettings,
  clock: Clock,
  signals: SignalBus,
) {
  const stop = new AbortController();
  const note = (message: string): void => signals.emit('lane.note', { connector, message });
  /** A worker does not know what the copy held: a person has to refill one that was recreated. */
  const created = (message: string): void => {
    note(message);
    // An events sink that creates its destination while opening was given a new one, where events simply continue.
    if (!source.hasCommitted() || (holdsOf(config) === 'events' && sink === undefined)) return;
    const incomplete = { since: clock.now(), reason: message, upTo: 0 };
    signals.emit('copy.state', { connector, copy: { differing: 0, incomplete } });
    const next = `stop its workers, reset the offsets of ${readerId} to the earliest, and start them again`;
    signals.emit('copy.lost', { connector, reason: message, next });
  };
  const readerId = `${sourceKind.describe(options).groupId}.${connector}`;
  const host: Host = { name: connector, clock, source: app, note, created, readerId };
  let lane: Lane | undefined;
  const source = open(options, {
    connector,
    ...(holdsOf(config) === 'groups' && { app }),
    clock,
    note,
    wake: () => lane?.wake(),
    interrupt: () => lane?.interrupt(),
    assigned: (partitions) => signals.emit('worker.assigned', { connector, partitions }),
    gap: (partition, from, to) => signals.emit('source.gap', { connector, topic: options.topic, partition, from, to }),
    dead: (groupId, fault) => signals.emit('lane.dead-letter', { connector, eventId: '', groupId, attempts: 0, fault }),
  });
  let groups: FollowedGroups | undefined;
  let sink: Sink | undefined;
  /** The generation for which the groups were followed at this sink. */
  let followed: number | undefined;
  /** Merges what it hands out, after learning what other workers wrote in earlier generations. */
  const next: Source['next'] = async (after, limit, signal) => {
    const entries = await source.next(after, limit, signal);
    if (entries.length === 0 || groups === undefined || sink?.holds !== 'groups') return entries;
    if (followed !== source.generation()) {
      await groups.follow(sink, AbortSignal.any([signal, source.lease()]));
      followed = source.generation();
    }
    groups.merge(entries.map(({ event }) => event));
    return entries;
  };
  const started = startLane(
    { connector, batch: config.batch, retry: config.retry, filter: compileFilter(config.filter, config.shape) },
    {
      source: { ...source, next },
      async open(signal) {
        // Comes first: once the destination is created, another worker may commit what it wrote there.
        await orAborted(signal, source.learn()).catch(() => {});
        sink = await openSink(config, host, signal);
        if (sink.holds === 'groups' && sink.follow !== undefined) groups ??= openFollowedGroups(groupsFile, app, note);
        followed = undefined;
        return sink;
      },
      // A worker knows only the groups of its partitions, so it cannot bring all of them page by page.
      groups: { get: (groupId) => groups?.get(groupId), page: () => [], count: () => 0 },
      trace: traceDelivery,
      clock,
      signals,
      random: Math.random,
    },
    { paused: false, from: { cursor: 0, waiting: [] } },
    stop.signal,
  );
  lane = started;
  return {
    lane: started,
    source,
    /** Lets the delivery under way end within `ms`, then leaves the consumer group. */
    async end(ms: number): Promise<void> {
      started.end(ms);
      const hasEnded = await within(ms + CLOSE_MS, started.ended);
      await source.close();
      // An abandoned lane may still write to it.
      if (hasEnded) groups?.close();
    },
  };
}
