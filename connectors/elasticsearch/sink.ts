import type { Entry } from '../../src/model/entry.ts';
import { Unreachable } from '../../src/model/fault.ts';
import type { Host, Identify, Outcomes, Sink } from '../contract.ts';
import { createEnsuring } from '../ensuring.ts';
import { getIndex, hasMany, indexExists, search } from './api.ts';
import { besideOf, refuseIndexing } from './beside.ts';
import { bulk } from './bulk.ts';
import { ask, type Destination, identify, openDestination } from './client.ts';
import { refuseForeign, unreadable } from './documents.ts';
import { ensureIndex, identifyIndices } from './ensure.ts';
import { putGroups, readCopies } from './groups.ts';
import type { ElasticsearchOptions } from './options.ts';

export async function openSink(options: ElasticsearchOptions, host: Host, signal: AbortSignal): Promise<Sink> {
  const destination = await openDestination(options, host, signal);
  try {
    await identify(destination, signal);
    return await openIndices(destination, besideOf(destination), signal);
  } catch (thrown) {
    await destination.close();
    throw thrown;
  }
}

async function openIndices(
  destination: Destination,
  beside: Destination | undefined,
  signal: AbortSignal,
): Promise<Sink> {
  const { options, close } = destination;
  const ensure = async (signal: AbortSignal): Promise<void> => {
    await ensureIndex(destination, signal);
    if (beside !== undefined) await ensureIndex(beside, signal);
  };
  await ensure(signal);
  if (options.content === 'groups') await refuseForeign(destination, signal);
  if (beside !== undefined) {
    await refuseIndexing(beside, signal);
    await refuseForeign(beside, signal);
  }
  const ensuring = createEnsuring(ensure);
  const identity: Identify = (before, signal) => identifyIndices(destination, beside, before, signal);
  if (options.content === 'events') {
    return {
      holds: 'events',
      deliver: (batch, signal) => ensuring(batch, signal, () => createEvents(destination, batch, signal)),
      identify: identity,
      find: (ids, signal) => findEvents(destination, ids, signal),
      close,
    };
  }
  const places = { documents: destination, beside };
  return {
    holds: 'groups',
    put: (states, how, signal) => ensuring(states, signal, () => putGroups(places, states, how, signal)),
    read: (...given) => readCopies(places, ...given),
    identify: identity,
    close,
  };
}

async function createEvents(destination: Destination, batch: readonly Entry[], signal: AbortSignal): Promise<Outcomes> {
  const { index, dataStream } = destination.options;
  // The bulk itself would create a missing index with a guessed mapping.
  const { statusCode } = await ask(destination, signal, indexExists(index));
  if (statusCode === 404) await ensureIndex(destination, signal);

  const { of } = destination.shape.id;
  const distinct = new Map(batch.map((entry) => [of(entry.id), entry]));
  const writes = Array.from(distinct, ([id, { event, text }]) => ({
    id,
    action: JSON.stringify({ create: { _id: id } }),
    document: dataStream ? withTimestamp(text, event.time) : text,
  }));
  const outcomes = await bulk(destination, writes, signal);
  return new Map(Array.from(outcomes, ([id, outcome]) => [distinct.get(id)?.id ?? id, outcome]));
}

/** Adds a timestamp to the document, unless its shape has one. */
function withTimestamp(text: string, time: string): string {
  if (text.includes('"@timestamp"') && Object.hasOwn(JSON.parse(text), '@timestamp')) return text;
  return `{"@timestamp":"${time}"${text === '{}' ? '}' : `,${text.slice(1)}`}`;
}

/**
 * Searches all indices that an alias or a data stream stands for. What may be in an unreadable index, such as an older
 * closed one, does not count as missing: new events have nothing to do with that.
 */
async function findEvents(destination: Destination, ids: readonly string[], signal: AbortSignal) {
  const { index } = destination.options;
  const { of, back } = destination.shape.id;
  const found = new Map<string, string>();
  const take = ({ _index, _id }: { readonly _index: string; readonly _id: string }): void =>
    void found.set(back(_id) ?? _id, `${_index}/${_id}`);
  const query = { size: ids.length, _source: false, query: { ids: { values: ids.map(of) } } };
  const { body } = await ask(destination, signal, { ...search(index, query), query: { ignore_unavailable: 'true' } });
  body.hits?.hits?.forEach(take);
  if (ids.every((id) => found.has(id))) return found;
  // What is not searchable yet, perhaps never by `refresh_interval`, can be read by id, in one index at a time.
  const { statusCode, body: indices } = await ask(destination, signal, getIndex(index));
  for (const one of statusCode === 404 ? [] : Object.keys(indices).sort().reverse()) {
    const lacking = ids.filter((id) => !found.has(id)).map(of);
    if (lacking.length === 0) break;
    const { body } = await ask(destination, signal, hasMany(one, lacking));
    for (const doc of body.docs) {
      const { found, error } = doc;
      if (found === true || error?.type === 'index_closed_exception') take(doc);
      else if (error !== undefined && error.type !== 'index_not_found_exception')
        throw new Unreachable(await unreadable(error, destination, signal));
    }
  }
  return found;
}
