/**
 * What the connector makes of every answer a cluster, or a proxy before it, may give. The answers are scripted: a node
 * that says yes to everything, unless the test's script says otherwise.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { listening, MAPPINGS, open } from './elasticsearch.oracle.ts';
import { type Driven, makeEvent, never, unreachableBy } from './suite.ts';

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: string;
}
type Answer =
  | { readonly status: number; readonly body?: unknown; readonly product?: string }
  | 'hangs'
  | 'no HTTP'
  | undefined;
type Script = (asked: Asked) => Answer;

interface BulkItem {
  readonly _id: string;
  status: number;
  error?: { type: string; reason?: string };
}

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A node and what it was asked; `script` may be replaced at any time. */
async function scriptedNode(script: Script = () => undefined) {
  const node = {
    script,
    asked: [] as Asked[],
    url: '',
    close: async () => {},
    server: undefined as Server | undefined,
  };
  node.server = createServer((incoming, outgoing) => void answer(node, incoming, outgoing));
  Object.assign(node, await listening(node.server));
  closers.push(() => node.close());
  return node;
}

async function answer(node: { script: Script; asked: Asked[] }, incoming: IncomingMessage, outgoing: ServerResponse) {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const asked = {
    method: incoming.method ?? '',
    path: incoming.url?.replace(/\?.*/, '') ?? '',
    body: Buffer.concat(chunks).toString(),
  };
  node.asked.push(asked);
  const given = node.script(asked) ?? { status: 200, body: agreeable(asked) };
  if (given === 'hangs') return;
  if (given === 'no HTTP') return void incoming.socket.end('220 mail.example.com ESMTP\r\n');
  const { status, body, product = 'Elasticsearch' } = given;
  const type = typeof body === 'string' ? 'text/html' : 'application/json';
  outgoing.writeHead(status, { 'x-elastic-product': product, 'content-type': type });
  outgoing.end(typeof body === 'string' ? body : JSON.stringify(body ?? {}));
}

function agreeable({ path, body }: Asked): unknown {
  if (path.endsWith('/_mget'))
    return { docs: JSON.parse(body).ids.map((_id: string) => ({ _index: 'i', _id, found: false })) };
  if (path.endsWith('/_bulk')) return bulkAnswer(idsIn(body).map((_id) => ({ _id, status: 201 })));
  return { i: { aliases: {}, mappings: { dynamic: 'false' }, settings: {} } };
}

function idsIn(body: string): string[] {
  const actions = body.split('\n').filter((_, line) => line % 2 === 0);
  return actions
    .filter((line) => line !== '')
    .map((line) => Object.values<{ _id: string }>(JSON.parse(line))[0]?._id ?? '');
}

function bulkAnswer(items: readonly BulkItem[]): unknown {
  return { took: 1, errors: true, items: items.map((item) => ({ create: { _index: 'i', _seq_no: 7, ...item } })) };
}

/** A script that answers each item of a bulk request as `judge` says. */
function items(judge: (id: string) => Partial<BulkItem>): Script {
  return ({ path, body }) =>
    path.endsWith('/_bulk')
      ? { status: 200, body: bulkAnswer(idsIn(body).map((_id) => ({ _id, status: 201, ...judge(_id) }))) }
      : undefined;
}

const error = (type: string, reason = 'because') => ({ error: { type, reason } });

async function sinkOn(nodes: string | string[], more: object = {}): Promise<Driven> {
  const sink = await open({ nodes, index: 'i', ...more });
  closers.push(() => sink.close());
  return sink;
}

const deliver = (sink: Driven, ...batch: CanonicalEvent[]) => sink.deliver(batch, never());
const event = (groupId: string, name = 'name') => makeEvent({ name }, { groupId });

