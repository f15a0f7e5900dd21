import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { laneOptions } from '../../src/config/connectors.ts';
import { compileFilter, type FilterSettings } from '../../src/delivery/filter.ts';
import { entryOf } from '../../src/model/entry.ts';
import { type CanonicalEvent, type EventType, groupEvent } from '../../src/model/event.ts';
import { newGroup } from '../../src/model/group.ts';
import { madeEvent } from '../support/events.ts';

const change = madeEvent(1, { name: 'x' }, '@TGS#a/b');
const ofType = (type: EventType) => groupEvent(type, '1', 'id', { ...change.data, changed: {} });
const passes = (filter: FilterSettings, event: CanonicalEvent) => compileFilter(filter).matches(entryOf(1, event));

describe('a connector has only the events that its filter names', () => {
  test.each<[FilterSettings, boolean]>([
    [{}, true],
    [{ groupTypes: ['Private', 'Public'] }, true],
    [{ groupTypes: ['Private'] }, false],
    [{ changedFields: ['name', 'faceUrl'] }, true],
    [{ changedFields: ['faceUrl'] }, false],
    [{ types: ['chat.group.info.changed'] }, true],
    [{ types: ['chat.group.destroyed'] }, false],
    [{ groupTypes: ['Public'], changedFields: ['faceUrl'] }, false],
    [{ groupIds: ['@TGS#a/b'] }, true],
    [{ groupIds: ['x', '@TGS#*'] }, true],
    [{ groupIds: ['*'] }, true],
    [{ groupIds: ['@TGS#a?b'] }, true],
    [{ groupIds: ['@TGS#a'] }, false],
    [{ groupIds: ['TGS#a/b'] }, false],
    [{ groupIds: ['@TGS#[a]/b', '.*', '@TGS#(a|c)/b'] }, false],
  ])('%j: %s', (filter, wanted) => {
    expect(passes(filter, change)).toBe(wanted);
  });

  test('a type of groups has two names in the vendor’s pages, in whatever case', () => {
    const names = { Work: 'Private', work: 'Private', Meeting: 'ChatRoom', public: 'Public', Own: 'Own' };
    for (const [name, onTheWire] of Object.entries(names)) {
      const { filter } = laneOptions.parse({ filter: { groupTypes: [name] } });
      for (const groupType of [name, onTheWire]) {
        const event = { ...change, data: { ...change.data, groupType } };
        expect(passes(filter, event), `${name}, ${groupType}`).toBe(true);
        expect(compileFilter(filter).concerns({ ...newGroup('g'), groupType })).toBe(true);
      }
      expect(passes(filter, { ...change, data: { ...change.data, groupType: 'Community' } })).toBe(false);
    }
  });

  test('? is one character, also one beyond 16 bits; * also line ends', () => {
    const odd = madeEvent(1, {}, 'a🎉\nb');
    expect(passes({ groupIds: ['a?*'] }, odd)).toBe(true);
    expect(passes({ groupIds: ['a??b'] }, odd)).toBe(true);
    expect(passes({ groupIds: ['a?b'] }, odd)).toBe(false);
  });

  test('a glob means what the regular expression for it means', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '🎉'), maxLength: 8 });
    const glob = fc.string({ unit: fc.constantFrom('a', 'b', '🎉', '*', '?'), maxLength: 8 });
    fc.assert(
      fc.property(glob, text, (pattern, id) => {
        const source = pattern.replaceAll('*', '[\\s\\S]*').replaceAll('?', '[\\s\\S]');
        fc.pre(id !== '');
        expect(passes({ groupIds: [pattern] }, madeEvent(1, {}, id))).toBe(new RegExp(`^${source}$`, 'u').test(id));
      }),
    );
  });

  test('a pattern of many stars takes no longer than its length times that of the id', () => {
    const [short, long] = [64, 512].map((length) => {
      const filter = compileFilter({ groupIds: [`${'*a'.repeat(length / 2 - 1)}*b`] });
      const entry = entryOf(1, madeEvent(1, {}, 'a'.repeat(length)));
      const start = performance.now();
      for (let n = 0; n < 20; n++) expect(filter.matches(entry)).toBe(false);
      return performance.now() - start;
    });
    // Backtracking would take years.
    expect(Math.max(short ?? 0, long ?? 0)).toBeLessThan(1_000);
  });

  test('that a group was created or destroyed, or has a new owner, is no matter of fields', () => {
    const read = ofType('chat.group.info.read');
    expect(passes({ changedFields: ['faceUrl'] }, read)).toBe(false);
    expect(passes({ changedFields: ['faceUrl'] }, { ...read, data: { ...read.data, owner: 'o' } })).toBe(true);
    for (const type of ['chat.group.created', 'chat.group.destroyed', 'chat.group.owner.changed'] as const) {
      expect(passes({ changedFields: ['faceUrl'] }, ofType(type))).toBe(true);
    }
  });
});
