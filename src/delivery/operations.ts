import type { PutMode } from '../../connectors/contract.ts';
import type { Journal } from '../journal/append.ts';
import type { GroupReader } from '../journal/groups.ts';
import type { DeadLetter, DeadLetterCause, DeadLetterFilter, DeliveryReader } from '../journal/reads.ts';
import { BridgeError } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';
import { whichConnector } from '../model/text.ts';
import type { Delivery } from './thread/host.ts';

/** Where a replay starts: a seq, a time of receipt in ms since 1970, or everything that is still in the journal. */
export type ReplayFrom = 'beginning' | { readonly seq: number } | { readonly time: number };

/** Dead letters by seq, of a cause, of a group and after a seq; all where nothing is given. */
export interface DeadLetterChoice extends DeadLetterFilter {
  readonly seqs?: readonly number[] | undefined;
  readonly after?: number | undefined;
}

const isAll = ({ seqs, cause, groupId }: DeadLetterChoice): boolean =>
  seqs === undefined && cause === undefined && groupId === undefined;

/** How many dead letters are tried at once, at most: the lane holds them in memory. */
const RETRY_LIMIT = 5_000;

export interface OperationsPorts {
  connectors(): readonly string[];
  /** Whether the connector holds groups, and whether what lies there can be compared. */
  destination(connector: string): { readonly holdsGroups: boolean; readonly readsBack: boolean };
  readonly journal: Pick<Journal, 'setPaused' | 'discard' | 'head' | 'flushGroups'>;
  readonly deliveries: Pick<
    DeliveryReader,
    'read' | 'seqAt' | 'deadLetters' | 'deadLetter' | 'deadLetterCauses' | 'deadLetterSeqs'
  >;
  readonly groups: Pick<GroupReader, 'count'>;
  readonly delivery: Pick<Delivery, 'request'>;
  readonly signals: Pick<SignalBus, 'emit'>;
  /** Notes which dead letters are tried again, and what takes the next ones when these are settled. */
  retried(connector: string, seqs: readonly number[], more?: () => void): void;
  /** Told of events that come again: so many from a seq on. */
  replayed(connector: string, from: number, events: number): void;
}

export function unknownConnector(name: string, connectors: readonly string[]): BridgeError {
  return new BridgeError({
    code: 'connector-unknown',
    message: `no connector called ${name} runs here`,
    suggestion: whichConnector(name, connectors),
  });
}

/** What a person may do with a connector. All of it is safe at any time; each throws a BridgeError for an unknown name. */
export function createOperations(ports: OperationsPorts) {
  const { connectors, destination, journal, deliveries, groups, delivery, signals } = ports;
  const known = (connector: string): void => {
    if (!connectors().includes(connector)) throw unknownConnector(connector, connectors());
  };
  const setPaused = async (connector: string, paused: boolean): Promise<void> => {
    known(connector);
    await journal.setPaused(connector, paused);
    delivery.request(connector, { kind: paused ? 'pause' : 'resume' });
  };

  const chosen = (connector: string, { seqs, after = 0, ...filter }: DeadLetterChoice): number[] => {
    if (seqs === undefined) return deliveries.deadLetterSeqs(connector, Number.MAX_SAFE_INTEGER, filter, after);
    const isMeant = (seq: number): boolean => deliveries.deadLetterSeqs(connector, 1, filter, seq - 1)[0] === seq;
    return seqs.filter((seq) => seq > after && isMeant(seq));
  };
  const tryAgain = (connector: string, choice: DeadLetterChoice, which: 'some' | 'all') => {
    const meant = chosen(connector, choice);
    const found = meant.slice(0, RETRY_LIMIT);
    const [left, next] = [meant.length - found.length, found.at(-1) ?? 0];
    const others = left > 0 && which === 'all';
    ports.retried(
      connector,
      found,
      others ? () => void tryAgain(connector, { ...choice, after: next }, 'all') : undefined,
    );
    delivery.request(connector, { kind: 'retry', seqs: found });
    return { taken: found.length, left, next };
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
      delivery.request(connector, { kind: 'replay', cursor: first - 1 });
      return { from: first, events };
    },
    /**
     * Brings merged groups of the journal, all or those named, to a destination that holds groups, also those whose events
     * were pruned. Returns how many there are.
     */
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
      // Whoever asks means all that is recorded.
      journal.flushGroups();
      const total = groupIds?.length ?? groups.count();
      const named = groupIds !== undefined;
      // Before the lane says so itself, so that nobody takes an earlier resync's end for this one's.
      signals.emit('lane.resync', { connector, how, named, done: 0, total, mended: 0, failed: 0, ended: false });
      delivery.request(connector, { kind: 'resync', how, groupIds });
      return total;
    },
    /** Brings one group again; where the copy can be compared, what somebody changed in it is undone. */
    bring(connector: string, groupId: string): void {
      this.resync(connector, destination(connector).readsBack ? 'repair' : 'join', [groupId]);
    },
    deadLetters(connector: string, after: number, limit: number, filter: DeadLetterFilter = {}): DeadLetter[] {
      known(connector);
      return deliveries.deadLetters(connector, after, limit, filter);
    },
    deadLetterCauses(connector: string): DeadLetterCause[] {
      known(connector);
      return deliveries.deadLetterCauses(connector);
    },
    deadLetter(connector: string, seq: number): DeadLetter | undefined {
      known(connector);
      return deliveries.deadLetter(connector, seq);
    },
    /** Tries dead letters again, of many the oldest; those that are left come after the seq `next`. */
    retry(connector: string, choice: DeadLetterChoice = {}): { taken: number; left: number; next: number } {
      known(connector);
      return tryAgain(connector, choice, 'some');
    },
    /** Tries all of them again, of many the oldest first. Returns how many they are. */
    retryAll(connector: string, choice: DeadLetterChoice = {}): number {
      known(connector);
      const { taken, left } = tryAgain(connector, choice, 'all');
      return taken + left;
    },
    async discard(connector: string, choice: DeadLetterChoice = {}): Promise<number> {
      known(connector);
      const count = await journal.discard(connector, isAll(choice) ? undefined : chosen(connector, choice));
      signals.emit('dead-letters.discarded', { connector, count });
      return count;
    },
  };
}
