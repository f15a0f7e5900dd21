import { once } from 'node:events';
import { IncomingMessage } from 'node:http';
import { connect, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, onTestFinished, test } from 'vitest';
import { listen } from '../../src/http/server.ts';
import { createBodyReader } from '../../src/intake/body.ts';
import type { Signals } from '../../src/model/signal.ts';
import { body, search } from '../support/callbacks.ts';
import { fail, OK, startReceiver } from './receiver.testbed.ts';

const MOST = 20;
const REQUEST = `POST /callback?${search()} HTTP/1.1\r\nhost: x\r\ncontent-length: ${Buffer.byteLength(body())}\r\n\r\n`;

/** A receiver that takes at most MOST connections. */
async function startCrowded(ports: Parameters<typeof startReceiver>[1] = {}) {
  const receiver = await startReceiver(
    {},
    { ...ports, serve: (fetch, options) => listen(fetch, { ...options, maxConnections: MOST }) },
  );
  const crowded: Signals['connection.limit'][] = [];
  receiver.signals.on('connection.limit', (payload) => crowded.push(payload));
  onTestFinished(() => receiver.close());

  const open = async (bytes: string): Promise<Socket> => {
    const socket = connect(receiver.port, '127.0.0.1');
    // It may be reset: that is what is tested.
    socket.on('error', () => {});
    onTestFinished(() => void socket.destroy());
    await once(socket, 'connect');
    if (bytes !== '') await new Promise((written) => socket.write(bytes, written));
    return socket;
  };
  return { ...receiver, crowded, open };
}

/** The first bytes of the answer to `payload`. */
async function answerOf(socket: Socket, payload = body()): Promise<string> {
  socket.write(payload);
  const [head] = (await once(socket, 'data')) as [Buffer];
  return head.toString();
}

test.each([
  ['that say nothing', ''],
  ['in the middle of a header', 'POST /callback HTTP/1.1\r\nx-slow: aaa'],
  ['in the middle of a body', `${REQUEST}{"CallbackC`],
])('three times as many connections as there may be, %s, shut nobody out', async (_, bytes) => {
  const receiver = await startCrowded();
  for (let i = 0; i < 3 * MOST; i++) await receiver.open(bytes);
  for (let i = 0; i < 5; i++) expect(await receiver.post()).toEqual({ status: 200, json: OK });
  expect(receiver.crowded.length).toBeGreaterThanOrEqual(2 * MOST);
  expect(receiver.crowded.every(({ evicted }) => evicted)).toBe(true);
});

test('a connection that was used a moment ago outlives those that are idle', async () => {
  const receiver = await startCrowded();
  const used = await receiver.open('');
  for (let i = 0; i < MOST - 1; i++) await receiver.open('');
  used.write(REQUEST);
  expect(await answerOf(used)).toContain('200 OK');
  // All the others go first.
  for (let i = 0; i < MOST - 1; i++) await receiver.open('');
  used.write(REQUEST);
  expect(await answerOf(used)).toContain('200 OK');
});

test('whoever waits for an answer is not cut off: with every connection busy, the new one is turned away', async () => {
  const waiting: (() => void)[] = [];
  const receiver = await startCrowded({
    record: () => new Promise((resolve) => waiting.push(() => resolve('recorded'))),
  });
  const busy = await Promise.all(Array.from({ length: MOST }, () => receiver.open(REQUEST + body())));
  await expect.poll(() => waiting.length).toBe(MOST);

  const late = await receiver.open(REQUEST + body());
  expect(await text(late).catch(() => '')).toBe('');
  expect(receiver.crowded).toEqual([{ section: 'receiver', most: MOST, evicted: false }]);

  const answers = busy.map(async (socket) => String((await once(socket, 'data'))[0]));
  for (const resolve of waiting) resolve();
  for (const answer of await Promise.all(answers)) expect(answer).toContain('200 OK');
});

test('503 at once, and on a connection that stays: more callbacks wait than maxInFlight allows', async () => {
  const waiting: (() => void)[] = [];
  const receiver = await startReceiver(
    { maxInFlight: 3 },
    { record: () => new Promise((resolve) => waiting.push(() => resolve('recorded'))) },
  );
  onTestFinished(() => receiver.close());
  const admitted = Array.from({ length: 3 }, () => receiver.post());
  await expect.poll(() => waiting.length).toBe(3);

  const response = await fetch(`${receiver.origin}/callback?${search()}`, { method: 'POST', body: body() });
  expect({ status: response.status, json: await response.json() }).toEqual(fail(503, /3 callbacks wait/));
  expect(response.headers.get('connection')).toBe('keep-alive');
  expect(receiver.answered).toMatchObject([{ outcome: 'failed', fault: { code: 'overloaded' } }]);

  for (const resolve of waiting) resolve();
  for (const one of admitted) expect(await one).toEqual({ status: 200, json: OK });
  // There is room again.
  const next = receiver.post();
  await expect.poll(() => waiting.length).toBe(4);
  waiting[3]?.();
  expect(await next).toEqual({ status: 200, json: OK });
});

test('a body that comes byte by byte takes no place in flight', async () => {
  const receiver = await startReceiver({ maxInFlight: 1 });
  onTestFinished(() => receiver.close());
  const socket = connect(receiver.port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.write(`${REQUEST}{`);
  await once(socket, 'connect');
  for (let i = 0; i < 5; i++) expect(await receiver.post()).toEqual({ status: 200, json: OK });
});

test.each([
  ['while it is read', 65_536],
  ['once it is too large', 1_024],
])('a body in chunks of a byte takes no memory for each of them, %s', async (_, most) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = (): number => {
    collect();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    return heapUsed + external + arrayBuffers;
  };
  const incoming = new IncomingMessage(new Socket());
  const read = createBodyReader(most, ['MemberList'])(incoming, true);
  await nextTurn();
  const before = used();
  for (let n = 0; n < 60_000; n++) {
    incoming.push(Buffer.from(' '));
    if (n % 1_000 === 0) await nextTurn();
  }
  expect(used() - before).toBeLessThan(2_000_000);
  incoming.push(null);
  expect((await read).bytes.byteLength).toBe(Math.min(most, 60_000));
});
