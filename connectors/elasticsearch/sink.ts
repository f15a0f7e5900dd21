import type { Entry } from '../../src/model/entry.ts';
import type { Host, Identify, Outcomes, Sink } from '../contract.ts';
import { createEnsuring } from '../ensuring.ts';
import { indexExists, search } from './api.ts';
import { bulk } from './bulk.ts';
import { ask, type Destination, identify, openDestination } from './client.ts';
import type { ElasticsearchOptions } from './connector.ts';
import { ensureIndex, identifyIndex } from './ensure.ts';
import { putGroups, readCopies, refuseForeign } from './groups.ts';

export async function openSink(options: ElasticsearchOptions, host: Host, signal: AbortSignal): Promise<Sink> {
  const destination = await openDestination(options, host, signal);
  const { close } = destination;
  try {
    await identify(destination, signal);
    await ensureIndex(destination, signal);
    if (options.content === 'groups') await refuseForeign(destination, signal);
  } catch (thrown) {
    await close();
    throw thrown;
  }
  const ensuring = createEnsuring((signal) => ensureIndex(destination, signal));

  const identity: Identify = (before, signal) => identifyIndex(destination, before, signal);
  if (options.content === 'events') {
    return {
      holds: 'events',
      deliver: async (batch, signal) =>
        batch.length === 0 ? new Map() : ensuring(signal, () => createEvents(destination, batch, signal)),
      identify: identity,
      async find(ids, signal) {
        // All indices that an alias or a data stream stands for are looked into, which is what a search does.
        const { of, back } = destination.shape.id;
        const query = { size: ids.length, _source: false, query: { ids: { values: ids.map(of) } } };
        const { body } = await ask(destination, signal, search(options.index, query));
        return new Map(body.hits?.hits?.map(({ _index, _id }) => [back(_id) ?? _id, `${_index}/${_id}`]));
      },
      close,
    };
  }
  return {
    holds: 'groups',
    put: async (states, how, signal) =>
      states.length === 0 ? new Map() : ensuring(signal, () => putGroups(destination, states, how, signal)),
    read: (states, signal) => readCopies(destination, states, signal),
    identify: identity,
    close,
  };
}

/** Creates a document for each event, once. */
async function createEvents(destination: Destination, batch: readonly Entry[], signal: AbortSignal): Promise<Outcomes> {
  const { index, dataStream } = destination.options;
  // An index that is gone would be created by the bulk itself, with a mapping of guesses.
  const { statusCode } = await ask(destination, signal, indexExists(index));
  if (statusCode === 404) await ensureIndex(destination, signal);

  const { of } = destination.shape.id;
  const distinct = new Map(batch.map((entry) => [of(entry.id), entry]));
  const writes = Array.from(distinct, ([id, { event, text }]) => ({
    id,
    action: JSON.stringify({ create: { _id: id } }),
    document: dataStream ? `{"@timestamp":"${event.time}"${text === '{}' ? '}' : `,${text.slice(1)}`}` : text,
  }));
  const outcomes = await bulk(destination, writes, signal);
  return new Map(Array.from(outcomes, ([id, outcome]) => [distinct.get(id)?.id ?? id, outcome]));
}
