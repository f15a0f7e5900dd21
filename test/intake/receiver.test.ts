import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { signOf } from '../../src/intake/authentication.ts';
import { receiverSettings } from '../../src/intake/context.ts';
import { toAddressList } from '../../src/model/address.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { BridgeError } from '../../src/model/fault.ts';
import { body, COMMAND, ODD_GROUP_IDS, ODD_TEXTS, SDK_APP_ID, search } from '../support/callbacks.ts';
import { fail, NOW, OK, type Receiver, startReceiver } from './receiver.testbed.ts';

/** A callback to any target, byte for byte. */
const requestFor = (target: string): string =>
  `POST ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body())}\r\n\r\n${body()}`;

describe('the status table', () => {
  let receiver: Receiver;
  beforeAll(async () => {
    receiver = await startReceiver();
  });
  afterAll(() => receiver.close());

  test('200: recorded', async () => {
    expect(await receiver.post()).toEqual({ status: 200, json: OK });
    expect(receiver.recorded()).toHaveLength(1);
  });

  test('200: a redelivered callback is recorded once', async () => {
    const before = receiver.recorded().length;
    expect(await receiver.post({ search: search({ RequestID: 'first' }) })).toEqual({ status: 200, json: OK });
    expect(await receiver.post({ search: search({ RequestID: 'second' }) })).toEqual({ status: 200, json: OK });
    expect(receiver.recorded()).toHaveLength(before);
  });

  test.each([
    ['malformed JSON', '{"CallbackCommand":', /not JSON/],
    ['the vendor’s sample with its comments', '{\n"CallbackCommand": "x", // the command\n}', /not JSON/],
    ['an empty body', '', /empty/],
    ['an array', '[]', /not an object/],
    ['null', 'null', /not an object/],
    ['a string', '"x"', /not an object/],
    ['bytes of no encoding', Buffer.from([0xff, 0xfe, 0x00]), /not JSON/],
  ])('400: %s', async (_, payload, info) => {
    expect(await receiver.post({ body: payload })).toEqual(fail(400, info));
  });

  test('400: GroupId is missing', async () => {
    expect(await receiver.post({ body: body({ GroupId: undefined }) })).toEqual(fail(400, /GroupId is missing/));
  });

  test.each([
    ['GroupId', 7],
    ['GroupId', ''],
    ['GroupId', 'x'.repeat(513)],
    ['GroupId', 'lone \ud800 surrogate'],
    ['Name', 1],
    ['Name', null],
  ])('400: %s of the wrong type: %j', async (field, value) => {
    expect(await receiver.post({ body: body({ [field]: value }) })).toEqual(fail(400, new RegExp(field)));
  });

  test('400: every wrong field is named', async () => {
    const { json } = await receiver.post({ body: body({ GroupId: undefined, Name: 1 }) });
    const { ErrorInfo } = json as { ErrorInfo: string };
    expect(ErrorInfo).toMatch(/GroupId is missing/);
    expect(ErrorInfo).toMatch(/Name: a text is expected/);
  });

  test('400: query and body name different commands', async () => {
    const other = 'Group.CallbackAfterCreateGroup';
    expect(await receiver.post({ body: body({ CallbackCommand: other }) })).toEqual(fail(400, /different commands/));
    expect(await receiver.post({ search: search({ CallbackCommand: other }) })).toEqual(
      fail(400, /different commands/),
    );
  });

  test('400: no command in the query, or two', async () => {
    expect(await receiver.post({ search: search({ CallbackCommand: undefined }) })).toEqual(fail(400, /missing/));
    expect(await receiver.post({ search: `${search()}&callbackcommand=Other` })).toEqual(fail(400, /twice/));
  });

  test('403: SdkAppid is another app’s, or missing', async () => {
    expect(await receiver.post({ search: search({ SdkAppid: '1400000000' }) })).toEqual(fail(403, /SdkAppid/));
    expect(await receiver.post({ search: search({ SdkAppid: undefined }) })).toEqual(fail(403, /SdkAppid is missing/));
  });

  test('404: another path', async () => {
    const response = await fetch(`${receiver.origin}/elsewhere`, { method: 'POST', body: body() });
    expect({ status: response.status, json: await response.json() }).toEqual(fail(404, /^nothing is here$/));
  });

  test.each([
    '/x/%2e%2e/callback',
    '//callback',
    '/callback/x',
    '/callback%2f',
    '/callback;x',
    '/CALLBACK',
    '/call%62ack',
  ])('404: another target that a router might take for the same: %s', async (target) => {
    const answer = text(connect(receiver.port, '127.0.0.1').end(requestFor(`${target}?${search()}`)));
    expect(await answer).toMatch(/^HTTP\/1\.1 404 /);
  });

  test.each(['/callback/', 'http://anything.example/callback', 'https://x:1/callback/'])(
    '200: %s is the path itself',
    async (target) => {
      const answer = text(connect(receiver.port, '127.0.0.1').end(requestFor(`${target}?${search()}`)));
      expect(await answer).toMatch(/^HTTP\/1\.1 200 /);
    },
  );

  test('200: a path that is set with a slash at its end is the path itself, too', async () => {
    const slashed = await startReceiver({ path: '/callback/' });
    onTestFinished(slashed.close);
    expect(await slashed.post()).toEqual({ status: 200, json: OK });
  });

  test('405: another method', async () => {
    const response = await fetch(`${receiver.origin}/callback?${search()}`);
    expect({ status: response.status, json: await response.json() }).toEqual(fail(405, /POST/));
    expect(response.headers.get('allow')).toBe('POST');
  });

  test('413: a body of 1 MiB', async () => {
    const large = body({ Introduction: 'x'.repeat(1_048_576) });
    expect(await receiver.post({ body: large })).toEqual(fail(413, /65536 bytes/));
  });

  test('413: a chunked body of 1 MiB, which promises no length', async () => {
    const large = body({ Introduction: 'x'.repeat(1_048_576) });
    const response = await fetch(`${receiver.origin}/callback?${search()}`, {
      method: 'POST',
      body: new Blob([large]).stream(),
      duplex: 'half',
    } as RequestInit);
    expect({ status: response.status, json: await response.json() }).toEqual(fail(413, /65536 bytes/));
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'image/png', ''])(
    'never 415: Content-Type %j is read as JSON',
    async (type) => {
      expect(await receiver.post({ headers: { 'content-type': type } })).toEqual({ status: 200, json: OK });
    },
  );

  test('answers are JSON and say so', async () => {
    const response = await fetch(`${receiver.origin}/callback?${search()}`, { method: 'POST', body: body() });
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.text()).toBe('{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}');
  });

  test('what is not HTTP is answered 400 in the envelope, too', async () => {
    const socket = connect(receiver.port, '127.0.0.1');
    socket.end('NONSENSE\r\n\r\n');
    const answer = await text(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ ActionStatus: 'FAIL', ErrorCode: 400 });
  });
});

