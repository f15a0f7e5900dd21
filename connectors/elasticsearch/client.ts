import { hostOf } from '../../src/model/address.ts';
import { type Fault, messageOf, Unreachable } from '../../src/model/fault.ts';
import { BEYOND_DOUBLE, isObject } from '../../src/model/json.ts';
import { plainShape } from '../../src/model/shape.ts';
import type { Host } from '../contract.ts';
import { type Endpoint, secureOptions, whyNoTls, whyNotPlain } from '../tls.ts';
import { type Call, root } from './api.ts';
import { EndingConnection, NO_HTTP } from './connection.ts';
import { Client, ClusterConnectionPool, errors, Serializer, Transport } from './elastic.ts';
import {
  causeIn,
  destinationFault,
  isRefusedByAws,
  misconfigured,
  nodesOf,
  type Place,
  setting,
  strangerFault,
} from './fault.ts';
import { readNewIndex } from './new-index.ts';
import type { ElasticsearchOptions } from './options.ts';
import { signingConnection } from './signing.ts';

/** The cluster and its index, as used throughout this folder. */
export type Destination = Awaited<ReturnType<typeof openDestination>>;

/** Reads the files that the options name; makes no requests yet. */
export async function openDestination(options: ElasticsearchOptions, host: Host, signal: AbortSignal) {
  const { nodes, tls = {} } = options;
  const place: Place = { name: host.name, options, product: 'Elasticsearch' };
  const shape = host.shape ?? plainShape(options.content);
  const newIndex = await readNewIndex(place, host.source, shape);
  const secured = nodes.filter((node) => /^https:/i.test(node)).map(endpointOf);
  const secure =
    secured.length === 0 ? undefined : await secureOptions(tls, `connectors.${host.name}`, secured, signal);
  return {
    ...place,
    ...connect(options, secure, `connectors.${host.name}.auth.aws`),
    /** The client's TLS options, to explain failures that its own errors do not. */
    secure,
    newIndex,
    source: host.source,
    shape,
    /** Whether a shape is configured, so that the index may be somebody else's. */
    isShaped: host.shape !== undefined,
    /** Whether the documents may hold `source`, which an older strict mapping refuses. */
    keepsSource: true,
    /** The size of a bulk request, lowered when something on the way takes less, or seems to. */
    maxBulkBytes: options.batch.maxBytes,
    /** How far it may grow again: what was not refused as too large. */
    mostBulkBytes: options.batch.maxBytes,
    /** How many bulk requests in a row got no answer. */
    cuts: 0,
    created: (message: string) => host.created(message),
  };
}

type Secure = Awaited<ReturnType<typeof secureOptions>>;

/** Creates the vendor's client, and returns its transport: api.ts has the requests, the same for every server. */
function connect({ nodes, auth, requestTimeoutMs }: ElasticsearchOptions, secure: Secure | undefined, setting: string) {
  const client = new Client({
    nodes: [...nodes],
    requestTimeout: requestTimeoutMs,
    Connection: EndingConnection,
    ...(auth !== undefined && authOf(auth, setting)),
    ...(secure !== undefined && { tls: secure }),
    // If a node refuses or hangs, each other one is asked once: a repeated write is a conflict, which is read and merged
    // again. Retrying anything else is up to the lane.
    maxRetries: nodes.length - 1,
    Transport: PlainTransport,
    // The default, weighted pool finds "no living connection" for hundreds of calls after all of several nodes were down;
    // this one tries the dead ones. 'optimistic' because the other strategies make requests in the background.
    ConnectionPool: ClusterConnectionPool,
    resurrectStrategy: 'optimistic',
    Serializer: ExactSerializer,
  });
  return { transport: client.transport, close: () => client.close() };
}

function authOf(auth: NonNullable<ElasticsearchOptions['auth']>, setting: string) {
  if ('aws' in auth) return { Connection: signingConnection(auth.aws, setting) };
  return { auth: 'apiKey' in auth ? { apiKey: encoded(auth.apiKey) } : auth };
}

/**
 * The client refuses servers other than Elasticsearch 7.14 or newer, and OpenSearch refuses its media types: this
 * transport neither checks for the product nor asks for a versioned JSON. It leaves a node that hangs for another one, as
 * it does for one that refuses.
 */
class PlainTransport extends Transport {
  constructor({ productCheck: _, vendoredHeaders: __, ...options }: ConstructorParameters<typeof Transport>[0]) {
    super({ ...options, retryOnTimeout: true });
  }
}

/** Returns the header's form of a key, which Elasticsearch calls `encoded`: base64 of id:api_key. */
function encoded(apiKey: string): string {
  return apiKey.includes(':') ? Buffer.from(apiKey).toString('base64') : apiKey;
}

function endpointOf(node: string): Endpoint {
  const url = new URL(node);
  return { host: hostOf(url), port: Number(url.port || 443), url: 'nodes' };
}

interface Answer<Body> {
  readonly statusCode: number;
  readonly body: Body;
}