describe('an answer that concerns the destination pauses it and charges no event', () => {
  test.each([
    [401, error('security_exception'), 'destination-credentials'],
    [403, error('security_exception'), 'destination-credentials'],
    [403, error('cluster_block_exception'), 'destination-misconfigured'],
    [404, '<h1>Not Found</h1>', 'destination-misconfigured'],
    [429, error('es_rejected_execution_exception'), 'destination-overloaded'],
    [500, error('null_pointer_exception'), 'destination-unreachable'],
    [502, '<h1>Bad Gateway</h1>', 'destination-overloaded'],
    [503, error('cluster_block_exception'), 'destination-overloaded'],
    [504, '', 'destination-overloaded'],
  ])('%i %j at any request', async (status, body, code) => {
    const node = await scriptedNode();
    const refusal = { status, body };
    const sink = await sinkOn(node.url);
    const history = await sinkOn(node.url, { content: 'events' });
    const once = event('g');
    const works = [
      { at: '/i', work: () => open({ nodes: node.url, index: 'i' }) },
      { at: '/i', work: () => sink.check(never()) },
      { at: '/i/_mget', work: () => deliver(sink, once) },
      { at: '/i/_bulk', work: () => deliver(sink, once) },
      { at: '/i/_bulk', work: () => deliver(history, once) },
    ];
    for (const { at, work } of works) {
      node.script = ({ path }) => (path === at ? refusal : undefined);
      node.asked.length = 0;
      const fault = await unreachableBy(work);
      expect(fault, at).toMatchObject({ code });
      expect(
        node.asked.filter(({ path }) => path === at),
        'retries are the lane’s',
      ).toHaveLength(1);
    }
    node.script = () => undefined;
    expect((await deliver(sink, once)).get(once.id)?.kind).toBe('delivered');
  });

  test.each([
    [401, 'security_exception', 'destination-credentials'],
    [403, 'security_exception', 'destination-credentials'],
    [403, 'cluster_block_exception', 'destination-misconfigured'],
    [429, 'cluster_block_exception', 'destination-overloaded'],
    [404, 'index_not_found_exception', 'destination-missing'],
    [400, 'index_closed_exception', 'destination-misconfigured'],
  ])('%i %s for one document, after which the index is looked at again', async (status, type, code) => {
    const node = await scriptedNode(items((id) => (id === 'bad' ? { status, ...error(type) } : {})));
    const sink = await sinkOn(node.url);
    expect((await unreachableBy(() => deliver(sink, event('good'), event('bad')))).code).toBe(code);
    node.script = () => undefined;
    node.asked.length = 0;
    await deliver(sink, event('good'));
    expect(node.asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /i',
      'POST /i/_mget',
      'POST /i/_bulk',
    ]);
  });

  test.each([
    ['security_exception', 'destination-credentials'],
    ['index_closed_exception', 'destination-misconfigured'],
    ['illegal_argument_exception', 'destination-misconfigured'],
  ])('%s for a document that is read', async (type, code) => {
    const node = await scriptedNode(({ path }) =>
      path.endsWith('/_mget')
        ? { status: 200, body: { docs: [{ _index: 'i', _id: 'g', ...error(type) }] } }
        : undefined,
    );
    const sink = await sinkOn(node.url);
    expect((await unreachableBy(() => deliver(sink, event('g')))).code).toBe(code);
  });

  test('check finds out that reading is not permitted', async () => {
    const node = await scriptedNode(({ method, path }) => {
      if (path.endsWith('/_mget'))
        return { status: 200, body: { docs: [{ _index: 'i', _id: 'g', ...error('security_exception') }] } };
      return method === 'GET'
        ? { status: 200, body: { i: { mappings: { properties: MAPPINGS.groups.properties } } } }
        : undefined;
    });
    const sink = await sinkOn(node.url);
    expect((await unreachableBy(() => sink.check(never()))).code).toBe('destination-credentials');
  });

  test.each(['dateOptionalTime', 'strictDateOptionalTime', 'epoch_millis||dateTime', 'rfc3339_lenient'])(
    'check takes the format of moments %s, which not every version knows',
    async (format) => {
      const properties = { ...MAPPINGS.groups.properties, updatedAt: { type: 'date', format } };
      const node = await scriptedNode(({ method }) =>
        method === 'GET' ? { status: 200, body: { i: { mappings: { properties } } } } : undefined,
      );
      const sink = await sinkOn(node.url);
      await sink.check(never());
    },
  );

  test.each([
    ['index_closed_exception', undefined, true],
    ['index_not_found_exception', undefined, false],
    ['no_shard_available_action_exception', 'destination-overloaded', false],
    ['security_exception', 'destination-credentials', false],
    ['routing_missing_exception', 'destination-misconfigured', false],
  ])('%s for an event that is looked for', async (type, code, found) => {
    const node = await scriptedNode(({ path }) =>
      path.endsWith('/_mget')
        ? { status: 200, body: { docs: [{ _index: 'i', _id: 'e', ...error(type) }] } }
        : undefined,
    );
    const { sink } = await sinkOn(node.url, { content: 'events' });
    const find = async () => sink.holds === 'events' && (await sink.find?.(['e'], never()));
    if (code !== undefined) return expect((await unreachableBy(find)).code).toBe(code);
    expect(await find()).toEqual(new Map(found ? [['e', 'i/e']] : []));
  });

  test('an index whose mapping tells that it keeps no source is refused', async () => {
    const mappings = { ...MAPPINGS.groups, _source: { mode: 'disabled' } };
    const node = await scriptedNode(() => ({ status: 200, body: { i: { mappings } } }));
    const fault = await unreachableBy(() => open({ nodes: node.url, index: 'i' }));
    expect(fault).toMatchObject({
      code: 'destination-misconfigured',
      message: expect.stringContaining('whole _source'),
      suggestion: expect.stringContaining('mode'),
    });
  });

  test('a data stream is refused', async () => {
    const node = await scriptedNode(() => ({ status: 200, body: { '.ds-i-1': { data_stream: 'i' } } }));
    const fault = await unreachableBy(() => open({ nodes: node.url, index: 'i' }));
    expect(fault).toMatchObject({ code: 'destination-misconfigured', message: expect.stringContaining('data stream') });
  });

  test('an index that another bridge creates at the same moment is as good as one’s own', async () => {
    let there = false;
    const node = await scriptedNode(({ method }) => {
      if (method === 'POST') return { status: 200, body: { hits: { hits: [] } } };
      if (method === 'GET')
        return there ? { status: 200, body: { i: {} } } : { status: 404, body: error('index_not_found_exception') };
      there = true;
      return { status: 400, body: error('resource_already_exists_exception') };
    });
    await sinkOn(node.url);
    const asked = node.asked.filter(({ path }) => path !== '/');
    expect(asked.map(({ method }) => method)).toEqual(['GET', 'PUT', 'GET', 'POST']);
  });

  test('something else than Elasticsearch answers', async () => {
    const node = await scriptedNode(() => ({ status: 200, body: '<h1>It works!</h1>', product: 'Apache' }));
    const fault = await unreachableBy(() => open({ nodes: node.url, index: 'i' }));
    expect(fault).toMatchObject({ code: 'destination-misconfigured', path: 'connectors.under-test.nodes' });
    expect(fault.message).toContain('not Elasticsearch');
  });

  test.each([{}, { ok: true }, { error: null }, [], 'pong', { i: 'here' }])(
    'something else than a server answers all with 200 %j',
    async (body) => {
      const stranger = { status: 200, body, product: '' };
      const node = await scriptedNode(() => stranger);
      const works: (() => Promise<unknown>)[] = [() => open({ nodes: node.url, index: 'i' })];
      node.script = () => undefined;
      const sinks = [await sinkOn(node.url), await sinkOn(node.url, { content: 'events' })];
      for (const sink of sinks) works.push(() => deliver(sink, event('g')));
      node.script = () => stranger;
      for (const work of works) {
        const fault = await unreachableBy(work);
        expect(fault).toMatchObject({ code: 'destination-misconfigured', path: 'connectors.under-test.nodes' });
        expect(fault.message).toContain('not Elasticsearch or OpenSearch');
      }
    },
  );

  test.each([
    [{ version: { number: '7.10.2' } }, undefined],
    [{ version: { number: '10.0.0' } }, undefined],
    [{ version: { number: '1.0.0', distribution: 'opensearch' } }, undefined],
    [{ version: { number: 7 } }, undefined],
    ['a page of a proxy', undefined],
    [{ version: { number: '6.8.23' } }, 'Elasticsearch 6.8.23 is too old'],
  ])('what `/` says of the version: %j', async (body, refused) => {
    const node = await scriptedNode(({ path }) => (path === '/' ? { status: 200, body, product: '' } : undefined));
    if (refused === undefined) return void (await sinkOn(node.url));
    const fault = await unreachableBy(() => open({ nodes: node.url, index: 'i' }));
    expect(fault).toMatchObject({ code: 'destination-misconfigured', message: refused });
  });

  test.each([401, 403, 404, 405])('`/` may be refused: %i', async (status) => {
    const node = await scriptedNode(({ path }) => (path === '/' ? { status, body: {} } : undefined));
    const [sink, once] = [await sinkOn(node.url), event('g')];
    expect((await deliver(sink, once)).get(once.id)?.kind).toBe('delivered');
  });

  test('no answer within requestTimeoutMs', async () => {
    const node = await scriptedNode();
    const sink = await sinkOn(node.url, { requestTimeoutMs: 300 });
    node.script = () => 'hangs';
    const fault = await unreachableBy(() => deliver(sink, event('g')));
    expect(fault.code).toBe('destination-unreachable');
    expect(fault.message).toContain('300 ms');
  }, 10_000);

  test('an answer that is no HTTP, at once or later, is told, and nothing waits for more of it', async () => {
    const node = await scriptedNode();
    const sink = await sinkOn(node.url);
    node.script = () => 'no HTTP';
    for (const work of [() => deliver(sink, event('g')), () => open({ nodes: node.url, index: 'i' })]) {
      const fault = await unreachableBy(work);
      expect(fault).toMatchObject({ code: 'destination-misconfigured', path: 'connectors.under-test.nodes' });
      expect(fault.message).toContain('not Elasticsearch or OpenSearch: it does not speak HTTP');
    }
  }, 10_000);

  test('the fault shows the address without the password in it', async () => {
    const node = await scriptedNode();
    const nodes = [node.url.replace('//', '//elastic:s3cret@')];
    const sink = await sinkOn(nodes);
    await node.close();
    const fault = await unreachableBy(() => deliver(sink, event('g')));
    expect(fault.message).toContain(node.url);
    expect(JSON.stringify(fault)).not.toContain('s3cret');
  });
});

