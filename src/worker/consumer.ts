import type { Sink } from '../../connectors/contract.ts';
import { openSink } from '../../connectors/index.ts';
import { type ClusterOptions, clientOptions, type KafkaOptions } from '../../connectors/kafka/connector.ts';
import {
  committedBy,
  type Extent,
  extentOf,
  joinGroup,
  type Member,
  type Portion,
} from '../../connectors/kafka/consumer.ts';
import type { ConnectorConfig } from '../config/schema.ts';
import { compileFilter } from '../delivery/filter.ts';
import { delayAfter } from '../delivery/schedule.ts';
import type { Clock } from '../model/clock.ts';
import { type Fault, faultOf } from '../model/fault.ts';
import type { LaneState, SignalBus } from '../model/signal.ts';
import type { LetterBox } from './dead-letter-topic.ts';
import { type HeldGroups, openGroups } from './group-store.ts';
import { settlePortion } from './settle.ts';

/*
 * A connector's membership in its consumer group, whose members share out the partitions of the events topic. It is in one
 * of these states:
 *
 * - connecting: it opens the sink, then joins the group; a worker that cannot reach the destination takes no partitions.
 * - running: it settles what is read, one portion at a time, and commits.
 * - waiting: the destination or the source as a whole cannot be had. It keeps its partitions as long as it can tell the
 *   group that it lives, and goes on by itself.
 * - ended: with the worker.
 *
 * Each connector is a group of its own, so that one that is held back holds back its own offsets only.
 */

export interface MembershipSettings {
  readonly connector: string;
  readonly config: ConnectorConfig;
  readonly source: ClusterOptions & { readonly groupId: string; readonly sessionTimeoutMs: number };
  /** Where merged groups are kept, of a connector that needs them. */
  readonly groupsFile: string;
}

export interface MembershipPorts {
  readonly letters: LetterBox;
  readonly clock: Clock;
  readonly signals: Pick<SignalBus, 'emit'>;
  readonly random: () => number;
}

export interface Membership {
  /** Records behind the committed offset, in the partitions that are this member's. */
  lag(): number;
  /** Undefined while it is no member of its group. */
  partitions(): readonly number[] | undefined;
  /** What the partitions of the source hold now. */
  learn(extents: readonly Extent[]): void;
  /** What is with the sink may take `ms` to come to its end; then leaves the group. */
  end(ms: number): Promise<void>;
}

/** Of one connector, the group's name in Kafka. */
export function groupOf(groupId: string, connector: string): string {
  return `${groupId}.${connector}`;
}

/** Whether the destination takes states, of which this worker then must know all. */
export function needsGroups({ kind, content }: ConnectorConfig): boolean {
  return kind === 'kafka' && content === 'groups';
}

