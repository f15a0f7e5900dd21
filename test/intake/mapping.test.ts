import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseBody } from '../../src/intake/body.ts';
import { type Callback, COMMANDS, misnamedIn } from '../../src/intake/commands.ts';
import { EARLIEST, MAX_AHEAD_MS, mapCallback } from '../../src/intake/mapping.ts';
import { type CallbackQuery, readQuery } from '../../src/intake/request.ts';
import { type CanonicalEvent, canonicalEvent } from '../../src/model/event.ts';
import { type Group, join, merge, newGroup } from '../../src/model/group.ts';
import {
  body,
  CAPTURE_2022,
  CAPTURE_2022_EVENT,
  DOCUMENTED,
  fields,
  ODD_TEXTS,
  SDK_APP_ID,
} from '../support/callbacks.ts';

const RECEIPT = { at: 1_700_000_030_000, nonce: 'n1' };

function read(text: string): Callback {
  const parsed = parseBody(Buffer.from(text), 65_536);
  if (!parsed.ok) throw new Error(parsed.fault.message);
  const { fields } = parsed.value;
  const callback = COMMANDS.get(String(fields.CallbackCommand))?.(fields, { strict: true, drop: ['MemberList'] });
  if (!callback?.ok) throw new Error(callback?.fault.message);
  return callback.value;
}

function map(text: string, query: CallbackQuery = {}, receipt = RECEIPT): CanonicalEvent {
  return mapCallback(SDK_APP_ID, query, read(text), receipt);
}

test('unknown fields that look like known ones are told apart from others', () => {
  const told = misnamedIn({
    GroupName: 1,
    notifcation: 1,
    group_id: 1,
    new_face_url: 1,
    GroupType: 1,
    owner_account: 1,
  });
  const meant = ['Name', 'Notification', 'GroupId', 'FaceUrl', 'Type', 'Owner_Account'];
  expect(told.map((one) => /"(.*)"/.exec(one)?.[1])).toEqual(meant);
  // Of another command's fields, and of those that nobody knows, nothing is said.
  expect(misnamedIn({ Name: 1, MemberList: [], TopicId: '', Remark: 1, ['Name'.repeat(20)]: 1 })).toEqual([]);
});

describe('the canonical event', () => {
  test('of the 2022 capture, whole', () => {
    const query = readQuery(CAPTURE_2022.search);
    const event = map(CAPTURE_2022.body, query.ok ? query.value : {});
    expect(event).toEqual({
      ...CAPTURE_2022_EVENT,
      id: expect.stringMatching(/^[0-9a-hjkmnp-tv-z]{26}$/),
      data: { ...CAPTURE_2022_EVENT.data, receivedAt: RECEIPT.at },
    });
  });

  test('of the documented sample, whose EventTime is a string', () => {
    expect(map(DOCUMENTED.body)).toMatchObject({
      time: '2022-12-09T08:26:54.123Z',
      data: {
        occurredAt: 1_670_574_414_123,
        occurredAtFrom: 'callback',
        changed: {
          name: 'MyFirstGroup',
          introduction: 'TestIntroduction',
          notification: 'TestNotification',
          faceUrl: 'http://this.is.face.url',
        },
      },
    });
  });

  test('a type has the name that the wire has always carried', () => {
    expect(map(body({ Type: 'Work' })).data.groupType).toBe('Private');
    expect(map(body({ Type: 'Meeting' })).data.groupType).toBe('ChatRoom');
    expect(map(body({ Type: 'Something' })).data.groupType).toBe('Something');
  });

  test('"" is a cleared field, an absent key is unchanged', () => {
    expect(map(body({ Name: '', Introduction: undefined, FaceUrl: '' })).data.changed).toEqual({
      name: '',
      faceUrl: '',
    });
    expect(map(body({ Name: undefined })).data.changed).toEqual({});
  });

  test('custom fields are mapped; a list of another shape is kept as it came', () => {
    const list = [
      { Key: 'color', Value: 'red' },
      { Key: '__proto__', Value: 'x' },
    ];
    const { changed, extra } = map(body({ UserDefinedDataList: list })).data;
    expect(Object.entries(changed.customFields ?? {})).toEqual([
      ['color', 'red'],
      ['__proto__', 'x'],
    ]);
    expect(extra).toEqual({});
    const odd = map(body({ UserDefinedDataList: { color: 'red' } })).data;
    expect(odd.changed).toEqual({ name: 'a name' });
    expect(odd.extra).toEqual({ UserDefinedDataList: { color: 'red' } });
  });

  test('unknown fields are kept as they came, __proto__ too', () => {
    const text = body().replace('{', '{"__proto__":{"a":1},"ShutUpAllMember":"On","Deep":[{"x":null}],');
    expect(JSON.stringify(map(text).data.extra)).toBe(
      '{"__proto__":{"a":1},"ShutUpAllMember":"On","Deep":[{"x":null}]}',
    );
  });

  test('its JSON survives storage and is valid by its own schema', () => {
    for (const text of Object.values(ODD_TEXTS)) {
      const event = map(body({ Name: text, Unknown: text, UserDefinedDataList: [{ Key: text, Value: text }] }), {
        requestId: 'r',
      });
      const stored = JSON.parse(Buffer.from(JSON.stringify(event)).toString());
      expect(stored).toEqual(event);
      expect(canonicalEvent.parse(stored)).toEqual(event);
    }
  });
});

