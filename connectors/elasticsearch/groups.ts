/** `content: groups`: read, merge, write unless changed in between. No scripts, any number of writers. */
import { type Fault, Unreachable } from '../../src/model/fault.ts';
import { differences, type Group, isForeign, join, newGroup, putRight, repair } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { valueAt } from '../../src/model/shape.ts';
import type { CopyStatus, Outcomes, PutMode } from '../contract.ts';
import { readMany, search } from './api.ts';
import { bulk, type Write } from './bulk.ts';
import { ask, type Destination } from './client.ts';
import { ensureIndex, findIndex } from './ensure.ts';
import { type Cause, destinationFault, misconfigured, setting } from './fault.ts';
import { isMapped } from './new-index.ts';

/** The number of groups in one mget. */
const MAX_READ = 1_000;
/** How often one group may be found changed by somebody else between its read and its write. */
const MAX_CONFLICTS = 10;

/** What lies under the id of a group. */
export type Stored = Readonly<
  | {
      kind: 'found';
      group: Group;
      document: Readonly<Record<string, unknown>>;
      index: string;
      seqNo: number;
      term: number;
    }
  | { kind: 'missing' }
  | { kind: 'unreadable'; fault: Fault }
>;
export type Readable = Exclude<Stored, { kind: 'unreadable' }>;

/** Settles what it can, and returns those groups that are to be read and merged again. */
export type Round = (states: readonly Group[], outcomes: Map<string, Outcome>) => Promise<Group[]>;

export async function putGroups(
  destination: Destination,
  states: readonly Group[],
  how: PutMode,
  signal: AbortSignal,
): Promise<Outcomes> {
  return inRounds(destination, states, (left, outcomes) => round(destination, left, how, signal, outcomes));
}