describe('authentication', () => {
  let receiver: Receiver;
  beforeAll(async () => {
    receiver = await startReceiver({ sign: { tokens: ['old-token', 'xxxxyyyy'], windowMs: 60_000 } });
  });
  afterAll(() => receiver.close());
  const signed = (token: string, seconds: number, change = (sign: string) => sign) =>
    search({ Sign: change(signOf(token, String(seconds))), RequestTime: String(seconds) });
  const now = NOW / 1000;

  test('the vendor’s two vectors', () => {
    expect(signOf('xxxxyyyy', '1669872112')).toBe('17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061');
    expect(signOf('xxxyyy', '1669872112')).toBe('e78a85473bed2cdc8d6fa8c4d5a4ba4735fd64156e15a99516b9890293e135de');
  });

  test.each([
    ['the current token', signed('xxxxyyyy', now)],
    ['the token that is being rotated out', signed('old-token', now)],
    ['upper-case hex', signed('xxxxyyyy', now, (sign) => sign.toUpperCase())],
    ['60 s old', signed('xxxxyyyy', now - 60)],
    ['60 s ahead', signed('xxxxyyyy', now + 60)],
  ])('200: %s', async (_, query) => {
    expect(await receiver.post({ search: query })).toEqual({ status: 200, json: OK });
  });

  test('the window is that of the configuration', async () => {
    const narrow = await startReceiver({ sign: { tokens: ['xxxxyyyy'], windowMs: 5_000 } });
    expect(await narrow.post({ search: signed('xxxxyyyy', now - 5) })).toEqual({ status: 200, json: OK });
    expect(await narrow.post({ search: signed('xxxxyyyy', now - 6) })).toEqual(
      fail(401, /^RequestTime is more than 5 s away from this clock$/),
    );
    await narrow.close();
  });

  test.each([
    ['no Sign', search({ RequestTime: String(now) }), /Sign is missing/],
    ['no RequestTime', search({ Sign: signOf('xxxxyyyy', String(now)) }), /RequestTime is missing/],
    ['a wrong Sign', signed('another-token', now), /Sign is wrong/],
    ['a Sign cut short', signed('xxxxyyyy', now, (sign) => sign.slice(1)), /Sign is wrong/],
    ['61 s old', signed('xxxxyyyy', now - 61), /60 s/],
    ['61 s ahead', signed('xxxxyyyy', now + 61), /60 s/],
    ['RequestTime not a number', search({ Sign: 'x', RequestTime: '1e9' }), /not a number/],
  ])('401: %s', async (_, query, info) => {
    const before = receiver.recorded().length;
    expect(await receiver.post({ search: query })).toEqual(fail(401, info));
    expect(receiver.recorded()).toHaveLength(before);
  });
});