describe('the life of a group', () => {
  const member = [{ Member_Account: 'bob' }];

  test('created: name, owner, who did it; the members are left out', () => {
    const fields = { CallbackCommand: 'Group.CallbackAfterCreateGroup', Owner_Account: 'leckie', MemberList: member };
    const event = map(body({ ...fields, UserDefinedDataList: [{ Key: 'k', Value: 'v' }] }));
    expect(event).toMatchObject({
      type: 'chat.group.created',
      dataschema: 'urn:group-sync-bridge:event:group-created:1',
      data: {
        operator: 'administrator',
        owner: 'leckie',
        changed: { name: 'a name', customFields: { k: 'v' } },
        extra: {},
        omitted: ['MemberList'],
      },
    });
    expect(canonicalEvent.parse(event)).toEqual(event);
  });

  test('destroyed: nothing is changed, nobody is said to have done it', () => {
    const fields = {
      CallbackCommand: 'Group.CallbackAfterGroupDestroyed',
      Owner_Account: 'leckie',
      Operator_Account: undefined,
    };
    const event = map(body({ ...fields, MemberList: member }));
    expect(event).toMatchObject({
      type: 'chat.group.destroyed',
      dataschema: 'urn:group-sync-bridge:event:group-destroyed:1',
      data: { owner: 'leckie', changed: {}, extra: { Name: 'a name' }, omitted: ['MemberList'] },
    });
    expect(event.data).not.toHaveProperty('operator');
    expect(canonicalEvent.parse(event)).toEqual(event);
  });

  test('owner changed: the new one and the one before', () => {
    const fields = {
      CallbackCommand: 'Group.CallbackAfterChangeGroupOwner',
      OldOwner_Account: 'tom',
      NewOwner_Account: 'ann',
    };
    const event = map(body({ ...fields, Name: undefined }));
    expect(event).toMatchObject({
      type: 'chat.group.owner.changed',
      dataschema: 'urn:group-sync-bridge:event:group-owner-changed:1',
      data: { owner: 'ann', previousOwner: 'tom', changed: {}, extra: {} },
    });
    expect(canonicalEvent.parse(event)).toEqual(event);
    const other = map(body({ ...fields, NewOwner_Account: 'eve', Name: undefined }));
    expect(other.id).not.toBe(event.id);
  });

  test('the same fields under another command are another event', () => {
    const commands = ['Group.CallbackAfterCreateGroup', 'Group.CallbackAfterGroupInfoChanged'];
    expect(new Set(commands.map((CallbackCommand) => map(body({ CallbackCommand })).id)).size).toBe(2);
  });
});

