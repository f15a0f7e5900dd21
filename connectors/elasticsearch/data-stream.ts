import type { estypes } from '@elastic/elasticsearch';
import { type Fault, Unreachable } from '../../src/model/fault.ts';
import { ask, type Destination, type NewIndex } from './client.ts';
import { type Cause, causeIn, destinationFault, notCreatedFault, type Place, setting } from './fault.ts';

/** Above the templates that Elasticsearch brings along (at most 200), whose patterns may match the name as well. */
const TEMPLATE_PRIORITY = 500;

/** Throws Unreachable when this cluster has no data streams. To be asked before a template is left in it for nothing. */
export async function requireDataStreams(destination: Destination, signal: AbortSignal): Promise<void> {
  const { index } = destination.options;
  const { statusCode, body } = await ask(destination, signal, (client, options) =>
    client.indices.getDataStream({ name: index }, { ...options, ignore: [400, 404, 405], meta: true }),
  );
  if (statusCode !== 400 && statusCode !== 405) return;
  const cause = causeIn(body);
  throw new Unreachable(
    isUnknownThere(statusCode, cause)
      ? unsupportedFault(destination, cause)
      : destinationFault(statusCode, cause, destination),
  );
}

/** The template that later backing indices are made of as well, then the stream with its first one. */
export async function createDataStream(
  destination: Destination,
  { settings, mappings }: NewIndex,
  signal: AbortSignal,
): Promise<void> {
  const { index } = destination.options;
  const template = await ask(destination, signal, (client, options) =>
    client.indices.putIndexTemplate(
      {
        name: index,
        // A template that is there already may be another's work: it stays as it is.
        create: true,
        index_patterns: [index],
        data_stream: {},
        priority: TEMPLATE_PRIORITY,
        template: { settings, mappings },
      },
      { ...options, ignore: [400, 405], meta: true },
    ),
  );
  const hadTemplate = template.statusCode === 400 && /already exists/.test(causeIn(template.body).reason ?? '');
  if (!hadTemplate) requireTaken(template, destination);

  const stream = await ask(destination, signal, (client, options) =>
    client.indices.createDataStream({ name: index }, { ...options, ignore: [400, 405], meta: true }),
  );
  // Another bridge was faster.
  if (causeIn(stream.body).type === 'resource_already_exists_exception') return;
  requireTaken(stream, destination);
  destination.note(
    `created the data stream ${index}, ${hadTemplate ? 'with the index template of that name that was there' : 'and an index template of that name'}`,
  );
}

function requireTaken({ statusCode, body }: { statusCode: number | null; body: unknown }, place: Place): void {
  if (statusCode !== 400 && statusCode !== 405) return;
  const cause = causeIn(body);
  throw new Unreachable(
    isUnknownThere(statusCode, cause) ? unsupportedFault(place, cause) : notCreatedFault(place, cause),
  );
}

/** Throws unless everything found under the name is a backing index of the stream of that name. */
export function requireBackingIndices(found: Record<string, estypes.IndicesIndexState>, place: Place): void {
  const { index } = place.options;
  const streams = new Set(Object.values(found).map((state) => state.data_stream));
  if (streams.size === 1 && streams.has(index)) return;
  const [stream] = streams;
  throw new Unreachable(
    stream === undefined
      ? {
          code: 'destination-misconfigured',
          message: `${index} is an ordinary index or an alias, and dataStream: true expects a data stream of that name`,
          path: setting(place, 'dataStream'),
          suggestion: 'name a data stream, move the index or alias away so that one can be created, or drop dataStream',
        }
      : {
          code: 'destination-misconfigured',
          message: `${index} is an alias of the data stream ${[...streams].join(', ')}`,
          path: setting(place, 'index'),
          suggestion: 'name the data stream itself',
        },
  );
}

/** Of several backing indices, the one that takes the writes: the last one, which their names tell only by custom. */
export async function writeBackingIndex(
  destination: Destination,
  found: Record<string, estypes.IndicesIndexState>,
  signal: AbortSignal,
): Promise<estypes.IndicesIndexState | undefined> {
  const { index } = destination.options;
  const states = Object.values(found);
  if (states.length === 1) return states[0];
  const { data_streams: streams } = await ask(destination, signal, (client, options) =>
    client.indices.resolveIndex({ name: index }, options),
  );
  const last = streams.find(({ name }) => name === index)?.backing_indices.slice(-1)[0];
  // Missing, when it rolled over in between: its predecessor was made of the same template.
  return (last === undefined ? undefined : found[last]) ?? states.at(-1);
}

/** 405 and a text of its own is what 8.19 answers without the module; others do not know the path, or the field. */
function isUnknownThere(status: number, { reason }: Cause): boolean {
  return status === 405 || /no handler found|(unrecognized|unknown).*data_stream/i.test(reason ?? '');
}

function unsupportedFault(place: Place, { reason }: Cause): Fault {
  return {
    code: 'destination-misconfigured',
    message: `This cluster has no data streams${reason ? `: ${reason}` : ''}`,
    path: setting(place, 'dataStream'),
    suggestion: 'drop dataStream, so that events go to an index, or name a cluster with the module data-streams',
  };
}
