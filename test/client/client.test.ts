import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toGroupMessage, toMessage } from '../../connectors/kafka/message.ts';
import {
  createGroupView,
  type GroupEvent,
  type IncomingMessage,
  type MessageFault,
  parseEvent,
  parseGroup,
} from '../../src/client/index.ts';
import { entryOf } from '../../src/model/entry.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { type Group, newGroup } from '../../src/model/group.ts';
import { madeEvent } from '../support/events.ts';
import { delivered, history, mergedGroups } from '../support/histories.ts';

const FORMATS = ['structured', 'binary'] as const;

/** Returns a message in the form of kafkajs, with bytes everywhere. */
function received({ key, value, headers }: ReturnType<typeof toMessage>): IncomingMessage {
  const bytes = Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)]);
  return { key: Buffer.from(key), value, headers: Object.fromEntries(bytes) };
}

function read(message: IncomingMessage): GroupEvent {
  const parsed = parseEvent(message);
  if (!parsed.ok) throw new Error(parsed.fault.message);
  return parsed.event;
}

function faultOf(message: IncomingMessage): MessageFault | undefined {
  const parsed = parseEvent(message);
  return parsed.ok ? undefined : parsed.fault;
}

const structured = (event: unknown): IncomingMessage => ({ key: 'g', value: JSON.stringify(event) });
const changedTo = (changes: Record<string, unknown>) => ({ ...madeEvent(1), ...changes });

describe('an event is read as it was written', () => {
  test.each(FORMATS)('%s', (format) => {
    fc.assert(
      fc.property(history, (events) => {
        for (const event of events) expect(read(received(toMessage(entryOf(1, event), format)))).toEqual(event);
      }),
    );
  });

  test('whatever form key, value and headers come in', () => {
    const event = madeEvent(1);
    const { key, value, headers } = toMessage(entryOf(1, event), 'binary');
    const text = String(value);
    expect(read({ key, value: text, headers })).toEqual(event);
    expect(read({ value: new Uint8Array(Buffer.from(text)), headers: { ...headers, odd: undefined } })).toEqual(event);
    // The last of several headers of one name counts.
    expect(read({ value: text, headers: { ...headers, ce_id: ['x', Buffer.from(event.id)] } })).toEqual(event);
    expect(read({ value: text, headers: { ...headers, 'content-type': 'application/json; charset=utf-8' } })).toEqual(
      event,
    );
    // Structured mode is told by the value alone where the headers were lost.
    expect(read({ value: JSON.stringify(event) })).toEqual(event);
  });

  test('what a later bridge adds is kept, wherever it stands', () => {
    const { data } = madeEvent(1);
    const later = changedTo({
      severity: 'low',
      data: {
        ...data,
        occurredAtFrom: 'guess',
        muted: true,
        changed: { ...data.changed, joinOption: 'FreeAccess' },
        origin: { device: { os: 'x' } },
      },
    });
    expect(read(structured(later))).toEqual(later);
    const { headers } = toMessage(entryOf(1, later as unknown as CanonicalEvent), 'binary');
    expect(read({ value: JSON.stringify(later.data), headers: { ...headers, ce_severity: 'low' } })).toEqual(later);
  });
});

