/** A merged index takes the journal's own merged groups where all events of a group reach it: the events are not looked into. */
import { afterAll, describe, expect, test } from 'vitest';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { type Group, merge, newGroup } from '../../src/model/group.ts';
import { recordedEvent, textOf } from '../../src/model/recorded.ts';
import { madeEvent } from '../support/events.ts';
import { deleteIndices, documents, must, open, place, skip, skipped } from './elasticsearch.oracle.ts';
import { never, testHost } from './suite.ts';

afterAll(deleteIndices);

/** As the journal hands it over, but looking inside fails. */
function sealed({ id, subject }: CanonicalEvent): CanonicalEvent {
  return recordedEvent(id, subject, () => {
    throw new Error(`${id} was looked into`);
  });
}

function journalOf(events: readonly CanonicalEvent[]): ReadonlyMap<string, Group> {
  const groups = new Map<string, Group>();
  for (const event of events)
    groups.set(event.subject, merge(groups.get(event.subject) ?? newGroup(event.subject), event));
  return groups;
}

describe('an event as it was recorded', () => {
  const event = madeEvent(1, { name: 'a "name"', introduction: '' });

  test('holds what was recorded, and its text is handed on as it is', () => {
    const text = JSON.stringify(event);
    const recorded = recordedEvent(event.id, event.subject, text);
    expect(textOf(recorded)).toBe(text);
    expect(JSON.stringify(recorded)).toBe(text);
    for (const key of Object.keys(event) as (keyof CanonicalEvent)[]) expect(recorded[key]).toEqual(event[key]);
    expect(textOf(event)).toBe(text);
  });

  test('is fetched once, and only when somebody looks inside', () => {
    let fetched = 0;
    const recorded = recordedEvent(event.id, event.subject, () => {
      fetched++;
      return JSON.stringify(event);
    });
    expect([recorded.id, recorded.subject, fetched]).toEqual([event.id, event.subject, 0]);
    expect([recorded.data, recorded.time, textOf(recorded)]).toEqual([event.data, event.time, JSON.stringify(event)]);
    expect(fetched).toBe(1);
  });
});

describe.skipIf(skip !== '')(`merged groups are taken from the journal${skipped}`, () => {
  test('documents equal the journal’s groups, and each event is told apart: it stands, or a later one does', async () => {
    const { index, options } = place('groups');
    const events = Array.from({ length: 300 }, (_, n) => madeEvent(n, { name: `name ${n}` }, `@TGS#${n % 3}`));
    const groups = journalOf(events);
    const sink = await open(
      options,
      testHost((id) => groups.get(id)),
    );
    expect(sink.folds).toBe(true);
    const outcomes = await sink.deliver(events.map(sealed), never());
    expect(await documents(index)).toEqual(groups);
    const kinds = events.map(({ id }) => outcomes.get(id)?.kind);
    expect(kinds).toEqual([...Array(297).fill('superseded'), 'delivered', 'delivered', 'delivered']);
    // Once more: nothing is written.
    const again = await sink.deliver(events.map(sealed), never());
    expect(new Set(Array.from(again.values(), ({ kind }) => kind))).toEqual(new Set(['superseded']));
    await sink.close();
  });

  test('behind a filter only the events that come count: the journal’s group holds more', async () => {
    const { index, options } = place('groups');
    const events = [madeEvent(1, { name: 'wanted' }), madeEvent(2, { introduction: 'held back' })];
    const groups = journalOf(events);
    const sink = await open(options, { ...testHost((id) => groups.get(id)), unfiltered: false });
    expect(sink.folds).toBe(false);
    // Of a group whose document was deleted the journal is asked all the same.
    expect(sink.merged).toBe(true);
    await sink.deliver(events.slice(0, 1), never());
    const document = (await documents(index)).get('@TGS#TEST');
    expect(document).toMatchObject({ name: 'wanted' });
    expect(document).not.toHaveProperty('introduction');
    await sink.close();
  });

  test('when the index refuses the group, the event that is to blame is found, and the others are delivered', async () => {
    const { index, options } = place('groups');
    await must('PUT', `/${index}`, { mappings: { dynamic: false, properties: { name: { type: 'date' } } } });
    const events = [
      madeEvent(1, { introduction: 'one' }),
      madeEvent(2, { name: 'no date' }),
      madeEvent(3, { notification: 'three' }),
    ];
    const groups = journalOf(events);
    const sink = await open(
      options,
      testHost((id) => groups.get(id)),
    );
    const outcomes = await sink.deliver(events, never());
    expect(events.map(({ id }) => outcomes.get(id)?.kind)).toEqual(['delivered', 'dead', 'delivered']);
    // The poison stays in the journal's group; a later event is delivered all the same.
    const later = madeEvent(4, { introduction: 'four' });
    const next = await sink.deliver([later], never());
    expect(next.get(later.id)?.kind).toBe('delivered');
    expect((await documents(index)).get('@TGS#TEST')).toMatchObject({ introduction: 'four', notification: 'three' });
    await sink.close();
  });
});
