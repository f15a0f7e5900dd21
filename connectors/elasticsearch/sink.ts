import { Unreachable } from '../../src/model/fault.ts';
import type { Group } from '../../src/model/group.ts';
import type { Host, Restoring, Sink } from '../contract.ts';
import { destinationOf } from './destination.ts';
import { ensureIndex, findIndex } from './ensure.ts';
import { deliverEvents } from './events.ts';
import { mappingFault, tryRequests } from './examine.ts';
import { missingFault } from './fault.ts';
import { deliverGroups, restoreGroups } from './groups.ts';
import { locateGroup } from './locate.ts';
import type { ElasticsearchOptions } from './options.ts';

export async function openSink(options: ElasticsearchOptions, host: Host, signal: AbortSignal): Promise<Sink> {
  const destination = await destinationOf(options, host, signal);
  const { client } = destination;
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
    merged: options.content === 'groups',
    folds: options.content === 'groups' && host.unfiltered,
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
    async check(signal) {
      const state = await findIndex(destination, signal);
      if (state === undefined) {
        if (destination.newIndex === undefined) throw new Unreachable(missingFault(destination));
        return;
      }
      const fault = mappingFault(destination, state);
      if (fault !== undefined) throw new Unreachable(fault);
      await tryRequests(destination, signal);
    },
    close: () => client.close(),
  };
}
