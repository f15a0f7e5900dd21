/** Checks what deliveries rely on, without writing anything. */
import type { Fault } from '../../src/model/fault.ts';
import { newGroup } from '../../src/model/group.ts';
import { awsUser } from '../aws.ts';
import type { Finding, Host } from '../contract.ts';
import { silentMembers } from '../members.ts';
import { health, localNode, ping } from './api.ts';
import { besideOf, refuseIndexing } from './beside.ts';
import { PROBE_ID, probe } from './bulk.ts';
import { ask, type Destination, identify, openDestination } from './client.ts';
import { readable, readDocuments, refuseForeign } from './documents.ts';
import { findIndex } from './ensure.ts';
import { misconfigured, missingFault, sortOf } from './fault.ts';
import { expectedFields, refusingFields } from './new-index.ts';
import type { ElasticsearchOptions } from './options.ts';

/** Reports for `check --connect` what is there. Creates nothing. */
export async function* examineIndex(
  options: ElasticsearchOptions,
  host: Host,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const destination = await openDestination(options, host, signal);
  try {
    yield await lookAtCluster(destination, signal);
    const originOf = (node: string): string => new URL(node).origin;
    yield* silentMembers('nodes', options.nodes, (node) => askNode(node, options, host, signal), originOf);
    signal.throwIfAborted();
    yield* lookAtIndex(destination, signal);
    const beside = besideOf(destination);
    if (beside !== undefined) yield await lookAtVersions(beside, signal);
  } finally {
    await destination.close();
  }
}

async function* lookAtIndex(destination: Destination, signal: AbortSignal): AsyncGenerator<Finding> {
  const { options } = destination;
  const { index, content } = options;
  const state = await findIndex(destination, signal);
  if (state === undefined) {
    yield missing(destination);
    return;
  }
  const { settings, mappings } = state;
  const { number_of_shards = '?', number_of_replicas = '?', provided_name = index } = settings?.index ?? {};
  const name = provided_name === index ? index : `${index} (${provided_name})`;
  yield { step: 'index', state: 'well', says: `${name}: shards ${number_of_shards}, replicas ${number_of_replicas}` };
  const { shape, isShaped } = destination;
  const unmapped = expectedFields(options, shape).filter((field) => !Object.hasOwn(mappings?.properties ?? {}, field));
  const refusing = refusingFields(options, shape, state);
  if (refusing.length > 0) {
    const message = `The mapping of ${index} takes no such values as are written: ${refusing.join(', ')}`;
    const suggestion = 'a type cannot be changed: move the index away, or let `shape` name other fields';
    yield wrong('mapping', misconfigured(destination, 'index', message, suggestion).fault);
  } else if (unmapped.length > 0 && isShaped && content === 'groups') {
    yield { step: 'mapping', state: 'note', says: `start adds to it: ${unmapped.join(', ')}` };
  } else if (unmapped.length > 0) {
    const message = `The mapping of ${index} lacks ${unmapped.join(', ')}`;
    const suggestion = `add the fields, or move the index away and let createIndex create it for content: ${content}`;
    yield wrong('mapping', misconfigured(destination, 'index', message, suggestion).fault);
  } else yield { step: 'mapping', state: 'well', says: `has every field of content: ${content}` };
  await tryRequests(destination, signal);
  const says = 'yes (a document that is no JSON was refused for that alone)';
  yield { step: 'write permission', state: 'well', says };
}

const wrong = (step: string, fault: Fault): Finding => ({ step, state: 'wrong', says: fault.message, fault });

/** Like the index of the groups, except that nobody searches it. */
async function lookAtVersions(beside: Destination, signal: AbortSignal): Promise<Finding> {
  const { index } = beside.options;
  if (!(await refuseIndexing(beside, signal))) {
    return { step: 'versions', state: 'note', says: `${index} does not exist: start creates it` };
  }
  await tryRequests(beside, signal);
  return { step: 'versions', state: 'well', says: `${index} takes them` };
}

/** Makes the requests of a delivery, with an invalid document. Throws Unreachable. */
async function tryRequests(destination: Destination, signal: AbortSignal): Promise<void> {
  const groups = destination.options.content === 'groups';
  if (groups) {
    await refuseForeign(destination, signal);
    const { documents } = await readDocuments(destination, [newGroup(PROBE_ID)], signal);
    readable(destination, PROBE_ID, documents);
  }
  await probe(destination, signal);
}

function userOf({ auth }: ElasticsearchOptions): string {
  if (auth === undefined) return '';
  if ('aws' in auth) return ` as ${awsUser(auth.aws)}`;
  return 'username' in auth ? ` as ${auth.username}` : ' with the API key';
}

async function lookAtCluster(destination: Destination, signal: AbortSignal): Promise<Finding> {
  const as = userOf(destination.options);
  const version = (await identify(destination, signal)) ?? (await versionOfNode(destination, signal));
  const reached = `reached${as}${version === undefined ? '' : `: ${destination.product} ${version}`}`;
  const { statusCode, body } = await ask(destination, signal, health());
  if (statusCode >= 400) {
    const says = `${reached}; this user may not see its health, which deliveries do not need`;
    return { step: 'cluster', state: 'note', says };
  }
  const { cluster_name: cluster, number_of_nodes: nodes, status } = body;
  const says = `${reached}${version === undefined ? ':' : ','} ${cluster}, ${nodes} node${nodes === 1 ? '' : 's'}, ${status}`;
  return { step: 'cluster', state: status === 'red' ? 'note' : 'well', says };
}

/** Some servers do not serve `/`. */
async function versionOfNode(destination: Destination, signal: AbortSignal): Promise<string | undefined> {
  const { body } = await ask(destination, signal, localNode());
  return Object.values(body.nodes ?? {})[0]?.version;
}

async function askNode(node: string, options: ElasticsearchOptions, host: Host, signal: AbortSignal): Promise<void> {
  const destination = await openDestination({ ...options, nodes: [node] }, host, signal);
  try {
    await ask(destination, signal, ping());
  } finally {
    await destination.close();
  }
}

function missing(destination: Destination): Finding {
  const { index, createIndex } = destination.options;
  const step = sortOf(destination);
  if (createIndex === false) return wrong(step, missingFault(destination));
  const { shards, replicas } = createIndex;
  const says = `${index} does not exist: start creates it (shards ${shards}, replicas ${replicas})`;
  return { step, state: 'note', says };
}
