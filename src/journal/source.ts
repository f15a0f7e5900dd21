import type { Holds, Source, Waiting } from '../../connectors/contract.ts';
import type { Clock } from '../model/clock.ts';
import type { JournalReport } from './deliveries.ts';
import type { DeliveryReader } from './reads.ts';

/**
 * The journal as one lane reads it. Merged groups are written late, so that a lane whose sink holds groups is given each
 * event only once the group that can be read holds it; and it is given no text that nobody looks into.
 */
export function createJournalSource(
  connector: string,
  holds: Holds,
  {
    reader,
    clock,
    post,
  }: {
    readonly reader: Pick<DeliveryReader, 'head' | 'merged' | 'read' | 'readHeads'>;
    readonly clock: Pick<Clock, 'now' | 'elapsed'>;
    post(report: JournalReport): void;
  },
): Source {
  const end = holds === 'groups' ? reader.merged : reader.head;
  const read = holds === 'groups' ? reader.readHeads : reader.read;
  return {
    available: (after) => end() - after,
    next: (after, limit) => read(after, limit, end()),
    /** Entries are named by seq, since the thread that writes has their events; rows hold the wall clock. */
    settle({ waiting, dead, ...report }) {
      const epoch = clock.now() - clock.elapsed();
      post({
        ...report,
        connector,
        waiting: waiting.map(({ entry: { seq }, dueAt, attempts, fault }) => ({
          seq,
          attempts,
          dueAt: Math.round(dueAt + epoch),
          fault,
        })),
        dead: dead.map(({ entry: { seq }, attempts, fault }) => ({ seq, attempts, fault })),
      });
    },
  };
}

/**
 * Returns the entries that wait, by the clock that nobody sets. Rows hold the wall clock, which may have been set back
 * since: nothing waits longer than `maxMs`.
 */
export function waitingEntries(
  reader: Pick<DeliveryReader, 'waiting'>,
  connector: string,
  clock: Pick<Clock, 'now' | 'elapsed'>,
  maxMs: number,
): Waiting[] {
  const [now, elapsed] = [clock.now(), clock.elapsed()];
  return reader.waiting(connector).map((held) => ({ ...held, dueAt: elapsed + Math.min(held.dueAt - now, maxMs) }));
}
