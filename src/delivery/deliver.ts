import type { GroupSink, Outcomes, Sink } from '../../connectors/contract.ts';
import type { Entry } from '../model/entry.ts';
import { type Group, merge, newGroup } from '../model/group.ts';
import type { Outcome } from '../model/outcome.ts';
import type { Filter } from './filter.ts';
import type { GroupPages } from './resync.ts';

/** A group's share of a batch, or a part of it. */
interface Part {
  readonly groupId: string;
  readonly entries: readonly Entry[];
  /** The group's whole state, entries included; undefined if the state is built from the entries alone. */
  readonly whole: Group | undefined;
}

/** Roughly the most that one put holds: a batch may have thousands of groups of half a megabyte each. */
const PUT_CHARACTERS = 8 * 1_048_576;

/**
 * Delivers a batch; returns the outcomes by event id. For a sink that holds groups, all entries of a group become one
 * write of its state, which `groups` has in at least that version.
 */
export async function deliver(
  sink: Sink,
  batch: readonly Entry[],
  groups: Pick<GroupPages, 'get'>,
  filter: Filter,
  signal: AbortSignal,
): Promise<Outcomes> {
  if (sink.holds === 'events') return sink.deliver(batch, signal);
  const outcomes = new Map<string, Outcome>();
  const parts: Part[] = [];
  let room = PUT_CHARACTERS;
  for (const [groupId, entries] of Map.groupBy(batch, (entry) => entry.groupId)) {
    const whole = groups.get(groupId);
    parts.push({ groupId, entries, whole });
    room -= whole === undefined ? 0 : JSON.stringify(whole).length;
    if (room > 0) continue;
    await putParts(sink, parts.splice(0), filter, signal, outcomes);
    room = PUT_CHARACTERS;
  }
  await putParts(sink, parts, filter, signal, outcomes);
  return outcomes;
}

async function putParts(
  sink: GroupSink,
  parts: readonly Part[],
  filter: Filter,
  signal: AbortSignal,
  outcomes: Map<string, Outcome>,
): Promise<void> {
  /** For each group the parts left to write: the first goes now, the others after it, in order. */
  let queues = parts.map((part) => [part]);
  while (queues.length > 0) {
    const states = new Map(queues.map(([part]) => [part as Part, stateOf(part as Part, sink, filter)]));
    const settled = await sink.put([...states.values()], 'join', signal);
    for (const queue of queues) {
      const part = queue.shift() as Part;
      const outcome = settled.get(part.groupId);
      const instead = outcome?.kind === 'dead' ? smaller(part, sink) : [];
      queue.unshift(...instead);
      if (instead.length > 0) continue;
      note(part, outcome, states.get(part) as Group, outcomes);
      if (outcome !== undefined && outcome.kind !== 'retry') continue;
      // Invariant 2, order per group: what follows an entry that will be retried waits with it.
      for (const later of queue.splice(0)) note(later, outcome, newGroup(part.groupId), outcomes);
    }
    queues = queues.filter((queue) => queue.length > 0);
  }
}

function stateOf({ groupId, entries, whole }: Part, sink: GroupSink, filter: Filter): Group {
  // Invariant 3: joining the state equals merging the events one by one.
  if (whole !== undefined) return filter.project(whole);
  // Where a put replaces the copy, a state built from some of the events would lose the rest.
  if (sink.follow !== undefined) throw new TypeError(`the whole state of ${groupId} is not known`);
  return filter.project(entries.reduce((state, { event }) => merge(state, event), newGroup(groupId)));
}

/** Splits a refused part to find the culprit: first without what other events set, then into halves. */
function smaller({ groupId, entries, whole }: Part, sink: GroupSink): Part[] {
  if (sink.follow !== undefined) return [];
  const part = (some: readonly Entry[]): Part => ({ groupId, entries: some, whole: undefined });
  if (whole !== undefined) return [part(entries)];
  if (entries.length === 1) return [];
  const middle = entries.length >> 1;
  return [part(entries.slice(0, middle)), part(entries.slice(middle))];
}

function note({ entries }: Part, outcome: Outcome | undefined, state: Group, outcomes: Map<string, Outcome>): void {
  if (outcome === undefined) return;
  if (outcome.kind !== 'delivered') {
    for (const { id } of entries) outcomes.set(id, outcome);
    return;
  }
  // An event took effect if its id is among the versions of the state.
  const effective = new Set(Object.values(state.versions).map(([, eventId]) => eventId));
  for (const { id } of entries) outcomes.set(id, effective.has(id) ? outcome : { ...outcome, kind: 'superseded' });
}