describe('who may call', () => {
  test('403: an address that is not in allowFrom', async () => {
    const receiver = await startReceiver({ allowed: toAddressList(['183.192.202.0/25', '2001:db8::/32']) });
    expect(await receiver.post()).toEqual(fail(403, /^127\.0\.0\.1 may not call$/));
    await receiver.close();
  });

  test.each([
    ['the right-most address that is no proxy of ours', '203.0.113.9, 183.192.202.5, 10.0.0.7', 200],
    ['with its port', '183.192.202.5:4711', 200],
    ['an IPv6 address with its port', '[2001:db8::5]:443', 200],
    ['not what stands to the left of it, which anybody can write', '183.192.202.5, 203.0.113.9', 403],
    ['the one before an empty element, which a list may hold', '183.192.202.5, ,', 200],
    ['our own proxies only', '10.0.0.7', 403],
    ['no address at all', '183.192.202.5, unknown', 403],
    ['an empty one', '', 403],
  ])('behind a proxy the caller is %s', async (_, forwardedFor, status) => {
    const receiver = await startReceiver({
      allowed: toAddressList(['183.192.202.0/25', '2001:db8::/32']),
      proxies: toAddressList(['127.0.0.0/8', '10.0.0.0/8']),
    });
    expect(await receiver.post({ headers: { 'x-forwarded-for': forwardedFor } })).toMatchObject({ status });
    await receiver.close();
  });

  test('403: X-Forwarded-For from anybody else is not believed', async () => {
    const receiver = await startReceiver({
      allowed: toAddressList(['183.192.202.0/25']),
      proxies: toAddressList(['10.0.0.0/8']),
    });
    expect(await receiver.post({ headers: { 'x-forwarded-for': '183.192.202.5' } })).toEqual(
      fail(403, /127\.0\.0\.1 may not call/),
    );
    await receiver.close();
  });

  test('200: one that is', async () => {
    const receiver = await startReceiver({ allowed: toAddressList(['127.0.0.0/8']) });
    expect(await receiver.post()).toEqual({ status: 200, json: OK });
    await receiver.close();
  });
});

describe('other commands', () => {
  const other = (command: string) => ({
    search: search({ CallbackCommand: command }),
    body: body({ CallbackCommand: command }),
  });
  const topic = other('Group.CallbackAfterTopicInfoChanged');

  test('acknowledge: answered OK, never taken for a change of the group', async () => {
    const receiver = await startReceiver({ rejectsOthers: false });
    expect(await receiver.post(topic)).toEqual({ status: 200, json: OK });
    expect(await receiver.post({ search: search({ CallbackCommand: 'Push.Something' }), body: '{}' })).toEqual({
      status: 200,
      json: OK,
    });
    expect(receiver.recorded()).toEqual([]);
    expect(receiver.answered.map(({ command, outcome }) => [command, outcome])).toEqual([
      ['Group.CallbackAfterTopicInfoChanged', 'acknowledged'],
      ['other', 'acknowledged'],
    ]);
    await receiver.close();
  });

  test('reject: refused', async () => {
    const receiver = await startReceiver({ rejectsOthers: true });
    expect(await receiver.post(topic)).toEqual(fail(403, /not handled/));
    await receiver.close();
  });

  test.each([false, true])(
    'whether others are rejected or not (%s), a command that asks for leave is never given it',
    async (rejectsOthers) => {
      const receiver = await startReceiver({ rejectsOthers });
      for (const command of [
        'Group.CallbackBeforeSendMsg',
        'Sns.CallbackPrevFriendAdd',
        'OfficialAccount.CallbackBeforeX',
      ]) {
        expect(await receiver.post(other(command))).toEqual(fail(403, /asks for leave/));
      }
      await receiver.close();
    },
  );
});

