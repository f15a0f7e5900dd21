/** Invariant 5: compares a copy with what it should hold, a page at a time. */
import type { EventSink, GroupSink, Outcomes, PutMode, Sink } from '../../connectors/contract.ts';
import type { Entry } from '../model/entry.ts';
import type { Fault } from '../model/fault.ts';
import { type Group, isLater } from '../model/group.ts';
import type { Outcome } from '../model/outcome.ts';
import type { Filter } from './filter.ts';
import type { GroupPages } from './resync.ts';

/** What came of one page of a comparison. */
export interface Found {
  readonly looked: number;
  /** How many were missing or different, and how many of those no longer are. */
  readonly found: number;
  readonly mended: number;
  /** Why one of them could not be mended. */
  readonly why?: Fault | undefined;
  /** reading: nothing can be compared yet, since a scan is under way. lost: everything examined is missing. */
  readonly state: 'more' | 'ended' | 'reading' | 'lost';
}

/** Compares the next page. Throws Unreachable; the same page is then compared again. */
export type Comparison = (signal: AbortSignal) => Promise<Found>;

export interface ComparisonPorts {
  readonly groups: GroupPages & {
    /** Returns the seq of the group's latest event. */
    latest(groupId: string): number;
  };
  readonly events: {
    oldest(): { readonly seq: number } | undefined;
    has(seq: number): boolean;
    read(after: number, limit: number): readonly Entry[];
    /** Whether the event waits for a retry, is a dead letter, or was discarded as one. */
    isOpen(seq: number): boolean;
  };
  /** Seqs of the events that the latest search found missing, and that were brought. */
  readonly brought: Set<number>;
  readonly filter: Filter;
  cursor(): number;
  isWaiting(groupId: string): boolean;
  /** Has these events delivered again. */
  bring(entries: readonly Entry[]): Promise<void>;
  readonly now: () => number;
  readonly random: () => number;
  readonly pageSize: number;
  readonly mend: boolean;
}

/** Begins a comparison of the whole copy, in whichever way the sink supports. */
export function startComparison(sink: Sink, ports: ComparisonPorts, signal: AbortSignal) {
  if (sink.holds === 'events') return sink.find ? sampleEvents(sink, ports) : NOTHING_TO_COMPARE;
  if (sink.read !== undefined) return comparePages(sink, readStatus(sink), 'repair', ports);
  return sink.scan === undefined ? NOTHING_TO_COMPARE : compareScan(sink, ports, signal);
}

/** Whether nobody can tell what lies in the sink, nor whether it is the one that it was. */
export const tellsNothing = (sink: Sink): boolean =>
  sink.identify === undefined && (sink.holds === 'events' ? sink.find : (sink.read ?? sink.scan)) === undefined;

/** The sink can only be identified, not compared. */
const NOTHING_TO_COMPARE: Comparison = async () => ({ looked: 0, found: 0, mended: 0, state: 'ended' });

/** Returns which of these states the copy does not hold. */
type Lacking = (states: readonly Group[], signal: AbortSignal) => Promise<readonly Group[]>;

function readStatus(sink: GroupSink): Lacking {
  return async (states, signal) => {
    const copies = await sink.read?.(states, signal);
    return states.filter(({ groupId }) => (copies?.get(groupId)?.status ?? 'in-step') !== 'in-step');
  };
}

