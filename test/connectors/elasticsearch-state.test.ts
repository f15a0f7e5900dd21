/** An index of groups takes the merged groups of the journal: the events are not looked into as long as nothing is refused. */
import { afterAll, describe, expect, test } from 'vitest';
import { deliver } from '../../src/delivery/deliver.ts';
import { compileFilter } from '../../src/delivery/filter.ts';
import { type Entry, lazyEntry } from '../../src/model/entry.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { type Group, merge, newGroup } from '../../src/model/group.ts';
import { madeEvent } from '../support/events.ts';
import { deleteIndices, documents, must, open, place, skip, skipped } from './elasticsearch.oracle.ts';
import { never } from './suite.ts';

afterAll(deleteIndices);

const headOf = ({ id, subject, data }: CanonicalEvent, seq = 1) => ({
  seq,
  id,
  groupId: subject,
  receivedAt: data.receivedAt,
});

/** An entry as the journal hands it over, but looking inside fails. */
function sealed(event: CanonicalEvent): Entry {
  return lazyEntry(headOf(event), () => {
    throw new Error(`${event.id} was looked into`);
  });
}

function journalOf(events: readonly CanonicalEvent[]): ReadonlyMap<string, Group> {
  const groups = new Map<string, Group>();
  for (const event of events)
    groups.set(event.subject, merge(groups.get(event.subject) ?? newGroup(event.subject), event));
  return groups;
}

describe('an entry', () => {
  const event = madeEvent(1, { name: 'a "name"', introduction: '' });
  const text = JSON.stringify(event);

  test('holds what was recorded, and its text is handed on as it is', () => {
    const entry = lazyEntry(headOf(event, 7), () => text);
    expect(entry.text).toBe(text);
    expect(entry.event).toEqual(event);
    expect([entry.seq, entry.id, entry.groupId, entry.receivedAt]).toEqual([
      7,
      event.id,
      event.subject,
      event.data.receivedAt,
    ]);
  });

  test('is fetched once, and only when somebody looks inside', () => {
    let fetched = 0;
    const entry = lazyEntry(headOf(event), () => {
      fetched++;
      return text;
    });
    expect([entry.id, entry.groupId, fetched]).toEqual([event.id, event.subject, 0]);
    expect([entry.event, entry.text, entry.event]).toEqual([event, text, event]);
    expect(fetched).toBe(1);
  });
});

describe.skipIf(skip !== '')(`merged groups are taken from the journal${skipped}`, () => {
  test('documents equal the journal’s groups, and each event is told apart: it stands, or a later one does', async () => {
    const { index, options } = place('groups');
    const events = Array.from({ length: 300 }, (_, n) => madeEvent(n, { name: `name ${n}` }, `@TGS#${n % 3}`));
    const groups = journalOf(events);
    const { sink, close } = await open(options);
    const all = compileFilter({});
    const outcomes = await deliver(sink, events.map(sealed), groups, all, never());
    expect(await documents(index)).toEqual(groups);
    const kinds = events.map(({ id }) => outcomes.get(id)?.kind);
    expect(kinds).toEqual([...Array(297).fill('superseded'), 'delivered', 'delivered', 'delivered']);
    // Once more: nothing is written.
    const again = await deliver(sink, events.map(sealed), groups, all, never());
    expect(new Set(Array.from(again.values(), ({ kind }) => kind))).toEqual(new Set(['superseded']));
    await close();
  });

  test('fields that the filter leaves out are not written, although the journal’s group holds them', async () => {
    const { index, options } = place('groups');
    const events = [madeEvent(1, { name: 'wanted' }), madeEvent(2, { introduction: 'left out' })];
    const groups = journalOf(events);
    const sink = await open(options, { group: (id) => groups.get(id), filter: { changedFields: ['name'] } });
    await sink.deliver(events.slice(0, 1), never());
    const document = (await documents(index)).get('@TGS#TEST');
    expect(document).toMatchObject({ name: 'wanted' });
    expect(document).not.toHaveProperty('introduction');
    expect(document?.versions).not.toHaveProperty('introduction');
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
    const sink = await open(options, { group: (id) => groups.get(id) });
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