describe('what cannot be read is told as a value', () => {
  test.each<[string, IncomingMessage, Partial<MessageFault>]>([
    ['no value', { key: 'g', value: null }, { code: 'message-empty', suggestion: expect.stringMatching(/parseGroup/) }],
    ['no bytes', { value: Buffer.alloc(0) }, { code: 'message-not-json' }],
    ['not JSON', { value: 'hello' }, { code: 'message-not-json' }],
    ['not UTF-8', { value: Buffer.from([0x22, 0xff, 0x22]) }, { code: 'message-not-json' }],
    ['null', { value: 'null' }, { code: 'message-invalid' }],
    ['an array', { value: '[]' }, { code: 'message-invalid' }],
    ['some other JSON', { value: '{"hello":"world"}' }, { code: 'message-invalid', path: 'specversion' }],
    ['another type', structured(changedTo({ type: 'chat.group.member.joined' })), { code: 'message-type-unknown' }],
    ['a type of Object’s', structured(changedTo({ type: 'constructor' })), { code: 'message-type-unknown' }],
    [
      'another version',
      structured(changedTo({ dataschema: 'urn:group-sync-bridge:event:group-info-changed:2' })),
      { code: 'message-version-unknown', path: 'dataschema' },
    ],
    ['no data', structured(changedTo({ data: undefined })), { code: 'message-invalid', path: 'data' }],
    [
      'a name that is a number',
      structured(changedTo({ data: { ...madeEvent(1).data, changed: { name: 7 } } })),
      { code: 'message-invalid', path: 'data.changed.name' },
    ],
    [
      'a change of owner that does not name one',
      structured(
        changedTo({
          type: 'chat.group.owner.changed',
          dataschema: 'urn:group-sync-bridge:event:group-owner-changed:1',
        }),
      ),
      { code: 'message-invalid', path: 'data.owner' },
    ],
    [
      'a group',
      received(toGroupMessage([...mergedGroups([madeEvent(1)]).values()][0] as Group)),
      { code: 'message-invalid', suggestion: expect.stringMatching(/parseGroup/) },
    ],
  ])('%s', (_, message, fault) => {
    expect(faultOf(message)).toMatchObject(fault);
  });

  test('no bytes and no headers at all make it throw', () => {
    const bytes = fc.oneof(fc.uint8Array(), fc.json(), fc.constant(null));
    const headers = fc.dictionary(fc.constantFrom('ce_specversion', 'ce_type', 'content-type', 'x'), fc.uint8Array());
    fc.assert(
      fc.property(bytes, headers, (value, headers) => {
        expect(parseEvent({ key: value, value, headers }).ok).toBe(false);
        parseGroup({ key: value, value, headers });
      }),
    );
  });
});

describe('groups', () => {
  test('a state is read as it was written, a tombstone as destroyed', () => {
    fc.assert(
      fc.property(history, (events) => {
        for (const [groupId, group] of mergedGroups(events)) {
          const parsed = parseGroup(received(toGroupMessage(group)));
          const told = group.destroyed ? { group: null, lastState: group } : { group };
          expect(parsed).toEqual({ ok: true, groupId, ...told });
        }
      }),
    );
  });

  test.each<[string, IncomingMessage, Partial<MessageFault>]>([
    ['neither key nor value', { value: null }, { code: 'message-empty', path: 'key' }],
    [
      'an event',
      structured(madeEvent(1)),
      { code: 'message-invalid', suggestion: expect.stringMatching(/parseEvent/) },
    ],
    ['not JSON', { key: 'g', value: '{' }, { code: 'message-not-json' }],
  ])('%s', (_, message, fault) => {
    const parsed = parseGroup(message);
    expect(parsed.ok ? undefined : parsed.fault).toMatchObject(fault);
  });
});

/** Names what differs but the author and the time, field by field. */
function unlikeFields(before: Group | undefined, after: Group): string[] {
  const { customFields: custom = {}, ...old } = before ?? { destroyed: false };
  const { customFields, ...now } = after;
  const fields = ['name', 'introduction', 'notification', 'faceUrl', 'groupType', 'owner', 'destroyed'] as const;
  const valuesOf = (held: Record<string, string>, key: string) => (Object.hasOwn(held, key) ? held[key] : undefined);
  const keys = new Set([...Object.keys(customFields), ...Object.keys(custom)]);
  return [
    ...fields.filter((field) => (old as Partial<Group>)[field] !== now[field]),
    ...[...keys]
      .filter((key) => valuesOf(custom, key) !== valuesOf(customFields, key))
      .map((key) => `customFields.${key}`),
  ];
}

