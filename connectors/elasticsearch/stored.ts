import { type Fault, Unreachable } from '../../src/model/fault.ts';
import type { Group, Version } from '../../src/model/group.ts';
import { ask, type Destination } from './client.ts';
import { ensureIndex } from './ensure.ts';
import { type Cause, destinationFault, misconfiguredFault } from './fault.ts';

/** What lies under the id of a group. */
export type Stored =
  | {
      readonly kind: 'found';
      readonly group: Group;
      readonly index: string;
      readonly seqNo: number;
      readonly term: number;
    }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unreadable'; readonly fault: Fault };

/** Reads documents by their ids; `gone` when there is no such index. Writes nothing. */
export async function readDocuments(
  destination: Destination,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<{ documents: ReadonlyMap<string, Stored>; gone: boolean }> {
  const { index } = destination.options;
  const { docs } = await ask(destination, signal, (client, options) =>
    client.mget<Record<string, unknown>>({ index, ids: [...ids] }, options),
  );
  const documents = new Map<string, Stored>();
  let gone = false;
  for (const doc of docs) {
    if ('error' in doc) {
      gone ||= doc.error.type === 'index_not_found_exception';
      documents.set(doc._id, gone ? { kind: 'missing' } : await unreadable(doc.error, destination, signal));
    } else if (!doc.found) {
      documents.set(doc._id, { kind: 'missing' });
    } else if (doc._source === undefined) {
      // Merging with nothing would overwrite what is there.
      const message = `The index ${index} does not keep the source of its documents`;
      throw new Unreachable(misconfiguredFault(destination, message, 'create it without _source: {enabled: false}'));
    } else {
      documents.set(doc._id, {
        kind: 'found',
        group: toGroup(doc._id, doc._source),
        index: doc._index,
        seqNo: doc._seq_no ?? -1,
        term: doc._primary_term ?? -1,
      });
    }
  }
  return { documents, gone };
}

/** Why one document cannot be read: its own shard is down, unless the index as a whole is to blame. */
async function unreadable(cause: Cause, destination: Destination, signal: AbortSignal): Promise<Stored> {
  switch (cause.type) {
    case 'security_exception':
    case 'cluster_block_exception':
      throw new Unreachable(destinationFault(403, cause, destination));
    case 'index_closed_exception':
      throw new Unreachable(destinationFault(400, cause, destination));
    case 'illegal_argument_exception':
      // An alias of several indices: this says so in better words.
      await ensureIndex(destination, signal);
      throw new Unreachable(destinationFault(400, cause, destination));
    default:
      return { kind: 'unreadable', fault: destinationFault(503, cause, destination) };
  }
}

/**
 * A document as the group it stands for. It may be another's work, without versions or with odd ones: what `merge`
 * relies on is put right, every other field stays as it is.
 */
export function toGroup(groupId: string, source: Readonly<Record<string, unknown>>): Group {
  return {
    ...source,
    groupId,
    customFields: (isObject(source.customFields) ? source.customFields : {}) as Group['customFields'],
    destroyed: source.destroyed === true,
    versions: toVersions(source.versions),
  };
}

/** A field without a usable version loses to any event. */
function toVersions(stored: unknown): Record<string, Version> {
  if (!isObject(stored)) return {};
  const entries = Object.entries(stored);
  const usable = entries.filter((entry): entry is [string, Version] => isVersion(entry[1]));
  return usable.length === entries.length ? (stored as Record<string, Version>) : Object.fromEntries(usable);
}

function isVersion(value: unknown): value is Version {
  return Array.isArray(value) && value.length === 2 && Number.isSafeInteger(value[0]) && typeof value[1] === 'string';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
