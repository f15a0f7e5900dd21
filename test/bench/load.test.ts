/** The load generator tells the truth: against servers that stall, tear their answers and take notes. */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { readName } from '../../bench/load/callbacks.ts';
import { runLoad } from '../../bench/load/generator.ts';
import { parseBody } from '../../src/intake/body.ts';
import { COMMANDS } from '../../src/intake/commands.ts';
import { COMMAND } from '../support/callbacks.ts';

const OK = '{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}';

async function startServer(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback` };
}

const order = { connections: 4, groups: 10, warmUpMs: 0, ms: 60_000, run: 'test', firstNumber: 0, envelope: true };

test('each callback is one the bridge knows, and none is like another', async () => {
  const bodies: string[] = [];
  const { url } = await startServer(async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    bodies.push(body);
    response.end(OK);
  });
  const { ok, sent, failures } = await runLoad({ ...order, url, count: 500 });
  expect({ ok, sent, failures }).toEqual({ ok: 500, sent: 500, failures: {} });
  expect(new Set(bodies).size).toBe(500);
  const groups = new Set<string>();
  for (const body of bodies) {
    const read = parseBody(Buffer.from(body), 65_536);
    const callback = read.ok ? COMMANDS.get(COMMAND)?.(read.value.fields) : read;
    if (!callback?.ok) throw new Error(callback?.fault.message);
    const { groupId, eventTime, changed } = callback.value;
    groups.add(groupId);
    const name = readName(changed.name ?? '');
    expect(name?.run).toBe('test');
    expect(Math.abs(Number(eventTime) - (name?.dueAt ?? 0) / 1_000)).toBeLessThanOrEqual(1);
  }
  expect(groups.size).toBe(10);
});

test('while a server stalls, every callback that was due counts, not only the few in flight', async () => {
  const RATE = 200;
  const STALL_MS = 600;
  let stalled: Promise<void> | undefined;
  let answered = 0;
  const { url } = await startServer(async (request, response) => {
    request.resume();
    if (++answered === RATE) stalled = delay(STALL_MS);
    await stalled;
    response.end(OK);
  });
  const { ok, failures, p50, p99 } = await runLoad({ ...order, url, ms: 3_000, rate: RATE });
  expect(failures).toEqual({});
  expect(ok).toBe(3 * RATE);
  // A fifth of all were due during the stall; the four in flight alone would be less than a hundredth.
  expect(p99).toBeGreaterThan(0.8 * STALL_MS);
  expect(p50).toBeLessThan(STALL_MS);
});

test('answers are read whole however they are cut up, and told apart', async () => {
  let turn = 0;
  const { url } = await startServer(async (request, response) => {
    request.resume();
    const kind = turn++ % 4;
    if (kind === 0) {
      response.writeHead(503, { 'content-length': 2 }).end('{}');
      return;
    }
    if (kind === 1) {
      response.writeHead(200, { 'content-length': OK.length });
      response.write(OK.slice(0, 20));
      await delay(5);
      response.end(OK.slice(20));
      return;
    }
    // Chunked, as some peers answer.
    response.write(OK.slice(0, 10));
    response.end(kind === 2 ? OK.slice(10) : 'x');
  });
  const { ok, failures } = await runLoad({ ...order, connections: 1, url, count: 40 });
  expect({ ok, failures }).toEqual({ ok: 20, failures: { 'HTTP 503': 10, 'HTTP 200': 10 } });
});

test('a connection that the server closed while it was idle is opened anew', async () => {
  let answered = 0;
  const { url, server } = await startServer(async (request, response) => {
    request.resume();
    answered++;
    if (answered === 100) server.closeIdleConnections();
    // All connections are needed here.
    if (answered === 200) await delay(300);
    response.end(OK);
  });
  const { ok, sent, failures } = await runLoad({ ...order, connections: 16, url, ms: 3_000, rate: 100 });
  // What was on its way to a connection that was just being closed has failed, and is told so.
  const { closed = 0, ECONNRESET = 0, ...others } = failures;
  expect({ told: ok + closed + ECONNRESET, others }).toEqual({ told: sent, others: {} });
  expect(ok).toBeGreaterThan(280);
});
