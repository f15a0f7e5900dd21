import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { createForwarder, type ForwardSettings } from '../../src/intake/forward.ts';
import { BridgeError } from '../../src/model/fault.ts';
import { body, COMMAND, search } from '../support/callbacks.ts';
import { fail, OK, startReceiver } from './receiver.testbed.ts';

const OTHER = 'Group.CallbackAfterNewMemberJoin';
const BEFORE = 'Group.CallbackBeforeSendMsg';

interface Asked {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** The handler that an app has already; keeps every request as it came. */
async function startHandler(answer: (response: ServerResponse, asked: Asked) => void) {
  const asked: Asked[] = [];
  const server = createServer(async (incoming, response) => {
    const { method, url, headers } = incoming;
    const one = { method, url, headers, body: await buffer(incoming) };
    asked.push(one);
    answer(response, one);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  onTestFinished(close);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, server, close };
}

/** A receiver in front of it. */
async function startBefore(settings: Partial<ForwardSettings> & { forwardTo: string }, forwardAll = false, ports = {}) {
  const forwarder = createForwarder({ timeoutMs: 1_500, ...settings });
  const receiver = await startReceiver({ forwardAll }, { forward: forwarder.forward, ...ports });
  const unforwarded: unknown[] = [];
  receiver.signals.on('forward.failed', (payload) => unforwarded.push(payload));
  onTestFinished(async () => {
    forwarder.close();
    await receiver.close();
  });
  return { ...receiver, unforwarded };
}

/** One request with nothing added, and the answer with nothing taken away. */
function exchange(port: number, path: string, payload: Buffer, headers: Record<string, string> = {}) {
  return new Promise<{ status: number | undefined; headers: IncomingMessage['headers']; body: Buffer }>(
    (resolve, reject) => {
      const options = { port, host: '127.0.0.1', path, method: 'POST', headers, agent: false };
      const call = request(options, async (response) =>
        resolve({ status: response.statusCode, headers: response.headers, body: await buffer(response) }),
      );
      call.on('error', reject);
      call.end(payload);
    },
  );
}

test('the request reaches the handler as it came, and its answer comes back as it is, byte for byte', async () => {
  const odd = Buffer.from([0xff, 0x00, 0x7b, 0x0a, 0xf0, 0x9f]);
  const zipped = gzipSync('{"ActionStatus":"OK","ErrorInfo":"所","ErrorCode":0}');
  const handler = await startHandler((response) => {
    response.writeHead(202, { 'content-type': 'text/x-own; charset=gbk', 'content-encoding': 'gzip', 'x-own': 'a, b' });
    response.end(zipped);
  });
  const receiver = await startBefore({ forwardTo: handler.url });
  const query = `${search({ CallbackCommand: OTHER })}&Sign=AbC%2f&RequestTime=1&odd=%E6%89%80+x&odd`;
  const answer = await exchange(receiver.port, `/callback?${query}`, odd, {
    'content-type': 'application/odd',
    'user-agent': 'service/1',
    'x-forwarded-for': '203.0.113.9',
    te: 'trailers',
  });

  expect(handler.asked).toHaveLength(1);
  const [asked] = handler.asked;
  expect(asked?.method).toBe('POST');
  expect(asked?.url).toBe(`/callback?${query}`);
  expect(asked?.body).toEqual(odd);
  expect(asked?.headers).toEqual({
    'content-type': 'application/odd',
    'user-agent': 'service/1',
    'content-length': '6',
    'x-forwarded-for': '203.0.113.9, 127.0.0.1',
    host: new URL(handler.url).host,
    connection: expect.any(String),
  });
  expect(answer.status).toBe(202);
  expect(answer.body).toEqual(zipped);
  expect(answer.headers).toMatchObject({
    'content-type': 'text/x-own; charset=gbk',
    'content-encoding': 'gzip',
    'x-own': 'a, b',
  });
  expect(receiver.answered).toMatchObject([{ command: OTHER, outcome: 'forwarded' }]);
  expect(receiver.recorded()).toEqual([]);
});

test('a path of its own is the handler’s', async () => {
  const handler = await startHandler((response) => response.end('{}'));
  const receiver = await startBefore({ forwardTo: `${handler.url}/im/hook` });
  await receiver.post({ search: search({ CallbackCommand: OTHER }) });
  expect(handler.asked[0]?.url).toBe(`/im/hook?${search({ CallbackCommand: OTHER })}`);
});

test('a "before" command is the handler’s to allow or refuse', async () => {
  const handler = await startHandler((response) =>
    response.end('{"ActionStatus":"OK","ErrorInfo":"no","ErrorCode":1}'),
  );
  const receiver = await startBefore({ forwardTo: handler.url });
  expect(await receiver.post({ search: search({ CallbackCommand: BEFORE }) })).toEqual({
    status: 200,
    json: { ActionStatus: 'OK', ErrorInfo: 'no', ErrorCode: 1 },
  });
});

test('what is refused at the door is not forwarded', async () => {
  const handler = await startHandler((response) => response.end('{}'));
  const receiver = await startBefore({ forwardTo: handler.url });
  expect(await receiver.post({ search: search({ CallbackCommand: OTHER, SdkAppid: '1' }) })).toMatchObject({
    status: 403,
  });
  expect(await receiver.post({ search: search({ CallbackCommand: undefined }) })).toMatchObject({ status: 400 });
  expect(handler.asked).toEqual([]);
});

test('the bridge’s own commands are not forwarded, unless forwardAll says so', async () => {
  const handler = await startHandler((response) => response.end('{"own":"answer"}'));
  const receiver = await startBefore({ forwardTo: handler.url });
  expect(await receiver.post()).toEqual({ status: 200, json: OK });
  expect(handler.asked).toEqual([]);

  const all = await startBefore({ forwardTo: handler.url }, true);
  expect(await all.post()).toEqual({ status: 200, json: { own: 'answer' } });
  expect(handler.asked.map(({ url, body }) => [url, body.toString()])).toEqual([[`/callback?${search()}`, body()]]);
  expect(all.recorded()).toHaveLength(1);
  expect(all.answered).toMatchObject([{ command: COMMAND, outcome: 'recorded' }]);
});

test('with forwardAll, what is recorded is answered OK even when the handler is gone', async () => {
  const handler = await startHandler((response) => response.end('{}'));
  await handler.close();
  const receiver = await startBefore({ forwardTo: handler.url }, true);
  expect(await receiver.post()).toEqual({ status: 200, json: OK });
  expect(receiver.recorded()).toHaveLength(1);
  expect(receiver.unforwarded).toMatchObject([{ command: COMMAND, fault: { code: 'forward-failed' } }]);
});

test('with forwardAll, what is not recorded is not answered OK, whatever the handler says', async () => {
  const handler = await startHandler((response) => response.end('{"ActionStatus":"OK"}'));
  const receiver = await startBefore({ forwardTo: handler.url }, true, {
    record: () => {
      throw new BridgeError({ code: 'journal-unwritable', message: 'the event cannot be recorded' });
    },
  });
  expect(await receiver.post()).toEqual(fail(503, /cannot be recorded/));
  expect(await receiver.post({ body: '{' })).toEqual(fail(400, /not JSON/));
});

test('503: no answer within timeoutMs, well before the service gives up', async () => {
  const handler = await startHandler(() => {});
  const receiver = await startBefore({ forwardTo: handler.url, timeoutMs: 200 });
  const start = performance.now();
  expect(await receiver.post({ search: search({ CallbackCommand: OTHER }) })).toEqual(
    fail(503, /did not answer within 200 ms .*receiver\.otherCommands\.forwardTo/),
  );
  expect(performance.now() - start).toBeLessThan(1_500);
  expect(receiver.answered).toMatchObject([{ outcome: 'failed' }]);
});

test('503: an answer that stops half-way, or has no end', async () => {
  const handler = await startHandler((response, { url = '' }) => {
    if (url.includes('odd=endless')) {
      const more = (): void =>
        void (response.write('x'.repeat(65_536)) ? setImmediate(more) : response.once('drain', more));
      more();
    } else {
      response.writeHead(200, { 'content-length': '10' });
      response.write('half');
      setImmediate(() => response.destroy());
    }
  });
  const receiver = await startBefore({ forwardTo: handler.url });
  const other = search({ CallbackCommand: OTHER });
  expect(await receiver.post({ search: other })).toEqual(fail(503, /cannot be reached/));
  expect(await receiver.post({ search: `${other}&odd=endless` })).toEqual(fail(503, /larger than/));
});

test('connections to the handler are kept, and one that it closed meanwhile is no failure', async () => {
  const sockets = new Set<unknown>();
  const handler = await startHandler((response) => {
    sockets.add(response.socket);
    response.end('{}');
  });
  const receiver = await startBefore({ forwardTo: handler.url });
  const post = () => receiver.post({ search: search({ CallbackCommand: OTHER }) });
  for (let i = 0; i < 5; i++) expect(await post()).toMatchObject({ status: 200 });
  expect(sockets.size).toBe(1);

  for (let i = 0; i < 20; i++) {
    handler.server.closeIdleConnections();
    expect(await post()).toMatchObject({ status: 200 });
  }
  expect(receiver.unforwarded).toEqual([]);
});

test('a handler that ends a kept connection just as it is used again is asked once more', async () => {
  const used = new Set<unknown>();
  const handler = await startHandler((response) => {
    const { socket } = response;
    if (used.has(socket)) socket?.destroy();
    else response.end('{}');
    used.add(socket);
  });
  const receiver = await startBefore({ forwardTo: handler.url });
  for (let i = 0; i < 3; i++) {
    expect(await receiver.post({ search: search({ CallbackCommand: OTHER }) })).toMatchObject({ status: 200 });
  }
  expect(handler.asked).toHaveLength(5);
});

/** A handler that writes these bytes to each connection that asks something. */
async function startRaw(say: (socket: Socket) => void): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => say(socket));
    onTestFinished(() => void socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const says = (bytes: string) => (socket: Socket) => void socket.write(bytes);
const ODD: Record<string, (socket: Socket) => void> = {
  'an upgrade': says('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
  'an upgrade, and then the end': (socket) =>
    void socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
  'a status of 99': says('HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\n{}'),
  'a status of 199': says('HTTP/1.1 199 Odd\r\nContent-Length: 2\r\n\r\n{}'),
  'a status of 600': says('HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\n{}'),
  'a status of 999': says('HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\n{}'),
  'a status of four figures': says('HTTP/1.1 2000 Odd\r\nContent-Length: 2\r\n\r\n{}'),
  'no HTTP': says('hello\r\n\r\n'),
  nothing: () => {},
  'half a header': says('HTTP/1.1 200 OK\r\nContent-Le'),
  'half a body': says('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}'),
  'half a body, and then the end': (socket) => void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}'),
  'a body in chunks without an end': says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n'),
  'the end': (socket) => void socket.end(),
  'a reset': (socket) => void socket.resetAndDestroy(),
  'headers without an end': (socket) => {
    const writing = setInterval(() => socket.write(`x-${'y'.repeat(100)}: z\r\n`), 5);
    socket.write('HTTP/1.1 200 OK\r\n');
    socket.once('close', () => clearInterval(writing));
  },
  'hints without an end': (socket) => {
    const writing = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n'), 5);
    socket.once('close', () => clearInterval(writing));
  },
  'a body of more than it may hold': says(`HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n${' '.repeat(2_000_000)}`),
};

test.each(Object.entries(ODD))(
  'whatever the handler says, the caller hears of it in time, and its place is free: %s',
  async (_, say) => {
    const forwarder = createForwarder({ timeoutMs: 400, forwardTo: await startRaw(say) });
    const receiver = await startReceiver({ maxInFlight: 5 }, { forward: forwarder.forward });
    onTestFinished(async () => {
      forwarder.close();
      await receiver.close();
    });
    const start = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => receiver.post({ search: search({ CallbackCommand: OTHER }), body: '{}' })),
    );
    expect(performance.now() - start).toBeLessThan(400 + 500);
    for (const answer of answers) expect(answer).toEqual(fail(503, /^the upstream handler /));
    expect(await receiver.post()).toEqual({ status: 200, json: OK });
  },
);
