import type { Clock } from '../model/clock.ts';
import { BridgeError } from '../model/fault.ts';
import type { Group } from '../model/group.ts';
import type { SignalBus } from '../model/signal.ts';
import { openJournal } from './append.ts';
import { type Database, openDatabase } from './database.ts';
import { createGroupReader } from './groups.ts';
import { createHistoryReader } from './history.ts';
import { sizeOf } from './place.ts';
import { createDeliveryReader } from './reads.ts';
import { keepPruned } from './retention.ts';

interface JournalPorts {
  settings(): { readonly file: string; readonly maxBytes: number; readonly keepDelivered: number };
  /** The `source` of this app: a journal belongs to one app. */
  readonly source: string;
  connectors(): readonly string[];
  readonly clock: Clock;
  readonly signals: SignalBus;
  readonly stopping: AbortController;
}

export type JournalRoom = ReturnType<typeof openJournalRoom>;

/** Opens the journal for the writing thread, with everything read on that thread. Throws a BridgeError. */
export function openJournalRoom({ settings, source, connectors, clock, signals, stopping }: JournalPorts) {
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
  refuseForeign(database, source);
  const journal = openJournal(database, clock, signals, connectors);
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

/** Throws if the journal was written for another app, whose groups would be mistaken for this one's. */
function refuseForeign({ file, connection, close }: Database, source: string): void {
  const latest = connection.prepare('SELECT event AS text FROM events ORDER BY seq DESC LIMIT 1').get();
  const row = latest ?? connection.prepare('SELECT state AS text FROM groups LIMIT 1').get();
  const held = row === undefined ? source : (JSON.parse(row.text as string) as Pick<Group, 'source'>).source;
  if (held === undefined || held === source) return;
  close();
  throw new BridgeError({
    code: 'journal-unusable',
    path: 'journal.file',
    message: `the journal ${file} is that of ${held}, and app.sdkAppId makes this bridge that of ${source}`,
    suggestion: 'correct app.sdkAppId, or give each app a journal.file of its own',
  });
}