export function startMembership(settings: MembershipSettings, ports: MembershipPorts): Membership {
  const { connector, config, source } = settings;
  const { clock, signals, random, letters } = ports;
  const groupId = groupOf(source.groupId, connector);
  const drain = new AbortController();
  const stop = new AbortController();
  const wants = compileFilter(config.filter);

  const note = (message: string): void => signals.emit('lane.note', { connector, message });

  const held: HeldGroups | undefined = needsGroups(config)
    ? openGroups(settings.groupsFile, note, async (signal) => ({
        ...(await clientOptions(config as unknown as KafkaOptions, `connectors.${connector}`, signal)),
        groupId,
      }))
    : undefined;

  let sink: Sink | undefined;
  let failing: 'source' | 'destination' | undefined;
  let failures = 0;
  let downSince = 0;
  let assigned: readonly number[] | undefined;
  /** The partitions were shared out since merged groups were read. */
  let behind = true;
  const positions = new Map<number, bigint>();
  const ends = new Map<number, bigint>();
  let working: Promise<void> = Promise.resolve();

  const show = (state: LaneState): void => signals.emit('lane.state', { connector, state });
  const lag = (): number => {
    let sum = 0n;
    for (const partition of assigned ?? []) {
      const left = (ends.get(partition) ?? 0n) - (positions.get(partition) ?? 0n);
      if (left > 0n) sum += left;
    }
    return Number(sum);
  };
  /** Its cursor is counted from the end of the topic, since there is none over all partitions. */
  const tell = (receivedAt?: number): void =>
    signals.emit('lane.cursor', { connector, cursor: -lag(), ...(receivedAt !== undefined && { receivedAt }) });

  const unreachable = (what: 'source' | 'destination', fault: Fault, afterMs = 0): number => {
    if (failing !== what) failures = 0;
    if (failing === undefined) downSince = clock.now();
    failing = what;
    failures++;
    const retryInMs = Math.max(afterMs, delayAfter(failures, config.retry, random));
    signals.emit('lane.unreachable', { connector, fault, attempt: failures, retryInMs });
    show({ kind: 'waiting', fault, since: downSince, retryAt: clock.now() + retryInMs });
    return retryInMs;
  };
  const reached = (what: 'source' | 'destination'): void => {
    if (failing !== what) return;
    signals.emit('lane.recovered', { connector, downMs: clock.now() - downSince });
    failing = undefined;
    failures = 0;
    show({ kind: 'running' });
  };

  const openedSink = async (): Promise<Sink> => {
    if (sink !== undefined) return sink;
    const host = {
      name: connector,
      clock,
      // Only some of the events come through here: whatever is kept of a group elsewhere may hold more.
      unfiltered: false,
      group: held?.get ?? (() => undefined),
      note,
    };
    sink = await openSink(config.kind, config, host, stop.signal);
    signals.emit('lane.opened', { connector });
    return sink;
  };

  const take = async (portion: Portion): Promise<void> => {
    drain.signal.throwIfAborted();
    ends.set(portion.partition, portion.end);
    positions.set(portion.partition, portion.records[0]?.offset ?? portion.next);
    tell(portion.records[0]?.timestamp);
    await settlePortion(
      {
        ...portion,
        async commit(offset) {
          await portion.commit(offset);
          positions.set(portion.partition, offset);
          tell(portion.records.find((record) => record.offset >= offset)?.timestamp);
        },
      },
      { connector, maxEvents: config.batch.maxEvents, retry: config.retry, wants },
      {
        sink: openedSink,
        async prepare(signal) {
          if (held === undefined || !behind) return;
          await held.catchUp(signal);
          behind = false;
        },
        merge: (events) => held?.merge(events),
        bury: letters.bury,
        clock,
        signals,
        random,
        unreachable: (fault, afterMs) => unreachable('destination', fault, afterMs),
        reached: () => reached('destination'),
      },
      { drain: drain.signal, stop: stop.signal },
    );
  };

  const positionsOf = async (partitions: readonly number[]): Promise<void> => {
    const options = await clientOptions(source, 'source', stop.signal);
    const [extents, committed] = await Promise.all([extentOf(options), committedBy(options, groupId)]);
    for (const { partition, low, high } of extents) {
      ends.set(partition, high);
      if (partitions.includes(partition) && !positions.has(partition)) {
        positions.set(partition, committed.get(partition) ?? low);
      }
    }
    tell();
  };

  const join = async (): Promise<Member> =>
    joinGroup(
      { ...(await clientOptions(source, 'source', stop.signal)), groupId, sessionTimeoutMs: source.sessionTimeoutMs },
      {
        assigned(partitions) {
          assigned = partitions;
          positions.clear();
          behind = true;
          signals.emit('worker.assigned', { connector, partitions });
          reached('source');
          if (failing === undefined) show({ kind: 'running' });
          // Only the numbers shown depend on it, and each portion brings them, too.
          positionsOf(partitions).catch(() => {});
        },
        take(portion) {
          working = take(portion);
          return working;
        },
      },
    );

  const drained = new Promise<void>((resolve) =>
    drain.signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  const rest = (what: 'source' | 'destination', thrown: unknown): Promise<void> =>
    clock.sleep(unreachable(what, faultOf(thrown, 'destination-unreachable')), drain.signal);

  const run = async (): Promise<void> => {
    show({ kind: 'connecting' });
    while (!drain.signal.aborted) {
      try {
        await openedSink();
        reached('destination');
      } catch (thrown) {
        if (!drain.signal.aborted) await rest('destination', thrown);
        continue;
      }
      let member: Member | undefined;
      try {
        member = await join();
        await Promise.race([member.failed, drained]);
      } catch (thrown) {
        assigned = undefined;
        await member?.leave();
        await working.catch(() => {});
        if (!drain.signal.aborted) await rest('source', thrown);
        continue;
      }
      await working.catch(() => {});
      await member.leave();
    }
    assigned = undefined;
    await sink?.close();
    held?.close();
    show({ kind: 'ended' });
  };
  const ended = run();

  return {
    lag,
    partitions: () => assigned,
    learn(extents) {
      for (const { partition, high } of extents) ends.set(partition, high);
      tell();
    },
    async end(ms) {
      drain.abort();
      const late = setTimeout(() => stop.abort(), ms);
      await ended;
      clearTimeout(late);
    },
  };
}
