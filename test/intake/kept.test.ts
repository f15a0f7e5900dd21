/**
 * After a right Sign nothing that the service sent is lost: it is recorded, or stands in the quarantine to the byte. Without
 * tokens, what only decorates does not cost the change. The doubles: none but the clock; the oracle is the journal.
 */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createFieldDropper } from '../../src/intake/body.ts';
import type { ReceiverSettings } from '../../src/intake/context.ts';
import { createQuarantine } from '../../src/intake/quarantine.ts';
import { body, fields, SDK_APP_ID, search } from '../support/callbacks.ts';
import { fail, OK, SIGN, signed, startReceiver } from './receiver.testbed.ts';

async function start(changes: Partial<ReceiverSettings> = {}) {
  const receiver = await startReceiver(changes);
  onTestFinished(() => receiver.close());
  return receiver;
}

const CREATED = 'Group.CallbackAfterCreateGroup';
const DESTROYED = 'Group.CallbackAfterGroupDestroyed';
const OWNER = 'Group.CallbackAfterChangeGroupOwner';
const of = (command: string) => ({ CallbackCommand: command });
/** A group id with a byte that no UTF-8 has. */
const unreadable = Buffer.from(body({ GroupId: 'g\xff' }), 'latin1');

/** What is no text throws when it is made one. */
const ODD = { toString: 1, valueOf: 1 };
const oddUnreadable = Buffer.from(body({ GroupId: ODD, Name: '\xff' }), 'latin1');

describe('a small mistake leaves one thing that a body can mean', () => {
  const utf16 = (text: string, swapped: boolean) => {
    const bytes = Buffer.from(`\ufeff${text}`, 'utf16le');
    return swapped ? bytes.swap16() : bytes;
  };
  const text = body({ Name: 'a\nb' });
  test.each([
    ['a raw line feed in a text', text.replace('\\n', '\n')],
    [
      'a raw tab and a NUL, escapes before them',
      text.replace('a\\nb', '\\\\\\"\t\0').replace('\t\0"', 'a\nb"'),
      '\\"a\nb',
    ],
    ['a byte order mark', `\ufeff${text}`],
    ['a NUL at the end', `${text}\0`],
    ['NULs and a line feed at the end', `${text}\n\0\0`],
    ['gzip that no header announces', gzipSync(text)],
    ['zlib', deflateSync(text)],
    ['UTF-16', utf16(text, false)],
    ['UTF-16, the other way round', utf16(text, true)],
    ['UTF-16 without a byte order mark', utf16(text, false).subarray(2)],
    ['the same, the other way round', utf16(text, true).subarray(2)],
  ])('%s', async (_, payload, name = 'a\nb') => {
    for (const sign of [undefined, SIGN]) {
      const receiver = await start({ sign });
      expect(await receiver.post({ search: signed(), body: payload })).toEqual({ status: 200, json: OK });
      expect(receiver.recorded().map(({ data }) => data.changed.name)).toEqual([name]);
      expect(receiver.quarantined()).toEqual([]);
    }
  });

  test('gzip is unpacked within the bound of a body', async () => {
    const receiver = await start();
    const bomb = gzipSync(Buffer.alloc(50_000_000, ' '));
    expect(bomb.length).toBeLessThan(65_536);
    expect(await receiver.post({ body: bomb })).toEqual(fail(413, /larger than 65536 bytes when decompressed/));
  });

  test('a coding that the body has and that is not understood is told', async () => {
    const receiver = await start();
    const refused = await receiver.post({
      body: brotliCompressSync(body()),
      headers: { 'content-encoding': 'br' },
    });
    expect(refused).toEqual(fail(400, /Content-Encoding/));
    // What says so and is none is understood all the same.
    expect(await receiver.post({ headers: { 'content-encoding': 'br' } })).toEqual({ status: 200, json: OK });
  });

  test('of a command that is not recorded, too', async () => {
    const receiver = await start({ maxBodyBytes: 2_097_152 });
    const CallbackCommand = 'C2C.CallbackAfterSendMsg';
    const post = (payload: Buffer, headers = {}) =>
      receiver.post({ search: search({ CallbackCommand }), body: payload, headers });
    const sized = (bytes: number) => gzipSync(body({ CallbackCommand, Name: 'x'.repeat(bytes) }));
    expect(await post(sized(1_500_000))).toEqual({ status: 200, json: OK });
    expect(await post(sized(2_500_000))).toEqual(fail(413, /larger than 2097152 bytes when decompressed/));
    const brotli = brotliCompressSync(body({ CallbackCommand }));
    expect(await post(brotli, { 'content-encoding': 'br' })).toEqual(fail(400, /Content-Encoding/));
    // One that names a recorded command in the body is kept.
    const verified = await start({ maxBodyBytes: 2_097_152, sign: SIGN });
    const misnamed = gzipSync(body({ Name: 'x'.repeat(1_500_000) }));
    const kept = await verified.post({ search: signed({ CallbackCommand }), body: misnamed });
    expect(kept).toEqual({ status: 200, json: OK });
    expect(verified.quarantined().map(({ fault }) => fault.code)).toEqual(['command-mismatch']);
  });

  test('of a verified sender it is kept, and mapped once the bound is raised', async () => {
    const receiver = await start({ sign: SIGN });
    await receiver.post({ search: signed(), body: gzipSync(body({ Filler: 'x'.repeat(1_500_000) })) });
    expect(receiver.quarantined().map(({ fault }) => fault.code)).toEqual(['body-too-large']);
    const names: unknown[] = [];
    let maxBodyBytes = 65_536;
    const quarantine = createQuarantine(() => ({ sdkAppId: SDK_APP_ID, drop: [], maxBodyBytes }), {
      journal: {
        record: async ({ data }) => names.push(data.changed.name),
        releaseQuarantined: async () => 1,
      },
      reader: {
        countQuarantined: () => 1 - names.length,
        quarantined: (after) => receiver.quarantined().filter(({ id }) => id > after),
      },
      signals: receiver.signals,
    });
    expect(await quarantine.remap()).toEqual({ mapped: 0, left: 1 });
    maxBodyBytes = 2_097_152;
    expect(await quarantine.remap()).toEqual({ mapped: 1, left: 0 });
    expect(names).toEqual(['a name']);
  });

  test('a text of many quotes and no end takes no time', async () => {
    const receiver = await start({ maxBodyBytes: 1_048_576 });
    const start_ = performance.now();
    for (const hostile of ['"\\"'.repeat(300_000), `${'\0 '.repeat(500_000)}x`, '{"\n'.repeat(300_000)]) {
      expect(await receiver.post({ body: hostile })).toEqual(fail(400, /not JSON/));
    }
    expect(performance.now() - start_).toBeLessThan(2_000);
  });
});

