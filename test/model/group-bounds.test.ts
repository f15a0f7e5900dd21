/** What is sent of one group has a bound, and any order still ends in the same group. */
import { expect, test } from 'vitest';
import { type Group, join, merge, newGroup } from '../../src/model/group.ts';
import { madeEvent } from '../support/events.ts';

const MOST = 512 * 1_024;
const sizeOf = (group: Group): number => Buffer.byteLength(JSON.stringify(group));
const customOf = (from: number, count: number, value: string) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`key ${from + n}`, value]));

const CONTROL = '\u0001';
const events = [
  ...Array.from({ length: 8 }, (_, n) => madeEvent(n, { customFields: customOf(n * 30, 60, `${n}`.repeat(40)) })),
  ...['x', CONTROL, '東'].map((one, n) => madeEvent(20 + n, { customFields: customOf(n * 50, 90, one.repeat(600)) })),
  madeEvent(30, { customFields: { [CONTROL.repeat(100)]: 'a key too long', fine: CONTROL.repeat(4_096) } }),
  madeEvent(31, { name: 'x'.repeat(400_000), introduction: CONTROL.repeat(60_000), notification: 'y'.repeat(60_000) }),
  madeEvent(32, { customFields: { real: 'kept' }, name: 'a name' }),
];

test('whatever comes, the state is at most 512 KB, in any order, and the latest changes are in it', () => {
  const forward = events.reduce<Group>(merge, newGroup('g'));
  expect(events.toReversed().reduce<Group>(merge, newGroup('g'))).toEqual(forward);
  expect(sizeOf(forward)).toBeLessThan(MOST);
  expect(Object.keys(forward.customFields).length).toBeLessThanOrEqual(100);
  expect(Object.keys(forward.versions).filter((field) => field.startsWith('customFields.')).length).toBe(
    Object.keys(forward.customFields).length,
  );
  expect(forward).toMatchObject({ name: 'a name', notification: 'y'.repeat(60_000), customFields: { real: 'kept' } });
  const [one, other] = [events.slice(0, 9), events.slice(9)].map((some) => some.reduce<Group>(merge, newGroup('g')));
  expect(join(one as Group, other as Group)).toEqual(forward);
});

test('a state that is larger already, of an older journal or another writer, shrinks with the next change', () => {
  const many = Array.from({ length: 20_000 }, (_, n) => `key ${n}`);
  const old: Group = {
    ...newGroup('g'),
    customFields: Object.fromEntries(many.map((key) => [key, 'v'])),
    versions: Object.fromEntries(many.map((key, n) => [`customFields.${key}`, [n, 'e']])),
  };
  expect(sizeOf(merge(old, madeEvent(1, { name: 'an ordinary change' })))).toBeLessThan(MOST);
  expect(sizeOf(join(newGroup('g'), old))).toBeLessThan(MOST);
});

test('ten fields of 512 bytes are kept whole', () => {
  const customFields = customOf(0, 10, '東'.repeat(170));
  expect(merge(newGroup('g'), madeEvent(1, { customFields })).customFields).toEqual(customFields);
});

test('any order ends in the same custom fields, also where long ones were cleared', () => {
  const long = Array.from({ length: 60 }, (_, n) => madeEvent(n, { customFields: customOf(n, 1, 'x'.repeat(4_080)) }));
  const cleared = Array.from({ length: 60 }, (_, n) => madeEvent(100 + n, { customFields: customOf(59 - n, 1, '') }));
  for (const until of [1, 3, 10, 40, 60]) {
    const history = [...long, ...cleared.slice(0, until)];
    const forward = history.reduce<Group>(merge, newGroup('g'));
    expect(history.toReversed().reduce<Group>(merge, newGroup('g'))).toEqual(forward);
  }
});