describe('when it occurred', () => {
  test('a number, a string of digits: the callback’s', () => {
    for (const EventTime of [1_657_389_765_743, '1657389765743', 1_657_389_765_743.9]) {
      expect(map(body({ EventTime })).data).toMatchObject({
        occurredAt: 1_657_389_765_743,
        occurredAtFrom: 'callback',
      });
    }
  });

  test('absent: the receipt', () => {
    expect(map(body({ EventTime: undefined }))).toMatchObject({
      time: new Date(RECEIPT.at).toISOString(),
      data: { occurredAt: RECEIPT.at, occurredAtFrom: 'receipt', extra: {} },
    });
  });

  test('up to 2 s ahead is believed; more would win over later changes', () => {
    const edge = RECEIPT.at + MAX_AHEAD_MS;
    expect(map(body({ EventTime: edge })).data).toMatchObject({ occurredAt: edge, occurredAtFrom: 'callback' });
    for (const EventTime of [edge + 1, String(edge + 1), 8.64e15 + 1, 1e300, '9'.repeat(400)]) {
      expect(map(body({ EventTime })).data).toMatchObject({
        occurredAt: RECEIPT.at,
        occurredAtFrom: 'receipt',
        extra: { EventTime },
      });
    }
  });
});

describe('a time that no callback of the service can have', () => {
  test.each([0, 1, 999_999_999, EARLIEST / 1_000 - 1, EARLIEST - 1, '0'])(
    '%s: the receipt, and it is kept',
    (EventTime) => {
      expect(map(body({ EventTime })).data).toMatchObject({
        occurredAt: RECEIPT.at,
        occurredAtFrom: 'receipt',
        extra: { EventTime },
      });
    },
  );

  test('in seconds it is read as such, and kept', () => {
    for (const EventTime of [1_657_389_765, '1657389765']) {
      expect(map(body({ EventTime })).data).toMatchObject({
        occurredAt: 1_657_389_765_000,
        occurredAtFrom: 'callback',
        extra: { EventTime },
      });
    }
  });

  test('in seconds: changes of one second are in the order of their receipt, and of what their fractions say', () => {
    const second = RECEIPT.at / 1_000;
    const of = (EventTime: number, at: number) =>
      mapCallback('1400701118', {}, read(body({ EventTime })), { at, nonce: 'n2' }).data.occurredAt;
    expect(of(second, RECEIPT.at + 250)).toBe(RECEIPT.at + 250);
    expect(of(second, RECEIPT.at - 250)).toBe(RECEIPT.at);
    // Whatever is on its way at the end of the second happened late in it.
    expect(of(second, RECEIPT.at + 2_000)).toBe(RECEIPT.at + 999);
    expect(of(second + 0.125, RECEIPT.at + 250)).toBe(RECEIPT.at + 125);
    expect(map(body({ EventTime: second + 0.25 })).id).not.toBe(map(body({ EventTime: second + 0.5 })).id);
  });

  test('in seconds: a callback that is sent again to another bridge does not win over what followed it', () => {
    const second = RECEIPT.at / 1_000;
    const of = (Name: string, at: number) =>
      mapCallback('1400701118', {}, read(body({ Name, EventTime: second })), { at: RECEIPT.at + at, nonce: 'n2' });
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 999 }), { minLength: 2, maxLength: 5 }),
        fc.integer({ min: 2_501, max: 60_000 }),
        fc.nat(),
        (times, delay, pick) => {
          const events = [...new Set(times)].sort((a, b) => a - b).map((at, n) => of(`name ${n}`, at));
          const again = of(`name ${pick % events.length}`, delay);
          const one = events.reduce(merge, newGroup('g'));
          expect(join(one, merge(newGroup('g'), again)).name).toBe(`name ${events.length - 1}`);
        },
      ),
    );
  });

  test('is judged by the service’s clock, where that is known', () => {
    const slow = { ...RECEIPT, serviceAt: RECEIPT.at + 40_000 };
    const of = (EventTime: number) => mapCallback('1400701118', {}, read(body({ EventTime })), slow).data;
    expect(of(RECEIPT.at + 40_000)).toMatchObject({ occurredAt: RECEIPT.at + 40_000, occurredAtFrom: 'callback' });
    expect(of(RECEIPT.at + 43_000)).toMatchObject({ occurredAt: RECEIPT.at + 40_000, occurredAtFrom: 'receipt' });
    expect(of(RECEIPT.at + 43_000).receivedAt).toBe(RECEIPT.at);
  });

  test('one that is merely old goes on losing', () => {
    const EventTime = RECEIPT.at - 90 * 86_400_000;
    expect(map(body({ EventTime })).data).toMatchObject({ occurredAt: EventTime, extra: {} });
  });

  test('a change that comes 5 s after a forged one wins over it, whatever its type', () => {
    const forged = map(body({ EventTime: RECEIPT.at + 594_000, Name: '' }));
    const at = RECEIPT.at + 5_000;
    const real = mapCallback('1400701118', {}, read(body({ EventTime: at, Name: 'real' })), { at, nonce: 'n2' });
    expect([forged, real].reduce<Group>(merge, newGroup(real.subject)).name).toBe('real');
    expect([real, forged].reduce<Group>(merge, newGroup(real.subject)).name).toBe('real');
  });

  test('whether it is believed changes nothing of the id: a redelivery later is the same event', () => {
    const ahead = body({ EventTime: RECEIPT.at + 3_000 });
    const again = mapCallback('1400701118', {}, read(ahead), { at: RECEIPT.at + 4_000, nonce: 'n2' });
    expect(again.id).toBe(map(ahead).id);
    expect([map(ahead).data.occurredAtFrom, again.data.occurredAtFrom]).toEqual(['receipt', 'callback']);
  });
});

