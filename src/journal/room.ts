import type { Clock } from '../model/clock.ts';
import type { SignalBus } from '../model/signal.ts';
import { openJournal } from './append.ts';
import { openDatabase } from './database.ts';
import { createGroupReader } from './groups.ts';
import { createHistoryReader } from './history.ts';
import { sizeOf } from './place.ts';
import { createDeliveryReader } from './reads.ts';
import { keepPruned } from './retention.ts';

export interface JournalPorts {
  /** The settings in effect. */
  settings(): { readonly file: string; readonly maxBytes: number; readonly keepDelivered: number };
  connectors(): readonly string[];
  readonly clock: Clock;
  readonly signals: SignalBus;
  readonly stopping: AbortController;
}

export type JournalRoom = ReturnType<typeof openJournalRoom>;

/** Opens the journal for the thread that writes it, with all that is read on that thread. Throws a BridgeError. */
export function openJournalRoom({ settings, connectors, clock, signals, stopping }: JournalPorts) {
  const { file, maxBytes } = settings();
  let setAside = false;
  const database = openDatabase(file, {
    maxBytes,
    onDamaged(damage) {
      setAside = true;
      signals.emit('journal.damaged', damage);
    },
    onReindexed: (damage) => signals.emit('journal.reindexed', damage),
  });
  const journal = openJournal(database, clock, signals);
  const reader = createDeliveryReader(database.connection);
  const retention = () => ({ keepDelivered: settings().keepDelivered, connectors: connectors() });
  const pruning = keepPruned(retention, { journal, reader, clock, signals }, stopping.signal);
  return {
    file: database.file,
    maxBytes,
    /** Whether a damaged file was set aside at the start. */
    setAside,
    database,
    journal,
    reader,
    groups: createGroupReader(database.connection, journal.buffered),
    history: createHistoryReader(database.connection, journal),
    bytes: () => sizeOf(database.file) + sizeOf(`${database.file}-wal`),
    async close(): Promise<void> {
      await pruning;
      journal.close();
    },
  };
}
