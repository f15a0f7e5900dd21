/** A real HTTP server, and endpoints on it that each test has answer as it says. */
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, LookupFunction, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type EventSink, Interrupted } from '../../connectors/contract.ts';
import { isPrivate, PrivateAddress, publicLookup } from '../../connectors/http/addresses.ts';
import { judge } from '../../connectors/http/answer.ts';
import { http } from '../../connectors/http/connector.ts';
import { openEndpoint } from '../../connectors/http/endpoint.ts';
import { webhookHeaders } from '../../connectors/http/message.ts';
import type { HttpOptions } from '../../connectors/http/options.ts';
import { type Configured, openSink } from '../../connectors/index.ts';
import { configSchema } from '../../src/config/schema.ts';
import { entryOf } from '../../src/model/entry.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { Unreachable } from '../../src/model/fault.ts';
import { compileShape, shapeSettings } from '../../src/model/shape.ts';
import { createAuthority } from '../servers/certificates.ts';
import {
  connectorSuite,
  type Driven,
  type Found,
  makeEvent,
  never,
  type Place,
  testHost,
  unreachableBy,
  withSink,
} from './suite.ts';

interface Arrived {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: Buffer;
  readonly event: CanonicalEvent;
}
type Answer = (arrived: Arrived) => unknown;

/** By path, how its endpoint answers. */
const endpoints = new Map<string, { answer: Answer; arrived: Arrived[] }>();
const accept: Answer = ({ response }) => response.writeHead(202).end();

const listener: RequestListener = async (request, response) => {
  const endpoint = endpoints.get(request.url ?? '');
  const body = await buffer(request);
  const arrived = { request, response, body, event: eventIn(request, body) };
  endpoint?.arrived.push(arrived);
  if (endpoint === undefined) response.writeHead(404).end();
  else endpoint.answer(arrived);
};

/** Reads a request by the words of the binding. */
function eventIn({ headers }: IncomingMessage, body: Buffer): CanonicalEvent {
  if (headers['content-type']?.startsWith('application/cloudevents')) return JSON.parse(body.toString());
  const attributes = Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith('ce-') ? [[name.slice(3), decodeURIComponent(String(value))]] : [],
  );
  return {
    ...Object.fromEntries(attributes),
    datacontenttype: headers['content-type'],
    data: JSON.parse(body.toString()),
  };
}

