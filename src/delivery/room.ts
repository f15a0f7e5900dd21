import { holdsOf, readsBack } from '../../connectors/index.ts';
import { enabledOf } from '../config/diff.ts';
import type { ConnectorConfig } from '../config/schema.ts';
import type { JournalRoom } from '../journal/room.ts';
import { systemClock } from '../model/clock.ts';
import type { SignalBus } from '../model/signal.ts';
import { plural } from '../model/text.ts';
import { createCopies, createEventCopies } from './copies.ts';
import { watchLanes, watchOpen } from './health.ts';
import { createOperations } from './operations.ts';
import { watchReplays, watchRetries } from './retries.ts';
import { startDelivery } from './thread/host.ts';

interface DeliveryPorts {
  /** The connectors of the configuration in effect. */
  configured(): Readonly<Record<string, ConnectorConfig>>;
  /** Names of the enabled ones. */
  connectors(): readonly string[];
  readonly source: string;
  readonly journal: JournalRoom;
  readonly signals: SignalBus;
}

export type DeliveryRoom = ReturnType<typeof startDeliveryRoom>;

/** Starts the delivery thread, with all that the main thread knows of it and may ask it. */
export function startDeliveryRoom({ configured, connectors, source, journal: room, signals }: DeliveryPorts) {
  const { file, journal, reader, groups, history } = room;
  const health = watchLanes(reader, signals);
  const retries = watchRetries();
  const replays = watchReplays();
  const delivery = startDelivery(
    { journalFile: file, source, connectors: enabledOf(configured()) },
    {
      ...journal,
      settle(report) {
        retries.settled(report);
        replays.settled(report);
        journal.settle(report);
      },
    },
    signals,
  );
  signals.on('journal.committed', ({ events }) => {
    if (events > 0) delivery.wake();
  });
  signals.on('journal.merged', delivery.wake);
  const noteLeftBehind = (): void => {
    for (const { connector, count } of reader.leftBehind(connectors())) {
      const way = `dead-letters discard ${connector} --all, if it is gone for good`;
      const message = `it is not enabled, and has ${plural(count, 'dead letter')} left, never to be pruned: ${way}`;
      signals.emit('lane.note', { connector, message });
    }
  };
  noteLeftBehind();
  signals.on('config.reloaded', noteLeftBehind);
  const destination = (name: string) => {
    const found = configured()[name];
    const holdsGroups = found !== undefined && holdsOf(found) === 'groups';
    return { holdsGroups, readsBack: holdsGroups && readsBack(found) };
  };
  const copyPorts = {
    connectors,
    holder(name: string) {
      const found = configured()[name];
      if (found === undefined) return undefined;
      const { kind, filter, shape } = found;
      return { kind, filter, shape, readsBack: destination(name).readsBack };
    },
    deliveries: reader,
    health,
  };
  const operations = createOperations({
    connectors,
    destination,
    journal: {
      ...journal,
      async discard(connector, seqs) {
        const count = await journal.discard(connector, seqs);
        retries.discarded(connector, seqs);
        return count;
      },
    },
    deliveries: reader,
    groups,
    delivery,
    signals,
    retried: retries.begin,
    replayed: replays.begin,
  });
  return {
    operations: {
      ...operations,
      copies: createCopies({ ...copyPorts, groups, history, delivery }),
      eventCopies: createEventCopies(copyPorts),
    },
    exchange: delivery.exchange,
    retried: retries.of,
    replayed: replays.of,
    health,
    destination,
    /** Events recorded but not delivered yet, including those that wait for a retry. */
    lag(name: string): number {
      // Events pruned before the connector was added do not count.
      const pruned = (reader.oldest()?.seq ?? journal.head() + 1) - 1;
      return Math.max(0, journal.head() - Math.max(health(name).cursor, pruned)) + reader.countWaiting(name);
    },
    /** When the oldest of them was received, in ms since 1970. */
    openSince: watchOpen(systemClock, (name) => reader.openSince(name, health(name).cursor)),
    async stop(ms: number): Promise<void> {
      journal.flushGroups();
      await delivery.stop(ms);
    },
  };
}
