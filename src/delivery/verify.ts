/** Invariant 5: compares a copy with what it should hold, a page at a time. */
import type { EventSink, GroupSink, Outcomes, PutMode, Sink } from '../../connectors/contract.ts';
import type { Entry } from '../model/entry.ts';
import type { Fault } from '../model/fault.ts';
import { type Group, isLater } from '../model/group.ts';
import type { Outcome } from '../model/outcome.ts';
import type { Filter } from './filter.ts';
import type { GroupPages } from './resync.ts';

/** What one page of a comparison found. `left` are those that are still missing or different. */
export interface Found {
  readonly looked: number;
  readonly found: number;
  readonly mended: number;
  readonly left: number;
  /** Why one of them could not be mended. */
  readonly why?: Fault | undefined;
  readonly ended: boolean;
  /** All that was looked at is missing. */
  readonly nothing?: boolean;
  /** Nothing can be compared yet: what lies there is still being read. */
  readonly reading?: boolean;
}

/** Compares the next page. Throws Unreachable, and then the same page is compared again. */
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
    /** Whether the event waits for a retry, is a dead letter, or was one that somebody discarded. */
    isOpen(seq: number): boolean;
  };
  /** Seqs of the events that comparisons have brought, and none has found there since. */
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

/** Begins to compare all that lies in the sink; what it can compare depends on its kind. */
export function startComparison(sink: Sink, ports: ComparisonPorts, signal: AbortSignal) {
  if (sink.holds === 'events') return sink.find ? sampleEvents(sink, ports) : NOTHING_TO_COMPARE;
  if (sink.read !== undefined) return comparePages(sink, readStatus(sink), 'repair', ports);
  return sink.scan === undefined ? NOTHING_TO_COMPARE : compareScan(sink, ports, signal);
}

/** Whether nobody can tell what lies in the sink, nor whether it is the one that it was. */
export const tellsNothing = (sink: Sink): boolean =>
  sink.identify === undefined && (sink.holds === 'events' ? sink.find : (sink.read ?? sink.scan)) === undefined;

/** The destination was identified, and that is all that can be told of it. */
const NOTHING_TO_COMPARE: Comparison = async () => ({ looked: 0, found: 0, mended: 0, left: 0, ended: true });

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
    // What is not delivered yet is on its way.
    const settled = differing.filter(({ groupId }) => !isToCome(groupId, cursor(), ports) && !isWaiting(groupId));
    const put = (how: PutMode) => (settled.length === 0 ? NONE : sink.put(settled, how, signal));
    const outcomes = mend ? await put(how) : NONE;
    // What no event has told of is left as it is, and the destination may make something else of what is written.
    const after = sink.read === undefined ? undefined : await put('compare');
    const isMended = (groupId: string): boolean => outcomes.get(groupId)?.kind === 'delivered';
    const left = settled.filter(({ groupId }) =>
      after === undefined ? !isMended(groupId) : after.get(groupId)?.kind !== 'superseded',
    );
    const mended = settled.filter((state) => isMended(state.groupId) && !left.includes(state)).length;
    const [first] = mend ? left : [];
    const why = first && (faultIn(outcomes.get(first.groupId)) ?? changedThere(first.groupId));
    from = page.at(-1)?.groupId ?? from;
    const found = mended + left.length;
    return { looked: states.length, found, mended, left: left.length, why, ended: groups.page(from, 1).length === 0 };
  };
}

/** Whether the group's latest event comes after this seq; one that was pruned before the connector was added never comes. */
function isToCome(groupId: string, cursor: number, { groups, events }: ComparisonPorts): boolean {
  const latest = groups.latest(groupId);
  return latest > cursor && events.has(latest);
}

const NONE: Outcomes = new Map();

const faultIn = (outcome: Outcome | undefined): Fault | undefined =>
  outcome && 'fault' in outcome ? outcome.fault : undefined;

const changedThere = (groupId: string): Fault => ({
  code: 'event-refused',
  message: `${groupId} was written, and is something else there`,
  suggestion: 'look for a pipeline, a trigger or another program that changes what is written',
});