describe('the view', () => {
  test('holds what the bridge holds, whatever the order and however often', () => {
    fc.assert(
      fc.property(delivered, ([events, shuffled]) => {
        const view = createGroupView();
        for (const event of shuffled) view.apply(event as GroupEvent);
        const expected = mergedGroups(events);
        expect(new Map(view.entries())).toEqual(expected);
        expect(view.size).toBe(expected.size);
        for (const [groupId, group] of expected) expect(view.get(groupId)).toEqual(group);
      }),
    );
  });

  test('tells each change once, from what to what and by which event', () => {
    fc.assert(
      fc.property(delivered, ([, shuffled]) => {
        const told = new Map<string, Group>();
        const view = createGroupView({
          onChange(before, after, event, changedFields) {
            expect(before).toBe(told.get(after.groupId));
            expect(changedFields).toEqual(unlikeFields(before, after));
            expect(after).toBe(view.get(after.groupId));
            expect(event?.subject).toBe(after.groupId);
            told.set(after.groupId, after);
          },
        });
        for (const event of shuffled) expect(view.apply(event as GroupEvent)).toBe(told.get(event.subject));
        const known = told.size;
        told.clear();
        for (const event of shuffled) view.apply(event as GroupEvent);
        expect([known, told.size]).toEqual([view.size, 0]);
      }),
    );
  });

  test('of states holds what events would have made, whatever their order', () => {
    fc.assert(
      fc.property(delivered, ([events, shuffled]) => {
        const view = createGroupView();
        // Several bridges wrote states, and each had seen only a part.
        const states = shuffled.flatMap((_, n) => [...mergedGroups(shuffled.slice(n))]);
        for (const [groupId, group] of states) view.applyState({ groupId, group });
        expect(new Map(view.entries())).toEqual(mergedGroups(events));
      }),
    );
  });

  test('of a topic with content: groups shows at each step what the last record says', () => {
    fc.assert(
      fc.property(history, (events) => {
        const view = createGroupView();
        const bridge = new Map<string, Group>();
        events.forEach((event, n) => {
          const after = mergedGroups(events.slice(0, n + 1)).get(event.subject) as Group;
          bridge.set(event.subject, after);
          const parsed = parseGroup(received(toGroupMessage(after)));
          if (!parsed.ok) throw new Error(parsed.fault.message);
          view.applyState(parsed);
          const shown = view.get(event.subject);
          if (after.destroyed) expect(shown?.destroyed ?? true).toBe(true);
          else expect(shown).toEqual(after);
        });
      }),
    );
  });

  test('of a topic with content: groups and of one with events holds what the bridge holds, in any order', () => {
    fc.assert(
      fc.property(delivered, fc.nat(40), ([, shuffled], cut) => {
        const view = createGroupView();
        const apply = (events: readonly CanonicalEvent[]) => {
          for (const event of events) view.apply(event as GroupEvent);
        };
        apply(shuffled.slice(cut / 2, cut));
        for (const group of mergedGroups(shuffled.slice(0, cut)).values()) {
          const parsed = parseGroup(received(toGroupMessage(group)));
          if (parsed.ok) view.applyState(parsed);
        }
        apply(shuffled.slice(cut));
        expect(new Map(view.entries())).toEqual(mergedGroups(shuffled));
      }),
    );
  });

  test('a tombstone whose state is none is one all the same', () => {
    for (const odd of ['{', '{}', '\xff', '[]']) {
      const parsed = parseGroup({ key: 'g', value: null, headers: { group_state: Buffer.from(odd, 'latin1') } });
      expect(parsed).toEqual({ ok: true, groupId: 'g', group: null });
    }
  });

  test('a tombstone with a key of its own is of the group that its state names', () => {
    const state = { ...newGroup('g'), destroyed: true };
    const headers = { group_state: Buffer.from(JSON.stringify(state)) };
    expect(parseGroup({ key: 'tim-g', value: null, headers })).toMatchObject({ groupId: 'g', lastState: state });
  });

  test('a tombstone is not undone by states that are older', () => {
    const alive = [...mergedGroups([madeEvent(1)]).values()][0] as Group;
    const view = createGroupView();
    const { groupId } = alive;
    expect(view.applyState({ groupId, group: null })).toBeUndefined();
    expect(view.size).toBe(0);
    view.applyState({ groupId, group: alive });
    view.applyState({ groupId, group: null });
    view.applyState({ groupId, group: alive });
    view.apply(madeEvent(1) as GroupEvent);
    expect(view.get(groupId)).toEqual({ ...alive, destroyed: true });
  });
});
