import type { DeliveryReader, JournalEntry } from '../journal/reads.ts';
import type { Fault } from '../model/fault.ts';
import type { LaneState } from '../model/signal.ts';
import type { EventCopy } from '../model/standing.ts';
import type { CopiesPorts } from './copies.ts';
import { compileFilter } from './filter.ts';
import type { LaneHealth } from './health.ts';

interface EventCopiesPorts extends Pick<CopiesPorts, 'connectors' | 'holder'> {
  readonly deliveries: Pick<DeliveryReader, 'cursor' | 'openDelivery' | 'receipt'>;
  health(connector: string): Pick<LaneHealth, 'state'>;
}

/** Returns what became of an event, by connector. */
export function createEventCopies({ connectors, holder, deliveries, health }: EventCopiesPorts) {
  const copyOf = (connector: string, { seq, event }: JournalEntry): EventCopy[] => {
    const found = holder(connector);
    if (found === undefined) return [];
    const about = { connector, kind: found.kind };
    const of = (rest: Omit<EventCopy, 'connector' | 'kind'>): EventCopy[] => [{ ...about, ...rest }];
    if (!compileFilter(found.filter).matches({ groupId: event.subject, event })) return of({ standing: 'filtered' });
    const open = deliveries.openDelivery(connector, seq);
    if (open !== undefined) return of({ standing: open.state, attempts: open.attempts, fault: open.fault });
    const fault = whyNothing(health(connector).state);
    if (seq > deliveries.cursor(connector)) return of({ standing: 'behind', ...(fault !== undefined && { fault }) });
    const { kind: standing, receipt: where, ...rest } = deliveries.receipt(connector, seq) ?? { kind: 'delivered' };
    return of({ standing, ...(where !== undefined && { where }), ...rest });
  };
  return (entry: JournalEntry): EventCopy[] => connectors().flatMap((connector) => copyOf(connector, entry));
}

const PAUSED: Fault = { code: 'copy-unknown', message: 'the connector is paused', suggestion: 'resume it' };

function whyNothing(state: LaneState): Fault | undefined {
  if (state.kind === 'waiting') return state.fault;
  return state.kind === 'paused' ? PAUSED : undefined;
}
