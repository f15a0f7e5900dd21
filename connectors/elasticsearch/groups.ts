/**
 * `content: groups`: read, merge, write unless changed in between. No scripts, any number of writers.
 *
 * With `shape.versionsIndex` the documents take no foreign field, so the versions are in a separate index, in one record
 * per group. The record holds the complete merged state, and is authoritative; the document is made from it.
 *
 * Invariant 3: no request writes both, so either may be ahead: a bridge may have ended in between, or another may be at
 * work. Therefore nobody trusts a write of their own. Only a read settles a group, one that finds that the record has
 * everything to be merged, and that the document is what the record makes of it. The last writer of either has read both
 * afterwards; had they been apart, it would have written again, and not have been the last. A bridge that ended before
 * its read has settled nothing, and its events come again. Each is written only if it is still as it was read, so that
 * nothing of a record is lost.
 *
 * The document comes first: what its mapping refuses must not get into the record, where it would spoil every later
 * write. Whoever changes the record has rewritten even an equal document, so that a slow write finds another document
 * than it was made for.
 */
import type { Fault } from '../../src/model/fault.ts';
import { differences, type Group, isForeign, join, newGroup, onlyFields, repair } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import type { CopyStatus, Outcomes, PutMode } from '../contract.ts';
import { bulk, type Write } from './bulk.ts';
import type { Destination } from './client.ts';
import { ofAnotherApp, type Readable, readable, readDocuments, toGroup } from './documents.ts';
import { ensureIndex } from './ensure.ts';
import { setting } from './fault.ts';

/** The number of groups in one mget. */
const MAX_READ = 1_000;
/** How often one group may be changed by others between its read and its write. */
const MAX_CONFLICTS = 10;

/** The index of the documents, and that of the records if there is one. */
interface Places {
  readonly documents: Destination;
  readonly beside: Destination | undefined;
}

/** A document and its record, each as its receipt; empty if missing. */
interface Pair {
  readonly document: string;
  readonly record: string;
}

interface Plan {
  readonly groupId: string;
  /** Absent if the document is right. */
  readonly document?: Write;
  /** Absent if the record has everything to be merged. */
  readonly record?: Write;
  readonly there: Pair;
  readonly receipt: string;
}

/** The progress of a delivery. */
interface Work {
  readonly outcomes: Map<string, Outcome>;
  /** The groups written so far, with what is there afterwards, unless somebody else writes in between. */
  readonly written: Map<string, Pair | undefined>;
}

export async function putGroups(
  places: Places,
  states: readonly Group[],
  how: PutMode,
  signal: AbortSignal,
): Promise<Outcomes> {
  const work: Work = { outcomes: new Map(), written: new Map() };
  for (let start = 0; start < states.length; start += MAX_READ) {
    let left = states.slice(start, start + MAX_READ);
    for (let conflicts = 0; left.length > 0 && conflicts < MAX_CONFLICTS; conflicts++) {
      const again = await round(places, left, how, signal, work);
      left = left.filter(({ groupId }) => again.has(groupId));
    }
    for (const { groupId } of left) {
      const fault: Fault = {
        code: 'event-conflict',
        message: `The group ${groupId} was changed by others ${MAX_CONFLICTS} times between reading and writing it`,
        path: setting(places.documents, 'index'),
        suggestion: 'see who else writes to the index; the next attempt is on its way',
      };
      work.outcomes.set(groupId, { kind: 'retry', fault });
    }
  }
  return work.outcomes;
}

