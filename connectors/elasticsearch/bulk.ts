import { type Fault, Unreachable } from '../../src/model/fault.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { portions } from '../portions.ts';
import { type WrittenItem, writeMany } from './api.ts';
import { ask, type Destination } from './client.ts';
import { ensureIndex } from './ensure.ts';
import { type Cause, causeIn, destinationFault, misconfigured, type Place, reasonOf, setting } from './fault.ts';

export interface Write {
  readonly id: string;
  /** The two lines of a bulk request, the action and the document; a deletion has no second one. */
  readonly action: string;
  readonly document?: string;
}

/** Failures that can only be the document's own. The index may cause any other refusal. */
const OWN_FAILURES = new Set([
  'document_parsing_exception',
  'mapper_parsing_exception',
  'strict_dynamic_mapping_exception',
]);

/**
 * Writes documents of distinct ids and settles each by its id. Without an answer it is missing; if it existed, or
 * somebody else wrote it in between, it is superseded.
 */
export async function bulk(
  destination: Destination,
  writes: readonly Write[],
  signal: AbortSignal,
): Promise<Map<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  let suspicious = false;
  const parts = [writes];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const [request = [], ...others] = portions(part, bytesOf, destination.maxBulkBytes);
    parts.push(...others.reverse());
    const bytes = request.reduce((sum, write) => sum + bytesOf(write), 0);
    const { statusCode, body } = await send(destination, request, bytes, signal);
    if (statusCode === 400 || statusCode === 413) {
      // The whole request was refused, which says nothing of the other documents: halves it down to the culprit.
      const [only, ...others] = request;
      if (only !== undefined && others.length === 0) {
        outcomes.set(only.id, { kind: 'dead', fault: wholeFault(statusCode, causeIn(body), bytes, destination) });
        continue;
      }
      if (statusCode === 413) destination.maxBulkBytes = destination.mostBulkBytes = Math.ceil(bytes / 2);
      else await ensureIndex(destination, signal);
      const middle = request.length >> 1;
      parts.push(request.slice(middle), request.slice(0, middle));
      continue;
    }
    const ids = new Set(request.map(({ id }) => id));
    for (const [place, item] of body.items.entries()) {
      const answer = item.index ?? item.create ?? item.delete;
      if (answer?._id == null) continue;
      const isRenamed = !ids.has(answer._id);
      // A changed id identifies nothing: the answers come in the order of the request.
      const id = isRenamed ? request[place]?.id : answer._id;
      if (id === undefined) continue;
      const outcome = isRenamed ? renamed(answer._id, destination) : judge(answer, destination);
      suspicious ||= outcome.kind === 'dead' && !OWN_FAILURES.has(answer.error?.type ?? '');
      outcomes.set(id, outcome);
    }
  }
  // What refuses any document (no write index, a missing pipeline) is answered as if each were wrong.
  if (suspicious) {
    await ensureIndex(destination, signal);
    await probe(destination, signal);
  }
  return outcomes;
}

export const PROBE_ID = 'group-sync-bridge-check';

/**
 * Writes an invalid document: any index refuses what is no JSON, but only after checking permissions, blocks and
 * pipelines, and whatever its mapping. Throws Unreachable if it is refused for anything else.
 */
export async function probe(destination: Destination, signal: AbortSignal): Promise<void> {
  const action = JSON.stringify({ [destination.options.content === 'groups' ? 'index' : 'create']: { _id: PROBE_ID } });
  const write = { id: PROBE_ID, action, document: '{]' };
  const { body } = await send(destination, [write], 0, signal);
  const [item] = body.items ?? [];
  const answer = item?.index ?? item?.create;
  if (answer === undefined) return;
  const outcome = judge(answer, destination);
  if (outcome.kind === 'retry') throw new Unreachable(outcome.fault);
  const { error } = answer;
  if (outcome.kind === 'dead' && error !== undefined && !OWN_FAILURES.has(error.type ?? '')) {
    throw takesNone(error, destination);
  }
}

/** Whether the settings of the index are the reason, whatever the document holds. */
function refusesAll({ type, reason }: Cause): boolean {
  return type === 'routing_missing_exception' || /pipeline with id \[.*\] does not exist/.test(reason ?? '');
}

function takesNone(cause: Cause, place: Place): Unreachable {
  const message = `${place.product} takes no document into ${place.options.index}: ${reasonOf(cause)}`;
  return misconfigured(place, 'index', message, 'look at the settings and the mapping of the index');
}