function comparePages(sink: GroupSink, lacking: Lacking, how: PutMode, ports: ComparisonPorts): Comparison {
  const { groups, filter, cursor, isWaiting, pageSize, mend } = ports;
  let from = '';
  return async (signal) => {
    const page = groups.page(from, pageSize);
    const states = page.filter(filter.requires).map(filter.project);
    const differing = states.length === 0 ? [] : await lacking(states, signal);
    // Skips what is not delivered yet.
    const settled = differing.filter(({ groupId }) => !isToCome(groupId, cursor(), ports) && !isWaiting(groupId));
    const put = (how: PutMode) => (settled.length === 0 ? NONE : sink.put(settled, how, signal));
    const outcomes = mend ? await put(how) : NONE;
    // A repair leaves what no event has set, and a pipeline may alter what is written: only a second look tells.
    const after = sink.read === undefined ? undefined : await put('compare');
    const isMended = (groupId: string): boolean => outcomes.get(groupId)?.kind === 'delivered';
    const left = settled.filter(({ groupId }) =>
      after === undefined ? !isMended(groupId) : after.get(groupId)?.kind !== 'superseded',
    );
    const mended = settled.filter((state) => isMended(state.groupId) && !left.includes(state)).length;
    const [first] = mend ? left : [];
    const why = first && (faultIn(outcomes.get(first.groupId)) ?? changedThere(first.groupId));
    from = page.at(-1)?.groupId ?? from;
    const state = groups.page(from, 1).length === 0 ? 'ended' : 'more';
    return { looked: states.length, found: mended + left.length, mended, why, state };
  };
}

/** Whether the group's latest event is still to be delivered. One pruned before the connector was added never is. */
function isToCome(groupId: string, cursor: number, { groups, events }: ComparisonPorts): boolean {
  const latest = groups.latest(groupId);
  return latest > cursor && events.has(latest);
}

const NONE: Outcomes = new Map();

const faultIn = (outcome: Outcome | undefined): Fault | undefined =>
  outcome && 'fault' in outcome ? outcome.fault : undefined;

const changedThere = (groupId: string): Fault => ({
  code: 'event-refused',
  message: `${groupId} was written, but differs there`,
  suggestion: 'look for a pipeline, a trigger or another program that changes what is written',
});

/** Reads the whole copy once, alongside deliveries, then compares it page by page. */
function compareScan(sink: GroupSink, ports: ComparisonPorts, signal: AbortSignal) {
  const { groups, filter, cursor } = ports;
  const begun = cursor();
  /** By group id: whether its last record holds all that is known of the group. */
  const held = new Map<string, boolean>();
  const take = (groupId: string, copy: Group | null): void => {
    const state = groups.get(groupId);
    if (state !== undefined) held.set(groupId, holds(copy, filter.project(state)));
  };
  let scanned: 'running' | 'done' | { readonly thrown: unknown } = 'running';
  const scan = async (): Promise<void> => {
    try {
      await sink.scan?.(take, signal);
      scanned = 'done';
    } catch (thrown) {
      scanned = { thrown };
    }
  };
  void scan();
  const lacking: Lacking = async (states) =>
    states.filter((state) => !(held.get(state.groupId) ?? state.destroyed) && !isToCome(state.groupId, begun, ports));
  const pages = comparePages(sink, lacking, 'join', ports);
  return async (signal: AbortSignal): Promise<Found> => {
    if (typeof scanned === 'object') throw scanned.thrown;
    if (scanned === 'running') return { looked: 0, found: 0, mended: 0, state: 'reading' };
    return pages(signal);
  };
}

/** Whether a copy holds the state, judged by the versions of its fields; `null` is a destroyed group. */
function holds(copy: Group | null, state: Group): boolean {
  if (copy === null) return state.destroyed;
  return Object.entries(state.versions).every(([field, version]) => !isLater(version, copy.versions[field]));
}

export const WHERE_TO_LOOK =
  'look for a pipeline, a trigger or another program that removes what is written, and replay it after that';
const NOT_KEPT: Fault = {
  code: 'event-refused',
  message: 'events that were written again are not there',
  suggestion: WHERE_TO_LOOK,
};

/** How many of the newest events are checked, and how many random others. */
const SAMPLE = 100;
/** If so many sampled events are all missing, the copy is lost. */
const ENOUGH = 20;
/** Of how many it is remembered that they were brought in vain. */
const MOST_BROUGHT = 100_000;
/** What was written within this time may not be searchable yet. */
export const FRESH_MS = 60_000;

/**
 * Looks for the newest events and some random others; if one is missing, or was brought by an earlier comparison, for all.
 * Events older than every one found are taken to be removed by a retention of the destination's own.
 */
