import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PutMode } from '../../connectors/contract.ts';
import type { Journal } from '../journal/append.ts';
import type { GroupReader } from '../journal/groups.ts';
import type { DeadLetter, DeadLetterCause, DeadLetterFilter, DeliveryReader } from '../journal/reads.ts';
import { BridgeError } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';
import { whichConnector } from '../model/text.ts';
import type { Delivery } from './thread/host.ts';

/** Where a replay starts: a seq, a time of receipt in ms since 1970, or everything that is still in the journal. */
type ReplayFrom = 'beginning' | { readonly seq: number } | { readonly time: number };

/** Selects dead letters by seq, by cause, by group, and those after a seq; all if nothing is given. */
export interface DeadLetterChoice extends DeadLetterFilter {
  readonly seqs?: readonly number[] | undefined;
  readonly after?: number | undefined;
}

/** How many dead letters are retried at once: the lane holds them in memory. */
const RETRY_LIMIT = 5_000;
/** How many are examined per turn, or discarded per transaction: callbacks are answered in between. */
const PORTION = 500;

interface OperationsPorts {
  connectors(): readonly string[];
  /** Whether the connector holds groups, and whether its copies can be read back. */
  destination(connector: string): { readonly holdsGroups: boolean; readonly readsBack: boolean };
  readonly journal: Pick<Journal, 'setPaused' | 'discard' | 'head' | 'flushGroups'>;
  readonly deliveries: DeliveryReader;
  readonly groups: Pick<GroupReader, 'count'>;
  readonly delivery: Pick<Delivery, 'request'>;
  readonly signals: Pick<SignalBus, 'emit'>;
  /** Notes which dead letters are retried; `more` retries the next ones once these are settled. */
  retried(connector: string, seqs: readonly number[], more?: () => void): void;
  /** Notes a replay of so many events from a seq on. */
  replayed(connector: string, from: number, events: number): void;
}

export function unknownConnector(name: string, connectors: readonly string[]): BridgeError {
  return new BridgeError({
    code: 'connector-unknown',
    message: `no connector called ${name} runs here`,
    suggestion: whichConnector(name, connectors),
  });
}