describe('after a right Sign every refusal is kept, to the byte', () => {
  const cases: [string, string | Buffer, RegExp, Record<string, string | undefined>?][] = [
    ['no JSON', '{"GroupId":"g1"', /not JSON/],
    ['an empty body', '', /empty/],
    ['a list', '[]', /not an object/],
    ['bytes of no encoding', randomBytes(64), /not JSON/],
    ['broken gzip', gzipSync(body()).subarray(0, 60), /not JSON/],
    ['another command in the body', body(of(`${fields().CallbackCommand}V2`)), /different commands/],
    ['a number as the command', body({ CallbackCommand: 7 }), /different commands/],
    ['another known command in the query', body(), /different commands/, of(CREATED)],
    ['an unknown command in the query', body(), /different commands/, of('Group.CallbackAfterGroupInfoChangedV2')],
    ['no command in the query', body(), /CallbackCommand is missing/, { CallbackCommand: undefined }],
    ['an empty command in the query', body(), /CallbackCommand is missing/, { CallbackCommand: '' }],
    ['no group', body({ GroupId: undefined }), /GroupId is missing/],
    ['a number as the group', body({ GroupId: 7 }), /GroupId/],
    ['a group whose id is too long', body({ GroupId: 'x'.repeat(513) }), /GroupId/],
    ['an object as the name', body({ Name: { text: 'x' } }), /Name/],
    ['a name that is null, and nothing else', body({ Name: null }), /Name/],
    ['a number beside a name', body({ Introduction: 5 }), /Introduction/],
    ['a name twice', body().replace('{', '{"Name":"another",'), /Name appears in the body twice/],
    ['a group twice', body().replace('}', ',"GroupId" : "another"}'), /GroupId appears in the body twice/],
    ['a name twice, one of them escaped text', body().replace('{', '{"Name":"\\"Name\\":",'), /Name appears/],
    [
      'a name twice, once by an escape',
      body().replace('{', '{"N\\u0061me":"another",'),
      /Name appears in the body twice/,
    ],
    ['a name twice, compressed', gzipSync(body().replace('{', '{"Name":"another",')), /Name appears in the body twice/],
    [
      'custom fields twice',
      body().replace('{', '{"UserDefinedDataList":[],"UserDefinedDataList":[],'),
      /appears in the/,
    ],
    [
      'a custom field twice',
      body({ UserDefinedDataList: [...'ab'].map((Value) => ({ Key: 'Level', Value })) }),
      /UserDefinedDataList has a key twice/,
    ],
    ['a type twice', body().replace('{', '{"Type":"Community",'), /Type appears in the body twice/],
    ['a topic twice', body({ TopicId: '' }).replace('{', '{"TopicId":"t",'), /TopicId appears in the body twice/],
    [
      'a new owner twice',
      body({ ...of(OWNER), NewOwner_Account: 'a' }).replace('{', '{"NewOwner_Account":"b",'),
      /NewOwner_Account appears in the body twice/,
      of(OWNER),
    ],
    ['an empty group', body({ GroupId: '' }), /GroupId: it is empty/],
    ['a group whose id cannot be read', unreadable, /the group cannot be identified/],
    ['an object as the group, and bytes of no encoding', oddUnreadable, /GroupId/],
    ['no new owner', body(of(OWNER)), /NewOwner_Account is missing/, of(OWNER)],
    ['an empty new owner', body({ ...of(OWNER), NewOwner_Account: '' }), /NewOwner_Account: it is empty/, of(OWNER)],
  ];
  test.each(cases)('%s', async (_, payload, why, query = {}) => {
    const receiver = await start({ sign: SIGN });
    expect(await receiver.post({ search: signed(query), body: payload })).toEqual({ status: 200, json: OK });
    const [kept, ...others] = receiver.quarantined();
    expect(others).toEqual([]);
    expect(kept?.fault.message).toMatch(why);
    expect(Buffer.from(kept?.body ?? '').equals(Buffer.from(payload))).toBe(true);
    expect(kept?.search).not.toMatch(/Sign/);
    expect(receiver.recorded()).toEqual([]);
    expect(receiver.answered).toMatchObject([{ outcome: 'quarantined' }]);

    const open = await start();
    expect((await open.post({ search: search(query), body: payload })).status).toBe(
      // Without a Sign a change of the wrong type is left out, and one that stands twice has its last value, as in all of JSON.
      /twice|beside/.test(_) ? 200 : 400,
    );
    expect(open.quarantined()).toEqual([]);
  });

  test('an object as the command, and none in the query, is nothing of ours', async () => {
    const receiver = await start({ sign: SIGN });
    const callback = { search: signed({ CallbackCommand: '' }), body: body({ CallbackCommand: ODD }) };
    expect(await receiver.post(callback)).toEqual(fail(400, /CallbackCommand is missing/));
  });

  test('an empty name that stands in a text, or deeper, stands there once', async () => {
    const receiver = await start({ sign: SIGN });
    const payload = body({ Notification: '"Name":"Name"', Deep: { Name: 'x', GroupId: 'y' } });
    await receiver.post({ search: signed(), body: payload });
    expect(receiver.recorded()).toMatchObject([{ data: { changed: { name: 'a name' } } }]);
  });

  test('of a body that is too large what came first: whose group to read again is seen', async () => {
    const receiver = await start({ sign: SIGN });
    const large = body({ Introduction: 'x'.repeat(1_000_000) });
    expect(await receiver.post({ search: signed(), body: large })).toEqual({ status: 200, json: OK });
    const [kept] = receiver.quarantined();
    expect(kept?.fault.message).toMatch(/larger than 65536 bytes/);
    expect(Buffer.from(kept?.body ?? '').toString()).toBe(large.slice(0, 65_536));
    expect(await receiver.post({ search: signed(), body: body() })).toEqual({ status: 200, json: OK });
  });

  test.each([
    ['breaks off', (end: () => void) => end()],
    ['stalls', () => {}],
  ])('a body that %s is kept as far as it came', async (_, act) => {
    const receiver = await start({ sign: SIGN });
    const socket = connect(receiver.port, '127.0.0.1');
    socket.on('error', () => {});
    const part = '{"GroupId":"g7","Na';
    socket.write(`POST /callback?${signed()} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n${part}`);
    await expect.poll(() => socket.bytesWritten).toBeGreaterThan(part.length);
    // The part is at the other side before the end is.
    act(() => socket.end());
    await expect.poll(() => receiver.quarantined().length, { timeout: 9_000 }).toBe(1);
    socket.destroy();
    expect(Buffer.from(receiver.quarantined()[0]?.body ?? '').toString()).toBe(part);
  });

  test('what contradicts itself is not mapped by an upgrade either', async () => {
    const receiver = await start({ sign: SIGN });
    for (const payload of [body(of(CREATED)), body().replace('{', '{"Name":"another",'), unreadable]) {
      await receiver.post({ search: signed(), body: payload });
    }
    const quarantine = createQuarantine(() => ({ sdkAppId: SDK_APP_ID, drop: [], maxBodyBytes: 65_536 }), {
      journal: { record: () => Promise.reject(new Error('recorded')), releaseQuarantined: async () => 0 },
      reader: {
        countQuarantined: () => 3,
        quarantined: (after) => receiver.quarantined().filter(({ id }) => id > after),
      },
      signals: receiver.signals,
    });
    expect(await quarantine.remap()).toEqual({ mapped: 0, left: 3 });
  });
});

