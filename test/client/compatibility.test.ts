/** Every message ever written stays readable, and present readers can read every message to come. */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { receivedEvent } from '../../src/client/event.ts';
import { createGroupView, type GroupEvent, parseEvent, parseGroup } from '../../src/client/index.ts';
import { type CanonicalEvent, canonicalEvent, DATA_SCHEMAS } from '../../src/model/event.ts';
import { group } from '../../src/model/group.ts';
import { bare, breaks, type JsonSchema } from './schema-changes.ts';

interface Fixture {
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly value: string | null;
  /** The event, in a topic with `content: events`. */
  readonly event?: GroupEvent;
  /** The group, in a topic with `content: groups`. */
  readonly groupId?: string;
  readonly group?: unknown;
}

const fixtures = globSync('test/fixtures/events/v*/*.json')
  .sort()
  .map((file) => ({ name: basename(file, '.json'), ...(JSON.parse(readFileSync(file, 'utf8')) as Fixture) }));
const events = fixtures.flatMap(({ event, ...message }) => (event === undefined ? [] : [{ ...message, event }]));
const states = fixtures.flatMap(({ groupId, group, ...message }) => (groupId ? [{ ...message, groupId, group }] : []));

describe('each message of a released version is read for ever', () => {
  test.each(events)('$name', ({ key, headers, value, event }) => {
    expect(parseEvent({ key: Buffer.from(key), headers, value: Buffer.from(value ?? '') })).toEqual({
      ok: true,
      event,
    });
  });

  test.each(states)('$name', ({ key, value, groupId, group }) => {
    const message = { key: Buffer.from(key), value: value === null ? null : Buffer.from(value) };
    expect(parseGroup(message)).toEqual({ ok: true, groupId, group });
  });

  test('they are of every type, in both formats, and merge', () => {
    const view = createGroupView();
    for (const { event } of events) view.apply(event);
    const merged = JSON.parse(readFileSync('test/fixtures/events/v1-merged.json', 'utf8'));
    expect(Object.fromEntries(view.entries())).toEqual(merged);
    for (const type of Object.keys(DATA_SCHEMAS)) {
      const names = events.filter(({ event }) => event.type === type).map(({ name }) => name);
      for (const kind of ['minimal.structured', 'minimal.binary', 'full.structured', 'full.binary'])
        expect(
          names.some((name) => name.endsWith(kind)),
          `${type}: ${kind}`,
        ).toBe(true);
    }
  });
});

/** The promises of version 1, as last released. */
const promises = {
  'event-1': z.toJSONSchema(receivedEvent),
  'group-1': z.toJSONSchema(group),
};

describe('a version only grows', () => {
  test.each(Object.entries(promises))(
    '%s (UPDATE_SCHEMAS=1 npm test -- test/client/compatibility.test.ts takes in what is new)',
    (name, now) => {
      const file = `test/fixtures/schemas/${name}.json`;
      const released = JSON.parse(readFileSync(file, 'utf8')) as JsonSchema;
      expect(breaks(released, now), `${name} needs a new version: see docs/compatibility.md`).toEqual([]);
      if (process.env.UPDATE_SCHEMAS === '1') writeFileSync(file, `${JSON.stringify(bare(now), null, 2)}\n`);
      // A field that is not in the file could be removed again unnoticed.
      expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(bare(now));
    },
  );

  test('whatever the bridge may write, a reader takes', () => {
    const written = z.toJSONSchema(canonicalEvent);
    const read = z.toJSONSchema(receivedEvent);
    expect(written.required).toEqual(read.required);
    expect(events.map(({ event }) => canonicalEvent.parse(event))).toEqual(
      events.map(({ event }) => event as CanonicalEvent),
    );
  });
});

describe('a change that breaks readers is seen', () => {
  const released: JsonSchema = z.toJSONSchema(receivedEvent);
  const property = (schema: JsonSchema, name: string) => schema.properties?.[name] as JsonSchema;
  const { required = [] } = property(released, 'data');
  const operator = property(property(released, 'data'), 'operator');
  const types = property(released, 'type').enum ?? [];

  /** The schema with other values at these pointers; undefined takes one away. */
  function changed(values: Readonly<Record<string, unknown>>): JsonSchema {
    const copy = structuredClone(released) as Record<string, unknown>;
    for (const [pointer, value] of Object.entries(values)) {
      const path = pointer.split('/');
      const last = path.pop() ?? '';
      const parent = path.reduce((node, key) => node[key] as Record<string, unknown>, copy);
      if (value === undefined) delete parent[last];
      else parent[last] = value;
    }
    return copy;
  }

  const data = 'properties/data';
  test.each<[string, Readonly<Record<string, unknown>>, string[]]>([
    ['nothing', {}, []],
    ['a description', { description: 'x' }, []],
    ['a field that may be absent', { [`${data}/properties/muted`]: { type: 'boolean' } }, []],
    ['another type of event', { 'properties/type/enum': [...types, 'chat.group.x'] }, []],
    ['a field removed', { [`${data}/properties/operator`]: undefined }, ['data.operator is gone']],
    [
      'a field renamed',
      { [`${data}/properties/operator`]: undefined, [`${data}/properties/actor`]: operator },
      ['data.operator is gone'],
    ],
    [
      'a field of another type',
      { [`${data}/properties/groupType/type`]: 'integer' },
      ['data.groupType: type was "string" and is "integer"'],
    ],
    [
      'a field narrowed',
      { [`${data}/properties/groupType/maxLength`]: 10 },
      ['data.groupType: maxLength was undefined and is 10'],
    ],
    [
      'a field widened',
      { [`${data}/properties/groupId/minLength`]: undefined },
      ['data.groupId: minLength was 1 and is undefined'],
    ],
    [
      'a field narrowed to some values',
      { [`${data}/properties/groupType/enum`]: ['Public'] },
      ['data.groupType: "Public" is new to readers'],
    ],
    [
      'a field that must be there now',
      { [`${data}/required`]: [...required, 'operator'] },
      ['data: operator must be there now'],
    ],
    [
      'a field that need no longer be there',
      { [`${data}/required`]: required.filter((name) => name !== 'receivedAt') },
      ['data: receivedAt need no longer be there'],
    ],
    [
      'a type of event removed',
      { 'properties/type/enum': types.slice(1) },
      ['type: "chat.group.info.changed" is gone'],
    ],
    [
      'closed to what comes later',
      { [`${data}/additionalProperties`]: false },
      ['data: other properties were {} and are false'],
    ],
    [
      'custom fields that are no texts',
      { [`${data}/properties/changed/properties/customFields/additionalProperties/type`]: 'number' },
      ['data.changed.customFields.*: type was "string" and is "number"'],
    ],
  ])('%s', (_, values, found) => {
    expect(breaks(released, changed(values))).toEqual(found);
  });
});
