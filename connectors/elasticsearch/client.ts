import { Client, ClusterConnectionPool, errors, Serializer } from '@elastic/elasticsearch';
import { Unreachable } from '../../src/canon/fault.ts';
import type { Group } from '../../src/canon/group.ts';
import { causeIn, destinationFault, type Place, strangerFault, timeoutFault, unreachableFault } from './fault.ts';
import type { ElasticsearchOptions } from './options.ts';

/** The cluster and the index in it, as every file of this folder sees them. */
export interface Destination extends Place {
  readonly client: Client;
  /** The body that creates the index; absent when it must exist. */
  readonly newIndex?: NewIndex;
  /** Bytes of one bulk request. Lowered when something on the way takes less. */
  maxBulkBytes: number;
  /** The journal's merged state of a group. */
  group(groupId: string): Group | undefined;
  note(message: string): void;
}

export interface NewIndex {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly mappings: Readonly<Record<string, unknown>>;
}

export function createClient(options: ElasticsearchOptions): Client {
  return new Client({
    nodes: [...options.nodes],
    requestTimeout: options.requestTimeoutMs,
    // Two stacked retry loops reorder: the lane retries.
    maxRetries: 0,
    // The default, weighted pool finds "no living connection" for hundreds of calls after all of several nodes were
    // down; this one then tries the dead ones. 'optimistic' because the other strategies ask in the background.
    ConnectionPool: ClusterConnectionPool,
    resurrectStrategy: 'optimistic',
    Serializer: ExactSerializer,
  });
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
    throw translated(thrown, destination);
  }
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

const BEYOND_DOUBLE = /\d{16}|\d[eE][+-]?\d{3}/;
// Of Node 24, and not yet in TypeScript's lib of ES2024.
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
