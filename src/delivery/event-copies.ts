import type { JournalEntry } from '../journal/reads.ts';
import type { EventCopy } from '../model/standing.ts';
import { type CopiesPorts, whyNothing } from './copies.ts';
import { compileFilter } from './filter.ts';

/** Returns what became of an event, by connector. */
export function createEventCopies({
  connectors,
  holder,
  deliveries,
  health,
}: Pick<CopiesPorts, 'connectors' | 'holder' | 'deliveries' | 'health'>) {
  const copyOf = (connector: string, { seq, event }: JournalEntry): EventCopy[] => {
    const found = holder(connector);
    if (found === undefined) return [];
    const about = { connector, kind: found.kind };
    const of = (rest: Omit<EventCopy, 'connector' | 'kind'>): EventCopy[] => [{ ...about, ...rest }];
    if (!compileFilter(found.filter).matches({ groupId: event.subject, event })) return of({ standing: 'filtered' });
    const open = deliveries.openDelivery(connector, seq);
    if (open !== undefined) return of({ standing: open.state, attempts: open.attempts, fault: open.fault });
    if (seq > deliveries.cursor(connector)) return of({ standing: 'behind', ...whyNothing(health(connector).state) });
    const { kind: standing, receipt: where, ...rest } = deliveries.receipt(connector, seq) ?? { kind: 'delivered' };
    return of({ standing, ...(where !== undefined && { where }), ...rest });
  };
  return (entry: JournalEntry): EventCopy[] => connectors().flatMap((connector) => copyOf(connector, entry));
}
