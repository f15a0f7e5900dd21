import type { Entry } from '../../src/model/entry.ts';
import type { EventId } from '../../src/model/event.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import type { Outcomes } from '../contract.ts';
import { bulk, type Verdict } from './bulk.ts';
import { ask, type Destination } from './client.ts';
import { ensureIndex } from './ensure.ts';

/** `content: events`: a document an event, created once. */
export async function deliverEvents(
  destination: Destination,
  batch: readonly Entry[],
  signal: AbortSignal,
): Promise<Outcomes> {
  const { index, dataStream } = destination.options;
  // An index that is gone would be created by the bulk itself, with a mapping of guesses.
  const exists = await ask(destination, signal, (client, options) => client.indices.exists({ index }, options));
  if (!exists) await ensureIndex(destination, signal);

  const distinct = new Map(batch.map((entry) => [entry.id, entry]));
  const writes = Array.from(distinct, ([id, entry]) => ({
    id,
    action: JSON.stringify({ create: { _id: id } }),
    document: dataStream ? `{"@timestamp":"${entry.event.time}",${entry.text.slice(1)}` : entry.text,
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