describe('an answer that concerns one document settles that one alone', () => {
  test.each([
    [429, 'es_rejected_execution_exception'],
    [503, 'unavailable_shards_exception'],
    [500, 'engine_exception'],
  ])('%i %s: it is left to the lane', async (status, type) => {
    for (const content of ['groups', 'events']) {
      const [good, late] = [
        makeEvent({ name: 'a' }, { groupId: 'good' }),
        makeEvent({ name: 'a' }, { groupId: 'late' }),
      ];
      const isLate = (id: string) => id === 'late' || id === late.id;
      const node = await scriptedNode(items((id) => (isLate(id) ? { status, ...error(type) } : {})));
      const outcomes = await deliver(await sinkOn(node.url, { content }), late, good);
      expect(outcomes.get(late.id)).toMatchObject({ kind: 'retry', fault: { message: expect.stringContaining(type) } });
      expect(outcomes.get(good.id)?.kind).toBe('delivered');
    }
  });

  test('a shard that is down keeps its own groups waiting, the others pass', async () => {
    const down = error('no_shard_available_action_exception');
    const node = await scriptedNode(({ path }) =>
      path.endsWith('/_mget')
        ? {
            status: 200,
            body: {
              docs: [
                { _index: 'i', _id: 'late', ...down },
                { _index: 'i', _id: 'good', found: false },
              ],
            },
          }
        : undefined,
    );
    const [late, good] = [event('late'), event('good')];
    const outcomes = await deliver(await sinkOn(node.url), late, good);
    expect(outcomes.get(late.id)?.kind).toBe('retry');
    expect(outcomes.get(good.id)?.kind).toBe('delivered');
  });

  test('400: dead, with the innermost reason', async () => {
    const cause = {
      type: 'document_parsing_exception',
      reason: 'outer',
      caused_by: { type: 'inner_exception', reason: 'inner' },
    };
    const node = await scriptedNode(items((id) => (id === 'bad' ? { status: 400, error: cause } : {})));
    const [good, bad] = [event('good'), event('bad')];
    const outcomes = await deliver(await sinkOn(node.url), good, bad);
    expect(outcomes.get(bad.id)).toMatchObject({
      kind: 'dead',
      fault: {
        code: 'event-refused',
        message: expect.stringMatching(/document_parsing_exception: outer.*inner_exception: inner/),
      },
    });
    expect(outcomes.get(good.id)?.kind).toBe('delivered');
  });

  test('of many events of one group, only the poison is dead', async () => {
    const node = await scriptedNode(({ path, body }) => {
      if (!path.endsWith('/_bulk')) return undefined;
      const poisoned = body.includes('poison');
      const status = poisoned ? { status: 400, ...error('document_parsing_exception') } : { status: 201 };
      return { status: 200, body: bulkAnswer(idsIn(body).map((_id) => ({ _id, ...status }))) };
    });
    const batch = Array.from({ length: 100 }, (_, i) =>
      makeEvent({ [i === 42 ? 'name' : 'faceUrl']: i === 42 ? 'poison' : `${i}` }, { groupId: 'g' }),
    );
    const outcomes = await deliver(await sinkOn(node.url), ...batch);
    const dead = batch.filter(({ id }) => outcomes.get(id)?.kind === 'dead');
    expect(dead).toEqual([batch[42]]);
    expect(outcomes.size).toBe(100);
    expect(node.asked.filter(({ path }) => path.endsWith('/_bulk')).length, 'found by halving').toBeLessThan(20);
  });

  test('an item that the answer lacks is left out, for the lane to retry', async () => {
    const node = await scriptedNode(({ path, body }) =>
      path.endsWith('/_bulk')
        ? {
            status: 200,
            body: bulkAnswer(
              idsIn(body)
                .slice(1)
                .map((_id) => ({ _id, status: 201 })),
            ),
          }
        : undefined,
    );
    for (const content of ['groups', 'events']) {
      const [lost, good] = [event('lost'), event('good')];
      const outcomes = await deliver(await sinkOn(node.url, { content }), lost, good);
      expect([...outcomes.keys()]).toEqual([good.id]);
    }
  });

  test('items are told apart by id, whatever their order', async () => {
    const node = await scriptedNode(({ path, body }) => {
      if (!path.endsWith('/_bulk')) return undefined;
      const late = { status: 429, ...error('es_rejected_execution_exception') };
      return {
        status: 200,
        body: bulkAnswer(
          idsIn(body)
            .toReversed()
            .map((_id) => ({ _id, ...(_id === 'late' ? late : { status: 201 }) })),
        ),
      };
    });
    const batch = ['a', 'late', 'b', 'c'].map((groupId) => event(groupId));
    const outcomes = await deliver(await sinkOn(node.url), ...batch);
    expect(batch.map(({ id }) => outcomes.get(id)?.kind)).toEqual(['delivered', 'retry', 'delivered', 'delivered']);
  });
});

