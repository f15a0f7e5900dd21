import { describe, expect, test } from 'vitest';
import { fieldHistories } from '../../src/admin/console/field-history.ts';
import type { JournalEntry } from '../../src/journal/reads.ts';
import type { CanonicalEvent, ChangedFields, EventType } from '../../src/model/event.ts';
import { type Group, merge, newGroup } from '../../src/model/group.ts';
import { madeEvent } from '../support/events.ts';

/** An event of `second`, in the order in which it was recorded. */
function event(second: number, changed: ChangedFields, type: EventType = 'chat.group.info.changed'): CanonicalEvent {
  return { ...madeEvent(second, changed), type };
}

/** The history of one field, from the events recorded in this order, of which the first `pruned` are no longer there. */
function historyOfField(field: string, events: readonly CanonicalEvent[], pruned = 0) {
  const group = events.reduce<Group>(merge, newGroup('@TGS#TEST'));
  const entries: JournalEntry[] = events.map((event, index) => ({ seq: index + 1, event }));
  const history = fieldHistories(group, entries.slice(pruned).reverse()).find((found) => found.field === field);
  return {
    value: history?.value,
    changes: history?.changes.map(({ seq, before, after, supersededBy }) => [
      seq,
      before,
      after,
      supersededBy === undefined ? 'won' : supersededBy[0] - 1_700_000_000_000,
    ]),
  };
}

describe('the history of a field, worked out from the events of its group', () => {
  test('before and after of each change, newest first', () => {
    const events = [
      event(1, { name: 'a' }),
      event(2, { notification: 'n' }),
      event(3, { name: 'b' }),
      event(4, { name: '' }),
    ];
    expect(historyOfField('name', events)).toEqual({
      value: '',
      changes: [
        [4, 'b', '', 'won'],
        [3, 'a', 'b', 'won'],
        [1, undefined, 'a', 'won'],
      ],
    });
    expect(historyOfField('faceUrl', events)).toEqual({ value: undefined, changes: [] });
  });

  test('a change that came late took no effect: the one that stands is named', () => {
    const events = [event(10, { name: 'new' }), event(5, { name: 'late' }), event(12, { name: 'newest' })];
    expect(historyOfField('name', events).changes).toEqual([
      [3, 'new', 'newest', 'won'],
      [2, 'new', 'late', 10],
      [1, undefined, 'new', 'won'],
    ]);
  });

  test('late by an event that is pruned meanwhile is late all the same', () => {
    const events = [event(10, { name: 'pruned' }), event(5, { name: 'late' })];
    expect(historyOfField('name', events, 1)).toEqual({ value: 'pruned', changes: [[2, 'pruned', 'late', 10]] });
    const renamed = [event(1, { name: 'pruned' }), event(5, { name: 'a' }), event(6, { name: 'b' })];
    expect(historyOfField('name', renamed, 1).changes).toEqual([
      [3, 'a', 'b', 'won'],
      [2, undefined, 'a', 'won'],
    ]);
  });

  test('custom fields each have their own', () => {
    const events = [event(1, { customFields: { a: '1', b: '1' } }), event(2, { customFields: { a: '2' } })];
    expect(historyOfField('customFields.a', events).changes).toEqual([
      [2, '1', '2', 'won'],
      [1, undefined, '1', 'won'],
    ]);
    expect(historyOfField('customFields.b', events).changes).toHaveLength(1);
  });

  test('a creation begins anew: what is older than it is late, whatever field it is', () => {
    const events = [
      event(1, { name: 'old', introduction: 'of the former group' }),
      event(5, {}, 'chat.group.destroyed'),
      event(9, { name: 'born again' }, 'chat.group.created'),
      event(3, { introduction: 'too late' }),
    ];
    expect(historyOfField('introduction', events)).toEqual({
      value: undefined,
      changes: [
        [4, undefined, 'too late', 9],
        [1, undefined, 'of the former group', 'won'],
      ],
    });
    expect(historyOfField('destroyed', events).changes).toEqual([
      [3, 'true', 'false', 'won'],
      [2, undefined, 'true', 'won'],
    ]);
  });

  test('what each event carries along is told only where it changed', () => {
    const events = [event(1, { name: 'a' }), event(2, { name: 'b' })];
    expect(historyOfField('groupType', events).changes).toEqual([[1, undefined, 'Public', 'won']]);
  });
});
