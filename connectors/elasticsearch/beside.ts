/** `shape.versionsIndex`: a separate index for versions, if the documents take no field for them. */
import { plainShape } from '../../src/model/shape.ts';
import type { Destination } from './client.ts';
import { findIndex } from './ensure.ts';
import { misconfigured } from './fault.ts';
import { newVersionsIndex } from './new-index.ts';

/** Returns the index of versions as a destination like any other; undefined if the documents hold them. */
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

/** Throws Unreachable if the index would map, or refuse, what it holds. Returns whether it exists. */
export async function refuseIndexing(beside: Destination, signal: AbortSignal): Promise<boolean> {
  const state = await findIndex(beside, signal);
  if (state !== undefined && state.mappings?.enabled !== false) {
    const message = `The index ${beside.options.index} was not made for versions: its mapping looks into what lies in it`;
    const suggestion = 'name another, which the bridge makes, or make it with "mappings": {"enabled": false}';
    throw misconfigured(beside, 'index', message, suggestion);
  }
  return state !== undefined;
}
