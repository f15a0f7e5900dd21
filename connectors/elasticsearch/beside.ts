/**
 * `shape.versionsIndex`: the documents of the groups take no foreign field, so that the versions lie in an index beside them,
 * in a record for each group. The record holds the merged state as a whole, and is the truth; the document is made from it.
 *
 * Invariant 3: no request writes both, so that either may be ahead: a bridge may have ended in between, or another may be at
 * work. Therefore nobody trusts a write of their own. A group is settled by a reading alone, which finds that the record has
 * all that was to be merged in, and that the document is what the record makes of it. Whoever wrote last, of either, has read
 * both after it; where that reading found them apart, they wrote again, and so were not the last. A bridge that ended before
 * its reading has settled nothing, and its events come again. Both are written only if they are still as they were read, so
 * that nothing of a record is lost.
 *
 * The document comes first: what its mapping refuses must not be in the record, where it would spoil each later write.
 * Whoever changes the record has written the document, too, even where it stays the same, so that a write which was under way
 * for long finds another document than it was made for.
 */
import { differences, type Group, isForeign, join, newGroup, onlyFields, repair } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { plainShape } from '../../src/model/shape.ts';
import type { CopyStatus, Outcomes, PutMode } from '../contract.ts';
import { bulk, type Write } from './bulk.ts';
import type { Destination } from './client.ts';
import { ensureIndex, findIndex } from './ensure.ts';
import { misconfigured } from './fault.ts';
import {
  inRounds,
  ofAnotherApp,
  type Readable,
  readDocuments,
  requireRead,
  type Stored,
  toGroup,
  writeOf,
} from './groups.ts';
import { newVersionsIndex } from './new-index.ts';

/** Returns the index of versions as a destination like any other; undefined where the documents hold them. */
export function besideOf(destination: Destination): Destination | undefined {
  const { shape, options, source } = destination;
  const { versionsIndex: index } = shape;
  if (index === undefined) return undefined;
  return {
    ...destination,
    options: {
      ...options,
      index,
      createIndex: { shards: 1, replicas: options.createIndex ? options.createIndex.replicas : 1 },
    },
    versionsOf: options.index,
    newIndex: newVersionsIndex(source, shape),
    shape: { ...plainShape('groups'), id: shape.id },
    isShaped: false,
  };
}

/** Throws Unreachable where the index would make fields of what lies in it, or refuse it. Whether there is one is not said. */
export async function refuseIndexing(beside: Destination, signal: AbortSignal): Promise<boolean> {
  const state = await findIndex(beside, signal);
  if (state !== undefined && state.mappings?.enabled !== false) {
    const message = `The index ${beside.options.index} was not made for versions: its mapping looks into what lies in it`;
    const suggestion = 'name another, which the bridge makes, or make it with "mappings": {"enabled": false}';
    throw misconfigured(beside, 'index', message, suggestion);
  }
  return state !== undefined;
}

/** The index of the documents, and the one of the records. */
interface Places {
  readonly documents: Destination;
  readonly beside: Destination;
}

/** A document and its record, each as its receipt; empty where there is none. */
interface Pair {
  readonly document: string;
  readonly record: string;
}

/** What is to be done about a group. */
interface Plan {
  readonly groupId: string;
  /** None where the document is what the record makes of it. */
  readonly document?: Write;
  /** None where the record has all that was to be merged in. */
  readonly record?: Write;
  readonly there: Pair;
  readonly receipt: string;
}