/** Reads all that lies there once, beside the deliveries, then compares it page by page. */
function compareScan(sink: GroupSink, ports: ComparisonPorts, signal: AbortSignal) {
  const { groups, filter, cursor } = ports;
  const begun = cursor();
  /** By group id, whether the last record of it holds all that is known of the group. */
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
    if (scanned === 'running') return { looked: 0, found: 0, mended: 0, left: 0, ended: false, reading: true };
    return pages(signal);
  };
}

/** Whether a copy holds the state, as the versions of its fields tell; `null` stands for a group that is gone. */
function holds(copy: Group | null, state: Group): boolean {
  if (copy === null) return state.destroyed;
  return Object.entries(state.versions).every(([field, version]) => !isLater(version, copy.versions[field]));
}

export const WHERE_TO_LOOK =
  'look for a pipeline, a trigger or another program that removes what is written, and replay it after that';
const NOT_KEPT: Fault = {
  code: 'event-refused',
  message: 'events that were brought again do not lie there',
  suggestion: WHERE_TO_LOOK,
};

/** Events that are looked at of the newest, and as many of all others. */
const SAMPLE = 100;
/** Of how many it is remembered that they were brought in vain. */
const MOST_BROUGHT = 100_000;
/** What was written within this time may not be searchable yet. */
export const FRESH_MS = 60_000;

/**
 * Looks for the newest events and for some others and, where one of them is missing, for all. What is older than all that are
 * found was removed by a retention of its own.
 */
function sampleEvents(
  sink: EventSink,
  { events, brought, filter, cursor, bring, now, random, pageSize, mend }: ComparisonPorts,
): Comparison {
  /** How far all events were looked for, and up to which they are; undefined while none is known to be missing. */
  let all: { from: number; readonly upTo: number } | undefined;
  for (const seq of brought) if (seq < (events.oldest()?.seq ?? Number.POSITIVE_INFINITY)) brought.delete(seq);
  const sample = (last: number): readonly Entry[] => {
    const first = events.oldest()?.seq ?? last + 1;
    const others = Array.from({ length: SAMPLE }, () => first - 1 + Math.floor(random() * (last - first + 1)));
    const sampled = [
      ...events.read(Math.max(first - 1, last - SAMPLE), SAMPLE),
      ...others.flatMap((after) => events.read(after, 1)),
      ...[...brought].slice(0, SAMPLE).flatMap((seq) => events.read(seq - 1, 1)),
    ];
    return [...new Map(sampled.map((entry) => [entry.seq, entry])).values()];
  };
  return async (signal) => {
    const last = all?.upTo ?? cursor();
    const entries = all === undefined ? sample(last) : events.read(all.from, pageSize);
    const looked = entries.filter(
      (entry) =>
        entry.seq <= last &&
        // The clock may have been set back since: what it says was received later was received long ago.
        Math.abs(now() - entry.receivedAt) > FRESH_MS &&
        filter.matches(entry) &&
        !events.isOpen(entry.seq),
    );
    const ids = looked.map(({ id }) => id);
    const there = (ids.length > 0 && (await sink.find?.(ids, signal))) || new Map<string, string>();
    const missing = looked.filter(({ id }) => !there.has(id));
    if (all === undefined) {
      const oldest = Math.min(...looked.filter(({ id }) => there.has(id)).map(({ seq }) => seq));
      const isWhole = missing.every(({ seq }) => seq < oldest);
      if (!isWhole) all = { from: oldest, upTo: last };
      const nothing = looked.length > 0 && there.size === 0;
      return { looked: isWhole ? looked.length : 0, found: 0, mended: 0, left: 0, ended: isWhole, nothing };
    }
    all.from = entries.at(-1)?.seq ?? last;
    const found = missing.length;
    // A destination that does not keep what it takes would be brought the same for ever.
    const again = mend ? missing.filter(({ seq }) => !brought.has(seq)) : [];
    if (again.length > 0) await bring(again);
    for (const { id, seq } of looked) {
      if (there.has(id)) brought.delete(seq);
      else if (mend && brought.size < MOST_BROUGHT) brought.add(seq);
    }
    const left = found - again.length;
    const why = mend && left > 0 ? NOT_KEPT : undefined;
    return { looked: looked.length, found, mended: again.length, left, why, ended: all.from >= last };
  };
}
