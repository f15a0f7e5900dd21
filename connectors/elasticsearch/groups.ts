import { type Fault, Unreachable } from '../../src/model/fault.ts';
import { differences, type Group, join, newGroup, repair } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import type { CopyStatus, Outcomes, PutMode } from '../contract.ts';
import { bulk, type Verdict, type Write } from './bulk.ts';
import type { Destination } from './client.ts';
import { ensureIndex } from './ensure.ts';
import { misconfiguredFault, setting } from './fault.ts';
import { readDocuments, type Stored } from './stored.ts';

/** Groups of one mget. */
const MAX_READ = 1_000;
/** How often one group may be found changed by somebody else between its read and its write. */
const MAX_CONFLICTS = 10;

type Readable = Exclude<Stored, { kind: 'unreadable' }>;

/** `content: groups`: read, merge, write unless changed in between. No scripts, any number of writers. */
export async function putGroups(
  destination: Destination,
  states: readonly Group[],
  how: PutMode,
  signal: AbortSignal,
): Promise<Outcomes> {
  const outcomes = new Map<string, Outcome>();
  for (let start = 0; start < states.length; start += MAX_READ) {
    let left = states.slice(start, start + MAX_READ);
    for (let conflicts = 0; left.length > 0; conflicts++) {
      if (conflicts === MAX_CONFLICTS) {
        for (const { groupId } of left)
          outcomes.set(groupId, { kind: 'retry', fault: conflictFault(groupId, destination) });
        break;
      }
      left = await round(destination, left, how, signal, outcomes);
    }
  }
  return outcomes;
}

/** Reads the groups, merges the states in and writes what changed. Returns those that somebody else changed in between. */
async function round(
  destination: Destination,
  states: readonly Group[],
  how: PutMode,
  signal: AbortSignal,
  outcomes: Map<string, Outcome>,
): Promise<Group[]> {
  const stored = await read(destination, states, signal);
  const writes: Write[] = [];
  for (const state of states) {
    const { groupId } = state;
    const current = stored.get(groupId);
    if (current === undefined) continue;
    if (current.kind === 'unreadable') {
      outcomes.set(groupId, { kind: 'retry', fault: current.fault });
      continue;
    }
    const plan = planWrite(destination, state, current, how);
    if (plan.write === undefined) outcomes.set(groupId, { kind: 'superseded', receipt: plan.receipt });
    else if (how === 'compare') outcomes.set(groupId, { kind: 'delivered', receipt: plan.receipt });
    else writes.push(plan.write);
  }
  if (writes.length === 0) return [];
  const verdicts = await bulk(destination, writes, signal);
  for (const { id } of writes) {
    const outcome = toOutcome(id, verdicts.get(id));
    if (outcome !== undefined) outcomes.set(id, outcome);
  }
  return states.filter(({ groupId }) => verdicts.get(groupId)?.kind === 'conflict');
}

/** What is to be written of a group, if anything, and where its copy lies or would lie. */
function planWrite(
  { options: { index, onDestroyed } }: Destination,
  state: Group,
  current: Readable,
  how: PutMode,
): { readonly write?: Write; readonly receipt: string } {
  const { groupId: id } = state;
  const before = current.kind === 'found' ? current.group : newGroup(id);
  const merged = how === 'join' ? join(before, state) : repair(before, state);
  const unwanted = onDestroyed === 'delete' && merged.destroyed;
  if (current.kind === 'missing') {
    if (unwanted) return { receipt: `${index}/${id} (deleted)` };
    const write = { id, action: JSON.stringify({ create: { _id: id } }), document: JSON.stringify(merged) };
    return { write, receipt: `${index}/${id} (missing)` };
  }
  const receipt = `${current.index}/${id}@${current.seqNo}`;
  // Invariant 3: the write is taken only if the document is still the one that was merged with.
  const target = { _id: id, if_seq_no: current.seqNo, if_primary_term: current.term };
  if (unwanted) return { write: { id, action: JSON.stringify({ delete: target }) }, receipt };
  if (merged === before) return { receipt };
  return { write: { id, action: JSON.stringify({ index: target }), document: JSON.stringify(merged) }, receipt };
}

/** Undefined where the group comes again: after a conflict in this call, without an answer in the next. */
function toOutcome(groupId: string, verdict: Verdict | undefined): Outcome | undefined {
  switch (verdict?.kind) {
    case 'written':
      return { kind: 'delivered', receipt: `${verdict.index}/${groupId}@${verdict.seqNo}` };
    case 'refused':
      return { kind: 'dead', fault: verdict.fault };
    case 'overloaded':
      return { kind: 'retry', fault: verdict.fault };
    case 'conflict':
    case undefined:
      return undefined;
  }
}

function conflictFault(groupId: string, destination: Destination): Fault {
  return {
    code: 'event-conflict',
    message: `The group ${groupId} was changed by others ${MAX_CONFLICTS} times between reading and writing it`,
    path: setting(destination, 'index'),
    suggestion: 'see who else writes to the index; the next attempt is on its way',
  };
}

async function read(
  destination: Destination,
  states: readonly Group[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Stored>> {
  const ids = states.map(({ groupId }) => groupId);
  const { documents, gone } = await readDocuments(destination, ids, signal);
  // The bulk would create it with a mapping of guesses.
  if (gone) await ensureIndex(destination, signal);
  return documents;
}

/** Compares the documents with these states and says where they lie. */
export async function readCopies(
  destination: Destination,
  states: readonly Group[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, CopyStatus>> {
  const ids = states.map(({ groupId }) => groupId);
  const { documents } = await readDocuments(destination, ids, signal);
  return new Map(states.map((state) => [state.groupId, copyStatus(destination, state, documents.get(state.groupId))]));
}

function copyStatus(destination: Destination, state: Group, stored: Stored | undefined): CopyStatus {
  const { groupId } = state;
  const { index, onDestroyed } = destination.options;
  const unwanted = onDestroyed === 'delete' && state.destroyed;
  switch (stored?.kind) {
    case 'found': {
      const where = `${stored.index}/_doc/${groupId}`;
      const differs = unwanted && stored.group.destroyed ? ['destroyed'] : differences(stored.group, state);
      return differs.length === 0 ? { status: 'in-step', where } : { status: 'differs', where, differs };
    }
    case 'missing':
      return { status: unwanted ? 'in-step' : 'missing', where: `${index}/_doc/${groupId}` };
    case 'unreadable':
      throw new Unreachable(stored.fault);
    case undefined: {
      const message = `Elasticsearch said nothing of the document ${groupId}`;
      throw new Unreachable(misconfiguredFault(destination, message, 'see what stands between'));
    }
  }
}
