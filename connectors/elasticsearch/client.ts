import { Client, ClusterConnectionPool, errors, Serializer } from '@elastic/elasticsearch';
import { Unreachable } from '../../src/model/fault.ts';
import { type Endpoint, type SecureOptions, secureOptions, speaksTls, whyNoTls } from '../tls.ts';
import {
  causeIn,
  destinationFault,
  type Place,
  setting,
  strangerFault,
  timeoutFault,
  unreachableFault,
} from './fault.ts';

/** The cluster and the index in it, as every file of this folder sees them. */
export interface Destination extends Place {
  readonly client: Client;
  readonly secure?: SecureOptions;
  /** The body that creates the index; absent when it must exist. */
  readonly newIndex?: NewIndex;
  /** Bytes of one bulk request. Lowered when something on the way takes less. */
  maxBulkBytes: number;
  note(message: string): void;
}

export interface NewIndex {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly mappings: Readonly<Record<string, unknown>>;
}

export async function createClient(place: Place, signal: AbortSignal): Promise<Opened> {
  const { nodes, auth, tls = {}, requestTimeoutMs } = place.options;
  const secured = nodes.filter((node) => /^https:/i.test(node));
  const secure =
    secured.length === 0
      ? undefined
      : await secureOptions(tls, `connectors.${place.name}`, secured.map(endpointOf), signal);
  const client = new Client({
    nodes: [...nodes],
    requestTimeout: requestTimeoutMs,
    ...(auth !== undefined && { auth: 'apiKey' in auth ? { apiKey: encoded(auth.apiKey) } : auth }),
    ...(secure !== undefined && { tls: secure }),
    // Two stacked retry loops reorder: the lane retries.
    maxRetries: 0,
    // The default, weighted pool finds "no living connection" for hundreds of calls after all of several nodes were
    // down; this one then tries the dead ones. 'optimistic' because the other strategies ask in the background.
    ConnectionPool: ClusterConnectionPool,
    resurrectStrategy: 'optimistic',
    Serializer: ExactSerializer,
  });
  return { client, ...(secure !== undefined && { secure }) };
}

/** A client, and how it speaks TLS: the client's own errors do not say what is wrong there. */
export interface Opened {
  readonly client: Client;
  readonly secure?: SecureOptions;
}

/** What the header wants is what Elasticsearch calls `encoded`: base64 of id:api_key. */
function encoded(apiKey: string): string {
  return apiKey.includes(':') ? Buffer.from(apiKey).toString('base64') : apiKey;
}

function endpointOf(node: string): Endpoint {
  const { hostname, port } = new URL(node);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 443) };
}

/** One request. Whatever fails concerns the destination: Unreachable, or the signal's reason when it was aborted. */
export async function ask<T>(
  destination: Destination,
  signal: AbortSignal,
  request: (client: Client, options: { signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  try {
    return await request(destination.client, { signal });
  } catch (thrown) {
    signal.throwIfAborted();
    throw (await tlsTrouble(thrown, destination)) ?? translated(thrown, destination);
  }
}

/** A failed connection is tried once more, by a TLS handshake only, so that the fault can name the setting. */
async function tlsTrouble(thrown: unknown, { name, options, secure }: Destination): Promise<Unreachable | undefined> {
  if (!(thrown instanceof errors.ConnectionError)) return undefined;
  for (const node of options.nodes) {
    const endpoint = endpointOf(node);
    if (secure !== undefined) {
      const fault = await whyNoTls(endpoint, secure, `connectors.${name}`);
      if (fault !== undefined) return new Unreachable(fault, thrown);
    } else if (new URL(node).port !== '' && (await speaksTls(endpoint, {})) === 'yes') {
      const message = `Elasticsearch cannot be reached at ${new URL(node).origin}: TLS is spoken on this port`;
      const path = setting({ name, options }, 'nodes');
      return new Unreachable(
        { code: 'destination-misconfigured', message, path, suggestion: 'write https://' },
        thrown,
      );
    }
  }
  return undefined;
}

function translated(thrown: unknown, place: Place): unknown {
  if (thrown instanceof errors.ResponseError) {
    return new Unreachable(destinationFault(thrown.statusCode ?? 0, causeIn(thrown.body), place), thrown);
  }
  if (thrown instanceof errors.TimeoutError) return new Unreachable(timeoutFault(place), thrown);
  if (thrown instanceof errors.ProductNotSupportedError || thrown instanceof errors.DeserializationError) {
    return new Unreachable(strangerFault(thrown.message, place), thrown);
  }
  return thrown instanceof errors.ElasticsearchClientError
    ? new Unreachable(unreachableFault(thrown, place), thrown)
    : thrown;
}

// Begun at the first digit only: otherwise each digit of a shorter number would be a try.
const BEYOND_DOUBLE = /(?<!\d)\d{16}|\d[eE][+-]?\d{3}/;
// Of Node 22 and later, and not yet in TypeScript's lib of ES2024.
const { rawJSON } = JSON as unknown as { rawJSON(source: string): unknown };
const exactly = (_key: string, value: unknown, context?: { source?: string }): unknown =>
  typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
    ? rawJSON(context.source)
    : value;

/**
 * A document is read, merged and written as a whole: numbers of others in it that a double cannot hold, such as 64-bit
 * ids, must come out as they went in. (A class because the client asks for one.)
 */
class ExactSerializer extends Serializer {
  override deserialize<T = unknown>(json: string): T {
    if (!BEYOND_DOUBLE.test(json)) return super.deserialize<T>(json);
    try {
      return JSON.parse(json, exactly);
    } catch {
      return super.deserialize<T>(json);
    }
  }
}