describe('the id', () => {
  const later = { at: RECEIPT.at + 1_000, nonce: 'n2' };

  test('is the same for a redelivered callback, whenever and however it comes', () => {
    const reordered = JSON.stringify(Object.fromEntries(Object.entries(fields()).reverse()));
    const quoted = body({ EventTime: '1700000000000' });
    const ids = [
      map(body()),
      map(body(), { requestId: 'r', clientIp: '1.2.3.4' }, later),
      map(reordered),
      map(quoted),
    ].map(({ id }) => id);
    expect(new Set(ids).size).toBe(1);
  });

  test('is pinned: a change of it would record redelivered callbacks twice after an upgrade', () => {
    expect(map(CAPTURE_2022.body).id).toBe('01g7j21n3f6p0b77j8xz2f14qd');
  });

  test.each([
    ['group', { GroupId: 'another' }],
    ['EventTime', { EventTime: 1_700_000_000_001 }],
    ['operator', { Operator_Account: 'another' }],
    ['a value', { Name: 'another' }],
    ['a value cleared', { Name: '' }],
    ['a value left out', { Name: undefined }],
    ['the same value in another field', { Name: undefined, Introduction: 'a name' }],
    ['a custom field', { UserDefinedDataList: [{ Key: 'k', Value: 'v' }] }],
    ['an unknown field', { ShutUpAllMember: 'On' }],
    ['a lone surrogate', { Name: '\ud800' }],
  ])('differs with %s', (_, changes) => {
    expect(map(body(changes)).id).not.toBe(map(body()).id);
  });

  test('differs for other lone surrogates, which UTF-8 would fold into one', () => {
    expect(map(body({ Name: '\ud800' })).id).not.toBe(map(body({ Name: '\udc00' })).id);
  });

  test('differs between apps', () => {
    expect(mapCallback('1', {}, read(body()), RECEIPT).id).not.toBe(map(body()).id);
  });

  test('without EventTime it covers RequestID, or lacking that the receipt', () => {
    const timeless = body({ EventTime: undefined });
    expect(map(timeless, { requestId: 'r' }).id).toBe(map(timeless, { requestId: 'r' }, later).id);
    expect(map(timeless, { requestId: 'r' }).id).not.toBe(map(timeless, { requestId: 's' }).id);
    expect(map(timeless).id).toBe(map(timeless).id);
    expect(map(timeless).id).not.toBe(map(timeless, {}, { ...RECEIPT, nonce: 'n2' }).id);
  });

  test('sorts by EventTime', () => {
    const time = fc.integer({ min: 0, max: RECEIPT.at + MAX_AHEAD_MS });
    fc.assert(
      fc.property(time, time, (a, b) => {
        fc.pre(a < b);
        expect(map(body({ EventTime: a })).id < map(body({ EventTime: b })).id).toBe(true);
      }),
    );
  });
});
