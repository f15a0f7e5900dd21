import { readFile } from 'node:fs/promises';
import type { estypes } from '@elastic/elasticsearch';
import { z } from 'zod';
import { messageOf, Unreachable } from '../../src/model/fault.ts';
import { ask, type Destination, type NewIndex } from './client.ts';
import { createDataStream, requireBackingIndices, requireDataStreams, writeBackingIndex } from './data-stream.ts';
import {
  causeIn,
  destinationFault,
  misconfiguredFault,
  missingFault,
  notCreatedFault,
  type Place,
  setting,
} from './fault.ts';
import { builtInMapping } from './mapping.ts';

const indexFile = z.strictObject({
  settings: z.record(z.string(), z.unknown()).optional(),
  mappings: z.record(z.string(), z.unknown()).optional(),
});

/** What a missing index is created with; undefined when it must exist. Reads createIndex.file. */
export async function readNewIndex(place: Place): Promise<NewIndex | undefined> {
  const { createIndex } = place.options;
  if (createIndex === false) return undefined;
  const { shards, replicas, file } = createIndex;
  const own = file === undefined ? {} : await readIndexFile(file, place);
  const settings: Record<string, unknown> = { ...own.settings };
  if (!mentions(settings, 'number_of_shards')) settings['index.number_of_shards'] = shards;
  if (!mentions(settings, 'number_of_replicas')) settings['index.number_of_replicas'] = replicas;
  return { settings, mappings: own.mappings ?? builtInMapping(place.options) };
}

/** Elasticsearch refuses a setting that is given twice, however it is spelt. */
function mentions(settings: Record<string, unknown>, key: string): boolean {
  const { index } = settings;
  return key in settings || `index.${key}` in settings || (typeof index === 'object' && index !== null && key in index);
}

async function readIndexFile(file: string, place: Place): Promise<z.output<typeof indexFile>> {
  let wrong: string;
  try {
    const parsed = indexFile.safeParse(JSON.parse(await readFile(file, 'utf8')));
    if (parsed.success) return parsed.data;
    wrong = z.prettifyError(parsed.error);
  } catch (thrown) {
    wrong = messageOf(thrown);
  }
  throw new Unreachable({
    code: 'destination-misconfigured',
    message: `The index file ${file} cannot be used: ${wrong}`,
    path: setting(place, 'createIndex.file'),
    suggestion: 'a JSON file {"settings": …, "mappings": …} is expected; its path is relative to the working directory',
  });
}

/** Sees to it that there is an index to write to. Throws Unreachable when there is none, or none that could take writes. */
export async function ensureIndex(destination: Destination, signal: AbortSignal): Promise<void> {
  if ((await findIndex(destination, signal)) === undefined) await createIndex(destination, signal);
}

/** The index that takes the writes, directly or behind an alias or a data stream; undefined when there is none. */
export async function findIndex(
  destination: Destination,
  signal: AbortSignal,
): Promise<estypes.IndicesIndexState | undefined> {
  const { index, dataStream } = destination.options;
  const { statusCode, body } = await ask(destination, signal, (client, options) =>
    client.indices.get({ index }, { ...options, ignore: [404], meta: true }),
  );
  if (statusCode !== 404) {
    if (!dataStream) return writeIndex(body, destination);
    requireBackingIndices(body, destination);
    return writeBackingIndex(destination, body, signal);
  }
  const cause = causeIn(body);
  // A proxy, or a path in the node's URL, may answer 404 as well.
  if (cause.type !== 'index_not_found_exception') throw new Unreachable(destinationFault(404, cause, destination));
  if (dataStream) await requireDataStreams(destination, signal);
  return undefined;
}

function writeIndex(found: Record<string, estypes.IndicesIndexState>, place: Place): estypes.IndicesIndexState {
  const { index, content } = place.options;
  const states = Object.entries(found);
  const misconfigured = (message: string, suggestion: string) =>
    new Unreachable(misconfiguredFault(place, message, suggestion));

  if (states.some(([, state]) => state.data_stream !== undefined)) {
    throw misconfigured(
      `${index} is a data stream`,
      content === 'events'
        ? 'set dataStream: true, or name an index or an alias'
        : 'name an index or an alias: documents are written by their id',
    );
  }
  const exact = found[index];
  if (exact !== undefined) return exact;

  // Without the flag, an alias of one index writes to it; `is_write_index: false` forbids even that.
  const writable = states.filter(([, state]) => {
    const flag = state.aliases?.[index]?.is_write_index;
    return flag === true || (flag === undefined && states.length === 1);
  });
  const [only] = writable;
  if (only === undefined || writable.length > 1) {
    throw misconfigured(
      `The alias ${index} has no write index`,
      `set is_write_index: true on one of ${states.map(([name]) => name).join(', ')}`,
    );
  }
  if (content === 'groups' && states.length > 1) {
    throw misconfigured(
      `The alias ${index} stands for ${states.length} indices, so that a group cannot be read by its id`,
      'let it stand for one index, or use content: events',
    );
  }
  return only[1];
}

async function createIndex(destination: Destination, signal: AbortSignal): Promise<void> {
  const { newIndex, options } = destination;
  if (newIndex === undefined) throw new Unreachable(missingFault(destination));
  if (options.dataStream) return createDataStream(destination, newIndex, signal);
  const { statusCode, body } = await ask(destination, signal, (client, settings) =>
    client.indices.create(
      { index: options.index, settings: newIndex.settings, mappings: newIndex.mappings },
      { ...settings, ignore: [400], meta: true },
    ),
  );
  if (statusCode !== 400) {
    destination.note(`created the index ${options.index} for ${options.content}`);
    return;
  }
  const cause = causeIn(body);
  // Another bridge was faster.
  if (cause.type === 'resource_already_exists_exception') return;
  throw new Unreachable(notCreatedFault(destination, cause));
}
