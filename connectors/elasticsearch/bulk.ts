import type { estypes } from '@elastic/elasticsearch';
import { type Fault, Unreachable } from '../../src/model/fault.ts';
import { ask, type Destination } from './client.ts';
import { ensureIndex } from './ensure.ts';
import { type Cause, causeIn, destinationFault, type Place, reasonOf, setting } from './fault.ts';

/** One document to write. */
export interface Write {
  readonly id: string;
  /** The two lines of a bulk request: the action and the document; a deletion has no second one. */
  readonly action: string;
  readonly document?: string;
}

/** What became of one document. */
export type Verdict =
  | { readonly kind: 'written'; readonly index: string; readonly seqNo: number }
  /** Somebody else wrote it in between, or it was there already. */
  | { readonly kind: 'conflict'; readonly index: string }
  /** It will never be taken. */
  | { readonly kind: 'refused'; readonly fault: Fault }
  | { readonly kind: 'overloaded'; readonly fault: Fault };

export const MAX_BULK_BYTES = 8 * 1024 * 1024;

/** Failures that can only be the document's own. Of any other refusal the index may be the reason. */
const OWN_FAILURES = new Set([
  'document_parsing_exception',
  'mapper_parsing_exception',
  'strict_dynamic_mapping_exception',
]);

/** Writes documents of distinct ids and settles each by its id; one that Elasticsearch did not answer is missing. */
export async function bulk(
  destination: Destination,
  writes: readonly Write[],
  signal: AbortSignal,
): Promise<Map<string, Verdict>> {
  const verdicts = new Map<string, Verdict>();
  let suspicious = false;
  const waiting = [...writes];
  while (waiting.length > 0) {
    const request = takeRequest(waiting, destination.maxBulkBytes);
    const { statusCode, body } = await send(destination, request, signal);
    if (statusCode === 400 || statusCode === 413) {
      // The request as a whole was refused, which says nothing of its other documents: halve it down to the culprit.
      const [only] = request.writes;
      if (only !== undefined && request.writes.length === 1) {
        verdicts.set(only.id, { kind: 'refused', fault: wholeFault(statusCode, causeIn(body), request, destination) });
      } else if (statusCode === 413) {
        destination.maxBulkBytes = Math.ceil(request.bytes / 2);
        waiting.unshift(...request.writes);
      } else {
        await ensureIndex(destination, signal);
        const middle = request.writes.length >> 1;
        for (const half of [request.writes.slice(0, middle), request.writes.slice(middle)]) {
          for (const [id, verdict] of await bulk(destination, half, signal)) verdicts.set(id, verdict);
        }
      }
      continue;
    }
    for (const item of body.items) {
      const answer = item.index ?? item.create ?? item.delete;
      if (answer?._id == null) continue;
      const verdict = judge(answer, destination);
      suspicious ||= verdict.kind === 'refused' && !OWN_FAILURES.has(answer.error?.type ?? '');
      verdicts.set(answer._id, verdict);
    }
  }
  // An alias without a write index, for instance, is answered as if each document were wrong.
  if (suspicious) await ensureIndex(destination, signal);
  return verdicts;
}

interface BulkRequest {
  readonly writes: readonly Write[];
  readonly bytes: number;
}

/** Takes from the front what fits into one request, at least one. */
function takeRequest(waiting: Write[], maxBytes: number): BulkRequest {
  let bytes = 0;
  let count = 0;
  for (const { action, document } of waiting) {
    const size = Buffer.byteLength(action) + Buffer.byteLength(document ?? '') + 2;
    if (count > 0 && bytes + size > maxBytes) break;
    bytes += size;
    count++;
  }
  return { writes: waiting.splice(0, count), bytes };
}

function send(destination: Destination, { writes }: BulkRequest, signal: AbortSignal) {
  const { index, requestTimeoutMs } = destination.options;
  return ask(destination, signal, (client, options) =>
    client.bulk<unknown, unknown>(
      {
        index,
        // Strings go out as they are.
        operations: writes.flatMap(({ action, document }) => (document === undefined ? [action] : [action, document])),
        // For a shard that is down; shorter than our own patience, so that its answer says so.
        timeout: `${Math.ceil(requestTimeoutMs * 0.8)}ms`,
      },
      { ...options, ignore: [400, 413], meta: true },
    ),
  );
}

function wholeFault(status: number, cause: Cause, { bytes }: BulkRequest, place: Place): Fault {
  const said = reasonOf(cause) || `HTTP status ${status}`;
  if (status === 400) return refusedFault(said, place);
  return {
    code: 'event-too-large',
    message: `Elasticsearch, or a proxy before it, takes no request of ${bytes} bytes: ${said}`,
    path: setting(place, 'nodes'),
    suggestion: 'raise http.max_content_length or the proxy’s limit of the body',
  };
}

function refusedFault(said: string, place: Place): Fault {
  return {
    code: 'event-refused',
    message: `Elasticsearch refused the document: ${said}`,
    path: setting(place, 'index'),
    suggestion: 'compare the document with the mapping of the index',
  };
}

/** A 200 of `_bulk` says nothing: each item does, its status first, the type of its error second. */
export function judge(item: estypes.BulkResponseItem, place: Place): Verdict {
  const { status, error = {} as Cause } = item;
  // Taken into a data stream's failure store, not into the stream.
  if (item.failure_store === 'used')
    return { kind: 'refused', fault: refusedFault(`it lies in its failure store, ${item._index}`, place) };
  if (status >= 200 && status < 300) return { kind: 'written', index: item._index, seqNo: item._seq_no ?? -1 };
  if (status === 409) return { kind: 'conflict', index: item._index };
  const blocked = error.type === 'cluster_block_exception' || error.type === 'index_closed_exception';
  if (blocked || status === 401 || status === 403 || status === 404) {
    throw new Unreachable(destinationFault(status, error, place));
  }
  if (status === 429 || status >= 500) return { kind: 'overloaded', fault: destinationFault(status, error, place) };
  return { kind: 'refused', fault: refusedFault(reasonOf(error) || `HTTP status ${status}`, place) };
}