test('refuseBefore: errorCode forbids the action in the service’s own words', async () => {
  const receiver = await startReceiver({ refuseBefore: 'errorCode' });
  const command = 'Group.CallbackBeforeSendMsg';
  const asked = { search: search({ CallbackCommand: command }), body: body({ CallbackCommand: command }) };
  expect(await receiver.post(asked)).toEqual({
    status: 200,
    json: { ActionStatus: 'OK', ErrorCode: 1, ErrorInfo: expect.stringMatching(/asks for leave/) },
  });
  expect(receiver.answered).toMatchObject([{ outcome: 'refused', fault: { code: 'command-refused' } }]);
  await receiver.close();
});

describe('a "before" command that the configuration allows', () => {
  const allowBefore = new Set(['group.callbackbeforesendmsg']);
  const asking = (command: string) => ({
    search: search({ CallbackCommand: command }),
    body: body({ CallbackCommand: command }),
  });

  test('is answered OK, and no other one', async () => {
    const receiver = await startReceiver({ allowBefore });
    expect(await receiver.post(asking('Group.CallbackBeforeSendMsg'))).toEqual({ status: 200, json: OK });
    expect(await receiver.post(asking('C2C.CallbackBeforeSendMsg'))).toEqual(fail(403, /asks for leave/));
    expect(receiver.answered.map(({ command, outcome }) => [command, outcome])).toEqual([
      ['Group.CallbackBeforeSendMsg', 'acknowledged'],
      ['C2C.CallbackBeforeSendMsg', 'refused'],
    ]);
    await receiver.close();
  });

  test('is the same in whatever case somebody wrote it', async () => {
    const written = { app: { sdkAppId: '1' }, receiver: { allowBefore: ['group.callbackbeforeSENDmsg'] } };
    const config = configSchema.parse({ ...written, connectors: { f: { kind: 'file', path: 'x' } } });
    const receiver = await startReceiver({ allowBefore: receiverSettings(config).allowBefore });
    expect(await receiver.post(asking('Group.CallbackBeforeSendMsg'))).toEqual({ status: 200, json: OK });
    await receiver.close();
  });

  test('has to be the protocol, too', async () => {
    const receiver = await startReceiver({ allowBefore });
    const { search } = asking('Group.CallbackBeforeSendMsg');
    expect(await receiver.post({ search, body: '[]' })).toEqual(fail(400, /not an object/));
    expect(await receiver.post({ search, body: body() })).toEqual(fail(400, /different commands/));
    await receiver.close();
  });
});

describe('what is recorded', () => {
  let receiver: Receiver;
  beforeAll(async () => {
    receiver = await startReceiver();
  });
  afterAll(() => receiver.close());
  const last = (): CanonicalEvent | undefined => receiver.recorded().at(-1);

  test.each(ODD_GROUP_IDS)('the group id %j comes through as it is', async (GroupId) => {
    expect(await receiver.post({ body: body({ GroupId }) })).toEqual({ status: 200, json: OK });
    expect(last()).toMatchObject({ subject: GroupId, data: { groupId: GroupId } });
  });

  test.each(Object.entries(ODD_TEXTS))('text with %s comes through as it is', async (_, text) => {
    expect(await receiver.post({ body: body({ Name: text, Notification: text }) })).toEqual({ status: 200, json: OK });
    expect(last()?.data.changed).toEqual({ name: text, notification: text });
  });

  test('query names are matched whatever their case', async () => {
    const query = `SDKAPPID=${SDK_APP_ID}&callbackcommand=${COMMAND}&clientip=1.2.3.4&OPTPLATFORM=Web&requestid=r-1`;
    expect(await receiver.post({ search: query, body: body({ Name: 'case' }) })).toEqual({ status: 200, json: OK });
    expect(last()?.data.origin).toEqual({ clientIp: '1.2.3.4', platform: 'Web', requestId: 'r-1' });
  });

  test('a name cut inside a character does not cost the change', async () => {
    const bytes = Buffer.from(body({ Name: 'cut§' }));
    const cut = Buffer.concat([bytes.subarray(0, bytes.indexOf('§') + 1), bytes.subarray(bytes.indexOf('§') + 2)]);
    expect(await receiver.post({ body: cut })).toEqual({ status: 200, json: OK });
    expect(last()?.data.changed.name).toBe('cut\ufffd');
  });
});