test('a wrong Sign, and no Sign, keep nothing', async () => {
  const receiver = await start({ sign: SIGN });
  expect((await receiver.post({ search: search(), body: 'x' })).status).toBe(401);
  expect((await receiver.post({ search: signed({ Sign: 'x' }), body: 'x' })).status).toBe(401);
  expect((await receiver.post({ search: signed({ SdkAppid: '1' }), body: 'x' })).status).toBe(403);
  expect(receiver.quarantined()).toEqual([]);
});

describe('bytes that are no UTF-8', () => {
  const name = Buffer.from([0xc8, 0xba, 0xc3, 0xfb]);
  const payload = Buffer.from(body({ Name: '§' }))
    .toString('latin1')
    .split('Â§');
  const gbk = Buffer.concat([Buffer.from(payload[0] ?? ''), name, Buffer.from(payload[1] ?? '')]);

  test.each([['GBK'], ['"gb18030"'], ['gbk; x=y']])(
    'are read by the charset that the header names: %s',
    async (charset) => {
      const receiver = await start();
      const lossy: unknown[] = [];
      receiver.signals.on('callback.lossy', (told) => lossy.push(told));
      await receiver.post({ body: gbk, headers: { 'content-type': `application/json; charset=${charset}` } });
      expect(receiver.recorded()).toMatchObject([{ data: { changed: { name: '群名' } } }]);
      expect(lossy).toEqual([]);
    },
  );

  test('a group id is read by that charset, too', async () => {
    const receiver = await start({ sign: SIGN });
    const headers = { 'content-type': 'application/json; charset=latin1' };
    await receiver.post({ search: signed(), body: unreadable, headers });
    expect(receiver.recorded()).toMatchObject([{ subject: 'gÿ' }]);
  });

  test.each([['application/json'], ['application/json; charset=nonsense'], ['x; charset=utf-8']])(
    'else they are told of, and the change is recorded: %s',
    async (type) => {
      for (const sign of [undefined, SIGN]) {
        const receiver = await start({ sign });
        const lossy: unknown[] = [];
        receiver.signals.on('callback.lossy', (told) => lossy.push(told));
        expect(await receiver.post({ search: signed(), body: gbk, headers: { 'content-type': type } })).toEqual({
          status: 200,
          json: OK,
        });
        expect(receiver.recorded()[0]?.data.changed.name).toContain('\ufffd');
        expect(lossy).toEqual([{ groupId: '@TGS#TEST' }]);
      }
    },
  );
});

