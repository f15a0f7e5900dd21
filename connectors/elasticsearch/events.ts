import type { CanonicalEvent, EventId } from '../../src/model/event.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { textOf } from '../../src/model/recorded.ts';
import { bulk, type Verdict } from './bulk.ts';
import { ask, type Destination } from './client.ts';
import { ensureIndex } from './ensure.ts';

/** `content: events`: a document an event, created once. */
export async function deliverEvents(
  destination: Destination,
  batch: readonly CanonicalEvent[],
  signal: AbortSignal,
): Promise<Map<EventId, Outcome>> {
  const { index, dataStream } = destination.options;
  // An index that is gone would be created by the bulk itself, with a mapping of guesses.
  const exists = await ask(destination, signal, (client, options) => client.indices.exists({ index }, options));
  if (!exists) await ensureIndex(destination, signal);

  const distinct = new Map(batch.map((event) => [event.id, event]));
  const writes = Array.from(distinct, ([id, event]) => ({
    id,
    action: JSON.stringify({ create: { _id: id } }),
    document: dataStream ? `{"@timestamp":"${event.time}",${textOf(event).slice(1)}` : textOf(event),
  }));
  const outcomes = new Map<EventId, Outcome>();
  for (const [id, verdict] of await bulk(destination, writes, signal)) outcomes.set(id, toOutcome(id, verdict));
  return outcomes;
}

function toOutcome(id: EventId, verdict: Verdict): Outcome {
  switch (verdict.kind) {
    case 'written':
      return { kind: 'delivered', receipt: `${verdict.index}/${id}` };
    case 'conflict':
      return { kind: 'superseded', receipt: `${verdict.index}/${id}` };
    case 'refused':
      return { kind: 'dead', fault: verdict.fault };
    case 'overloaded':
      return { kind: 'retry', fault: verdict.fault };
  }
}
