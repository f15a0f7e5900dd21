/** Gives a connector its configured shape: a sink of events receives them as they are to be written. */
import { z } from 'zod';
import type { Entry } from '../src/model/entry.ts';
import type { Outcome } from '../src/model/outcome.ts';
import { compileShape, shapeSettings } from '../src/model/shape.ts';
import type { EventSink, Holds, Host } from './contract.ts';
import { createTransform, type MakeTexts } from './transform.ts';

const given = z.looseObject({ shape: shapeSettings.optional() });

/** Returns what the option `shape` asks for; undefined without it. `texts` is for events only. */
export function shapingOf(options: unknown, holds: Holds, { name, source }: Pick<Host, 'name' | 'source'>) {
  const { shape: settings } = given.parse(options);
  if (settings === undefined) return undefined;
  const shape = compileShape(settings, holds, source);
  const { transform: file, transformMs: ms } = settings;
  const texts: MakeTexts =
    file === undefined
      ? async (events) => events.map(({ text }) => ({ text: JSON.stringify(shape.out(JSON.parse(text))) }))
      : createTransform({ file, ms, path: `connectors.${name}.shape.transform` });
  return { shape, texts, transform: file !== undefined };
}

/** Returns the sink with each event in its shape; an event that cannot be shaped is a dead letter. */
export function shapedSink(sink: EventSink, texts: MakeTexts): EventSink {
  return {
    ...sink,
    async deliver(batch, signal) {
      const outcomes = new Map<string, Outcome>();
      const entries: Entry[] = [];
      const made = await texts(batch);
      for (const [index, entry] of batch.entries()) {
        const one = made[index];
        if (one === undefined) continue;
        if ('text' in one) entries.push(withText(entry, one.text));
        else outcomes.set(entry.id, { kind: 'dead', fault: one.fault });
      }
      const delivered = entries.length === 0 ? [] : await sink.deliver(entries, signal);
      return new Map([...outcomes, ...delivered]);
    },
  };
}

/** The event itself is unchanged: only its text is another. */
function withText(entry: Entry, text: string): Entry {
  const { seq, id, groupId, receivedAt } = entry;
  return {
    ...{ seq, id, groupId, receivedAt, text },
    get event() {
      return entry.event;
    },
  };
}
