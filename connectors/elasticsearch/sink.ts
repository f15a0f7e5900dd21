import type { Host, Sink } from '../contract.ts';
import { destinationOf } from './destination.ts';
import { ensureIndex } from './ensure.ts';
import { deliverEvents } from './events.ts';
import { putGroups, readCopies } from './groups.ts';
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
  let ensured = true;

  /** Whatever goes wrong may be the index: only a call that came through leaves it known. */
  const ensuring = async <T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    const known = ensured;
    ensured = false;
    if (!known) await ensureIndex(destination, signal);
    const result = await work();
    ensured = true;
    return result;
  };
  const close = () => client.close();

  if (options.content === 'events') {
    return {
      holds: 'events',
      deliver: async (batch, signal) =>
        batch.length === 0 ? new Map() : ensuring(signal, () => deliverEvents(destination, batch, signal)),
      close,
    };
  }
  return {
    holds: 'groups',
    put: async (states, how, signal) =>
      states.length === 0 ? new Map() : ensuring(signal, () => putGroups(destination, states, how, signal)),
    read: (states, signal) => readCopies(destination, states, signal),
    close,
  };
}