export async function putBeside(
  places: Places,
  states: readonly Group[],
  how: PutMode,
  signal: AbortSignal,
): Promise<Outcomes> {
  /** Which groups something was written of, and what is there then, unless another comes in between. */
  const written = new Map<string, Pair | undefined>();
  return inRounds(places.documents, states, async (left, outcomes) => {
    const plans = await planAll(places, left, how, signal, outcomes);
    const open: Plan[] = [];
    for (const plan of plans) {
      const { groupId, receipt } = plan;
      const inStep = isInStep(plan, written.get(groupId));
      if (!inStep && how !== 'compare') open.push(plan);
      else outcomes.set(groupId, { kind: inStep && !written.has(groupId) ? 'superseded' : 'delivered', receipt });
    }
    const first = await writeEach(places.documents, 'document', open, signal, outcomes);
    for (const { groupId, document } of first.written) if (document !== undefined) written.set(groupId, undefined);
    const second = await writeEach(places.beside, 'record', first.written, signal, outcomes);
    for (const { groupId, there } of second.written) written.set(groupId, there);
    const again = new Set([...first.late, ...second.late, ...second.written].map(({ groupId }) => groupId));
    return left.filter(({ groupId }) => again.has(groupId));
  });
}

/** An ingest pipeline may make something else of a document: it is enough that both are those that were written here. */
const isInStep = ({ document, record, there }: Plan, ours: Pair | undefined): boolean =>
  (document === undefined && record === undefined) ||
  (there.document === ours?.document && there.record === ours.record);

/** Writes one of the two where it is to be written. `late` are those that somebody else wrote in between. */
async function writeEach(
  destination: Destination,
  which: 'document' | 'record',
  plans: readonly Plan[],
  signal: AbortSignal,
  outcomes: Map<string, Outcome>,
): Promise<{ readonly written: Plan[]; readonly late: Plan[] }> {
  const writes = plans.flatMap((plan) => plan[which] ?? []);
  const settled = writes.length === 0 ? new Map<string, Outcome>() : await bulk(destination, writes, signal);
  const [written, late]: [Plan[], Plan[]] = [[], []];
  for (const plan of plans) {
    const { [which]: write, there } = plan;
    const outcome = write && settled.get(write.id);
    if (write === undefined) written.push(plan);
    else if (outcome?.kind === 'superseded') late.push(plan);
    else if (outcome?.kind === 'delivered') {
      const now = write.document === undefined ? '' : outcome.receipt;
      written.push({ ...plan, there: { ...there, [which]: now } });
    } else if (outcome !== undefined) outcomes.set(plan.groupId, outcome);
  }
  return { written, late };
}

const readBoth = ({ documents, beside }: Places, states: readonly Group[], signal: AbortSignal) =>
  Promise.all([readDocuments(documents, states, signal), readDocuments(beside, states, signal)]);

/** Reads both of each group, and says what is to be done. What cannot be read is to be tried again. */
async function planAll(
  places: Places,
  states: readonly Group[],
  how: PutMode,
  signal: AbortSignal,
  outcomes: Map<string, Outcome>,
): Promise<Plan[]> {
  const [documents, records] = await readBoth(places, states, signal);
  if (documents.gone) await ensureIndex(places.documents, signal);
  if (records.gone) await ensureIndex(places.beside, signal);
  return states.flatMap((state) => {
    const [document, record] = [documents, records].map((read) => read.documents.get(state.groupId));
    if (document === undefined || record === undefined) return [];
    if (document.kind !== 'unreadable' && record.kind !== 'unreadable') {
      return planOf(places, state, document, record, how);
    }
    for (const { kind, ...why } of [document, record])
      if (kind === 'unreadable' && 'fault' in why) outcomes.set(state.groupId, { kind: 'retry', fault: why.fault });
    return [];
  });
}

/** What both come to, with the state merged in. */
interface Merged {
  readonly before: Group;
  readonly merged: Group;
  /** Whether the document is to be gone. */
  readonly unwanted: boolean;
  /** In which fields the document that is there is not what the record makes of it. */
  readonly differs: readonly string[];
}