/** Each of the two lines ends with a byte of its own. */
const bytesOf = ({ action, document = '' }: Write): number =>
  Buffer.byteLength(action) + Buffer.byteLength(document) + 2;

/** Few things accept less than this, but a cluster in trouble can look so: below it each answer enlarges the next request. */
const SMALL_BYTES = 64 * 1024;
const GROWTH = 1.25;

/**
 * Sends one request. If it gets no answer twice in a row, although the index could be asked in between, it may be too
 * large for something on the way, and the next one is smaller.
 */
async function send(destination: Destination, writes: readonly Write[], bytes: number, signal: AbortSignal) {
  const { index, requestTimeoutMs } = destination.options;
  const lines = writes.flatMap(({ action, document }) => (document === undefined ? [action] : [action, document]));
  // Waits for a shard that is down, but ends before our own time-out, so that the answer says so.
  const timeout = `${Math.ceil(requestTimeoutMs * 0.8)}ms`;
  try {
    const answer = await ask(destination, signal, writeMany(index, lines, timeout));
    destination.cuts = 0;
    const grown = Math.min(Math.ceil(destination.maxBulkBytes * GROWTH), SMALL_BYTES, destination.mostBulkBytes);
    destination.maxBulkBytes = Math.max(destination.maxBulkBytes, grown);
    return answer;
  } catch (thrown) {
    if (!(thrown instanceof Unreachable) || thrown.fault.code !== 'destination-unreachable') throw thrown;
    if (++destination.cuts >= 2 && bytes > 1) destination.maxBulkBytes = Math.ceil(bytes / 2);
    const message = `${thrown.fault.message} (a request of ${bytes} bytes)`;
    throw new Unreachable({ ...thrown.fault, message }, thrown.cause);
  }
}

function wholeFault(status: number, cause: Cause, bytes: number, place: Place): Fault {
  const said = reasonOf(cause) || `HTTP status ${status}`;
  if (status === 400) return refusedFault(said, place);
  return {
    code: 'event-too-large',
    message: `${place.product}, or a proxy before it, takes no request of ${bytes} bytes: ${said}`,
    path: setting(place, 'nodes'),
    suggestion: 'raise http.max_content_length or the proxy’s limit of the body',
  };
}

const ID_REFUSED = 'Validation Failed: 1: id [';
const SHORTER_ID = 'an id has at most 512 bytes: shorten what shape.id adds to it, or leave the group out by filter';

function refusedFault(said: string, place: Place): Fault {
  return {
    code: 'event-refused',
    message: `${place.product} refused the document: ${said}`,
    path: setting(place, 'index'),
    suggestion: said.includes(ID_REFUSED) ? SHORTER_ID : 'compare the document with the mapping of the index',
  };
}

/** It would never be found again, and each further attempt could add another document. */
const renamed = (id: string, place: Place): Outcome => ({
  kind: 'dead',
  fault: refusedFault(`a pipeline of the index gives it another id, ${id}`, place),
});

/** A 200 of `_bulk` says nothing: each item does, by its status first, and its error type second. */
function judge(item: WrittenItem, place: Place): Outcome {
  const { status, error = {}, _index, _id, _seq_no, result } = item;
  const dead = (said: string): Outcome => ({ kind: 'dead', fault: refusedFault(said, place) });
  // It went to a data stream's failure store, not to the stream.
  if (item.failure_store === 'used') return dead(`it lies in its failure store, ${_index}`);
  if (result === 'noop') return dead('a pipeline of the index drops it');
  const receipt = `${_index}/${_id}`;
  if (status === 409) return { kind: 'superseded', receipt };
  if (status >= 200 && status < 300) {
    return { kind: 'delivered', receipt: place.options.content === 'groups' ? `${receipt}@${_seq_no}` : receipt };
  }
  const blocked = error.type === 'cluster_block_exception' || error.type === 'index_closed_exception';
  if (blocked || status === 401 || status === 403 || status === 404) {
    throw new Unreachable(destinationFault(status, error, place));
  }
  if (refusesAll(error)) throw takesNone(error, place);
  if (status === 429 || status >= 500) return { kind: 'retry', fault: destinationFault(status, error, place) };
  return dead(reasonOf(error) || `HTTP status ${status}`);
}
