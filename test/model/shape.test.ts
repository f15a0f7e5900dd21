import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseEvent, receivedEvent } from '../../src/client/event.ts';
import { type CanonicalEvent, EVENT_TYPES, type EventData, groupEvent } from '../../src/model/event.ts';
import { type Group, group, merge, newGroup } from '../../src/model/group.ts';
import { compileShape, type ShapeSettings, shapeProblems, shapeSettings } from '../../src/model/shape.ts';
import { shapedSchema } from '../../src/model/shape-schema.ts';
import { mayBe, namingOf, namingProblem } from '../../src/model/template.ts';

/** As it is once it was sent: without a negative zero. */
const json = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const text = fc.constantFrom('', 'a', 'Zoë', '{}', '1');
const keys = fc.constantFrom('k', 'l', 'a.b', 'name', '__proto__');
const optional = <T>(record: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(record, { requiredKeys: [] });

const event = fc
  .record({
    id: fc.uuid(),
    type: fc.constantFrom(...EVENT_TYPES),
    at: fc.integer({ min: 0, max: 4_000_000_000_000 }),
    changed: optional({
      name: text,
      introduction: text,
      notification: text,
      faceUrl: text,
      customFields: fc.dictionary(keys, text),
    }),
    more: optional({ operator: text, owner: text, previousOwner: text, omitted: fc.array(text) }),
    origin: optional({ platform: text, clientIp: text, requestId: text }),
    extra: fc.dictionary(fc.string(), fc.jsonValue().map(json), { maxKeys: 2 }),
    groupType: fc.constantFrom('', 'Public', 'Community'),
  })
  .map(({ id, type, at, more, ...data }): CanonicalEvent => {
    const moments = { occurredAt: at, occurredAtFrom: 'callback', receivedAt: at + 1 } as const;
    return groupEvent(type, '1', id, { groupId: 'g', ...data, ...more, ...moments } as EventData);
  });
const history = fc.array(event, { minLength: 1, maxLength: 5 });
const groupOf = (events: readonly CanonicalEvent[]): Group => events.reduce(merge, newGroup('g'));

/** Few names, so that many of these shapes would lose something: it is for the check to tell which. */
const path = fc
  .array(fc.constantFrom('a', 'b', 'name', 'owner', 'data', 'customFields', 'versions'), { minLength: 1, maxLength: 3 })
  .map((names) => names.join('.'));
const anyShape = (names: readonly string[]) =>
  fc
    .record({
      fields: fc.dictionary(fc.constantFrom(...names, 'customFields.k', 'customFields.a.b'), path, { maxKeys: 4 }),
      omit: fc.uniqueArray(fc.constantFrom(...names, 'customFields.l'), { maxLength: 2 }),
      constants: fc.dictionary(path, fc.constantFrom('x', 1, true), { maxKeys: 1 }),
      times: fc.constantFrom('iso', 'epochMillis', 'epochSeconds', undefined),
      versions: fc.option(path, { nil: undefined }),
    })
    .map((given) => shapeSettings.parse(given));

const GROUP_FIELDS = ['groupId', 'source', 'name', 'notification', 'owner', 'updatedAt', 'destroyed', 'customFields'];
const EVENT_FIELDS = ['data', 'changed', 'name', 'customFields', 'extra', 'origin', 'time', 'occurredAt', 'id'];

const valid = (content: 'events' | 'groups') => (settings: ShapeSettings) =>
  shapeProblems(settings, content).length === 0;

describe('what was put into a shape comes back out of it', () => {
  test('any event through any shape that the check lets pass gives the group again', () => {
    const shapes = anyShape(EVENT_FIELDS).filter(({ omit, times }) => omit.length === 0 && times !== 'epochSeconds');
    fc.assert(
      fc.property(shapes.filter(valid('events')), history, (settings, events) => {
        const { out, back } = compileShape(settings, 'events');
        const returned = events.map((one) => back(json(out(one))) as CanonicalEvent);
        expect(returned).toEqual(events);
        expect(groupOf(returned)).toEqual(groupOf(events));
      }),
      { numRuns: 150 },
    );
  });

  test('any group through any shape that the check lets pass is the group, but for what is left out', () => {
    fc.assert(
      fc.property(anyShape(GROUP_FIELDS).filter(valid('groups')), history, (settings, events) => {
        const { out, back, project } = compileShape(settings, 'groups');
        const { source, ...state } = project(groupOf(events));
        const kept = settings.omit.includes('source') ? {} : { source };
        const shaped = json(out({ ...state, source }));
        expect({ customFields: {}, ...back(shaped), groupId: 'g' }).toEqual({ ...state, ...kept });
      }),
      { numRuns: 150 },
    );
  });

  test.each([{}, { constants: { tenant: 'acme' } }, { key: '{source}/{groupId}' }, { fields: { name: 'title' } }])(
    'an event that says nothing of the group is still one for readers: %j',
    (given) => {
      const data = { groupId: 'g', groupType: '', changed: {}, occurredAt: 1, receivedAt: 1, origin: {}, extra: {} };
      const destroyed = groupEvent('chat.group.destroyed', '1', 'id', { ...data, occurredAtFrom: 'callback' });
      const shaped = compileShape(shapeSettings.parse(given), 'events').out(destroyed);
      expect(parseEvent({ value: JSON.stringify(shaped) })).toMatchObject({ ok: true, event: destroyed });
    },
  );

  test('fields of others stay as they are, and what a group lost goes', () => {
    const settings = shapeSettings.parse({ fields: { notification: 'notice.text', name: 'group_name' } });
    const { out } = compileShape(settings, 'groups');
    const held = { group_name: 'old', 'notice.lang': 'en', notice: { text: 'hello', by: 'them' }, rank: 7 };
    expect(out({ groupId: 'g', name: 'new' }, held)).toEqual({
      ...{ groupId: 'g', group_name: 'new', 'notice.lang': 'en', notice: { by: 'them' }, rank: 7 },
    });
  });

  test('a path that others wrote as one name is read and written there', () => {
    const { out, back } = compileShape(shapeSettings.parse({ fields: { notification: 'notice.text' } }), 'groups');
    const held = { 'notice.text': 'hello' };
    expect(back(held)).toEqual({ notification: 'hello' });
    expect(out({ notification: 'bye' }, held)).toEqual({ 'notice.text': 'bye' });
  });
});

describe('the check says which shapes would lose something', () => {
  test.each([
    ['groups', { fields: { name: 'owner' } }, 'fields.name', /owner is there/],
    ['groups', { fields: { name: 'title', owner: 'title.by' } }, 'fields.owner', /name is at title/],
    ['groups', { fields: { name: 'customFields.name' } }, 'fields.name', /customFields is at/],
    ['groups', { constants: { name: 'x' } }, 'constants.name', /name is there/],
    ['groups', { omit: ['versions'] }, 'omit.0', /merged by it/],
    ['groups', { omit: ['nmae'] }, 'omit.0', /unknown field of a group/],
    ['groups', { fields: { operator: 'who' } }, 'fields.operator', /unknown field of a group/],
    ['groups', { omit: ['name'], fields: { name: 'title' } }, 'omit.0', /one of the two/],
    ['groups', { versions: 'name' }, 'versions', /name is there/],
    ['groups', { transform: './shape.mjs' }, 'transform', /read back/],
    ['groups', { id: 'tim' }, 'id', /\{groupId\} must appear/],
    ['groups', { id: '{groupId}{source}' }, 'id', /between two words/],
    ['events', { id: '{groupId}' }, 'id', /\{groupId\} is not allowed/],
    ['events', { key: '{id}' }, 'key', /\{id\} is not allowed/],
    ['events', { versions: '_sync' }, 'versions', /no versions/],
    ['events', { transform: './shape.mjs', omit: ['extra'] }, 'transform', /leave out/],
  ] as const)('%s, %j: %s', (content, given, where, says) => {
    const problems = shapeProblems(shapeSettings.parse(given), content);
    expect(problems.map(({ path, message }) => [path.join('.'), message])).toEqual([
      [where, expect.stringMatching(says)],
    ]);
  });

  test('names made by a template are told apart and read back', () => {
    fc.assert(
      fc.property(fc.constantFrom('tim-{groupId}', '{source}/{groupId}', '{groupId}!'), fc.string(), (template, id) => {
        expect(namingProblem(template, 'groupId')).toBeUndefined();
        const naming = namingOf(template, 'groupId', 'urn:$1');
        expect(naming.back(naming.of(id))).toBe(id);
      }),
    );
    expect(namingOf('tim-{groupId}', 'groupId', '').back('other')).toBeUndefined();
    expect(mayBe('chat.{groupType}.events', 'chat.Public.events')).toBe(true);
    expect(mayBe('chat.{groupType}.events', 'chatxPublic.events')).toBe(false);
  });
});

test('the schema of what comes out: fields where they lie, required as they were, constants and moments as written', () => {
  const settings = shapeSettings.parse({
    fields: { name: 'room.title', groupId: 'room.id', 'customFields.color': 'colour' },
    omit: ['introduction'],
    constants: { tenant: 'acme' },
    times: 'epochMillis',
    versions: '_sync',
  });
  const schema = shapedSchema(z.toJSONSchema(group), compileShape(settings, 'groups'));
  expect(schema).toMatchObject({
    type: 'object',
    required: expect.arrayContaining(['room', 'destroyed', '_sync', 'tenant']),
    properties: {
      room: { type: 'object', properties: { title: { type: 'string' }, id: { type: 'string' } }, required: ['id'] },
      colour: { type: 'string' },
      updatedAt: { type: 'integer' },
      tenant: { const: 'acme' },
      _sync: { type: 'object' },
    },
  });
  expect(schema.properties).not.toHaveProperty('introduction');
  expect(schema.properties).not.toHaveProperty('name');
});

test.each([
  ['events', receivedEvent, EVENT_FIELDS, event],
  ['groups', group, GROUP_FIELDS, history.map(groupOf)],
] as const)('whatever comes out of a shape of %s is as its schema says', (content, plain, names, documents) => {
  fc.assert(
    fc.property(anyShape(names).filter(valid(content)), documents, (settings, document) => {
      const shape = compileShape(settings, content);
      const schema = shapedSchema(z.toJSONSchema(plain), shape);
      const shaped = json(shape.out(json(document as never)));
      expect(z.fromJSONSchema(schema as never).safeParse(shaped).error).toBeUndefined();
    }),
    { numRuns: 50 },
  );
});