function mergeInto({ documents }: Places, state: Group, document: Readable, record: Readable, how: PutMode): Merged {
  const { shape, options } = documents;
  const known = record.kind === 'found' ? record.group : newGroup(state.groupId);
  const before = document.kind === 'found' ? withUntold(known, document.group) : known;
  const merged = how === 'join' ? join(before, state) : repair(before, state);
  const unwanted = options.onDestroyed === 'delete' && merged.destroyed;
  if (document.kind === 'missing') return { before, merged, unwanted, differs: [] };
  if (unwanted) return { before, merged, unwanted, differs: ['destroyed'] };
  // Both as they are read back: a moment may be written in more than one way.
  const { versions } = merged;
  const wanted = { ...toGroup(state.groupId, shape.back(shape.out(merged))), versions };
  const differs = [...differences({ ...document.group, versions }, wanted), ...shape.lacks(document.document)];
  return { before, merged, unwanted, differs };
}

/** Returns the group of the record with what others put into the fields of the document that no event has told of. */
function withUntold(known: Group, document: Group): Group {
  const untold = onlyFields({ ...document, versions: {} }, (field) => known.versions[field] === undefined);
  return {
    ...untold,
    ...known,
    customFields: { ...untold.customFields, ...known.customFields },
    destroyed: (known.versions.destroyed === undefined ? untold : known).destroyed,
  };
}

function planOf(places: Places, state: Group, document: Readable, record: Readable, how: PutMode): Plan {
  const { shape, options, keepsSource } = places.documents;
  const { groupId } = state;
  const id = shape.id.of(groupId);
  const { before, merged, unwanted, differs } = mergeInto(places, state, document, record, how);
  if (isForeign(before, state.source)) throw ofAnotherApp(places.documents, before.source);
  const there = { document: receiptOf(id, document), record: receiptOf(id, record) };
  const [isNew, isFound] = [merged !== before, document.kind === 'found'];
  const held = document.kind === 'found' ? document.document : {};
  const isWrong = unwanted ? isFound : !isFound || isNew || differs.length > 0;
  const made = shape.out(keepsSource ? merged : { ...merged, source: undefined }, held);
  const told = onlyFields(merged, (field) => merged.versions[field] !== undefined);
  return {
    ...{ groupId, there },
    receipt: there.document || `${options.index}/${id} (${unwanted ? 'deleted' : 'missing'})`,
    ...(isWrong && { document: writeOf(id, document, unwanted ? undefined : made) }),
    ...(isNew && { record: writeOf(id, record, told) }),
  };
}

const receiptOf = (id: string, stored: Readable): string =>
  stored.kind === 'found' ? `${stored.index}/${id}@${stored.seqNo}` : '';

/** Compares the documents, and what the records have, with these states, and says where the documents lie. */
export async function readCopiesBeside(
  places: Places,
  states: readonly Group[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, CopyStatus>> {
  const [documents, records] = await readBoth(places, states, signal);
  return new Map(
    states.map((state) => {
      const [document, record] = [documents, records].map((read) => read.documents.get(state.groupId));
      return [state.groupId, copyStatus(places, state, document, record)];
    }),
  );
}

function copyStatus(
  places: Places,
  state: Group,
  document: Stored | undefined,
  record: Stored | undefined,
): CopyStatus {
  const { shape, options } = places.documents;
  const id = shape.id.of(state.groupId);
  requireRead(places.documents, id, document);
  requireRead(places.beside, id, record);
  const { before, unwanted, differs } = mergeInto(places, state, document, record, 'repair');
  if (document.kind === 'missing') {
    return { status: unwanted ? 'in-step' : 'missing', where: `${options.index}/_doc/${id}` };
  }
  const where = `${document.index}/_doc/${id}`;
  if (isForeign(before, state.source)) return { status: 'differs', where, differs: ['source'] };
  const behind = unwanted ? [] : differences(before, state);
  const lost = record.kind === 'missing' ? ['versions'] : [];
  const fields = [...new Set([...differs, ...behind, ...lost])];
  return fields.length === 0 ? { status: 'in-step', where } : { status: 'differs', where, differs: fields };
}
