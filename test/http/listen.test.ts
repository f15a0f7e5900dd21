/** A server that cannot listen says which setting to change, and why; whatever it refuses by itself is told. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { listen } from '../../src/http/server.ts';
import { createSignals } from '../../src/model/signal.ts';

const tryTo = (host: string, port = 0, keepAliveMs = 1_000) =>
  listen(() => new Response('ok'), {
    ...{ section: 'receiver', host, port, keepAliveMs, maxConnections: 10, signals: createSignals() },
    malformedBody: (why) => why,
  });

/** Answers by `fetch`, and keeps what is told. */
async function start(fetch: () => Response | Promise<Response> = () => new Response('ok')) {
  const told: string[] = [];
  const { server, port } = await listen(fetch, {
    ...{ section: 'receiver', host: '127.0.0.1', port: 0, keepAliveMs: 1_000, maxConnections: 10 },
    signals: createSignals(),
    malformedBody: (why) => why,
    onMalformed: ({ why }) => told.push(why),
  });
  onTestFinished(() => void server.close().closeAllConnections());
  const socket = connect(port, '127.0.0.1');
  return { told, socket };
}

test('a port that is taken, a host that is not here, and one that nobody knows', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  onTestFinished(() => void other.close());
  const { port } = other.address() as AddressInfo;
  await expect(tryTo('127.0.0.1', port)).rejects.toMatchObject({
    fault: { code: 'address-in-use', path: 'receiver.port', suggestion: expect.stringMatching(/another process/) },
  });
  for (const host of ['192.0.2.1', 'no-such-host.invalid']) {
    await expect(tryTo(host), host).rejects.toMatchObject({
      fault: {
        code: 'address-unusable',
        path: 'receiver.host',
        suggestion: expect.stringMatching(/^it is not an address of this machine/),
      },
    });
  }
});

test('with a keepAlive of 0 a connection that is idle is closed, and not kept for ever', async () => {
  const { server, port } = await tryTo('127.0.0.1', 0, 0);
  onTestFinished(() => void server.close().closeAllConnections());
  const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
  expect(await text(socket)).toContain('200 OK');
});

test('a connection is kept however long keepAlive is', async () => {
  const { server, port } = await tryTo('127.0.0.1', 0, 30 * 86_400_000);
  onTestFinished(() => void server.close().closeAllConnections());
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on('warning', onWarning);
  onTestFinished(() => void process.off('warning', onWarning));
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('ok');
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(warnings).toEqual([]);
});

test.each([
  ['a target that is no path', 'OPTIONS *', 'x'],
  ['an address of another form', 'POST HTTP://x/callback', 'x'],
  ['a backslash in the path', 'POST /call\\back', 'x'],
  ['a port that is none', 'POST /callback', 'x:99999'],
  ['a port that is empty', 'POST /callback', 'x:'],
  ['an address that is written in another way', 'POST /callback', '[0:0:0:0:0:0:0:1]'],
  ['a host that is none', 'POST /callback', 'a%62c'],
])('%s is refused, and told', async (_, asked, host) => {
  const { told, socket } = await start();
  socket.write(`${asked} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  const [head, body] = (await text(socket)).split('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1.1 400 .*connection: close/is);
  expect(told).toEqual([body]);
  expect(body).toMatch(/^not an HTTP request: ./);
});

const REQUEST = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n';

test('who asks on and on without waiting for an answer is cut off: each would wait in memory', async () => {
  let asked = 0;
  const { told, socket } = await start(() => {
    asked++;
    return new Promise(() => {});
  });
  socket.on('error', () => {}).write(REQUEST.repeat(500));
  await once(socket, 'close');
  expect(asked).toBe(1);
  expect(told).toEqual([expect.stringContaining('more than 40 requests')]);
});

test('those who are cut off together are cut off in turns', async () => {
  const { server, port } = await listen(() => new Promise<Response>(() => {}), {
    ...{ section: 'receiver', host: '127.0.0.1', port: 0, keepAliveMs: 1_000, maxConnections: 100 },
    signals: createSignals(),
    malformedBody: (why) => why,
  });
  onTestFinished(() => void server.close().closeAllConnections());
  const many = 40;
  let [asked, closed, inTurn, most] = [0, 0, 0, 0];
  server.prependListener('connection', (socket: Socket) =>
    socket.on('close', () => {
      closed++;
      most = Math.max(most, ++inTurn);
      setImmediate(() => {
        inTurn = 0;
      });
    }),
  );
  server.on('request', () => void asked++);
  for (let n = 0; n < many; n++) {
    const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(45)));
    socket.on('error', () => {}).resume();
  }
  await expect.poll(() => asked).toBe(many * 45);
  // The time of all of them comes at once.
  for (const end = performance.now() + 1_500; performance.now() < end; );
  await expect.poll(() => closed).toBe(many);
  expect(most).toBeLessThan(5);
});

test('who asks once does not wait for all that others ask at once, and those are answered, too', async () => {
  let asked = 0;
  const { server, port } = await listen(() => new Response(String(++asked)), {
    ...{ section: 'receiver', host: '127.0.0.1', port: 0, keepAliveMs: 1_000, maxConnections: 100 },
    signals: createSignals(),
    malformedBody: (why) => why,
  });
  onTestFinished(() => void server.close().closeAllConnections());
  const [many, each] = [40, 40];
  const sockets = Array.from({ length: many }, () => connect(port, '127.0.0.1'));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  const last = REQUEST.replace('\r\n', '\r\nconnection: close\r\n');
  const answers = sockets.map((socket) => text(socket.setEncoding('latin1')));
  for (const socket of sockets) socket.write(REQUEST.repeat(each - 1) + last);
  const honest = Number(await (await fetch(`http://127.0.0.1:${port}/`)).text());
  expect(honest).toBeLessThan((many * each) / 4);
  for (const answer of await Promise.all(answers)) expect(answer.match(/HTTP\/1\.1 200 /g)).toHaveLength(each);
  expect(asked).toBe(many * each + 1);
});

test('a connection that waits for its answers is kept, however many they are', async () => {
  const { told, socket } = await start();
  for (let n = 0; n < 70; n++) {
    socket.write(REQUEST);
    expect(String(await once(socket, 'data'))).toMatch(/^HTTP\/1.1 200 /);
  }
  expect(told).toEqual([]);
});