/** Makes one request. Any failure concerns the destination: Unreachable, or the signal's reason if it aborted. */
export async function ask<Body>(
  destination: Destination,
  signal: AbortSignal,
  { name, method, path, index, query, body, lines, ignore = [], fits }: Call<Body>,
): Promise<Answer<Body>> {
  signal.throwIfAborted();
  const params = {
    method,
    path,
    ...(query !== undefined && { querystring: query }),
    ...(body !== undefined && { body }),
    ...(lines !== undefined && { bulkBody: [...lines] }),
    meta: { name, ...(index !== undefined && { pathParts: { index } }) },
  };
  try {
    const { requestTimeoutMs, nodes } = destination.options;
    const request = (signal: AbortSignal) =>
      destination.transport.request(params, { signal, ignore: [...ignore], meta: true });
    const answer = await inTime(request, requestTimeoutMs * nodes.length + GRACE_MS, signal);
    const { statusCode: status = 0, headers = {} } = answer;
    if (status < 200 || (status >= 300 && status < 400)) {
      const where = headers.location === undefined ? '' : ` to ${headers.location}`;
      throw new Unreachable(strangerFault(`it answers ${status}${where}`, destination));
    }
    const cause = causeIn(answer.body);
    // Checked first, since such a refusal says nothing of what was asked.
    if (isRefusedByAws(status, cause, destination.options)) {
      throw new Unreachable(destinationFault(status, cause, destination));
    }
    if (status < 300 && !fits(answer.body)) {
      const what = isObject(answer.body) ? `is none to ${method} ${path}` : 'is no JSON object';
      throw new Unreachable(strangerFault(`its answer ${what}`, destination));
    }
    return { statusCode: status, body: answer.body as Body };
  } catch (thrown) {
    signal.throwIfAborted();
    // The client unpacks an answer outside of what it makes its own errors of.
    if (isObject(thrown) && String(thrown.code).startsWith('Z_')) {
      const said = `its answer cannot be unpacked: ${messageOf(thrown)}`;
      throw new Unreachable(strangerFault(said, destination), thrown);
    }
    if (!(thrown instanceof errors.ElasticsearchClientError)) throw thrown;
    throw new Unreachable((await tlsFault(thrown, destination)) ?? clientFault(thrown, destination), thrown);
  }
}

/** Lets the client's own time-out come first. */
const GRACE_MS = 1_000;

/** The client ignores its time-out once an answer has begun: one that stalls midway would hold up the lane for ever. */
async function inTime<T>(ask: (signal: AbortSignal) => Promise<T>, ms: number, signal: AbortSignal): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ms);
  try {
    return await ask(AbortSignal.any([signal, late.signal]));
  } catch (thrown) {
    throw late.signal.aborted ? new errors.TimeoutError('the answer stalled') : thrown;
  } finally {
    clearTimeout(timer);
  }
}

/** The oldest major version that supports this connector's calls. */
const OLDEST = 7;

/** Learns which product answers, for the wording of faults. Resolves with its version if `/` reveals it. */
export async function identify(destination: Destination, signal: AbortSignal): Promise<string | undefined> {
  const { body } = await ask(destination, signal, root());
  const { distribution, number } = isObject(body) && isObject(body.version) ? body.version : {};
  if (distribution === 'opensearch') destination.product = 'OpenSearch';
  else if (typeof number === 'string' && Number.parseInt(number, 10) < OLDEST) {
    const suggestion = 'Elasticsearch 7.10 or newer is needed, or OpenSearch';
    throw misconfigured(destination, 'nodes', `Elasticsearch ${number} is too old`, suggestion);
  }
  return typeof number === 'string' ? number : undefined;
}

/** Repeats a failed connection with a TLS handshake only, so that the fault can name the setting. */
async function tlsFault(thrown: Error, destination: Destination): Promise<Fault | undefined> {
  const { name, options, secure } = destination;
  if (!(thrown instanceof errors.ConnectionError)) return undefined;
  for (const node of options.nodes) {
    const endpoint = endpointOf(node);
    if (secure !== undefined) {
      const fault = await whyNoTls(endpoint, secure, `connectors.${name}`);
      if (fault !== undefined) return fault;
    } else if (new URL(node).port !== '') {
      const says = `${destination.product} cannot be reached at ${new URL(node).origin}`;
      const fault = await whyNotPlain(endpoint, says, `connectors.${name}`);
      if (fault !== undefined) return fault;
    }
  }
  return undefined;
}

function clientFault(thrown: Error, place: Place): Fault {
  if (thrown instanceof errors.ResponseError) {
    return destinationFault(thrown.statusCode ?? 0, causeIn(thrown.body), place);
  }
  if (thrown instanceof errors.DeserializationError || thrown.message.startsWith(NO_HTTP)) {
    return strangerFault(thrown.message, place);
  }
  const late = thrown instanceof errors.TimeoutError;
  return {
    code: 'destination-unreachable',
    message: late
      ? `${place.product} at ${nodesOf(place)} did not answer within ${place.options.requestTimeoutMs} ms`
      : `${place.product} cannot be reached at ${nodesOf(place)}: ${messageOf(thrown).replace(/ - Local: .*$/, '')}`,
    path: setting(place, 'nodes'),
    suggestion: late
      ? 'look at the cluster’s health and the network; requestTimeoutMs sets how long to wait'
      : 'see that it runs and that the address is right',
  };
}

// Node has it since 22; TypeScript's lib of ES2024 does not.
const { rawJSON } = JSON as unknown as { rawJSON(source: string): unknown };
const exactly = (_key: string, value: unknown, context?: { source?: string }): unknown =>
  typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
    ? rawJSON(context.source)
    : value;

/**
 * A document is read, merged and written as a whole: foreign numbers that a double cannot hold, such as 64-bit ids, must
 * survive unchanged. (This is a class because the client asks for one.)
 */
class ExactSerializer extends Serializer {
  override deserialize<T = unknown>(json: string): T {
    // What is no JSON is refused here, in the client's own words.
    const parsed = super.deserialize<T>(json);
    return BEYOND_DOUBLE.test(json) ? JSON.parse(json, exactly) : parsed;
  }
}