/** Reads the groups, merges the states and writes what changed. Returns those to read and merge again. */
async function round(
  places: Places,
  states: readonly Group[],
  how: PutMode,
  signal: AbortSignal,
  { outcomes, written }: Work,
): Promise<ReadonlySet<string>> {
  const open: Plan[] = [];
  for (const plan of await planAll(places, states, how, signal, outcomes)) {
    const { groupId, receipt } = plan;
    const inStep = isInStep(plan, written.get(groupId));
    if (!inStep && how !== 'compare') open.push(plan);
    else outcomes.set(groupId, { kind: inStep && !written.has(groupId) ? 'superseded' : 'delivered', receipt });
  }
  const first = await writeEach(places.documents, 'document', open, signal, outcomes);
  if (places.beside === undefined) {
    for (const { groupId, receipt } of first.written) outcomes.set(groupId, { kind: 'delivered', receipt });
    return idsOf(first.late);
  }
  for (const { groupId, document } of first.written) if (document !== undefined) written.set(groupId, undefined);
  const second = await writeEach(places.beside, 'record', first.written, signal, outcomes);
  for (const { groupId, there } of second.written) written.set(groupId, there);
  return idsOf([...first.late, ...second.late, ...second.written]);
}

const idsOf = (plans: readonly Plan[]): ReadonlySet<string> => new Set(plans.map(({ groupId }) => groupId));

/** An ingest pipeline may alter a document: it is enough that both are the ones written here. */
const isInStep = ({ document, record, there }: Plan, ours: Pair | undefined): boolean =>
  (document === undefined && record === undefined) ||
  (there.document === ours?.document && there.record === ours.record);

/** Writes one of the two where needed. `late` are those that somebody else wrote in between. */
async function writeEach(
  destination: Destination,
  which: keyof Pair,
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
      const { receipt } = outcome;
      written.push({ ...plan, receipt, there: { ...there, [which]: write.document === undefined ? '' : receipt } });
    } else if (outcome !== undefined) outcomes.set(plan.groupId, outcome);
  }
  return { written, late };
}

/** Reads both of each group, and plans what to write. What is unreadable is tried again. */
async function planAll(
  places: Places,
  states: readonly Group[],
  how: PutMode,
  signal: AbortSignal,
  outcomes: Map<string, Outcome>,
): Promise<Plan[]> {
  const read = async (destination: Destination) => {
    const { documents, gone } = await readDocuments(destination, states, signal);
    // The bulk would create it with a guessed mapping.
    if (gone) await ensureIndex(destination, signal);
    return documents;
  };
  const [documents, records] = await Promise.all([read(places.documents), places.beside && read(places.beside)]);
  return states.flatMap((state) => {
    const { groupId } = state;
    const [document, record] = [documents.get(groupId), records?.get(groupId)];
    if (document === undefined || (records !== undefined && record === undefined)) return [];
    for (const one of [document, record])
      if (one?.kind === 'unreadable') outcomes.set(groupId, { kind: 'retry', fault: one.fault });
    if (document.kind === 'unreadable' || record?.kind === 'unreadable') return [];
    return planOf(places, state, document, record, how);
  });
}

/** Document and record with the state merged in. */
interface Merged {
  readonly before: Group;
  readonly merged: Group;
  /** Whether the document is to be gone. */
  readonly unwanted: boolean;
  /** The fields in which the existing document is not what `before` makes of it. */
  readonly differs: readonly string[];
}

/** Without a record, the document is authoritative. */
function mergeInto(
  { documents }: Places,
  state: Group,
  document: Readable,
  record: Readable | undefined,
  how: PutMode,
): Merged {
  const { shape, options } = documents;
  const held = document.kind === 'found' ? document.group : undefined;
  const known = record?.kind === 'found' ? record.group : newGroup(state.groupId);
  const before = record === undefined ? (held ?? known) : held === undefined ? known : withUntold(known, held);
  const merged = how === 'join' ? join(before, state) : repair(before, state);
  const unwanted = options.onDestroyed === 'delete' && merged.destroyed;
  if (document.kind === 'missing') return { before, merged, unwanted, differs: [] };
  if (unwanted) return { before, merged, unwanted, differs: ['destroyed'] };
  const lacks = shape.lacks(document.document);
  if (record === undefined) return { before, merged, unwanted, differs: lacks };
  // Compares both as read back: a moment may be written in more than one way.
  const { versions } = merged;
  const wanted = { ...toGroup(state.groupId, shape.back(shape.out(merged))), versions };
  return { before, merged, unwanted, differs: [...differences({ ...document.group, versions }, wanted), ...lacks] };
}

