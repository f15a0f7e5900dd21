import type { Holds, Report, Source } from '../../connectors/contract.ts';
import type { JournalReport } from './deliveries.ts';
import type { DeliveryReader } from './reads.ts';

/**
 * The journal as one lane reads it. Merged groups are written late, so that a lane whose sink holds groups is given each
 * event only once the group that can be read holds it; and it is given no text that nobody looks into.
 */
export function createJournalSource(
  reader: Pick<DeliveryReader, 'head' | 'merged' | 'read' | 'readHeads'>,
  connector: string,
  holds: Holds,
  post: (report: JournalReport) => void,
): Source {
  const end = holds === 'groups' ? reader.merged : reader.head;
  const read = holds === 'groups' ? reader.readHeads : reader.read;
  return {
    available: (after) => end() - after,
    next: (after, limit) => read(after, limit, end()),
    settle: (report) => post(toJournalReport(connector, report)),
  };
}

/** Names entries by seq: the thread that writes has their events. */
function toJournalReport(connector: string, { upTo, rewind, waiting, dead, released }: Report): JournalReport {
  return {
    connector,
    upTo,
    ...(rewind !== undefined && { rewind }),
    waiting: waiting.map(({ entry, attempts, dueAt, fault }) => ({ seq: entry.seq, attempts, dueAt, fault })),
    dead: dead.map(({ entry, attempts, fault }) => ({ seq: entry.seq, attempts, fault })),
    released,
  };
}
