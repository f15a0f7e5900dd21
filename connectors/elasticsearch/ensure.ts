/** The index, or data stream, that everything is written to: whether it exists, what it is, and how it is created. */
import { Unreachable } from '../../src/model/fault.ts';
import type { Identify } from '../contract.ts';
import {
  type Call,
  createDataStream,
  createIndex,
  getDataStream,
  getIndex,
  type IndexState,
  putMapping,
  putTemplate,
  resolveIndex,
} from './api.ts';
import { ask, type Destination } from './client.ts';
import { causeIn, destinationFault, misconfigured, missingFault, type Place, reasonOf, sortOf } from './fault.ts';
import { isMapped, lackingFields, withoutFlattened } from './new-index.ts';

type Mappings = NonNullable<IndexState['mappings']>;
type NewIndex = NonNullable<Destination['newIndex']>;
type Found = Readonly<Record<string, IndexState>>;

/** Higher than that of Elasticsearch's own templates (at most 200), whose patterns may match the name, too. */
const TEMPLATE_PRIORITY = 500;

/** Ensures that there is an index to write to. Throws Unreachable if there is none, or none that takes writes. */
export async function ensureIndex(destination: Destination, signal: AbortSignal): Promise<void> {
  const found = await findIndex(destination, signal);
  if (found !== undefined) return addFields(destination, found, signal);
  const { newIndex, options, versionsOf } = destination;
  const { index, dataStream, content } = options;
  if (newIndex === undefined) throw new Unreachable(missingFault(destination));
  const template = dataStream ? await ensureTemplate(destination, newIndex, signal) : undefined;
  const { answer: created, as } =
    template !== undefined
      ? { answer: await ask(destination, signal, createDataStream(index)), as: template }
      : await create(destination, newIndex, (body) => createIndex(index, body), signal);
  // Another bridge was faster.
  if (causeIn(created.body).type === 'resource_already_exists_exception') return;
  requireTaken(created, destination);
  const what = versionsOf === undefined ? content : `the versions of ${versionsOf}`;
  destination.created(`created the ${sortOf(destination)} ${index} for ${what}${as}`);
}

/**
 * Adds what the mapping of a foreign index lacks: on its own, Elasticsearch would create a field for each version and
 * each custom field.
 */
async function addFields(destination: Destination, { mappings }: IndexState, signal: AbortSignal): Promise<void> {
  const { options, shape, isShaped } = destination;
  const lacking = isShaped && options.content === 'groups' ? lackingFields(options, shape, mappings) : undefined;
  if (lacking === undefined) return refuseGuesses(destination, mappings);
  const { answer } = await create(
    destination,
    { settings: {}, mappings: lacking, unindexed: withoutFlattened(lacking) },
    (body) => putMapping(options.index, body.mappings),
    signal,
  );
  if (answer.statusCode !== 400) return;
  const message = `The mapping of ${options.index} takes no ${Object.keys(lacking).join(', ')}: ${reasonOf(causeIn(answer.body))}`;
  throw misconfigured(destination, 'index', message, 'let `shape` put the fields where the index has room for them');
}

/** Throws Unreachable if Elasticsearch would map a list of a number and a text, and so refuse every group. */
function refuseGuesses(place: Destination, mappings: Mappings = {}): void {
  const { index, content } = place.options;
  const { dynamic = 'true', dynamic_templates: rules, properties, enabled } = mappings;
  const isGuessed = String(dynamic) === 'true' && rules === undefined && enabled !== false;
  if (content !== 'groups' || place.isShaped || !isGuessed || isMapped(properties, ['versions'])) return;
  const message = `The mapping of ${index} lacks versions, so that Elasticsearch would guess at them and refuse every group`;
  const suggestion =
    'add "versions": {"type": "object", "enabled": false} to it, or delete the index and let createIndex make it';
  throw misconfigured(place, 'index', message, suggestion);
}

/**
 * Creates something with a new index's settings and mapping. OpenSearch, and Elasticsearch without its licensed part,
 * lack the type `flattened`: there custom fields are stored, but not indexed.
 */