test('while the bridge stops, an answer ends its connection', async () => {
  for (const stopping of [false, true]) {
    const receiver = await startReceiver({}, { stopping: () => stopping });
    const { headers } = await fetch(`${receiver.origin}/callback?${search()}`, { method: 'POST', body: body() });
    expect(headers.get('connection')).toBe(stopping ? 'close' : 'keep-alive');
    await receiver.close();
  }
});

describe('the process is unharmed', () => {
  test('a body that stops half-way: nothing recorded, others are answered', async () => {
    const receiver = await startReceiver();
    const socket = connect(receiver.port, '127.0.0.1');
    socket.write(`POST /callback?${search()} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"CallbackCommand":`);
    expect(await receiver.post()).toEqual({ status: 200, json: OK });
    socket.destroy();
    expect(await receiver.post({ body: body({ Name: 'after' }) })).toEqual({ status: 200, json: OK });
    expect(receiver.recorded()).toHaveLength(2);
    await receiver.close();
  });

  test('what stalls is answered 400 and its connection closed, without a word where it was never used', async () => {
    const receiver = await startReceiver();
    const opened = (bytes: string) => {
      const socket = connect(receiver.port, '127.0.0.1');
      socket.write(bytes);
      return text(socket);
    };
    const begun = `POST /callback?${search()} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"CallbackCommand":`;
    const [unused, headers, body] = await Promise.all(['', 'POST /callback HTTP/1.1\r\nhost:', begun].map(opened));
    expect(headers).toMatch(/^HTTP\/1\.1 400 .*not an HTTP request/s);
    expect(body).toMatch(/^HTTP\/1\.1 400 .*did not arrive within/s);
    expect(unused).toBe('');
    await receiver.close();
  });

  test('503: the event cannot be recorded, and no path of this machine goes out', async () => {
    const receiver = await startReceiver(
      {},
      {
        record: () => {
          throw new BridgeError({
            code: 'journal-unwritable',
            message: 'the event cannot be recorded',
            suggestion: 'disk /secret full',
          });
        },
      },
    );
    const { status, json } = await receiver.post();
    expect({ status, json }).toEqual(fail(503, /^the event cannot be recorded$/));
    expect(receiver.answered).toMatchObject([{ outcome: 'failed' }]);
    await receiver.close();
  });

  test.each(['journal-groups-full', 'quarantine-full', 'journal-unusable'] as const)(
    '503: %s is told as what it is',
    async (code) => {
      const record = () => Promise.reject(new BridgeError({ code, message: 'no room', suggestion: 'secret' }));
      const receiver = await startReceiver({}, { record });
      expect(await receiver.post()).toEqual(fail(503, /^no room$/));
      expect(receiver.answered).toMatchObject([{ outcome: 'failed', fault: { code } }]);
      await receiver.close();
    },
  );

  test('hold: the answer comes after the service’s time-out, and OK if there is room again by then', async () => {
    let attempts = 0;
    const receiver = await startReceiver(
      { whenUnrecordable: 'hold' },
      {
        record: () => {
          attempts++;
          throw new BridgeError({ code: 'journal-unwritable', message: 'the event cannot be recorded' });
        },
      },
    );
    const start = performance.now();
    expect(await receiver.post()).toEqual(fail(503, /cannot be recorded/));
    expect(performance.now() - start).toBeGreaterThan(2_000);
    expect(attempts).toBe(2);
    await receiver.close();
  });

  test('503: something unforeseen is no stack trace', async () => {
    const receiver = await startReceiver(
      {},
      {
        record: () => {
          throw new TypeError('x is not a function');
        },
      },
    );
    expect(await receiver.post()).toEqual(fail(503, /^the callback could not be handled$/));
    await receiver.close();
  });
});

function text(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let all = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      all += chunk;
    });
    socket.on('close', () => resolve(all));
    socket.on('error', reject);
  });
}