test('a number that no double holds is kept as its digits', async () => {
  const digits = '12345678901234567890';
  const numbers = `{"Seq":${digits},"Deep":[{"Id":-${digits}}],"Much":1e400,"Fine":1.50,"Few":9007199254740991,`;
  for (const before of ['', `"Depth":${'['.repeat(400)}${']'.repeat(400)},`]) {
    const receiver = await start();
    await receiver.post({ body: body().replace('{', numbers + before) });
    expect(receiver.recorded()).toMatchObject([
      {
        data: {
          extra: { Seq: digits, Deep: [{ Id: `-${digits}` }], Much: '1e400', Fine: 1.5, Few: 9_007_199_254_740_991 },
        },
      },
    ]);
  }
  const receiver = await start();
  const deep = `{"Seq":${digits},"Depth":${'['.repeat(20_000)}${']'.repeat(20_000)},`;
  expect(await receiver.post({ body: body().replace('{', deep) })).toEqual({ status: 200, json: OK });
  expect(receiver.recorded()).toMatchObject([{ data: { changed: { name: 'a name' }, omitted: ['Depth'] } }]);
});

test('bytes that cannot be read without a loss stay in the quarantine for a person', async () => {
  const receiver = await start({ sign: SIGN });
  const payload = Buffer.from(body({ Name: '\xff' }), 'latin1');
  await receiver.post({ search: signed(), body: payload.subarray(0, -1) });
  const [kept] = receiver.quarantined();
  const quarantine = createQuarantine(() => ({ sdkAppId: SDK_APP_ID, drop: [], maxBodyBytes: 65_536 }), {
    journal: { record: () => Promise.reject(new Error('recorded')), releaseQuarantined: async () => 0 },
    reader: {
      countQuarantined: () => 1,
      quarantined: (after) => (kept && after < kept.id ? [{ ...kept, body: payload }] : []),
    },
    signals: receiver.signals,
  });
  expect(await quarantine.remap()).toEqual({ mapped: 0, left: 1 });
});