const folder = mkdtempSync(join(tmpdir(), 'bridge-http-'));
const server = createServer(listener);
let port = 0;
async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
beforeAll(async () => {
  port = await listen(server);
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

/** Makes an endpoint, and the options that lead to it. */
function endpoint(answer: Answer = accept, more: Readonly<Record<string, unknown>> = {}) {
  const path = `/events/${endpoints.size}`;
  const arrived: Arrived[] = [];
  endpoints.set(path, { answer, arrived });
  const url = `http://127.0.0.1:${port}${path}`;
  return { options: { url, allowPrivate: true, ...more }, arrived, ids: () => arrived.map(({ event }) => event.id) };
}

function place(more: Readonly<Record<string, unknown>>, answer: Answer = accept): Place {
  const { options, arrived } = endpoint(answer, more);
  return {
    options,
    readBack: async () =>
      arrived.flatMap(({ event, response }): Found[] =>
        response.statusCode === 202
          ? [
              {
                id: event.id,
                groupId: event.subject,
                changed: event.data.changed,
                receipt: `http://127.0.0.1:${port}#${event.id}`,
              },
            ]
          : [],
      ),
  };
}

for (const format of ['structured', 'binary']) {
  connectorSuite({
    name: `http, format: ${format}`,
    connector: http,
    keeps: 'every event',
    skip: '',
    place: async () => place({ format }),
    unreachable: async () => ({ url: 'http://127.0.0.1:1/events', allowPrivate: true }),
    poison: {
      place: async () =>
        place({ format }, ({ event, response }) =>
          event.data.changed.name === 'refused'
            ? response.writeHead(422).end('this name\n is not wanted')
            : response.writeHead(202).end(),
        ),
      event: (groupId) => makeEvent({ name: 'refused' }, { groupId }),
      reason: /answers 422: this name is not wanted/,
    },
  });
}

const deliverTo = <T>({ options }: Pick<ReturnType<typeof endpoint>, 'options'>, work: (sink: Driven) => Promise<T>) =>
  withSink(http, { options, readBack: async () => [] }, work);

const thrownBy = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => expect.unreachable('it went through'),
    (thrown: unknown) => thrown,
  );

const event = (groupId: string, name = '') => makeEvent({ name }, { groupId });

describe('a request', () => {
  const secretOf = (bytes: Buffer): string => `whsec_${bytes.toString('base64')}`;

  test('is signed as the reference of Standard Webhooks is', () => {
    const body = Buffer.from('{"test": 2432232314}');
    const secrets = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'];
    expect(webhookHeaders('msg_p5jXN8AQM9LWM0D4loKWxJek', body, secrets, 1_614_265_330_999)).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  test('has a signature of what arrives for each secret; its id stays, its time is the attempt’s', async () => {
    const keys = [randomBytes(24), randomBytes(64)];
    const secrets = keys.map(secretOf);
    const asked = endpoint(({ response }) => response.writeHead(asked.arrived.length > 1 ? 200 : 500).end(), {
      secrets,
    });
    const host = testHost();
    let now = 1_700_000_000_000;
    const clocked = { ...host, clock: { ...host.clock, now: () => (now += 60_000) } };
    const sink = await http.open(http.options.parse(asked.options), clocked, never());
    onTestFinished(() => sink.close());
    const one = event('A');
    const entries = [{ seq: 1, id: one.id, groupId: 'A', receivedAt: 0, text: JSON.stringify(one), event: one }];
    if (sink.holds !== 'events') return;
    await unreachableByCall(() => sink.deliver(entries, never()));
    await sink.deliver(entries, never());
    const signed = asked.arrived.map(({ request: { headers }, body }) => {
      const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signature } = headers;
      const content = Buffer.concat([Buffer.from(`${id}.${time}.`), body]);
      const expected = keys.map((key) => `v1,${createHmac('sha256', key).update(content).digest('base64')}`);
      expect(signature).toBe(expected.join(' '));
      return [id, Number(time)] as const;
    });
    expect(signed.map(([id]) => id)).toEqual([one.id, one.id]);
    expect(signed[1]?.[1]).toBeGreaterThan(Number(signed[0]?.[1]));
  });

  const unreachableByCall = async (work: () => Promise<unknown>) =>
    expect(await thrownBy(work())).toBeInstanceOf(Unreachable);

  test('has the method and headers of the options, and the trace of its event', async () => {
    const asked = endpoint(accept, { method: 'PUT', headers: { authorization: 'Bearer x', 'X-Tenant': 'a b' } });
    const traced = { ...event('A'), traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` };
    await deliverTo(asked, (sink) => sink.deliver([traced], never()));
    expect(asked.arrived[0]?.request.method).toBe('PUT');
    expect(asked.arrived[0]?.request.headers).toMatchObject({
      ...{ authorization: 'Bearer x', 'x-tenant': 'a b', traceparent: traced.traceparent },
      'content-type': 'application/cloudevents+json; charset=UTF-8',
      'webhook-id': traced.id,
    });
    expect(asked.arrived[0]?.request.headers).not.toHaveProperty('webhook-signature');
    expect(asked.arrived[0]?.event).toEqual(traced);
  });

  test('in binary mode carries the same event in its headers', async () => {
    const asked = endpoint(accept, { format: 'binary' });
    const odd = makeEvent({ name: '长' }, { groupId: '@TGS#Euro € "😀" 100%' });
    await deliverTo(asked, (sink) => sink.deliver([odd], never()));
    expect(asked.arrived[0]?.event).toEqual(odd);
    expect(asked.arrived[0]?.request.headers).toMatchObject({
      'content-type': 'application/json',
      'ce-subject': '@TGS#Euro%20%E2%82%AC%20%22%F0%9F%98%80%22%20100%25',
    });
  });
});

test.each([
  ['structured', 'data.title', 'application/cloudevents+json; charset=UTF-8'],
  ['structured', 'event_id', 'application/json'],
  ['binary', 'title', 'application/json'],
])('in a shape of others the body is what the shape makes (%s, %s)', async (format, to, type) => {
  const shape = shapeSettings.parse({ fields: { [to === 'event_id' ? 'id' : 'name']: to } });
  const asked = endpoint(accept, { format });
  const configured = { ...http.options.parse(asked.options), kind: 'http', shape } as Configured;
  const sink = await openSink(configured, testHost(), never());
  onTestFinished(() => sink.close());
  const one = event('A', 'moved');
  await (sink as EventSink).deliver([entryOf(1, one)], never());
  const [{ request, body } = expect.unreachable()] = asked.arrived;
  expect(request.headers).toMatchObject({ 'content-type': type, 'webhook-id': one.id });
  // It would name the schema of what this is not.
  expect(request.headers).not.toHaveProperty('ce-dataschema');
  expect(JSON.parse(body.toString())).toEqual(compileShape(shape, 'events').out(JSON.parse(JSON.stringify(one))));
});

describe('an answer', () => {
  test.each([
    [307, 'destination-misconfigured', 'url', {}],
    [401, 'destination-credentials', 'headers', {}],
    [405, 'destination-misconfigured', 'method', {}],
    [501, 'destination-misconfigured', 'method', {}],
    [410, 'destination-misconfigured', 'url', {}],
    [415, 'destination-misconfigured', 'format', {}],
    [429, 'destination-overloaded', 'url', { 'retry-after': '7' }],
    [429, 'destination-overloaded', 'url', { 'retry-after': '8 s later' }],
    [503, 'destination-overloaded', 'url', { 'retry-after': '7' }],
  ] as const)('of %i is the endpoint’s: %s, nothing more is sent', async (status, code, option, headers) => {
    const elsewhere = endpoint();
    const location = elsewhere.options.url;
    const asked = endpoint(
      ({ response }) => {
        const later = new Date(Date.now() + 8_000).toUTCString();
        const after = 'retry-after' in headers ? headers['retry-after'].replace('8 s later', later) : undefined;
        response.writeHead(status, { location, ...(after && { 'retry-after': after }) }).end();
      },
      { concurrency: 1 },
    );
    const thrown = await deliverTo(asked, (sink) => thrownBy(sink.deliver([event('A'), event('B')], never())));
    expect(thrown).toBeInstanceOf(Unreachable);
    const { fault, afterMs } = thrown as Unreachable;
    expect(fault).toMatchObject({ code, path: `connectors.under-test.${option}`, suggestion: expect.any(String) });
    if (status === 410) {
      expect(fault.message).toMatch(/answered 410 Gone/);
      expect(afterMs).toBeGreaterThan(20 * 86_400_000);
    } else if ('retry-after' in headers) {
      expect(afterMs).toBeGreaterThan(5_000);
      expect(afterMs).toBeLessThanOrEqual(8_000);
    } else expect(afterMs).toBe(0);
    expect(asked.arrived).toHaveLength(1);
    expect(elsewhere.arrived).toEqual([]);
  });

  test.each([
    [403, 'destination-credentials', 'headers'],
    [404, 'destination-missing', 'url'],
    [406, 'destination-misconfigured', 'format'],
  ])('of %i to every event is %s', async (status, code, option) => {
    const asked = endpoint(({ response }) => response.writeHead(status).end());
    const events = Array.from({ length: 20 }, (_, n) => event(`group ${n}`));
    const fault = await deliverTo(asked, (sink) => unreachableBy(() => sink.deliver(events, never())));
    expect(fault).toMatchObject({ code, path: `connectors.under-test.${option}` });
    expect(asked.arrived.length).toBeLessThan(20);
  });

  test.each([
    [304, {}, /answers 304$/, /check what answers there/],
    [300, {}, /answers 300$/, /check what answers there/],
    [
      308,
      { location: '/secret/v2' },
      /answers 308, a redirect to another path; redirects are not followed$/,
      /use the URL/,
    ],
    [301, { location: 'https://example.com/secret' }, /a redirect to https:\/\/example.com; redirects/, /use the URL/],
    [302, { location: 'https://' }, /answers 302, a redirect; redirects are not followed$/, /use the URL/],
  ])('of %i %j says where it leads to, if anywhere, and no path', (status, headers, message, suggestion) => {
    const asked = { setting: 'connectors.c', origin: 'http://example.com' };
    const judgement = judge(asked, { status, headers, text: '' }, 'id', 0);
    expect(judgement).toMatchObject({
      of: 'endpoint',
      fault: { message: expect.stringMatching(message), suggestion: expect.stringMatching(suggestion) },
    });
    expect(JSON.stringify(judgement)).not.toContain('secret');
  });

  test.each([
    ['120', 120_000],
    ['999999999', 86_400_000],
    ['Fri, 31 Dec 1999 23:59:59 GMT', 0],
    ['Fri, 31 Dec 1999 23:59:59 GMT', 59_000, 'Fri, 31 Dec 1999 23:59:00 GMT'],
    ['-1', 0],
    ['soon', 0],
  ])('with Retry-After: %s leaves the endpoint alone for %i ms', (after, afterMs, date?: string) => {
    const asked = { setting: 'connectors.c', origin: 'https://example.com' };
    const headers = { 'retry-after': after, ...(date !== undefined && { date }) };
    expect(judge(asked, { status: 429, headers, text: '' }, 'id', Date.now())).toMatchObject({
      of: 'endpoint',
      afterMs,
    });
  });

  test.each([400, 409, 413, 422])('of %i is the event’s: dead, with what was said', async (status) => {
    const asked = endpoint(({ response }) => response.writeHead(status).end(`no:\n${'x'.repeat(100_000)}`));
    const one = event('A');
    const outcome = (await deliverTo(asked, (sink) => sink.deliver([one], never()))).get(one.id);
    expect(outcome).toMatchObject({
      kind: 'dead',
      fault: {
        code: status === 413 ? 'event-too-large' : 'event-refused',
        message: expect.stringMatching(/no: x{190,200}$/),
      },
    });
  });

  /** What may be the event's trouble or the endpoint's. */
  const doubtful: Readonly<Record<string, Answer>> = {
    '500': ({ response }) => response.writeHead(500).end('out of order'),
    '502': ({ response }) => response.writeHead(502).end(),
    // As filters of the web answer what is in a text, and endpoints a group that they do not know.
    '403': ({ response }) => response.writeHead(403).end('blocked'),
    '404': ({ response }) => response.writeHead(404).end(),
    '406': ({ response }) => response.writeHead(406).end(),
    '408': ({ response }) => response.writeHead(408).end(),
    '425': ({ response }) => response.writeHead(425).end(),
    'a 503 without a time': ({ response }) => response.writeHead(503).end(),
    'a reset': ({ request }) => request.socket.resetAndDestroy(),
    'a time-out': () => {},
    'half of an answer’s head': ({ request }) => request.socket.end('HTTP/1.1 200 O'),
    'what is no HTTP': ({ request }) => request.socket.end('220 mail.example.com ESMTP\r\n'),
  };

  test.each(Object.entries(doubtful))(
    'that is %s is the event’s while others are taken, and the endpoint’s when none is',
    async (what, answer) => {
      const asked = endpoint((arrived) => (arrived.event.subject === 'bad' ? answer(arrived) : accept(arrived)), {
        ...(what === 'a time-out' && { timeoutMs: 700 }),
      });
      const [bad, after, good] = [event('bad'), event('bad'), event('good')];
      await deliverTo(asked, async (sink) => {
        const outcomes = await sink.deliver([bad, after, good], never());
        expect(outcomes.get(good.id)?.kind).toBe('delivered');
        expect(outcomes.get(bad.id)).toMatchObject({
          kind: 'retry',
          fault: { code: expect.stringMatching(/^destination-/) },
        });
        // The next of its group waits for it.
        expect(outcomes.has(after.id)).toBe(false);
        expect(asked.ids()).not.toContain(after.id);
        const fault = await unreachableBy(() => sink.deliver([bad], never()));
        expect(fault.message).toMatch(/^http:\/\/127\.0\.0\.1:\d+ (answers|does not answer)/);
      });
    },
  );

  test('that fails now and then is never the endpoint’s: whoever is taken in between vouches for it', async () => {
    const asked = endpoint(
      (arrived) => (arrived.event.subject.startsWith('bad') ? arrived.response.writeHead(500).end() : accept(arrived)),
      { concurrency: 1 },
    );
    const events = Array.from({ length: 10 }, (_, n) => event(`${n % 2 === 0 ? 'bad' : 'good'} ${n}`));
    const outcomes = await deliverTo(asked, (sink) => sink.deliver(events, never()));
    const kinds = events.map(({ id }) => outcomes.get(id)?.kind);
    expect(kinds).toEqual(events.map((_, n) => (n % 2 === 0 ? 'retry' : 'delivered')));
  });

  test('counts once its head is there, whatever becomes of its body', async () => {
    const asked = endpoint(({ response }) => {
      response.writeHead(200, { 'content-length': 1_000 });
      response.write('x');
    });
    const [one, two] = [event('A'), event('A')];
    const outcomes = await deliverTo(asked, (sink) => sink.deliver([one, two], never()));
    expect([...outcomes.values()].map(({ kind }) => kind)).toEqual(['delivered', 'delivered']);
  });

  test('that a kept connection ended in the place of is asked for once more, on a new one', async () => {
    const used = new WeakSet<object>();
    const asked = endpoint((arrived) => {
      const { socket } = arrived.request;
      if (used.has(socket)) socket.destroy();
      else accept(arrived);
      used.add(socket);
    });
    const events = [event('A'), event('A'), event('A')];
    const outcomes = await deliverTo(asked, (sink) => sink.deliver(events, never()));
    expect(events.map(({ id }) => outcomes.get(id)?.kind)).toEqual(['delivered', 'delivered', 'delivered']);
  });
});

describe('a batch', () => {
  test('goes out group by group at once, and one after the other within a group', async () => {
    const open: Arrived[] = [];
    const overlaps: string[] = [];
    let most = 0;
    const asked = endpoint(
      (arrived) => {
        if (open.some(({ event }) => event.subject === arrived.event.subject)) overlaps.push(arrived.event.subject);
        open.push(arrived);
        most = Math.max(most, open.length);
        // Nobody is answered before so many ask at once.
        if (open.length === 4) for (const one of open.splice(0)) accept(one);
      },
      { concurrency: 4 },
    );
    const events = Array.from({ length: 40 }, (_, n) => event(`group ${n % 4}`));
    const outcomes = await deliverTo(asked, (sink) => sink.deliver(events, never()));
    expect(outcomes.size).toBe(40);
    expect({ overlaps, most }).toEqual({ overlaps: [], most: 4 });
    for (const group of Map.groupBy(events, ({ subject }) => subject).values()) {
      const ids = group.map(({ id }) => id);
      expect(asked.ids().filter((id) => ids.includes(id))).toEqual(ids);
    }
  });

  test.each([
    ['the endpoint is gone', ({ response }: Arrived) => response.writeHead(410).end()],
    ['every request fails', ({ request }: Arrived) => request.socket.destroy()],
  ])('of which a part was acknowledged when %s: that part is settled, and nothing else', async (_, broken) => {
    const asked = endpoint((arrived) => (asked.arrived.length <= 10 ? accept(arrived) : broken(arrived)), {
      concurrency: 4,
    });
    const events = Array.from({ length: 40 }, (_, n) => event(`group ${n}`));
    const thrown = await deliverTo(asked, (sink) => thrownBy(sink.deliver(events, never())));
    expect(thrown).toBeInstanceOf(Interrupted);
    const { settled, cause } = thrown as Interrupted;
    expect(cause).toBeInstanceOf(Unreachable);
    expect([...settled.keys()]).toEqual(expect.arrayContaining(asked.ids().slice(0, 10)));
    expect([...settled.values()].map(({ kind }) => kind)).toEqual(Array(10).fill('delivered'));
    // What was under way already was not kept back.
    expect(new Set(asked.ids()).size).toBeLessThanOrEqual(10 + 4 + 3);
  });

  test('that comes after trouble begins with one request, and goes on with all when that is answered', async () => {
    let status = 429;
    const stop = new AbortController();
    const asked = endpoint(({ response }) => (status === 0 ? stop.abort() : response.writeHead(status).end()));
    const events = Array.from({ length: 40 }, (_, n) => event(`group ${n}`));
    await deliverTo(asked, async (sink) => {
      await thrownBy(sink.deliver(events, never()));
      const before = asked.arrived.length;
      await thrownBy(sink.deliver(events, never()));
      expect(asked.arrived.length - before).toBe(1);
      status = 0;
      expect(await thrownBy(sink.deliver(events, stop.signal))).toBe(stop.signal.reason);
      status = 200;
      expect((await sink.deliver(events, never())).size).toBe(40);
    });
  });

  test.each([503, 404])(
    'that comes after trouble asks on a new connection, which may end at another server (%i)',
    async (status) => {
      const known = new Set<object>();
      const asked = endpoint((arrived) => {
        const { socket } = arrived.request;
        known.add(socket);
        // As one of several servers of an address, or the one that had the name before.
        if (known.size > 1) accept(arrived);
        else arrived.response.writeHead(status).end();
      });
      await deliverTo(asked, async (sink) => {
        const one = event('A');
        await unreachableBy(() => sink.deliver([one], never()));
        expect((await sink.deliver([one], never())).get(one.id)?.kind).toBe('delivered');
      });
    },
  );

  test('that is aborted settles what was acknowledged, and ends at once', async () => {
    const stop = new AbortController();
    const asked = endpoint(
      (arrived) => {
        if (asked.arrived.length === 3) stop.abort(new Error('told to stop'));
        else accept(arrived);
      },
      { concurrency: 1 },
    );
    const events = [event('A'), event('A'), event('A'), event('B')];
    const thrown = await deliverTo(asked, (sink) => thrownBy(sink.deliver(events, stop.signal)));
    expect(thrown).toBeInstanceOf(Interrupted);
    const { settled, cause } = thrown as Interrupted;
    expect(cause).toBe(stop.signal.reason);
    expect([...settled.keys()]).toEqual(events.slice(0, 2).map(({ id }) => id));
    expect(asked.arrived).toHaveLength(3);
  });

  test('of which no acknowledgement comes to its end keeps some connections, however many events there are', async () => {
    const open = new Set<object>();
    const asked = endpoint(({ request, response }) => {
      open.add(request.socket);
      request.socket.once('close', () => open.delete(request.socket));
      response.writeHead(200).write('and so on');
    });
    const events = Array.from({ length: 400 }, (_, n) => event(`group ${n}`));
    await deliverTo(asked, async (sink) => {
      expect((await sink.deliver(events, never())).size).toBe(400);
      await expect.poll(() => open.size, { timeout: 3_000 }).toBeLessThan(300);
    });
  });

  test('that holds an event twice sends it once', async () => {
    const asked = endpoint();
    const one = event('A');
    await deliverTo(asked, (sink) => sink.deliver([one, one], never()));
    expect(asked.ids()).toEqual([one.id]);
  });
});

describe('addresses', () => {
  test.each([
    ...['0.0.0.0', '0.1.2.3', '10.1.2.3', '100.64.0.1', '100.100.100.200', '127.0.0.1', '127.9.9.9', '169.254.169.254'],
    ...['172.16.0.1', '172.31.255.255', '192.168.1.1', '168.63.129.16', '192.0.0.192', '224.0.0.1', '255.255.255.255'],
    ...['::', '::1', '::ffff:10.0.0.1', '::ffff:7f00:1', '::10.0.0.1', 'fe80::1', 'fe80::1%eth0', 'fec0::1'],
    ...['fc00::1', 'fd00:ec2::254', 'ff02::1', '64:ff9b::a00:1', '64:ff9b:1::1', '2002:a00:1::1', '2001:db8::1'],
  ])('%s is private', (address) => {
    expect(isPrivate(address)).toBe(true);
  });

  test.each([
    ...['1.1.1.1', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '172.15.255.255', '172.32.0.0'],
    ...['192.167.255.255', '223.255.255.255', '2606:4700:4700::1111', '::ffff:1.1.1.1', '64:ff9b::101:101'],
  ])('%s is public', (address) => {
    expect(isPrivate(address)).toBe(false);
  });

  test('of a URL that are private are refused when the configuration is read, however they are written', () => {
    const refusal = (host: string) => http.options.safeParse({ url: `http://${host}/` }).error?.issues[0]?.message;
    for (const host of ['127.0.0.1', '2130706433', '0x7f.1', '[::1]', '[::ffff:10.0.0.1]', '169.254.169.254'])
      expect(refusal(host), host).toMatch(/allowPrivate/);
    expect(refusal('1.1.1.1')).toBeUndefined();
  });

  test('of a name are looked at as it is connected to: no connection is made', async () => {
    const connections: unknown[] = [];
    const count = (socket: unknown): number => connections.push(socket);
    server.on('connection', count);
    onTestFinished(() => void server.off('connection', count));
    const options = http.options.parse({ url: `http://localhost:${port}/events` });
    const fault = await unreachableBy(() => http.open(options, testHost(), never()));
    expect(fault).toMatchObject({ code: 'destination-misconfigured', path: 'connectors.under-test.allowPrivate' });
    expect(fault.message).toMatch(/localhost is a private address \(.*127\.0\.0\.1/);
    expect(connections).toEqual([]);
  });

  test('of a name are those that the socket gets: a name that is public first and private then is refused then', async () => {
    const answers = [
      ['203.0.114.1', '10.0.0.1'],
      ['10.0.0.1', 'fd00::1'],
    ];
    const lookup = publicLookup((_, __, found) =>
      found(
        null,
        (answers.shift() ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      ),
    );
    const ask = (all: boolean) =>
      new Promise((resolve) => lookup('rebinds.example.com', { all }, (error, found) => resolve(error ?? found)));
    expect(await ask(true)).toEqual([{ address: '203.0.114.1', family: 4 }]);
    expect(await ask(true)).toBeInstanceOf(PrivateAddress);
  });
});

test('each connection of a sink looks at the addresses anew', async () => {
  const asked = endpoint();
  let looks = 0;
  const lookup: LookupFunction = (hostname, _, found) =>
    ++looks === 1
      ? found(null, [{ address: '127.0.0.1', family: 4 }])
      : found(new PrivateAddress(`${hostname} is a private address now`), []);
  const url = asked.options.url.replace('127.0.0.1', 'rebinds.example.com');
  const opened = await openEndpoint(http.options.parse({ url }) as HttpOptions, testHost(), never(), lookup);
  onTestFinished(() => opened.close());
  const thrown = await thrownBy(opened.send({}, Buffer.from('{}'), never()));
  expect(await opened.failure(thrown)).toMatchObject({
    of: 'endpoint',
    fault: { code: 'destination-misconfigured', message: expect.stringMatching(/rebinds.example.com is a private/) },
  });
  expect(asked.arrived).toEqual([]);
});

describe('TLS', () => {
  test('verifies the endpoint by the authority that is named, and says so otherwise', async () => {
    const authority = await createAuthority('endpoints');
    const { certificate, key } = await authority.issue();
    const secure = createTlsServer({ cert: certificate, key }, listener);
    onTestFinished(() => {
      secure.closeAllConnections();
      secure.close();
    });
    const caFile = join(folder, 'ca.pem');
    writeFileSync(caFile, authority.certificate);
    const asked = endpoint();
    const url = `https://localhost:${await listen(secure)}${new URL(asked.options.url).pathname}`;
    const one = event('A');
    const options = { url, allowPrivate: true, tls: { caFile } };
    const outcomes = await deliverTo({ options }, (sink) => sink.deliver([one], never()));
    expect(outcomes.get(one.id)?.kind).toBe('delivered');
    const without = http.options.parse({ url, allowPrivate: true });
    const fault = await unreachableBy(() => http.open(without, testHost(), never()));
    expect(fault).toMatchObject({ code: 'destination-credentials', path: 'connectors.under-test.tls.caFile' });
  });
});

describe('the doctor', () => {
  test('connects, sends nothing, and says whether requests are signed', async () => {
    const findings = async (options: object) => {
      const found: [string, string][] = [];
      for await (const { step, state } of http.examine(http.options.parse(options), testHost(), never()))
        found.push([step, state]);
      return found;
    };
    const asked = endpoint();
    const secrets = [`whsec_${randomBytes(32).toString('base64')}`];
    expect(await findings(asked.options)).toEqual([
      ['endpoint', 'well'],
      ['signature', 'note'],
    ]);
    expect(await findings({ ...asked.options, secrets })).toEqual([
      ['endpoint', 'well'],
      ['signature', 'well'],
    ]);
    expect(asked.arrived).toEqual([]);
  });
});

describe('options', () => {
  const url = 'https://example.com/events';
  test.each([
    ['url', { url: 'example.com' }, /https:\/\/ or http:\/\//],
    ['url', { url: 'ftp://example.com' }, /https:\/\/ or http:\/\//],
    ['url', { url: 'https://u:p@example.com' }, /headers/],
    ['secrets.0', { url, secrets: ['c2VjcmV0'] }, /whsec_/],
    ['secrets.0', { url, secrets: [`whsec_${'A'.repeat(28)}`] }, /24 to 64/],
    ['secrets.0', { url, secrets: [`whsec_${'A'.repeat(32)}\n`] }, /line end/],
    ['headers.Content-Type', { url, headers: { 'Content-Type': 'text/plain' } }, /other than those/],
    ['headers.webhook-id', { url, headers: { 'webhook-id': 'x' } }, /other than those/],
    ['headers.a b', { url, headers: { 'a b': 'x' } }, /header name/],
    ['headers.x', { url, headers: { x: 'a\nb' } }, /line end/],
    ['tls', { url: 'http://example.com', tls: {} }, /https/],
  ])('%s: what cannot work is refused in words (%#)', (key, options, message) => {
    const { error } = http.options.safeParse(options);
    expect(error?.issues.map(({ path }) => path.join('.'))).toEqual([key]);
    const [issue] = error?.issues ?? [];
    expect(issue?.code === 'invalid_key' ? issue.issues[0]?.message : issue?.message).toMatch(message);
  });

  test('verify cannot be set: nobody can tell what an endpoint holds', () => {
    const config = (more: object) =>
      configSchema.safeParse({ app: { sdkAppId: 1 }, connectors: { hook: { kind: 'http', url, ...more } } });
    expect(config({}).data?.connectors.hook).toMatchObject({ verify: false, batch: { maxEvents: 100 } });
    expect(config({ verify: { every: '1h' } }).error?.issues[0]?.message).toMatch(/leave verify out/);
  });
});
