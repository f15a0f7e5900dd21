import type { JournalEntry } from '../journal/reads.ts';
import type { Fault } from '../model/fault.ts';
import type { CopiesPorts } from './copies.ts';
import { compileFilter } from './filter.ts';

/** What became of one event at one connector. */
export interface EventCopy {
  readonly connector: string;
  readonly kind: string;
  /**
   * - delivered; superseded: something newer was there already.
   * - behind: it was not tried yet. waiting: for its retry, or for an earlier event of its group. dead: it is a dead letter.
   * - filtered: it is not for this connector.
   */
  readonly standing: 'delivered' | 'superseded' | 'behind' | 'waiting' | 'dead' | 'filtered';
  /** Where it lies and when it was delivered, in milliseconds since 1970; absent where that is no longer remembered. */
  readonly where?: string;
  readonly at?: number;
  readonly attempts?: number;
  /** Why it does not lie there yet. */
  readonly fault?: Fault;
}

type EventCopiesPorts = Pick<CopiesPorts, 'connectors' | 'holder' | 'deliveries' | 'groups' | 'delivery'>;

/** Returns what became of an event, by connector. Answers within seconds. */
export function createEventCopies({ connectors, holder, deliveries, groups, delivery }: EventCopiesPorts) {
  /** Where the copy of its group lies, which holds what the event changed. */
  const placeOf = async (connector: string, groupId: string, signal: AbortSignal): Promise<string | undefined> => {
    const group = holder(connector)?.readsBack ? groups.get(groupId) : undefined;
    return group && (await delivery.readBack(connector, group, signal)).copy?.where;
  };

  const copyOf = async (connector: string, { seq, event }: JournalEntry, signal: AbortSignal) => {
    const found = holder(connector);
    if (found === undefined) return [];
    const about = { connector, kind: found.kind };
    const of = (rest: Omit<EventCopy, 'connector' | 'kind'>): EventCopy[] => [{ ...about, ...rest }];
    if (!compileFilter(found.filter).matches({ groupId: event.subject, event })) return of({ standing: 'filtered' });
    const open = deliveries.openDelivery(connector, seq);
    const isBehind = seq > deliveries.cursor(connector);
    if (open !== undefined) return of({ standing: open.state, attempts: open.attempts, fault: open.fault });
    const { event: known, fault } = await delivery.readBack(connector, event.id, signal);
    // A replay brings it again: what is known of it was before.
    if (isBehind && known === undefined) return of({ standing: 'behind', ...(fault !== undefined && { fault }) });
    if (known !== undefined) {
      const { kind: standing, receipt: where, ...rest } = known;
      return of({ standing, where, ...rest });
    }
    const where = await placeOf(connector, event.subject, signal);
    return of({ standing: 'delivered', ...(where !== undefined && { where }) });
  };
  return async (entry: JournalEntry, signal: AbortSignal): Promise<EventCopy[]> =>
    (await Promise.all(connectors().map((connector) => copyOf(connector, entry, signal)))).flat();
}