describe('a group that ends lists its members', () => {
  const members = (count: number, bytes = 32) =>
    Array.from({ length: count }, (_, i) => ({ Member_Account: `m${i}`.padEnd(bytes, 'x') }));
  const destroyed = (MemberList: unknown) => body({ ...of(DESTROYED), Owner_Account: 'o', MemberList });

  test.each([
    ['2,000', 2_000, false],
    ['100,000', 100_000, false],
    ['100,000 in chunks of no announced length', 100_000, true],
    ['a million', 1_000_000, false],
  ])('%s members: recorded, without them, and they are named', async (_, count, chunked) => {
    const receiver = await start();
    const payload = destroyed(members(count));
    const response = await fetch(`${receiver.origin}/callback?${search(of(DESTROYED))}`, {
      method: 'POST',
      body: chunked ? new Blob([payload]).stream() : payload,
      ...(chunked && { duplex: 'half' }),
    } as RequestInit);
    expect({ status: response.status, json: await response.json() }).toEqual({ status: 200, json: OK });
    expect(receiver.recorded()).toMatchObject([
      { type: 'chat.group.destroyed', data: { owner: 'o', extra: { Name: 'a name' }, omitted: ['MemberList'] } },
    ]);
  });

  test('what is too large for another reason stays 413, and nothing else is read patiently', async () => {
    const receiver = await start();
    const large = body({ ...of(DESTROYED), Introduction: 'x'.repeat(100_000) });
    expect(await receiver.post({ search: search(of(DESTROYED)), body: large })).toEqual(fail(413, /65536/));
    const other = of('Group.CallbackAfterNewMemberJoin');
    expect(
      await receiver.post({ search: search(other), body: body({ ...other, MemberList: members(5_000) }) }),
    ).toEqual(fail(413, /65536/));
  });

  test('they are carried where the configuration asks for them, as far as an event may be large', async () => {
    const receiver = await start({ drop: [], maxBodyBytes: 8_388_608 });
    const few = members(3);
    await receiver.post({ search: search(of(DESTROYED)), body: destroyed(few) });
    await receiver.post({ search: search(of(DESTROYED)), body: destroyed(members(30_000, 26)) });
    const [first, second] = receiver.recorded();
    expect(first?.data).toMatchObject({ extra: { MemberList: few } });
    expect(first?.data).not.toHaveProperty('omitted');
    expect(second?.data).toMatchObject({ extra: { Name: 'a name' }, omitted: ['MemberList'] });
  });
});

