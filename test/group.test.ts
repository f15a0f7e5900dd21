import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CanonicalEvent, type ChangedFields, infoChanged } from '../src/canon/event.ts';
import { type Group, group, merge, newGroup } from '../src/canon/group.ts';

function event(
  id: string,
  occurredAt: number,
  changed: ChangedFields,
  operator = 'someone',
  groupType = 'Public',
): CanonicalEvent {
  return infoChanged('1', id, {
    groupId: 'g',
    groupType,
    operator,
    changed,
    occurredAt,
    occurredAtFrom: 'callback',
    receivedAt: occurredAt,
    origin: {},
    extra: {},
  });
}

const fold = (events: readonly CanonicalEvent[]): Group => events.reduce(merge, newGroup('g'));

/** Few times and ids, so that ties and duplicates are common; a tie of both is the same event. */
const value = fc.constantFrom('', 'a', 'b', 'c');
const history = fc
  .array(
    fc.record({
      at: fc.integer({ min: 0, max: 4 }),
      operator: fc.constantFrom('x', 'y'),
      groupType: fc.constantFrom('Public', 'Community'),
      changed: fc.record(
        {
          name: value,
          introduction: value,
          notification: value,
          faceUrl: value,
          customFields: fc.dictionary(fc.constantFrom('k', 'l', '__proto__'), value),
        },
        { requiredKeys: [] },
      ),
    }),
    { maxLength: 12 },
  )
  .map((made) =>
    made.map(({ at, operator, groupType, changed }, index) =>
      event(`id${index}`, at, changed as ChangedFields, operator, groupType),
    ),
  );

/** The oracle: sorts, then lets each event overwrite. Shares nothing with merge. */
function oracle(events: readonly CanonicalEvent[]) {
  const sorted = [...events].sort(
    (a, b) => a.data.occurredAt - b.data.occurredAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
  );
  const fields = new Map<string, unknown>();
  const custom = new Map<string, string>();
  for (const { data, time } of sorted) {
    const { customFields, ...profile } = data.changed;
    for (const [field, text] of Object.entries(profile)) fields.set(field, text);
    for (const [key, text] of Object.entries(customFields ?? {})) custom.set(key, text);
    fields.set('groupType', data.groupType).set('lastOperator', data.operator).set('updatedAt', time);
  }
  return { ...Object.fromEntries(fields), customFields: Object.fromEntries(custom) };
}

describe('a copy converges, whatever the order', () => {
  test('any order, any duplicates: the oracle’s group', () => {
    const shuffled = history.chain((events) =>
      fc
        .tuple(
          fc.constant(events),
          fc.array(fc.constantFrom(...(events.length > 0 ? events : [event('id0', 0, {})])), { maxLength: 8 }),
        )
        .chain(([all, again]) =>
          fc.tuple(fc.constant(all), fc.shuffledSubarray([...all, ...again], { minLength: all.length + again.length })),
        ),
    );
    fc.assert(
      fc.property(shuffled, ([events, delivered]) => {
        fc.pre(events.length > 0);
        const { versions, ...copy } = fold(delivered);
        expect(copy).toEqual({ groupId: 'g', destroyed: false, ...oracle(events) });
        expect(fold(events).versions).toEqual(versions);
      }),
      { numRuns: 500 },
    );
  });

  test('an event that was merged already changes nothing, not even the object', () => {
    fc.assert(
      fc.property(history, (events) => {
        const merged = fold(events);
        for (const again of events) expect(merge(merged, again)).toBe(merged);
      }),
    );
  });

  test('a late change loses field by field, not as a whole', () => {
    const newer = event('b', 20, { name: 'new' }, 'second');
    const late = event('a', 10, { name: 'old', notification: 'read me' }, 'first');
    expect(fold([newer, late])).toMatchObject({ name: 'new', notification: 'read me', lastOperator: 'second' });
  });

  test('on a tie of times the higher id wins', () => {
    const [low, high] = [event('a', 10, { name: 'low' }), event('b', 10, { name: 'high' })];
    expect(fold([low, high]).name).toBe('high');
    expect(fold([high, low]).name).toBe('high');
  });

  test('a cleared field is "", a field no event has set is absent', () => {
    const copy = fold([event('a', 1, { name: 'x' }), event('b', 2, { name: '' })]);
    expect(copy.name).toBe('');
    expect('notification' in copy).toBe(false);
  });

  test('the group is valid by its own schema', () => {
    fc.assert(fc.property(history, (events) => void group.parse(fold(events))));
  });
});

describe('a document of somebody else’s', () => {
  test('keeps its foreign fields; fields without a version lose to any event', () => {
    const foreign = { ...newGroup('g'), name: 'theirs', introduction: 'theirs', tags: ['x'] };
    const merged = merge(foreign, event('a', 1, { name: 'ours' }));
    expect(merged).toMatchObject({ name: 'ours', introduction: 'theirs', tags: ['x'] });
  });
});
