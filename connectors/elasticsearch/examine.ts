/** What deliveries rely on, looked at without writing anything. */
import type { estypes } from '@elastic/elasticsearch';
import { type Fault, Unreachable } from '../../src/model/fault.ts';
import type { Finding, Host } from '../contract.ts';
import { judge } from './bulk.ts';
import { ask, type Destination } from './client.ts';
import { destinationOf } from './destination.ts';
import { findIndex } from './ensure.ts';
import { destinationFault, misconfiguredFault, missingFault } from './fault.ts';
import { expectedFields } from './mapping.ts';
import type { ElasticsearchOptions } from './options.ts';

const PROBE_ID = 'group-sync-bridge-check';

/** Of an index that is there. */
export function mappingFault(destination: Destination, state: estypes.IndicesIndexState): Fault | undefined {
  const { index, content } = destination.options;
  const mapped = state.mappings?.properties ?? {};
  const unmapped = expectedFields(destination.options).filter((field) => !(field in mapped));
  if (unmapped.length === 0) return undefined;
  return misconfiguredFault(
    destination,
    `The mapping of ${index} lacks ${unmapped.join(', ')}`,
    `add the fields, or move the index away and let createIndex create it for content: ${content}`,
  );
}

/** The requests of a delivery, with a document that nobody can take. Throws Unreachable. */
export async function tryRequests(destination: Destination, signal: AbortSignal): Promise<void> {
  const { index, content } = destination.options;
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

/** What `check --connect` tells of an index. Nothing is created. */
export async function* examineIndex(
  options: ElasticsearchOptions,
  host: Host,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const destination = await destinationOf(options, host, signal);
  try {
    yield await lookAtCluster(destination, signal);
    const state = await findIndex(destination, signal);
    if (state === undefined) {
      yield missing(destination);
      return;
    }
    yield { step: 'index', state: 'well', says: described(options, state) };
    const fault = mappingFault(destination, state);
    if (fault !== undefined) yield { step: 'mapping', state: 'wrong', says: fault.message, fault };
    else yield { step: 'mapping', state: 'well', says: `has every field of content: ${options.content}` };
    await tryRequests(destination, signal);
    yield {
      step: 'write permission',
      state: 'well',
      says: 'yes (a document that is no JSON was refused for that alone)',
    };
  } finally {
    await destination.client.close();
  }
}

async function lookAtCluster(destination: Destination, signal: AbortSignal): Promise<Finding> {
  const step = 'cluster';
  const { auth } = destination.options;
  const as = auth === undefined ? '' : 'username' in auth ? ` as ${auth.username}` : ' with the API key';
  const { statusCode, body } = await ask(destination, signal, (client, settings) =>
    client.cluster.health({}, { ...settings, ignore: [403], meta: true }),
  );
  if (statusCode === 403) {
    return {
      step,
      state: 'note',
      says: `reached${as}; this user may not see its health, which deliveries do not need`,
    };
  }
  const nodes = `${body.number_of_nodes} node${body.number_of_nodes === 1 ? '' : 's'}`;
  const says = `reached${as}: ${body.cluster_name}, ${nodes}, ${body.status}`;
  return { step, state: body.status === 'red' ? 'note' : 'well', says };
}

function missing(destination: Destination): Finding {
  const { index, dataStream, createIndex } = destination.options;
  const kind = dataStream ? 'data stream' : 'index';
  if (destination.newIndex === undefined || createIndex === false) {
    const fault = missingFault(destination);
    return { step: kind, state: 'wrong', says: fault.message, fault };
  }
  const { shards, replicas } = createIndex;
  return {
    step: kind,
    state: 'note',
    says: `${index} does not exist: start creates it (shards ${shards}, replicas ${replicas})`,
  };
}

function described({ index }: ElasticsearchOptions, { settings }: estypes.IndicesIndexState): string {
  const {
    number_of_shards: shards,
    number_of_replicas: replicas,
    provided_name: name,
  } = settings?.index ?? settings ?? {};
  const behind = name === undefined || name === index ? '' : ` (${name})`;
  return `${index}${behind}: shards ${shards ?? '?'}, replicas ${replicas ?? '?'}`;
}