async function create(
  destination: Destination,
  { unindexed, ...newIndex }: NewIndex,
  callOf: (body: Omit<NewIndex, 'unindexed'>) => Call<unknown>,
  signal: AbortSignal,
) {
  const answer = await ask(destination, signal, callOf(newIndex));
  const lacksType = answer.statusCode === 400 && /\[flattened\]/.test(reasonOf(causeIn(answer.body)));
  if (!lacksType || unindexed === undefined) return { answer, as: '' };
  return {
    answer: await ask(destination, signal, callOf({ ...newIndex, mappings: unindexed })),
    as: `; ${destination.product} has no type flattened here: custom fields are kept, and not searchable`,
  };
}

/** Creates the template for all backing indices, unless one of that name exists. Resolves with a note on which it is. */
async function ensureTemplate(destination: Destination, newIndex: NewIndex, signal: AbortSignal): Promise<string> {
  const { index } = destination.options;
  const shape = { index_patterns: [index], data_stream: {}, priority: TEMPLATE_PRIORITY };
  const { answer, as } = await create(
    destination,
    newIndex,
    (template) => putTemplate(index, { ...shape, template }),
    signal,
  );
  const wasThere = answer.statusCode === 400 && /already exists/.test(causeIn(answer.body).reason ?? '');
  if (wasThere) return ', with the index template of that name that was there';
  requireTaken(answer, destination);
  return `, with an index template of that name${as}`;
}

/**
 * Identifies the indices by their uuids: all that an alias or a data stream stands for, some of which come and go. The
 * destination is another one if none of them is left.
 */
async function identifyIndex(destination: Destination, before: string | undefined, signal: AbortSignal) {
  const { index } = destination.options;
  await ensureIndex(destination, signal);
  const { body } = await ask(destination, signal, getIndex(index));
  // Groups are in one index: a second one just added to the alias would be taken to hold them, too.
  if (destination.options.content === 'groups') writeIndex(body, destination);
  const uuids = Object.values(body).map(({ settings }) => settings?.index?.uuid ?? '');
  const [name = index, ...known] = before?.split(' ') ?? [];
  const identity = [index, ...uuids.sort()].join(' ');
  if (name !== index) return { identity, moved: true, lost: `the index is ${index} now, and was ${name} before` };
  if (known.length === 0 || known.some((uuid) => uuids.includes(uuid))) return { identity };
  const lost = `the ${sortOf(destination)} ${index} is not the one that was written to before: it was deleted or replaced`;
  return { identity, lost };
}

/** Identifies both indices: the copy is lost without either the documents or their versions. */
export async function identifyIndices(
  destination: Destination,
  beside: Destination | undefined,
  before: string | undefined,
  signal: AbortSignal,
): ReturnType<Identify> {
  const [own, versions] = before?.split('|') ?? [];
  const found = await identifyIndex(destination, own, signal);
  const other = beside && (await identifyIndex(beside, versions, signal));
  const identity = other === undefined ? found.identity : `${found.identity}|${other.identity}`;
  if (own !== undefined && (versions === undefined) !== (other === undefined)) {
    return { identity, moved: true, lost: `the versions lie in ${beside?.options.index ?? 'the documents'} now` };
  }
  return { ...(found.lost === undefined ? other : found), identity };
}

/** Returns the index that takes the writes, directly or through an alias or a data stream; undefined if there is none. */
export async function findIndex(destination: Destination, signal: AbortSignal): Promise<IndexState | undefined> {
  const { index, dataStream } = destination.options;
  const { statusCode, body } = await ask(destination, signal, getIndex(index));
  if (statusCode !== 404) return dataStream ? backingIndex(destination, body, signal) : writeIndex(body, destination);
  const cause = causeIn(body);
  // A proxy, or a path in the node's URL, may answer 404 as well.
  if (cause.type !== 'index_not_found_exception') throw new Unreachable(destinationFault(404, cause, destination));
  if (dataStream) {
    // Refuses a cluster without data streams before a useless template is created in it.
    requireTaken(await ask(destination, signal, getDataStream(index)), destination);
  }
  return undefined;
}

