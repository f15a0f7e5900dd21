import type { ConnectorConfig } from '../config/schema.ts';
import type { GroupReader } from '../journal/groups.ts';
import type { HistoryReader } from '../journal/history.ts';
import type { DeliveryReader, JournalEntry } from '../journal/reads.ts';
import type { Fault } from '../model/fault.ts';
import type { Group } from '../model/group.ts';
import type { LaneState } from '../model/signal.ts';
import type { EventCopy, GroupCopy } from '../model/standing.ts';
import { compileFilter, type Filter } from './filter.ts';
import type { LaneHealth } from './health.ts';
import type { ReadBack } from './read-back.ts';
import type { Delivery } from './thread/host.ts';

/** A connector as it is configured now. */
interface CopyHolder extends Pick<ConnectorConfig, 'kind' | 'filter'> {
  readonly shape?: ConnectorConfig['shape'];
  readonly readsBack: boolean;
}

interface CopiesPorts {
  /** Called each time, since connectors come and go. */
  connectors(): readonly string[];
  holder(connector: string): CopyHolder | undefined;
  readonly deliveries: Pick<DeliveryReader, 'cursor' | 'openDelivery' | 'isDiscarded' | 'receipt'>;
  health(connector: string): Pick<LaneHealth, 'state'>;
  readonly groups: Pick<GroupReader, 'get'>;
  readonly history: Pick<HistoryReader, 'ofGroup' | 'byId' | 'latest'>;
  readonly delivery: Pick<Delivery, 'readBack'>;
}

/** How many of a group's latest events are considered. */
const LOOK_BACK = 100;
const PAUSED: Fault = { code: 'copy-unknown', message: 'the connector is paused', suggestion: 'resume it' };

/** Says why a connector accepts nothing at the moment, if that is known. */
function whyNothing(state: LaneState): { readonly fault?: Fault } {
  if (state.kind === 'waiting') return { fault: state.fault };
  return state.kind === 'paused' ? { fault: PAUSED } : {};
}

/** Returns how a group's copies stand, one per connector; none if the journal does not know it. Takes seconds at most. */
export function createCopies(ports: CopiesPorts): (groupId: string, signal: AbortSignal) => Promise<GroupCopy[]> {
  const { deliveries, history, delivery, health } = ports;

  const eventsOf = (group: Group): JournalEntry[] => {
    if (history.latest(group.groupId) !== undefined) return history.ofGroup(group.groupId, LOOK_BACK);
    // Recorded before events were linked: falls back to those that the state was merged from.
    const ids = new Set(Object.values(group.versions).map(([, id]) => id));
    return [...ids].flatMap((id) => history.byId(id) ?? []).sort((a, b) => b.seq - a.seq);
  };

  /** What the journal knows: an open or pending delivery; undefined once all are settled. */
  const openIn = (connector: string, seqs: readonly number[]): Pick<GroupCopy, 'standing' | 'fault'> | undefined => {
    const cursor = deliveries.cursor(connector);
    const open = seqs.flatMap((seq) => (seq <= cursor ? (deliveries.openDelivery(connector, seq) ?? []) : []));
    const [newest = 0] = seqs;
    // Later events of a group wait for the first waiting one, whose fault says why.
    const waiting = open.findLast(({ state }) => state === 'waiting');
    if (waiting === undefined && newest > cursor) return { standing: 'behind' };
    const found = waiting ?? open[0];
    return found && { standing: found.state, fault: found.fault };
  };

  /** The receipt of the latest settled event. */
  const receiptOf = (connector: string, seqs: readonly number[]): string | undefined => {
    const cursor = deliveries.cursor(connector);
    const settled = seqs.find((seq) => seq <= cursor && deliveries.openDelivery(connector, seq) === undefined);
    return settled === undefined ? undefined : deliveries.receipt(connector, settled)?.receipt;
  };

  /** Whether the copy should hold this value: not if an event that the filter excludes set it. */
  const expected = (field: string, group: Group, filter: Filter): boolean => {
    const setBy = history.byId(group.versions[field]?.[1] ?? '');
    return setBy === undefined || filter.matches({ groupId: group.groupId, event: setBy.event });
  };

  const copyOf = async (
    connector: string,
    group: Group,
    entries: readonly JournalEntry[],
    signal: AbortSignal,
  ): Promise<GroupCopy | undefined> => {
    const holder = ports.holder(connector);
    if (holder === undefined) return undefined;
    const { kind, filter, shape, readsBack } = holder;
    const compiled = compileFilter(filter, shape);
    const isWanted = ({ event }: JournalEntry): boolean => compiled.matches({ groupId: group.groupId, event });
    const wanted = entries.filter(isWanted).map(({ seq }) => seq);
    // Events that were pruned had been delivered, or were filtered out.
    if (wanted.length === 0 && (entries.length > 0 || !compiled.concerns(group))) {
      return { connector, kind, standing: 'filtered' };
    }
    // Read in the same turn as the group and its events, so that nothing changes in between.
    const open = openIn(connector, wanted);
    const { copy, fault }: ReadBack = readsBack
      ? await delivery.readBack(connector, compiled.project(group), signal)
      : whyNothing(health(connector).state);
    const where = readsBack ? copy?.where : receiptOf(connector, wanted);
    const differs = copy?.differs?.filter((field) => expected(field, group, compiled)) ?? [];
    const found = { connector, kind, ...(where !== undefined && { where }), ...(differs.length > 0 && { differs }) };
    const why = fault !== undefined && { fault };
    const standing = copy?.status === 'differs' && differs.length === 0 ? 'in-step' : copy?.status;

    // A copy read back as in step is in step, even with a dead letter: a later event or a repair made up for it.
    if (open !== undefined && !(open.standing === 'dead' && standing === 'in-step')) {
      return { ...found, ...why, ...open };
    }
    if (standing === undefined && readsBack) return { ...found, ...why, standing: 'unknown' };
    return { ...found, standing: standing ?? 'in-step' };
  };

  return async (groupId, signal) => {
    const group = ports.groups.get(groupId);
    if (group === undefined) return [];
    const entries = eventsOf(group);
    const copies = ports.connectors().map((connector) => copyOf(connector, group, entries, signal));
    return (await Promise.all(copies)).filter((copy) => copy !== undefined);
  };
}

export function createEventCopies(ports: Pick<CopiesPorts, 'connectors' | 'holder' | 'deliveries' | 'health'>) {
  const { connectors, holder, deliveries, health } = ports;
  const copyOf = (connector: string, { seq, event }: JournalEntry): EventCopy[] => {
    const found = holder(connector);
    if (found === undefined) return [];
    const of = (rest: Omit<EventCopy, 'connector' | 'kind'>): EventCopy[] => [{ connector, kind: found.kind, ...rest }];
    if (!compileFilter(found.filter).matches({ groupId: event.subject, event })) return of({ standing: 'filtered' });
    const open = deliveries.openDelivery(connector, seq);
    if (open !== undefined) return of({ standing: open.state, attempts: open.attempts, fault: open.fault });
    if (seq > deliveries.cursor(connector)) return of({ standing: 'behind', ...whyNothing(health(connector).state) });
    if (deliveries.isDiscarded(connector, seq)) return of({ standing: 'discarded' });
    const { kind: standing, receipt: where, ...rest } = deliveries.receipt(connector, seq) ?? { kind: 'delivered' };
    return of({ standing, ...(where !== undefined && { where }), ...rest });
  };
  return (entry: JournalEntry): EventCopy[] => connectors().flatMap((connector) => copyOf(connector, entry));
}