describe('requests are as large as what is on the way takes', () => {
  const sizes = (asked: readonly Asked[]) =>
    asked.filter(({ path }) => path.endsWith('/_bulk')).map(({ body }) => Buffer.byteLength(body));

  test('8 MB at most, unless one document is larger', async () => {
    const node = await scriptedNode();
    const batch = Array.from({ length: 20 }, (_, i) => event(`g${i}`, '长'.repeat(350_000)));
    const outcomes = await deliver(await sinkOn(node.url, { content: 'events' }), ...batch);
    expect([...outcomes.values()].filter(({ kind }) => kind === 'delivered')).toHaveLength(20);
    expect(Math.max(...sizes(node.asked))).toBeLessThanOrEqual(8 * 1024 * 1024);
    expect(sizes(node.asked)).toHaveLength(3);
  });

  test.each(['groups', 'events'])(
    'batch.maxBytes at most, unless one document is larger: content %s',
    async (content) => {
      const maxBytes = 10_000;
      const node = await scriptedNode();
      const sink = await sinkOn(node.url, { content, batch: { maxBytes } });
      const batch = Array.from({ length: 40 }, (_, i) => event(`g${i}`, 'x'.repeat(i === 7 ? 2 * maxBytes : 1_000)));
      const outcomes = await deliver(sink, ...batch);
      expect(batch.filter(({ id }) => outcomes.get(id)?.kind !== 'delivered')).toEqual([]);
      const [largest = 0, ...others] = sizes(node.asked).sort((a, b) => b - a);
      expect(largest).toBeGreaterThan(2 * maxBytes);
      expect(Math.max(...others)).toBeLessThanOrEqual(maxBytes);
      expect(others.length, 'each as full as it may be').toBeLessThan(15);
    },
  );

  test('batch.maxBytes is an option beside those of every lane, in a whole configuration', () => {
    const parse = (batch: object, given: object = { kind: 'elasticsearch', nodes: 'http://a', index: 'i' }) =>
      configSchema.safeParse({ app: { sdkAppId: 1 }, connectors: { c: { ...given, batch } } });
    expect(parse({ maxBytes: 2_000_000, maxEvents: 5 }).data?.connectors.c?.batch).toEqual({
      ...{ maxBytes: 2_000_000, maxEvents: 5, maxWaitMs: 50 },
    });
    expect(parse({}).data?.connectors.c?.batch).toEqual({ maxBytes: 8_388_608, maxEvents: 10_000, maxWaitMs: 50 });
    for (const maxBytes of [0, 1.5, -1, '8MB', 2 ** 40]) expect(parse({ maxBytes }).success, `${maxBytes}`).toBe(false);
    const file = parse({ maxBytes: 2_000_000 }, { kind: 'file', path: 'f' });
    expect(file.error?.message).toContain('maxBytes');
  });

  test.each(['groups', 'events'])(
    '413: halved until it fits, and kept so; one that never fits is dead: content %s',
    async (content) => {
      const limit = 4_000;
      const node = await scriptedNode(({ body }) =>
        body.length > limit ? { status: 413, body: '<h1>413</h1>' } : undefined,
      );
      const sink = await sinkOn(node.url, { content });
      const batch = Array.from({ length: 16 }, (_, i) => event(`g${i}`, 'x'.repeat(i === 5 ? limit : 500)));
      const outcomes = await deliver(sink, ...batch);
      expect(batch.filter(({ id }) => outcomes.get(id)?.kind !== 'delivered')).toEqual([batch[5]]);
      expect(outcomes.get(batch[5]?.id ?? '')).toMatchObject({ kind: 'dead', fault: { code: 'event-too-large' } });
      node.asked.length = 0;
      await deliver(sink, ...Array.from({ length: 16 }, (_, i) => event(`h${i}`, 'x'.repeat(500))));
      expect(Math.max(...sizes(node.asked))).toBeLessThanOrEqual(limit);
    },
  );

  test('400 of the whole request: halved down to the culprit', async () => {
    const node = await scriptedNode(({ path, body }) =>
      path.endsWith('/_bulk') && body.includes('culprit') ? { status: 400, body: error('parse_exception') } : undefined,
    );
    const batch = ['a', 'b', 'culprit', 'c', 'd'].map((groupId) => event(groupId));
    const outcomes = await deliver(await sinkOn(node.url), ...batch);
    const kinds = batch.map(({ id }) => outcomes.get(id)?.kind);
    expect(kinds).toEqual(['delivered', 'delivered', 'dead', 'delivered', 'delivered']);
  });
});