function sampleEvents(
  sink: EventSink,
  { events, brought, filter, cursor, bring, now, random, pageSize, mend }: ComparisonPorts,
): Comparison {
  const beforeAll = (upTo: number): number => (events.oldest()?.seq ?? upTo + 1) - 1;
  /** What is left of a search for all events after `from`, and whether any event was found so far. */
  const searchAfter = (from: number, upTo: number, isAny: boolean) => ({ from, upTo, isAny, looked: 0 });
  let search: ReturnType<typeof searchAfter> | undefined;
  const lackedNow = new Set<number>();
  /** Once all were looked for. What is still on its way is judged by the next comparison. */
  const remember = (): void => {
    for (const seq of brought) if (!lackedNow.has(seq) && !events.isOpen(seq)) brought.delete(seq);
    if (mend) for (const seq of lackedNow) brought.add(seq);
  };
  const sample = (before: number, last: number): readonly Entry[] => {
    const others = Array.from({ length: SAMPLE }, () => before + Math.floor(random() * (last - before)));
    const sampled = [
      ...events.read(Math.max(before, last - SAMPLE), SAMPLE),
      ...others.flatMap((after) => events.read(after, 1)),
    ];
    return [...new Map(sampled.map((entry) => [entry.seq, entry])).values()];
  };
  const lookFor = async (entries: readonly Entry[], upTo: number, signal: AbortSignal) => {
    const looked = entries.filter(
      (entry) =>
        entry.seq <= upTo &&
        // An event "from the future" was received long ago: the clock was set back since.
        Math.abs(now() - entry.receivedAt) > FRESH_MS &&
        filter.matches(entry) &&
        !events.isOpen(entry.seq),
    );
    const ids = looked.map(({ id }) => id);
    const there = ids.length === 0 ? undefined : await sink.find?.(ids, signal);
    const { present = [], missing = [] } = Object.groupBy(looked, ({ id }) => (there?.has(id) ? 'present' : 'missing'));
    return { looked: looked.length, oldest: Math.min(...present.map(({ seq }) => seq)), missing };
  };
  const searchOn = async (rest: NonNullable<typeof search>, signal: AbortSignal): Promise<Found> => {
    const entries = events.read(rest.from, pageSize);
    const { looked, oldest, missing } = await lookFor(entries, rest.upTo, signal);
    rest.from = entries.at(-1)?.seq ?? rest.upTo;
    rest.looked += looked;
    const lacking = missing.filter(({ seq }) => rest.isAny || seq > oldest);
    rest.isAny ||= missing.length < looked;
    const found = lacking.length;
    // A destination that does not keep what it takes would be brought the same for ever.
    const again = mend ? lacking.filter(({ seq }) => !brought.has(seq)) : [];
    if (again.length > 0) await bring(again);
    for (const { seq } of lacking) if (lackedNow.size < MOST_BROUGHT) lackedNow.add(seq);
    const why = mend && again.length < found ? NOT_KEPT : undefined;
    const page = { looked, found, mended: again.length, why };
    if (rest.from < rest.upTo) return { ...page, state: 'more' };
    remember();
    if (rest.isAny || rest.looked === 0) return { ...page, state: 'ended' };
    return { ...page, looked: rest.looked, state: 'lost' };
  };
  return async (signal) => {
    if (search !== undefined) return searchOn(search, signal);
    const upTo = cursor();
    const before = beforeAll(upTo);
    const { looked, oldest, missing } = await lookFor(sample(before, upTo), upTo, signal);
    const isAny = missing.length < looked;
    // Where few events pass the filter, one that is not kept may be all that the sample has.
    if (!isAny && looked >= ENOUGH) return { looked, found: 0, mended: 0, state: 'lost' };
    // A sample cannot tell whether all that was brought is there now.
    const mayEnd = brought.size === 0;
    const from = isAny && mayEnd ? oldest : before;
    if (mayEnd && missing.every(({ seq }) => seq < from)) return { looked, found: 0, mended: 0, state: 'ended' };
    search = searchAfter(from, upTo, isAny && mayEnd);
    return { looked: 0, found: 0, mended: 0, state: 'more' };
  };
}
