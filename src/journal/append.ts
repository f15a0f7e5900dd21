import type { Clock } from '../canon/clock.ts';
import type { CanonicalEvent } from '../canon/event.ts';
import { BridgeError, messageOf } from '../canon/fault.ts';
import type { SignalBus } from '../canon/signal.ts';
import type { Database } from './database.ts';
import { createDeliveryWriter, type Settlement } from './deliveries.ts';

export interface Journal {
  /** Resolves once the event is on disk; 'duplicate' when its id was there already. Throws a BridgeError. */
  record(event: CanonicalEvent): Promise<'recorded' | 'duplicate'>;
  /** Takes note of what a lane settled; written with the next commit, or soon when none comes. */
  settle(settlement: Settlement): void;
  /** The seq of the newest event on disk. */
  head(): number;
  /** Writes what is still noted and closes the file. */
  close(): void;
}

interface Append {
  readonly event: CanonicalEvent;
  readonly json: string;
  resolve(result: 'recorded' | 'duplicate'): void;
  reject(reason: BridgeError): void;
}

/** Cursors may be written late: lost at a power cut they only repeat deliveries. */
const SETTLE_MS = 100;

/**
 * Group commit. All callbacks that one turn of the event loop has brought in share one transaction, hence one fsync;
 * while it runs, the next ones gather, so the group grows with the load by itself.
 */
export function openJournal(database: Database, clock: Clock, signals: SignalBus): Journal {
  const { connection } = database;
  const begin = connection.prepare('BEGIN IMMEDIATE');
  const commit = connection.prepare('COMMIT');
  const insert = connection.prepare(
    'INSERT INTO events (seq, id, group_id, received_at, event) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING',
  );
  const writeSettlement = createDeliveryWriter(connection);

  let appends: Append[] = [];
  let settlements: Settlement[] = [];
  let turn: NodeJS.Immediate | undefined;
  let soon: NodeJS.Timeout | undefined;
  let closed = false;
  // Seqs are given here: SQLite's own would skip one for each duplicate, or give those of pruned events again.
  const highest =
    'SELECT max(coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT max(cursor) FROM lanes), 0)) AS seq';
  let head = Number(connection.prepare(highest).get()?.seq);

  const flush = (): void => {
    turn = undefined;
    clearTimeout(soon);
    soon = undefined;
    if (appends.length === 0 && settlements.length === 0) return;
    const taken = appends;
    const settled = settlements;
    appends = [];
    settlements = [];
    const start = performance.now();
    let newest = head;
    let results: ('recorded' | 'duplicate')[];
    try {
      begin.run();
      results = taken.map(({ event, json }) => {
        const { changes } = insert.run(newest + 1, event.id, event.subject, event.data.receivedAt, json);
        if (changes === 0) return 'duplicate';
        newest++;
        return 'recorded';
      });
      for (const settlement of settled) writeSettlement(settlement, clock.now());
      commit.run();
    } catch (thrown) {
      fail(taken, settled, thrown);
      return;
    }
    head = newest;
    // Invariant 1: only here, after the commit, does anyone learn that an event is recorded.
    taken.forEach(({ resolve }, index) => {
      resolve(results[index] ?? 'duplicate');
    });
    if (taken.length > 0) {
      const duplicates = results.filter((result) => result === 'duplicate').length;
      signals.emit('journal.committed', {
        events: taken.length - duplicates,
        duplicates,
        ms: performance.now() - start,
        head,
      });
    }
  };

  const fail = (taken: readonly Append[], settled: readonly Settlement[], thrown: unknown): void => {
    if (connection.isTransaction) connection.exec('ROLLBACK');
    // Settlements are kept: the lanes have moved on, so nobody else would bring them again.
    settlements = [...settled, ...settlements];
    const error = new BridgeError(
      {
        code: 'journal-unwritable',
        path: 'journal.file',
        message: 'the event cannot be recorded',
        suggestion: `is there room on the journal’s disk? (${messageOf(thrown)})`,
      },
      thrown,
    );
    for (const { reject } of taken) reject(error);
    signals.emit('journal.failed', { fault: error.fault });
    if (!closed) soon ??= setTimeout(flush, 1_000);
  };

  return {
    record: (event) =>
      new Promise((resolve, reject) => {
        if (closed) {
          reject(new BridgeError({ code: 'stopping', message: 'the bridge is stopping' }));
          return;
        }
        appends.push({ event, json: JSON.stringify(event), resolve, reject });
        turn ??= setImmediate(flush);
      }),
    settle(settlement) {
      settlements.push(settlement);
      if (turn === undefined) soon ??= setTimeout(flush, SETTLE_MS);
    },
    head: () => head,
    close() {
      closed = true;
      clearImmediate(turn);
      flush();
      clearTimeout(soon);
      database.close();
    },
  };
}