/** Throws if the cluster has no data streams, or refuses to create what was asked for. */
function requireTaken({ statusCode, body }: { statusCode: number; body: unknown }, place: Place): void {
  if (statusCode !== 400 && statusCode !== 405) return;
  const { index, dataStream, createIndex } = place.options;
  const cause = causeIn(body);
  const { reason } = cause;
  // Without the module, 8.19 answers 405 and a text of its own; others do not know the path, or the field.
  if (
    dataStream &&
    (statusCode === 405 || /no handler found|(unrecognized|unknown).*data_stream/i.test(reason ?? ''))
  ) {
    const message = `This cluster has no data streams${reason ? `: ${reason}` : ''}`;
    const suggestion = 'drop dataStream, so that events go to an index, or name a cluster with the module data-streams';
    throw misconfigured(place, 'dataStream', message, suggestion);
  }
  const key = createIndex !== false && createIndex.file !== undefined ? 'createIndex.file' : 'createIndex';
  const message = `${place.product} does not create the ${sortOf(place)} ${index}: ${reasonOf(cause)}`;
  throw misconfigured(place, key, message, `correct what it complains of, or create the ${sortOf(place)} yourself`);
}

/**
 * Throws Unreachable if there is none, or if it does not return documents as they were written: merging would lose the
 * rest, unless a separate record holds everything.
 */
function writeIndex(found: Found, destination: Destination): IndexState {
  const { options, shape } = destination;
  const state = takesWrites(found, destination);
  const { enabled, mode, includes = [], excludes = [] } = state.mappings?._source ?? {};
  const isWhole = enabled !== false && mode !== 'disabled' && includes.length + excludes.length === 0;
  if (isWhole || options.content === 'events' || shape.versionsIndex !== undefined) return state;
  const message = `The index ${options.index} does not keep the whole source of its documents`;
  const suggestion = 'create it without enabled, mode, includes and excludes of _source';
  throw misconfigured(destination, 'index', message, suggestion);
}

function takesWrites(found: Found, place: Place): IndexState {
  const { index, content } = place.options;
  const states = Object.entries(found);
  if (states.some(([, state]) => state.data_stream !== undefined)) {
    const suggestion =
      content === 'events'
        ? 'set dataStream: true, or name an index or an alias'
        : 'name an index or an alias: documents are written by their id';
    throw misconfigured(place, 'index', `${index} is a data stream`, suggestion);
  }
  const exact = states.find(([name]) => name === index);
  if (exact !== undefined) return exact[1];

  // Without the flag, an alias of one index writes to it; `is_write_index: false` forbids even that.
  const [only, ...others] = states.filter(([, { aliases }]) => aliases?.[index]?.is_write_index ?? states.length === 1);
  if (only === undefined || others.length > 0) {
    const suggestion = `set is_write_index: true on one of ${states.map(([name]) => name).join(', ')}`;
    throw misconfigured(place, 'index', `The alias ${index} has no write index`, suggestion);
  }
  if (content === 'groups' && states.length > 1) {
    const message = `The alias ${index} stands for ${states.length} indices, so that a group cannot be read by its id`;
    throw misconfigured(place, 'index', message, 'let it stand for one index, or use content: events');
  }
  return only[1];
}

/** Throws unless everything found under the name is a backing index of the stream of that name. */
async function backingIndex(
  destination: Destination,
  found: Found,
  signal: AbortSignal,
): Promise<IndexState | undefined> {
  const { index } = destination.options;
  const states = Object.values(found);
  const names = [...new Set(states.map((state) => state.data_stream))];
  if (names[0] === undefined) {
    const message = `${index} is an ordinary index or an alias, and dataStream: true expects a data stream of that name`;
    const suggestion =
      'name a data stream, move the index or alias away so that one can be created, or drop dataStream';
    throw misconfigured(destination, 'dataStream', message, suggestion);
  }
  if (names.length > 1 || names[0] !== index) {
    const message = `${index} is an alias of the data stream ${names.join(', ')}`;
    throw misconfigured(destination, 'index', message, 'name the data stream itself');
  }
  if (states.length === 1) return states[0];
  // The last one takes the writes; names reveal that only by convention.
  const { body } = await ask(destination, signal, resolveIndex(index));
  const last = body.data_streams.find(({ name }) => name === index)?.backing_indices.slice(-1)[0];
  // Missing if the stream rolled over in between: its predecessor was made from the same template.
  return (last === undefined ? undefined : found[last]) ?? states.at(-1);
}