export async function inRounds(destination: Destination, states: readonly Group[], round: Round): Promise<Outcomes> {
  const outcomes = new Map<string, Outcome>();
  for (let start = 0; start < states.length; start += MAX_READ) {
    let left = states.slice(start, start + MAX_READ);
    for (let conflicts = 0; left.length > 0 && conflicts < MAX_CONFLICTS; conflicts++) {
      left = await round(left, outcomes);
    }
    for (const { groupId } of left) {
      const fault: Fault = {
        code: 'event-conflict',
        message: `The group ${groupId} was changed by others ${MAX_CONFLICTS} times between reading and writing it`,
        path: setting(destination, 'index'),
        suggestion: 'see who else writes to the index; the next attempt is on its way',
      };
      outcomes.set(groupId, { kind: 'retry', fault });
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
  const { documents, gone } = await readDocuments(destination, states, signal);
  // The bulk would create it with a mapping of guesses.
  if (gone) await ensureIndex(destination, signal);
  const writes: Write[] = [];
  for (const state of states) {
    const { groupId } = state;
    const current = documents.get(groupId);
    if (current === undefined) continue;
    if (current.kind === 'unreadable') {
      outcomes.set(groupId, { kind: 'retry', fault: current.fault });
      continue;
    }
    const { write, receipt } = planWrite(destination, state, current, how);
    if (write !== undefined && how !== 'compare') writes.push(write);
    else outcomes.set(groupId, { kind: write === undefined ? 'superseded' : 'delivered', receipt });
  }
  if (writes.length === 0) return [];
  const written = await bulk(destination, writes, signal);
  const { of } = destination.shape.id;
  for (const { groupId } of states) {
    const outcome = written.get(of(groupId));
    // What was superseded while it was written is merged with, and comes again.
    if (outcome !== undefined && outcome.kind !== 'superseded') outcomes.set(groupId, outcome);
  }
  return states.filter(({ groupId }) => written.get(of(groupId))?.kind === 'superseded');
}

/** Returns what is to be written of a group, if anything, and where its copy lies or would lie. */
function planWrite(
  destination: Destination,
  state: Group,
  current: Readable,
  how: PutMode,
): { readonly write?: Write; readonly receipt: string } {
  const { index, onDestroyed } = destination.options;
  const { shape } = destination;
  const id = shape.id.of(state.groupId);
  const before = current.kind === 'found' ? current.group : newGroup(state.groupId);
  if (isForeign(before, state.source)) throw ofAnotherApp(destination, before.source);
  const merged = how === 'join' ? join(before, state) : repair(before, state);
  const unwanted = onDestroyed === 'delete' && merged.destroyed;
  const held = current.kind === 'found' ? current.document : {};
  const shaped = shape.out(destination.keepsSource ? merged : { ...merged, source: undefined }, held);
  if (current.kind === 'missing') {
    if (unwanted) return { receipt: `${index}/${id} (deleted)` };
    return { write: writeOf(id, current, shaped), receipt: `${index}/${id} (missing)` };
  }
  const receipt = `${current.index}/${id}@${current.seqNo}`;
  if (!unwanted && merged === before && shape.lacks(held).length === 0) return { receipt };
  return { write: writeOf(id, current, unwanted ? undefined : shaped), receipt };
}

/** Nothing to write deletes what lies there. Invariant 3: it is taken only if what lies there is still what was read. */
export function writeOf(id: string, stored: Readable, made: object | undefined): Write {
  const target = stored.kind === 'found' && { if_seq_no: stored.seqNo, if_primary_term: stored.term };
  const verb = made === undefined ? 'delete' : target === false ? 'create' : 'index';
  const action = JSON.stringify({ [verb]: { _id: id, ...target } });
  return made === undefined ? { id, action } : { id, action, document: JSON.stringify(made) };
}

/** The documents that are looked at to tell whose groups an index holds: all of them are of one app. */
const SAMPLE = 10;

/** Throws Unreachable where the index is known to hold groups of another app, since groups of one id would be merged. */
export async function refuseForeign(destination: Destination, signal: AbortSignal): Promise<void> {
  const { source, options, shape } = destination;
  const { index } = options;
  const { mappings } = (await findIndex(destination, signal)) ?? {};
  const path = shape.fields.find(({ name }) => name === 'source')?.to;
  destination.keepsSource = mappings?.dynamic !== 'strict' || isMapped(mappings.properties, path ?? []);
  if (shape.id.perApp) return;
  const told = (mappings?._meta?.groupSyncBridge as { readonly source?: string } | undefined)?.source;
  if (told !== undefined && told !== source) throw ofAnotherApp(destination, told);
  if (path === undefined) return;
  const found = await ask(destination, signal, search(index, { size: SAMPLE, _source: [path.join('.')] }));
  const held = found.body.hits?.hits?.map(({ _source }) => valueAt(_source, path)) ?? [];
  const foreign = held.find((one) => one !== undefined && one !== source);
  if (foreign !== undefined) throw ofAnotherApp(destination, String(foreign));
}

export function ofAnotherApp(destination: Destination, source: string | undefined): Unreachable {
  const message = `The index ${destination.options.index} holds groups of ${source}, and this bridge is that of ${destination.source}`;
  return misconfigured(destination, 'index', message, 'give each app an index of its own, or correct app.sdkAppId');
}

/** Compares the documents with these states and says where they lie. */
export async function readCopies(
  destination: Destination,
  states: readonly Group[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, CopyStatus>> {
  const { documents } = await readDocuments(destination, states, signal);
  return new Map(states.map((state) => [state.groupId, copyStatus(destination, state, documents.get(state.groupId))]));
}

function copyStatus(destination: Destination, state: Group, stored: Stored | undefined): CopyStatus {
  const { groupId } = state;
  const { index, onDestroyed } = destination.options;
  const { shape } = destination;
  const id = shape.id.of(groupId);
  requireRead(destination, id, stored);
  const unwanted = onDestroyed === 'delete' && state.destroyed;
  if (stored.kind === 'missing') {
    return { status: unwanted ? 'in-step' : 'missing', where: `${index}/_doc/${id}` };
  }
  const where = `${stored.index}/_doc/${id}`;
  if (isForeign(stored.group, state.source)) return { status: 'differs', where, differs: ['source'] };
  const differs =
    unwanted && stored.group.destroyed
      ? ['destroyed']
      : [...differences(stored.group, state), ...shape.lacks(stored.document)];
  return differs.length === 0 ? { status: 'in-step', where } : { status: 'differs', where, differs };
}

export function requireRead(
  destination: Destination,
  id: string,
  stored: Stored | undefined,
): asserts stored is Readable {
  if (stored === undefined) {
    const message = `${destination.product} said nothing of the document ${id}`;
    throw misconfigured(destination, 'index', message, 'see what stands between');
  }
  if (stored.kind === 'unreadable') throw new Unreachable(stored.fault);
}

/** Reads the documents of these groups; `gone` when there is no such index. Writes nothing. */
export async function readDocuments(
  destination: Destination,
  groups: readonly Group[],
  signal: AbortSignal,
): Promise<{ documents: ReadonlyMap<string, Stored>; gone: boolean }> {
  const { index } = destination.options;
  const { shape } = destination;
  const groupIds = new Map(groups.map(({ groupId }) => [shape.id.of(groupId), groupId]));
  const { body } = await ask(destination, signal, readMany(index, [...groupIds.keys()]));
  const documents = new Map<string, Stored>();
  let gone = false;
  for (const doc of body.docs) {
    const id = groupIds.get(doc._id) ?? doc._id;
    if (doc.error !== undefined) {
      gone ||= doc.error.type === 'index_not_found_exception';
      documents.set(id, gone ? { kind: 'missing' } : await unreadable(doc.error, destination, signal));
    } else if (!doc.found) {
      documents.set(id, { kind: 'missing' });
    } else if (doc._source === undefined) {
      // Merging with nothing would overwrite what is there.
      const message = `The index ${index} does not keep the source of its documents`;
      throw misconfigured(destination, 'index', message, 'create it without _source: {enabled: false}');
    } else {
      const { _index, _source, _seq_no: seqNo = -1, _primary_term: term = -1 } = doc;
      const group = toGroup(id, shape.back(_source));
      documents.set(id, { kind: 'found', group, document: _source, index: _index, seqNo, term });
    }
  }
  return { documents, gone };
}

/** Errors of one document for which the index as a whole is to blame, with the status that other requests answer then. */
const BLAMED_ON_INDEX: ReadonlyMap<string | undefined, number> = new Map([
  ['security_exception', 403],
  ['cluster_block_exception', 403],
  ['index_closed_exception', 400],
  ['illegal_argument_exception', 400],
]);

/** Tells why one document cannot be read: its own shard is down, unless the index as a whole is to blame. */
async function unreadable(cause: Cause, destination: Destination, signal: AbortSignal): Promise<Stored> {
  const status = BLAMED_ON_INDEX.get(cause.type);
  if (status === undefined) return { kind: 'unreadable', fault: destinationFault(503, cause, destination) };
  // Where the name is an alias of several indices, this says so in better words.
  if (cause.type === 'illegal_argument_exception') await ensureIndex(destination, signal);
  throw new Unreachable(destinationFault(status, cause, destination));
}

/** What a document holds of a group may be another's work, without versions or with odd ones: what `merge` relies on is put right. */
export function toGroup(groupId: string, source: Readonly<Record<string, unknown>>): Group {
  const { customFields, destroyed, versions } = source;
  return {
    ...source,
    groupId,
    ...putRight({ customFields, destroyed, versions }),
  };
}
