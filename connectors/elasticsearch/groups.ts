import type { CanonicalEvent, EventId } from '../../src/model/event.ts';
import type { Fault } from '../../src/model/fault.ts';
import { type Group, join, mend, merge, newGroup } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import type { Restoring } from '../contract.ts';
import { bulk, type Verdict, type Write } from './bulk.ts';
import type { Destination } from './client.ts';
import { ensureIndex } from './ensure.ts';
import { setting } from './fault.ts';
import { readDocuments, type Stored } from './stored.ts';

/** Groups of one mget. */
const MAX_READ = 1_000;
/** How often one group may be found changed by somebody else between its read and its write. */
const MAX_CONFLICTS = 10;

/** Something to bring into a group: an event, or a whole state of it. Its outcome is told by its id. */
type Change = CanonicalEvent | StateChange;

interface StateChange {
  readonly id: string;
  readonly state: Group;
  readonly bring: typeof join;
}

/** What one batch holds for one group. */
interface Fold {
  readonly groupId: string;
  /** Each part becomes one write. One part, unless Elasticsearch refused it: then its halves, to find the poison. */
  parts: Change[][];
  /** Brought in by the journal's merged state of the group, which holds all of the changes; until that is refused. */
  byState: boolean;
  conflicts: number;
}

type Readable = Exclude<Stored, { kind: 'unreadable' }>;

/** `content: groups`: read, merge, write unless changed in between. No scripts, any number of writers. */
export function deliverGroups(
  destination: Destination,
  batch: readonly CanonicalEvent[],
  signal: AbortSignal,
): Promise<Map<EventId, Outcome>> {
  const folds = Array.from(
    Map.groupBy(batch, (event) => event.subject),
    ([groupId, events]): Fold => ({
      groupId,
      parts: [events],
      byState: destination.unfiltered,
      conflicts: 0,
    }),
  );
  return deliverFolds(destination, folds, signal);
}

/** Brings whole states of groups in, by the same read, merge and write. The outcomes go by group id. */
export function restoreGroups(
  destination: Destination,
  groups: readonly Group[],
  signal: AbortSignal,
  how: Restoring,
): Promise<Map<string, Outcome>> {
  const bring = how === 'join' ? join : mend;
  const folds = groups.map(
    (state): Fold => ({
      groupId: state.groupId,
      parts: [[{ id: state.groupId, state, bring }]],
      byState: false,
      conflicts: 0,
    }),
  );
  return deliverFolds(destination, folds, signal, how === 'compare');
}

function into(group: Group, change: Change): Group {
  return 'state' in change ? change.bring(group, change.state) : merge(group, change);
}

async function deliverFolds(
  destination: Destination,
  folds: readonly Fold[],
  signal: AbortSignal,
  compareOnly = false,
): Promise<Map<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  for (let start = 0; start < folds.length; start += MAX_READ) {
    let waiting = folds.slice(start, start + MAX_READ);
    while (waiting.length > 0) {
      await round(destination, waiting, signal, outcomes, compareOnly);
      waiting = waiting.filter((fold) => fold.parts.length > 0);
    }
  }
  return outcomes;
}

/** Reads the groups, merges the first part of each and writes what changed. A fold is done when no part is left. */
async function round(
  destination: Destination,
  folds: readonly Fold[],
  signal: AbortSignal,
  outcomes: Map<EventId, Outcome>,
  compareOnly: boolean,
): Promise<void> {
  const stored = await read(destination, folds, signal);
  const attempts: { fold: Fold; merged: Group }[] = [];
  const writes: Write[] = [];
  for (const fold of folds) {
    const current = stored.get(fold.groupId);
    const [events = []] = fold.parts;
    if (current === undefined || current.kind === 'unreadable') {
      giveUp(fold, current?.fault, outcomes);
      continue;
    }
    const before = current.kind === 'found' ? current.group : newGroup(fold.groupId);
    // Invariant 3: the state is at least as new as the events, and joining it is as good as merging them one by one.
    const state = fold.byState ? destination.group(fold.groupId) : undefined;
    const merged = state === undefined ? events.reduce(into, before) : join(before, state);
    const unwanted = destination.options.onDestroyed === 'delete' && isDestroyed(merged, current, destination);
    const standing = current.kind === 'found' ? `${current.index}/${fold.groupId}@${current.seqNo}` : undefined;
    if (unwanted ? standing === undefined : merged === before && standing !== undefined) {
      const receipt = standing ?? `${destination.options.index}/${fold.groupId} (deleted)`;
      const superseded: Outcome = { kind: 'superseded', receipt };
      for (const { id } of events) outcomes.set(id, superseded);
      fold.parts.shift();
      continue;
    }
    if (compareOnly) {
      const receipt = standing ?? `${destination.options.index}/${fold.groupId} (missing)`;
      for (const { id } of events) outcomes.set(id, { kind: 'delivered', receipt });
      fold.parts.shift();
      continue;
    }
    attempts.push({ fold, merged });
    const action = actionOn(fold.groupId, current, unwanted);
    writes.push(
      unwanted ? { id: fold.groupId, action } : { id: fold.groupId, action, document: JSON.stringify(merged) },
    );
  }
  if (writes.length === 0) return;
  const verdicts = await bulk(destination, writes, signal);
  for (const { fold, merged } of attempts) settle(fold, merged, verdicts.get(fold.groupId), destination, outcomes);
}

