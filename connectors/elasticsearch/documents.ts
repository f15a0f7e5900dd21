/** The documents of groups, and whose they are. */
import { type Fault, Unreachable } from '../../src/model/fault.ts';
import { type Group, putRight } from '../../src/model/group.ts';
import { valueAt } from '../../src/model/shape.ts';
import { readMany, search } from './api.ts';
import { ask, type Destination } from './client.ts';
import { ensureIndex, findIndex } from './ensure.ts';
import { type Cause, destinationFault, misconfigured } from './fault.ts';
import { isMapped } from './new-index.ts';

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

/** How many documents are checked for another app's groups: all of an index are of one app. */
const SAMPLE = 10;

/** Throws Unreachable if the index is known to hold groups of another app: groups of one id would be merged. */
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
  const foreign = held.filter(isText).find((one) => one !== source);
  if (foreign !== undefined) throw ofAnotherApp(destination, foreign);
}

export function ofAnotherApp(destination: Destination, source: string | undefined): Unreachable {
  const message = `The index ${destination.options.index} holds groups of ${source}, and this bridge is that of ${destination.source}`;
  return misconfigured(destination, 'index', message, 'give each app an index of its own, or correct app.sdkAppId');
}

/** Returns what was read of a group. Throws Unreachable if that is nothing. */
export function readable(destination: Destination, groupId: string, read: ReadonlyMap<string, Stored>): Readable {
  const stored = read.get(groupId);
  if (stored === undefined) {
    const message = `${destination.product} said nothing of the document ${destination.shape.id.of(groupId)}`;
    throw misconfigured(destination, 'index', message, 'see what stands between');
  }
  if (stored.kind === 'unreadable') throw new Unreachable(stored.fault);
  return stored;
}

/** Reads the documents of these groups; `gone` if there is no such index. Writes nothing. */
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
      documents.set(
        id,
        gone ? { kind: 'missing' } : { kind: 'unreadable', fault: await unreadable(doc.error, destination, signal) },
      );
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

/** Errors of one document that the whole index is to blame for, with the status that other requests get then. */
const BLAMED_ON_INDEX: ReadonlyMap<string | undefined, number> = new Map([
  ['security_exception', 403],
  ['cluster_block_exception', 403],
  ['index_closed_exception', 400],
  ['illegal_argument_exception', 400],
  ['routing_missing_exception', 400],
]);

/** Says why a document is unreadable: its shard is down. Throws Unreachable if the whole index is to blame. */
export async function unreadable(cause: Cause, destination: Destination, signal: AbortSignal): Promise<Fault> {
  const status = BLAMED_ON_INDEX.get(cause.type);
  if (status === undefined) return destinationFault(503, cause, destination);
  // For an alias of several indices, this explains it better.
  if (cause.type === 'illegal_argument_exception') await ensureIndex(destination, signal);
  throw new Unreachable(destinationFault(status, cause, destination));
}

/** Whether a `source` names an app; somebody else may have written something else. */
const isText = (source: unknown): source is string => typeof source === 'string';

/** Makes a group of a document, which may be foreign: supplies the parts that `merge` relies on. */
export function toGroup(groupId: string, held: Readonly<Record<string, unknown>>): Group {
  const { customFields, destroyed, versions, source, ...others } = held;
  return {
    ...others,
    ...(isText(source) && { source }),
    groupId,
    ...putRight({ customFields, destroyed, versions }),
  };
}
