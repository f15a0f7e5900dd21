import type { Entry } from '../../src/model/entry.ts';
import { Unreachable } from '../../src/model/fault.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { type EventSink, type Host, Interrupted, type Outcomes } from '../contract.ts';
import { type Judgement, judge, type Trouble } from './answer.ts';
import { type Endpoint, openEndpoint } from './endpoint.ts';
import { toMessage, webhookHeaders } from './message.ts';
import type { HttpOptions } from './options.ts';

export async function openSink(options: HttpOptions, host: Host, signal: AbortSignal): Promise<EventSink> {
  const endpoint = await openEndpoint(options, host, signal);
  const post = (entry: Entry, signal: AbortSignal) => postOne(endpoint, options, host, entry, signal);
  /** Whether the last delivery failed: then a single request probes the endpoint before others follow. */
  let troubled = false;
  return {
    holds: 'events',
    async deliver(batch, signal) {
      signal.throwIfAborted();
      const alone = troubled;
      troubled = true;
      // A kept connection leads to the same server, even if another has the address by now.
      if (alone) endpoint.close();
      const outcomes = await deliver(batch, { concurrency: options.concurrency, alone }, post, signal);
      troubled = false;
      return outcomes;
    },
    close: async () => endpoint.close(),
  };
}

/** Sends one event, once. Rejects with the signal's reason only. */
async function postOne(
  endpoint: Endpoint,
  { format, secrets = [] }: HttpOptions,
  { clock, shape }: Host,
  entry: Entry,
  signal: AbortSignal,
): Promise<Judgement> {
  const { headers, body } = toMessage(entry, format, shape);
  const signed = { ...headers, ...webhookHeaders(entry.id, body, secrets, clock.now()) };
  try {
    return judge(endpoint, await endpoint.send(signed, body, signal), entry.id, clock.now());
  } catch (thrown) {
    signal.throwIfAborted();
    return endpoint.failure(thrown);
  }
}

/** So many failures in a row, with nothing settled in between, are the endpoint's; at least as many as run at once. */
const MIN_IN_A_ROW = 3;

interface Work {
  readonly settled: Map<string, Outcome>;
  /** What may be the event's fault or the endpoint's, by event id. */
  readonly failed: Map<string, Trouble>;
  /** Since the last event that was settled. */
  inARow: number;
  /** Why nothing more is sent. */
  stop: Trouble | undefined;
}

async function deliver(
  batch: readonly Entry[],
  { concurrency, alone }: { readonly concurrency: number; readonly alone: boolean },
  post: (entry: Entry, signal: AbortSignal) => Promise<Judgement>,
  signal: AbortSignal,
): Promise<Outcomes> {
  const work: Work = { settled: new Map(), failed: new Map(), inARow: 0, stop: undefined };
  const most = Math.max(MIN_IN_A_ROW, concurrency);
  // Invariant 2, order per group: the next of a group goes once the one before is settled.
  const groups = Map.groupBy(batch, ({ groupId }) => groupId).values();
  const answered = Promise.withResolvers<void>();
  const sendGroup = async (group: readonly Entry[]): Promise<void> => {
    for (const entry of group) {
      if (work.stop !== undefined || signal.aborted) return;
      if (work.settled.has(entry.id)) continue;
      note(work, entry.id, await post(entry, signal), most);
      answered.resolve();
      if (!work.settled.has(entry.id)) return;
    }
  };
  /** All workers share one iterator. */
  const worker = async (_: unknown, index: number): Promise<void> => {
    if (alone && index > 0) await answered.promise;
    try {
      for (const group of groups) await sendGroup(group);
    } finally {
      answered.resolve();
    }
  };
  // Waits for what is under way, ended by itself or by the signal, before judging the batch.
  const ended = await Promise.allSettled(Array.from({ length: concurrency }, worker));
  const { settled, failed, stop } = work;
  const trouble = stop ?? (settled.size === 0 ? [...failed.values()].at(-1) : undefined);
  const thrown = ended.find((one) => one.status === 'rejected')?.reason;
  const cause = trouble === undefined ? thrown : new Unreachable(trouble.fault, undefined, trouble.afterMs);
  if (signal.aborted || cause !== undefined) {
    const why = signal.aborted ? signal.reason : cause;
    throw settled.size === 0 ? why : new Interrupted(settled, why);
  }
  for (const [id, retry] of failed) settled.set(id, { kind: 'retry', ...retry });
  return settled;
}

function note(work: Work, id: string, judgement: Judgement, most: number): void {
  if (judgement.of === 'event') {
    work.settled.set(id, judgement.outcome);
    work.inARow = 0;
    return;
  }
  const { fault, afterMs } = judgement;
  work.failed.set(id, { fault, afterMs });
  work.inARow++;
  if (judgement.of === 'endpoint' || work.inARow >= most) work.stop ??= { fault, afterMs };
}