/** Invariant 3: the write is taken only if the document is still the one that was merged with. */
function actionOn(groupId: string, current: Readable, unwanted: boolean): string {
  if (current.kind === 'missing') return JSON.stringify({ create: { _id: groupId } });
  const target = { _id: groupId, if_seq_no: current.seqNo, if_primary_term: current.term };
  return JSON.stringify(unwanted ? { delete: target } : { index: target });
}

/** A document that was deleted remembers nothing: the journal then says whether a late change meets a destroyed group. */
function isDestroyed(merged: Group, current: Readable, destination: Destination): boolean {
  return merged.destroyed || (current.kind === 'missing' && destination.group(merged.groupId)?.destroyed === true);
}

function settle(
  fold: Fold,
  merged: Group,
  verdict: Verdict | undefined,
  destination: Destination,
  outcomes: Map<EventId, Outcome>,
): void {
  const [events = [], ...later] = fold.parts;
  switch (verdict?.kind) {
    case 'written': {
      const receipt = `${verdict.index}/${fold.groupId}@${verdict.seqNo}`;
      const delivered: Outcome = { kind: 'delivered', receipt };
      const superseded: Outcome = { kind: 'superseded', receipt };
      // Of an event that stands anything is left in the merged group, whose versions name it.
      const standing = new Set(Object.values(merged.versions).map(([, eventId]) => eventId));
      for (const change of events) {
        outcomes.set(change.id, 'state' in change || standing.has(change.id) ? delivered : superseded);
      }
      fold.parts = later;
      return;
    }
    case 'conflict':
      fold.conflicts++;
      if (fold.conflicts >= MAX_CONFLICTS) giveUp(fold, conflictFault(fold, destination), outcomes);
      return;
    case 'refused': {
      if (fold.byState) {
        // Which of the events it is, or whether it is an earlier one, only they themselves can show.
        fold.byState = false;
        return;
      }
      const [only] = events;
      if (only !== undefined && events.length === 1) {
        outcomes.set(only.id, { kind: 'dead', fault: verdict.fault });
        fold.parts = later;
      } else {
        const middle = events.length >> 1;
        fold.parts = [events.slice(0, middle), events.slice(middle), ...later];
      }
      return;
    }
    case 'overloaded':
    case undefined:
      giveUp(fold, verdict?.fault, outcomes);
  }
}

/** Leaves what is left of a fold to the lane's retry; without a fault, it is left out of the outcomes. */
function giveUp(fold: Fold, fault: Fault | undefined, outcomes: Map<EventId, Outcome>): void {
  if (fault !== undefined) for (const { id } of fold.parts.flat()) outcomes.set(id, { kind: 'retry', fault });
  fold.parts = [];
}

function conflictFault(fold: Fold, destination: Destination): Fault {
  return {
    code: 'event-conflict',
    message: `The group ${fold.groupId} was changed by others ${fold.conflicts} times between reading and writing it`,
    path: setting(destination, 'index'),
    suggestion: 'see who else writes to the index; the next attempt is on its way',
  };
}

async function read(
  destination: Destination,
  folds: readonly Fold[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Stored>> {
  const { documents, gone } = await readDocuments(
    destination,
    folds.map(({ groupId }) => groupId),
    signal,
  );
  // The bulk would create it with a mapping of guesses.
  if (gone) await ensureIndex(destination, signal);
  return documents;
}