describe('nodes', () => {
  test('a delivery that hangs ends when its signal aborts, and so does a check', async () => {
    const node = await scriptedNode();
    const sink = await sinkOn(node.url);
    for (const work of [
      (signal: AbortSignal) => sink.deliver([event('g')], signal),
      (signal: AbortSignal) => sink.check(signal),
    ]) {
      const stop = new AbortController();
      const reason = new Error('told to stop');
      node.script = () => {
        setImmediate(() => stop.abort(reason));
        return 'hangs';
      };
      await expect(work(stop.signal)).rejects.toBe(reason);
    }
  });

  test('what comes after a 5xx is asked on a new connection, which may end at another node of that address', async () => {
    const node = await scriptedNode();
    const sink = await sinkOn(node.url);
    node.script = () => ({ status: 503, body: error('master_not_discovered_exception') });
    await unreachableBy(() => deliver(sink, event('g')));
    node.script = () => undefined;
    let connections = 0;
    node.server?.on('connection', () => connections++);
    await deliver(sink, event('g'));
    await deliver(sink, event('g'));
    expect(connections).toBe(1);
  });

  test('an open that fails leaves no connection', async () => {
    const node = await scriptedNode(() => ({ status: 401, body: error('security_exception') }));
    await unreachableBy(() => open({ nodes: node.url, index: 'i' }));
    const connections = () =>
      new Promise<number>((resolve) => node.server?.getConnections((_, count) => resolve(count)));
    await expect.poll(connections).toBe(0);
  });

  test('after all of them were down, the first delivery to those that are back goes through', async () => {
    const nodes = [await scriptedNode(), await scriptedNode()];
    const sink = await sinkOn(nodes.map(({ url }) => url));
    for (const node of nodes) await node.close();
    for (let i = 0; i < 12; i++) await unreachableBy(() => deliver(sink, event('g')));
    for (const { server, url } of nodes) {
      await new Promise<void>((resolve) => void server?.listen(Number(new URL(url).port), '127.0.0.1', resolve));
    }
    expect([...(await deliver(sink, event('g'))).values()]).toMatchObject([{ kind: 'delivered' }]);
  });

  test('of several, one that is down costs one failure, not every second delivery', async () => {
    const nodes = [await scriptedNode(), await scriptedNode(), await scriptedNode()];
    const sink = await sinkOn(nodes.map(({ url }) => url));
    await nodes[1]?.close();
    const results = [];
    for (let i = 0; i < 20; i++)
      results.push(
        await deliver(sink, event('g')).then(
          () => 'delivered',
          () => 'failed',
        ),
      );
    expect(results.filter((result) => result === 'failed').length).toBeLessThanOrEqual(1);
  });
});