/** Returns the record's group with others' values for the document's fields that no event has set. */
function withUntold(known: Group, document: Group): Group {
  const untold = onlyFields({ ...document, versions: {} }, (field) => known.versions[field] === undefined);
  return {
    ...untold,
    ...known,
    customFields: { ...untold.customFields, ...known.customFields },
    destroyed: (known.versions.destroyed === undefined ? untold : known).destroyed,
  };
}

function planOf(places: Places, state: Group, document: Readable, record: Readable | undefined, how: PutMode): Plan {
  const { shape, options, keepsSource } = places.documents;
  const { groupId } = state;
  const id = shape.id.of(groupId);
  const { before, merged, unwanted, differs } = mergeInto(places, state, document, record, how);
  if (isForeign(before, state.source)) throw ofAnotherApp(places.documents, before.source);
  const there = { document: receiptOf(id, document), record: receiptOf(id, record) };
  const [isNew, isFound] = [merged !== before, document.kind === 'found'];
  const held = document.kind === 'found' ? document.document : {};
  const isWrong = unwanted ? isFound : !isFound || isNew || differs.length > 0;
  const made = () => shape.out(keepsSource ? merged : { ...merged, source: undefined }, held);
  const told = () => onlyFields(merged, (field) => merged.versions[field] !== undefined);
  return {
    ...{ groupId, there },
    receipt: there.document || `${options.index}/${id} (${unwanted ? 'deleted' : 'missing'})`,
    ...(isWrong && { document: writeOf(id, document, unwanted ? undefined : made()) }),
    ...(isNew && record && { record: writeOf(id, record, told()) }),
  };
}

const receiptOf = (id: string, stored: Readable | undefined): string =>
  stored?.kind === 'found' ? `${stored.index}/${id}@${stored.seqNo}` : '';

/** With nothing to write it deletes. Invariant 3: accepted only if what is there is still what was read. */
function writeOf(id: string, stored: Readable, made: object | undefined): Write {
  const target = stored.kind === 'found' && { if_seq_no: stored.seqNo, if_primary_term: stored.term };
  const verb = made === undefined ? 'delete' : target === false ? 'create' : 'index';
  const action = JSON.stringify({ [verb]: { _id: id, ...target } });
  return made === undefined ? { id, action } : { id, action, document: JSON.stringify(made) };
}

/** Compares documents and records with these states, and returns where the documents are. */
export async function readCopies(
  places: Places,
  states: readonly Group[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, CopyStatus>> {
  const { documents, beside } = places;
  const [read, readBeside] = await Promise.all([
    readDocuments(documents, states, signal),
    beside && readDocuments(beside, states, signal),
  ]);
  return new Map(
    states.map((state) => {
      const { groupId } = state;
      const document = readable(documents, groupId, read.documents);
      const record = beside && readBeside && readable(beside, groupId, readBeside.documents);
      return [groupId, copyStatus(places, state, document, record)];
    }),
  );
}

function copyStatus(places: Places, state: Group, document: Readable, record: Readable | undefined): CopyStatus {
  const { shape, options } = places.documents;
  const id = shape.id.of(state.groupId);
  const { before, unwanted, differs } = mergeInto(places, state, document, record, 'repair');
  if (document.kind === 'missing') {
    return { status: unwanted ? 'in-step' : 'missing', where: `${options.index}/_doc/${id}` };
  }
  const where = `${document.index}/_doc/${id}`;
  if (isForeign(before, state.source)) return { status: 'differs', where, differs: ['source'] };
  const behind = unwanted ? [] : differences(before, state);
  const lost = record?.kind === 'missing' ? ['versions'] : [];
  const fields = [...new Set([...differs, ...behind, ...lost])];
  return fields.length === 0 ? { status: 'in-step', where } : { status: 'differs', where, differs: fields };
}
