import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CanonicalEvent, type ChangedFields, type EventType, groupEvent } from '../../src/model/event.ts';
import { type Group, group, join, merge, newGroup } from '../../src/model/group.ts';
import { redelivered } from '../support/histories.ts';

interface Made {
  readonly type?: EventType;
  readonly operator?: string;
  readonly groupType?: string;
  readonly owner?: string;
}

function event(id: string, occurredAt: number, changed: ChangedFields = {}, made: Made = {}): CanonicalEvent {
  const { type = 'chat.group.info.changed', operator = 'someone', groupType = 'Public', owner } = made;
  return groupEvent(type, '1', id, {
    groupId: 'g',
    groupType,
    ...(type !== 'chat.group.destroyed' && { operator }),
    ...(owner !== undefined && { owner }),
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
      type: fc.constantFrom<EventType>(
        'chat.group.info.changed',
        'chat.group.info.changed',
        'chat.group.info.changed',
        'chat.group.created',
        'chat.group.destroyed',
        'chat.group.owner.changed',
        'chat.group.info.read',
      ),
      operator: fc.constantFrom('x', 'y'),
      groupType: fc.constantFrom('Public', 'Community'),
      owner: fc.constantFrom('tom', 'ann'),
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
    { minLength: 1, maxLength: 12 },
  )
  .map((made) =>
    made.map(({ at, changed, ...rest }, index) => {
      const { owner: _, ...withoutOwner } = rest;
      const tellsOwner = rest.type !== 'chat.group.info.changed';
      const tellsChanges = !['chat.group.destroyed', 'chat.group.owner.changed'].includes(rest.type);
      return event(`id${index}`, at, tellsChanges ? (changed as ChangedFields) : {}, tellsOwner ? rest : withoutOwner);
    }),
  );

/** The oracle: puts the events in order, then lets each overwrite what it tells. Shares nothing with merge. */
function oracle(events: readonly CanonicalEvent[]) {
  const order = (a: CanonicalEvent, b: CanonicalEvent) =>
    a.data.occurredAt - b.data.occurredAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
  let fields = new Map<string, unknown>();
  let custom = new Map<string, string>();
  let destroyed = false;
  for (const { type, data, time } of [...events].sort(order)) {
    if (type === 'chat.group.created') {
      fields = new Map();
      custom = new Map();
      destroyed = false;
    }
    if (type === 'chat.group.destroyed') destroyed = true;
    // The service itself says that it is there.
    if (type === 'chat.group.info.read') destroyed = false;
    const { customFields, ...profile } = data.changed;
    for (const [field, text] of Object.entries(profile)) fields.set(field, text);
    for (const [key, text] of Object.entries(customFields ?? {})) custom.set(key, text);
    if (type === 'chat.group.created' || type === 'chat.group.owner.changed' || type === 'chat.group.info.read')
      fields.set('owner', data.owner);
    if (data.operator !== undefined) fields.set('lastOperator', data.operator);
    fields.set('groupType', data.groupType).set('updatedAt', time);
  }
  const { source } = events[0] as CanonicalEvent;
  return { ...Object.fromEntries(fields), source, destroyed, customFields: Object.fromEntries(custom) };
}

const delivered = redelivered(history);

describe('a copy converges, whatever the order', () => {
  test('any order, any duplicates: the oracle’s group', () => {
    fc.assert(
      fc.property(delivered, ([events, shuffled]) => {
        const { versions, ...copy } = fold(shuffled);
        expect(copy).toEqual({ groupId: 'g', ...oracle(events) });
        expect(fold(events).versions).toEqual(versions);
      }),
      { numRuns: 2_000 },
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

  test('copies that saw different parts agree once each has seen all', () => {
    fc.assert(
      fc.property(history, fc.nat(), (events, cut) => {
        const [mine, theirs] = [events.slice(0, cut % events.length), events.slice(cut % events.length)];
        expect(theirs.reduce(merge, fold(mine))).toEqual(mine.reduce(merge, fold(theirs)));
      }),
    );
  });

  test('states merged from any parts, joined, are the state merged from all', () => {
    const parts = fc.tuple(history, fc.array(fc.boolean(), { minLength: 24, maxLength: 24 }));
    fc.assert(
      fc.property(parts, ([events, sides]) => {
        // Some events in both parts, some in one of them.
        const left = fold(events.filter((_, n) => sides[n * 2] || !sides[n * 2 + 1]));
        const right = fold(events.filter((_, n) => sides[n * 2 + 1]));
        const all = fold(events);
        expect(join(left, right)).toEqual(all);
        expect(join(right, left)).toEqual(all);
        expect(join(all, left)).toBe(all);
      }),
      { numRuns: 2_000 },
    );
  });

  test('a late change loses field by field, not as a whole', () => {
    const newer = event('b', 20, { name: 'new' }, { operator: 'second' });
    const late = event('a', 10, { name: 'old', notification: 'read me' }, { operator: 'first' });
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

describe('the life of a group', () => {
  const created = event('c', 10, { name: 'first' }, { type: 'chat.group.created', owner: 'tom' });
  const destroyed = event('d', 30, {}, { type: 'chat.group.destroyed', owner: 'tom' });
  const again = event('e', 50, { name: 'second' }, { type: 'chat.group.created', owner: 'ann' });

  test('a late change does not bring a destroyed group back', () => {
    const late = event('x', 40, { notification: 'anyone here?' });
    expect(fold([created, destroyed, late])).toMatchObject({ destroyed: true, notification: 'anyone here?' });
    expect(fold([late, destroyed, created]).destroyed).toBe(true);
  });

  test('a later creation with the same id does, and nothing of the former group is left', () => {
    const before = event('b', 20, { introduction: 'of the former', customFields: { k: 'v' } });
    for (const events of [
      [created, before, destroyed, again],
      [again, destroyed, before, created],
    ]) {
      const copy = fold(events);
      expect(copy).toMatchObject({ destroyed: false, name: 'second', owner: 'ann', customFields: {} });
      expect(copy).not.toHaveProperty('introduction');
    }
  });

  test('a destruction names the owner, and does not make him one', () => {
    const changed = event('b', 20, {}, { type: 'chat.group.owner.changed', owner: 'ann' });
    expect(fold([created, changed, destroyed]).owner).toBe('ann');
  });
});

describe('a document of somebody else’s', () => {
  const foreign = { ...newGroup('g'), name: 'theirs', introduction: 'theirs', tags: ['x'] };

  test('keeps its foreign fields; fields without a version lose to any event', () => {
    const merged = merge(foreign, event('a', 1, { name: 'ours' }));
    expect(merged).toMatchObject({ name: 'ours', introduction: 'theirs', tags: ['x'] });
  });

  test('keeps its foreign fields also when its group is created anew', () => {
    const merged = merge(foreign, event('a', 1, { name: 'ours' }, { type: 'chat.group.created' }));
    expect(merged).toMatchObject({ name: 'ours', tags: ['x'] });
    expect(merged).not.toHaveProperty('introduction');
  });
});
