import { Unreachable } from '../../src/canon/fault.ts';
import type { Group } from '../../src/canon/group.ts';
import type { Host, Restoring, Sink } from '../contract.ts';
import { judge, MAX_BULK_BYTES } from './bulk.ts';
import { ask, createClient, type Destination } from './client.ts';
import { ensureIndex, findIndex, readNewIndex } from './ensure.ts';
import { deliverEvents } from './events.ts';
import { destinationFault, misconfiguredFault, missingFault } from './fault.ts';
import { deliverGroups, restoreGroups } from './groups.ts';
import { locateGroup } from './locate.ts';
import { expectedFields } from './mapping.ts';
import type { ElasticsearchOptions } from './options.ts';

export async function openSink(options: ElasticsearchOptions, host: Host, signal: AbortSignal): Promise<Sink> {
  const place = { name: host.name, options };
  const newIndex = await readNewIndex(place);
  const { client, secure } = await createClient(place, signal);
  const destination: Destination = {
    ...place,
    client,
    ...(secure && { secure }),
    ...(newIndex && { newIndex }),
    maxBulkBytes: MAX_BULK_BYTES,
    group: (groupId) => host.group(groupId),
    note: (message) => host.note(message),
  };
  try {
    await ensureIndex(destination, signal);
  } catch (thrown) {
    await client.close();
    throw thrown;
  }
  const deliverContent = options.content === 'groups' ? deliverGroups : deliverEvents;
  let ensured = true;

  /** Whatever goes wrong may be the index: only a delivery that came through leaves it known. */
  const ensuring = async <T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
    const known = ensured;
    ensured = false;
    if (!known) await ensureIndex(destination, signal);
    const result = await work();
    ensured = true;
    return result;
  };

  return {
    async deliver(batch, signal) {
      signal.throwIfAborted();
      if (batch.length === 0) return new Map();
      return ensuring(signal, () => deliverContent(destination, batch, signal));
    },
    ...(options.content === 'groups' && {
      restore: (groups: readonly Group[], signal: AbortSignal, how: Restoring) =>
        ensuring(signal, () => restoreGroups(destination, groups, signal, how)),
      locate: (state: Group, signal: AbortSignal) => locateGroup(destination, state, signal),
    }),
    check: (signal) => check(destination, signal),
    close: () => client.close(),
  };
}

const PROBE_ID = 'group-sync-bridge-check';

/** The requests of a delivery, with a document that nobody can take. */
async function check(destination: Destination, signal: AbortSignal): Promise<void> {
  const { options } = destination;
  const { index, content } = options;
  const state = await findIndex(destination, signal);
  if (state === undefined) {
    if (destination.newIndex === undefined) throw new Unreachable(missingFault(destination));
    return;
  }
  const mapped = state.mappings?.properties ?? {};
  const unmapped = expectedFields(options).filter((field) => !(field in mapped));
  if (unmapped.length > 0) {
    throw new Unreachable(
      misconfiguredFault(
        destination,
        `The mapping of ${index} lacks ${unmapped.join(', ')}`,
        `add the fields, or move the index away and let createIndex create it for content: ${content}`,
      ),
    );
  }
  if (content === 'groups') {
    const { docs } = await ask(destination, signal, (client, settings) =>
      client.mget({ index, ids: [PROBE_ID] }, settings),
    );
    for (const doc of docs) {
      if (!('error' in doc)) continue;
      const status = doc.error.type === 'security_exception' ? 403 : 400;
      throw new Unreachable(destinationFault(status, doc.error, destination));
    }
  }
  // Not JSON: refused only after permissions and blocks were looked at, and in any index, whatever its mapping.
  const action = JSON.stringify({ [content === 'groups' ? 'index' : 'create']: { _id: PROBE_ID } });
  const { items } = await ask(destination, signal, (client, settings) =>
    client.bulk<unknown, unknown>({ index, operations: [action, '{]'] }, settings),
  );
  for (const item of items) {
    const answer = item.index ?? item.create;
    if (answer === undefined) continue;
    const verdict = judge(answer, destination);
    if (verdict.kind === 'overloaded') throw new Unreachable(verdict.fault);
  }
}