describe('unknown fields never make an event too large', () => {
  test('the largest are left out, and named; what is small stays', async () => {
    const receiver = await start({ maxBodyBytes: 8_388_608 });
    const small = { A: 'x'.repeat(1_000), ShutUpAllMember: 'On', Z: [1, { y: null }] };
    const large = { Huge: 'y'.repeat(2_000_000), Large: 'z'.repeat(200_000), Larger: ['z'.repeat(200_001)] };
    await receiver.post({ body: body({ ...small, ...large }) });
    expect(receiver.recorded()).toMatchObject([
      { data: { extra: { ...small, Large: large.Large }, omitted: ['Huge', 'Larger'] } },
    ]);
  });

  test('the name of one that is left out is cut between two characters', async () => {
    const receiver = await start({ maxBodyBytes: 8_388_608 });
    await receiver.post({ body: body({ [`${'k'.repeat(99)}😀`]: 'y'.repeat(2_000_000) }) });
    expect(receiver.recorded()).toMatchObject([{ data: { omitted: ['k'.repeat(99)] } }]);
  });

  test('a great number of them', async () => {
    const receiver = await start({ maxBodyBytes: 8_388_608 });
    const many = Object.fromEntries(Array.from({ length: 40_000 }, (_, i) => [`K${i}`, 'x'.repeat(50)]));
    expect(await receiver.post({ body: body(many) })).toEqual({ status: 200, json: OK });
    expect(JSON.stringify(receiver.recorded()[0]).length).toBeLessThan(600_000);
  });

  test('one that is nested too deep costs itself only', async () => {
    for (const sign of [undefined, SIGN]) {
      const receiver = await start({ sign });
      const deep = body({ Deep: 0 }).replace('"Deep":0', `"Deep":${'['.repeat(20_000)}${']'.repeat(20_000)}`);
      expect(await receiver.post({ search: signed(), body: deep })).toEqual({ status: 200, json: OK });
      expect(receiver.recorded()).toMatchObject([
        { data: { changed: { name: 'a name' }, omitted: ['Deep'], extra: {} } },
      ]);
    }
  });
});

describe('without tokens, what only decorates does not cost the change', () => {
  const shapes = [undefined, null, '', 7, true, [], {}, ODD];
  test.each([
    ['Operator_Account', fields().CallbackCommand],
    ['Type', fields().CallbackCommand],
    ['EventTime', fields().CallbackCommand],
    ['CallbackCommand', undefined],
    ['Operator_Account', CREATED],
    ['Owner_Account', CREATED],
    ['Name', CREATED],
    ['Type', CREATED],
    ['Owner_Account', DESTROYED],
    ['Type', DESTROYED],
    ['EventTime', DESTROYED],
    ['OldOwner_Account', OWNER],
    ['Operator_Account', OWNER],
    ['Type', OWNER],
  ])('%s of %s, in whatever shape', async (field, command) => {
    const receiver = await start();
    const query = command === undefined ? {} : of(String(command));
    for (const [index, shape] of shapes.entries()) {
      if (field === 'CallbackCommand' && index > 2) continue;
      const group = { GroupId: `g${index}`, NewOwner_Account: 'ann' };
      const payload = body({ ...query, ...group, [field]: shape });
      expect(await receiver.post({ search: search(query), body: payload })).toEqual({ status: 200, json: OK });
      expect(receiver.recorded().at(-1)?.subject).toBe(`g${index}`);
    }
  });

  test.each(['Name', 'Introduction', 'Notification', 'FaceUrl'])('%s beside another change', async (field) => {
    const other = field === 'Name' ? 'Introduction' : 'Name';
    const receiver = await start();
    for (const shape of [null, 7, false, {}, ['x']]) {
      expect(
        await receiver.post({ body: body({ Name: undefined, [other]: `with ${shape}`, [field]: shape }) }),
      ).toEqual({
        status: 200,
        json: OK,
      });
      const { changed, extra } = receiver.recorded().at(-1)?.data ?? {};
      expect(Object.values(changed ?? {})).toEqual([`with ${shape}`]);
      expect(extra).toEqual({ [field]: shape });
    }
  });

  test('null beside another change is nothing with a Sign, too', async () => {
    const receiver = await start({ sign: SIGN });
    await receiver.post({ search: signed(), body: body({ Introduction: null, Operator_Account: undefined }) });
    expect(receiver.recorded()).toMatchObject([{ data: { changed: { name: 'a name' } } }]);
    expect(receiver.recorded()[0]?.data).not.toHaveProperty('operator');
  });

  test('custom fields: those that fit are taken, the list stays where one does not', async () => {
    const receiver = await start();
    const UserDefinedDataList = [{ Key: 'a', Value: 'b' }, { Key: 'c', Value: null }, 7];
    await receiver.post({ body: body({ UserDefinedDataList }) });
    expect(receiver.recorded()).toMatchObject([
      { data: { changed: { customFields: { a: 'b' } }, extra: { UserDefinedDataList } } },
    ]);
  });

  test.each([
    ['no group', { GroupId: undefined }],
    ['an empty group', { GroupId: '' }],
    ['nothing that changes', { Name: null, Introduction: 7 }],
  ])('%s is refused as ever', async (_, changes) => {
    const receiver = await start();
    expect((await receiver.post({ body: body(changes) })).status).toBe(400);
    expect(receiver.recorded()).toEqual([]);
  });
});