/** What a person may do with a connector, safely at any time. Each throws a BridgeError for an unknown name. */
export function createOperations(ports: OperationsPorts) {
  const { connectors, destination, journal, deliveries, groups, delivery, signals } = ports;
  const known = (connector: string): void => {
    if (!connectors().includes(connector)) throw unknownConnector(connector, connectors());
  };
  /** Dead letters outlast their connector. */
  const knownOrLeft = (connector: string): void => {
    if (deliveries.lastDeadLetter(connector) === 0) known(connector);
  };
  const setPaused = async (connector: string, paused: boolean): Promise<void> => {
    known(connector);
    await journal.setPaused(connector, paused);
    delivery.request(connector, { kind: paused ? 'pause' : 'resume' });
  };
  const tryAgain = (connector: string, seqs: readonly number[], later: readonly number[]): void => {
    const isThere = (seq: number): boolean => deliveries.deadLetterSeqs(connector, 1, {}, seq - 1, seq).length > 0;
    // Some of the others may be discarded before these are settled.
    const more = () => tryAgain(connector, later.slice(0, RETRY_LIMIT).filter(isThere), later.slice(RETRY_LIMIT));
    ports.retried(connector, seqs, later.length > 0 ? more : undefined);
    delivery.request(connector, { kind: 'retry', seqs });
  };

  return {
    pause: (connector: string) => setPaused(connector, true),
    resume: (connector: string) => setPaused(connector, false),
    /** Returns the first seq that comes again and how many events there are from it. */
    replay(connector: string, from: ReplayFrom): { from: number; events: number } {
      known(connector);
      const oldest = deliveries.read(0, 1)[0]?.seq ?? journal.head() + 1;
      const asked = from === 'beginning' ? 1 : 'seq' in from ? from.seq : deliveries.seqAt(from.time);
      const first = Math.max(asked, oldest);
      const events = Math.max(0, journal.head() - first + 1);
      ports.replayed(connector, first, events);
      // Until the lane itself reports, its old cursor must not look like the end of the replay.
      const cursor = Math.min(first - 1, deliveries.cursor(connector));
      if (events > 0) signals.emit('lane.cursor', { connector, cursor });
      delivery.request(connector, { kind: 'replay', cursor: first - 1 });
      return { from: first, events };
    },
    /** Brings merged groups, all or those named, to a destination that holds groups. Returns how many there are. */
    resync(connector: string, how: PutMode = 'join', groupIds?: readonly string[]): number {
      known(connector);
      const { holdsGroups, readsBack } = destination(connector);
      if (!holdsGroups) {
        throw new BridgeError({
          code: 'usage',
          path: `connectors.${connector}.content`,
          message: `${connector} holds events, not groups`,
          suggestion: 'replay it from the beginning, a seq or a time',
        });
      }
      if (how !== 'join' && !readsBack) {
        throw new BridgeError({
          code: 'usage',
          path: `connectors.${connector}.kind`,
          message: `what lies in ${connector} cannot be compared: its kind of destination is not read back`,
          suggestion: 'replay it from groups: the merged state of every group is written again',
        });
      }
      // The request covers everything recorded so far.
      journal.flushGroups();
      const total = groupIds?.length ?? groups.count();
      const named = groupIds !== undefined;
      // Emitted before the lane reports, so that an earlier resync's end is not mistaken for this one's.
      signals.emit('lane.resync', { connector, how, named, done: 0, total, mended: 0, failed: 0, ended: false });
      delivery.request(connector, { kind: 'resync', how, groupIds });
      return total;
    },
    /** Brings one group again; where the copy can be read back, changes that others made to it are undone. */
    bring(connector: string, groupId: string): void {
      this.resync(connector, destination(connector).readsBack ? 'repair' : 'join', [groupId]);
    },
    deadLetters(connector: string, after: number, limit: number, filter: DeadLetterFilter = {}): DeadLetter[] {
      knownOrLeft(connector);
      return deliveries.deadLetters(connector, after, limit, filter);
    },
    deadLetterCauses(connector: string): DeadLetterCause[] {
      knownOrLeft(connector);
      return deliveries.deadLetterCauses(connector);
    },
    deadLetter(connector: string, seq: number): DeadLetter | undefined {
      knownOrLeft(connector);
      return deliveries.deadLetter(connector, seq);
    },
    /** Retries dead letters, oldest first. Resolves with their number. */
    async retry(connector: string, choice: DeadLetterChoice = {}): Promise<number> {
      known(connector);
      const meant: number[] = [];
      for await (const portion of chosen(deliveries, connector, choice)) meant.push(...portion);
      tryAgain(connector, meant.slice(0, RETRY_LIMIT), meant.slice(RETRY_LIMIT));
      return meant.length;
    },
    async discard(connector: string, choice: DeadLetterChoice = {}): Promise<number> {
      knownOrLeft(connector);
      let count = 0;
      try {
        for await (const seqs of chosen(deliveries, connector, choice)) count += await journal.discard(connector, seqs);
      } finally {
        signals.emit('dead-letters.discarded', { connector, count });
      }
      return count;
    },
  };
}

/** Yields the chosen dead letters that exist now, in portions, with turns of the event loop in between. */
async function* chosen(
  deliveries: DeliveryReader,
  connector: string,
  { seqs, after = 0, ...filter }: DeadLetterChoice,
): AsyncGenerator<readonly number[]> {
  const meant = (from: number, upTo: number): readonly number[] =>
    deliveries.deadLetterSeqs(connector, PORTION, filter, from, upTo);
  if (seqs !== undefined) {
    for (let at = 0; at < seqs.length; at += PORTION) {
      yield seqs.slice(at, at + PORTION).flatMap((seq) => (seq > after ? meant(seq - 1, seq) : []));
      await nextTurn();
    }
    return;
  }
  // Excludes what is refused from now on: nobody has seen it.
  const end = deliveries.lastDeadLetter(connector);
  for (let from = after; from < end; await nextTurn()) {
    const last = deliveries.deadLetterSeqs(connector, PORTION, {}, from, end).at(-1) ?? end;
    yield meant(from, last);
    from = last;
  }
}