describe('a name that stands in the query twice', () => {
  test.each([
    ['ClientIP', '192.0.2.9'],
    ['OptPlatform', 'x'],
    ['RequestID', 'x'],
    ['contenttype', 'xml'],
    ['clientip', '192.0.2.9'],
  ])('%s: the first counts', async (name, value) => {
    for (const sign of [undefined, SIGN]) {
      const receiver = await start({ sign });
      const query = signed({ ClientIP: '1.2.3.4', OptPlatform: 'RESTAPI', RequestID: 'r' });
      expect(await receiver.post({ search: `${query}&${name}=${value}` })).toEqual({ status: 200, json: OK });
      expect(receiver.recorded()).toMatchObject([
        { data: { origin: { clientIp: '1.2.3.4', platform: 'RESTAPI', requestId: 'r' } } },
      ]);
    }
  });

  test.each([
    ['SdkAppid', '1'],
    ['CallbackCommand', CREATED],
    ['Sign', 'x'],
    ['RequestTime', '1'],
  ])('%s decides: refused', async (name, value) => {
    const receiver = await start({ sign: SIGN });
    expect(await receiver.post({ search: `${signed()}&${name}=${value}` })).toEqual(fail(400, /twice/));
    expect(receiver.quarantined()).toEqual([]);
  });
});

test('a body about a topic never touches the group', async () => {
  for (const sign of [undefined, SIGN]) {
    const receiver = await start({ sign });
    for (const command of [fields().CallbackCommand, CREATED, DESTROYED, OWNER]) {
      const about = { ...of(String(command)), TopicId: '@TGS#_x@TOPIC#_y', NewOwner_Account: 'ann' };
      expect(await receiver.post({ search: signed(of(String(command))), body: body(about) })).toEqual({
        status: 200,
        json: OK,
      });
    }
    expect(receiver.recorded()).toEqual([]);
    expect(receiver.answered.map(({ outcome }) => outcome)).toEqual(Array(4).fill('acknowledged'));
    for (const TopicId of [5, {}, ['t'], true]) await receiver.post({ search: signed(), body: body({ TopicId }) });
    expect(receiver.recorded()).toEqual([]);
    await receiver.post({ search: signed(), body: body({ TopicId: '' }) });
    await receiver.post({ search: signed(), body: body({ TopicId: null, Name: 'another' }) });
    expect(receiver.recorded()).toHaveLength(2);
  }
});

test('a field is dropped however the body is cut into chunks', () => {
  const text = '{"a":"}\\",{","L":[1,"]}",{"L":2}],"b":{"L":3},"L" : "x\\"y","c":[{"d":1}]}';
  const wanted = '{"a":"}\\",{","L":null,"b":{"L":3},"L" :null,"c":[{"d":1}]}';
  for (let size = 1; size <= text.length; size++) {
    const dropper = createFieldDropper(['L']);
    let kept = '';
    for (let at = 0; at < text.length; at += size)
      kept += Buffer.from(dropper.push(Buffer.from(text.slice(at, at + size))));
    expect(kept).toBe(wanted);
    expect(dropper.seen.get('L')).toBe(2);
  }
});
