/**
 * Events in a data stream. The server of these tests lacks the module that answers to `_data_stream` (which is a test of
 * its own), while it knows templates, backing indices and rollover. So against that real server everything runs but two
 * requests: `GET` and `PUT /_data_stream/<name>` are answered by `streamsNode`, which has the server create the stream as
 * it does for a first document. What a whole cluster answers to these two was never seen here; it would be by running
 * this file with ELASTICSEARCH_URL set to one, as then nothing stands in between. The last part is scripted altogether.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { EventSink } from '../../connectors/contract.ts';
import { elasticsearch } from '../../connectors/elasticsearch/connector.ts';
import { type Configured, connectors, openSink } from '../../connectors/index.ts';
import { configSchema } from '../../src/config/schema.ts';
import { entryOf } from '../../src/model/entry.ts';
import {
  deleteIndices,
  hits,
  listening,
  MAPPINGS,
  must,
  newIndex,
  open,
  place,
  request,
  skip,
  skipped,
  url,
} from './elasticsearch.oracle.ts';
import { connectorSuite, makeEvent, never, optionsOf, testHost, unreachableBy, withSink } from './suite.ts';

const PROPERTIES = { '@timestamp': { type: 'date' }, ...MAPPINGS.events.properties };
/** Whether the server answers to `_data_stream` itself. */
const whole = skip === '' && (await request('GET', '/_data_stream/none')).status === 404;

let node = { url, close: async () => {} };
beforeAll(async () => {
  if (skip === '' && !whole) node = await listening(createServer((asked, answer) => void streamsNode(asked, answer)));
});
afterAll(async () => {
  if (whole) for (const name of made) await request('DELETE', `/_data_stream/${name}`);
  for (const name of made) await request('DELETE', `/_index_template/${name}`);
  await deleteIndices();
  if (node.url !== url) await node.close();
});

/** A node before the real one, which passes on all but the two requests that the real one does not know. */
async function streamsNode(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
  const name = /^\/_data_stream\/([^?]+)/.exec(asked.url ?? '')?.[1];
  if (name === undefined) {
    const { method, headers } = asked;
    const onward = send(url + asked.url, { method, headers, agent: false }, (given) => {
      answer.writeHead(given.statusCode ?? 500, given.headers);
      given.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    asked.pipe(onward);
    return;
  }
  const exists = (await request('HEAD', `/${name}`)).status === 200;
  const refusal = (type: string) => ({ error: { type, reason: 'of the stand-in' } });
  let [status, body]: [number, unknown] = [200, { acknowledged: true }];
  if (asked.method === 'GET' && !exists) [status, body] = [404, refusal('index_not_found_exception')];
  if (asked.method === 'PUT' && exists) [status, body] = [400, refusal('resource_already_exists_exception')];
  if (asked.method === 'PUT' && !exists) await createByDocument(name);
  answer.writeHead(status, { 'x-elastic-product': 'Elasticsearch', 'content-type': 'application/json' });
  answer.end(JSON.stringify(body));
}

/** A document that is refused leaves the stream and nothing in it. */
async function createByDocument(name: string): Promise<void> {
  const body = '{"create":{}}\n{]\n';
  await fetch(`${url}/${name}/_bulk`, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body });
}

const made: string[] = [];
function streamPlace(more: object = {}) {
  const chosen = place('events', { dataStream: true, nodes: [node.url], ...more });
  made.push(chosen.index);
  return chosen;
}

/** A stream made by somebody else, its documents mapped as told. */
async function streamOf(name: string, mappings: object): Promise<void> {
  await putTemplate(name, mappings);
  if (whole) await must('PUT', `/_data_stream/${name}`);
  else await createByDocument(name);
}

const putTemplate = (name: string, mappings: object, more: object = {}) =>
  must('PUT', `/_index_template/${name}`, {
    index_patterns: [name],
    data_stream: {},
    priority: 500,
    template: { settings: { number_of_replicas: 0 }, mappings },
    ...more,
  });

async function templateOf(name: string): Promise<Record<string, unknown> | undefined> {
  const { json } = await request('GET', `/_index_template/${name}`);
  return (json as { index_templates?: { index_template: Record<string, unknown> }[] }).index_templates?.[0]
    ?.index_template;
}

interface IndexState {
  readonly data_stream?: string;
  readonly mappings: { readonly properties: unknown; readonly dynamic: unknown };
  readonly settings: { readonly index: unknown };
}
async function backingIndices(name: string): Promise<IndexState[]> {
  return Object.values(await must<Record<string, IndexState>>('GET', `/${name}`));
}

describe('the option dataStream', () => {
  const given = { nodes: ['http://127.0.0.1:9200'], index: 'i' };

  test('is for events: with groups it is refused at its own path, also in a whole configuration', () => {
    const { error } = elasticsearch.options.safeParse({ ...given, dataStream: true });
    expect(error?.issues).toMatchObject([
      { path: ['dataStream'], message: expect.stringContaining('content: events') },
    ]);
    const connector = { kind: 'elasticsearch', ...given, dataStream: true };
    const parsed = configSchema.safeParse({ app: { sdkAppId: 1 }, connectors: { x: connector } });
    expect(parsed.error?.issues.map(({ path }) => path.join('.'))).toEqual(['connectors.x.dataStream']);
  });

  test('is false unless given, and stands in the shape of the options', () => {
    expect(elasticsearch.options.parse(given)).toMatchObject({ dataStream: false });
    expect(elasticsearch.options.parse({ ...given, content: 'events', dataStream: true })).toBeDefined();
    for (const { kind, options } of connectors) expect(options.shape, kind).toBeDefined();
    expect(elasticsearch.options.shape).toHaveProperty('dataStream');
  });
});

connectorSuite({
  name: 'elasticsearch, a data stream',
  connector: elasticsearch,
  keeps: 'every event',
  skip,
  place: async () => streamPlace(),
  unreachable: async () => ({ nodes: ['http://127.0.0.1:1'], index: 'any', content: 'events', dataStream: true }),
  poison: {
    reason: /(document|mapper)_parsing_exception.*failed to parse field \[data\.changed\.name\] of type \[date\]/,
    event: (groupId) => makeEvent({ name: 'no date' }, { groupId }),
    async place() {
      const chosen = streamPlace();
      const changed = { properties: { name: { type: 'date' } } };
      await streamOf(chosen.index, { dynamic: false, properties: { data: { properties: { changed } } } });
      return chosen;
    },
  },
});

describe.skipIf(skip !== '' || whole)(`a cluster without data streams${skipped}`, () => {
  test.each([{}, { createIndex: false }])(
    'is told so, naming dataStream, and no template is left in it: %j',
    async (more) => {
      const { index, options } = place('events', { dataStream: true, ...more });
      const fault = await unreachableBy(() => open(options));
      expect(fault).toMatchObject({ code: 'destination-misconfigured', path: 'connectors.under-test.dataStream' });
      expect(fault.message).toContain('no data streams');
      // With a template left behind, an ordinary index of that name could not be created any more.
      expect(await templateOf(index)).toBeUndefined();
      await (await open({ ...options, dataStream: false, createIndex: { replicas: 0 } })).close();
    },
  );
});

describe.skipIf(skip !== '')(`a data stream that is missing${skipped}`, () => {
  test('is created, with a template of its name for it alone', async () => {
    const chosen = streamPlace({ createIndex: { shards: 2, replicas: 0 } });
    await withSink(elasticsearch, chosen, async (_, host) => {
      expect(await templateOf(chosen.index)).toMatchObject({
        index_patterns: [chosen.index],
        data_stream: {},
        priority: 500,
        template: { mappings: { properties: PROPERTIES } },
      });
      expect(await backingIndices(chosen.index)).toMatchObject([
        {
          data_stream: chosen.index,
          mappings: { dynamic: 'false', properties: PROPERTIES },
          settings: { index: { number_of_shards: '2', number_of_replicas: '0' } },
        },
      ]);
      expect(host.notes).toEqual([expect.stringContaining(`data stream ${chosen.index}`)]);
    });
  });

  test('is created with the settings and mappings of createIndex.file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bridge-stream-'));
    const file = join(folder, 'index.json');
    const name = { type: 'keyword' };
    await writeFile(
      file,
      JSON.stringify({
        settings: { refresh_interval: '7s', number_of_replicas: 0 },
        mappings: { properties: { name } },
      }),
    );
    const chosen = streamPlace({ createIndex: { file } });
    await (await open(chosen.options)).close();
    expect(await backingIndices(chosen.index)).toMatchObject([
      {
        mappings: { properties: { name, '@timestamp': { type: 'date' } } },
        settings: { index: { refresh_interval: '7s', number_of_replicas: '0' } },
      },
    ]);
    await writeFile(file, '{"mappings": {"properties": {"@timestamp": {"type": "none"}}}}');
    const fault = await unreachableBy(() => open(streamPlace({ createIndex: { file } }).options));
    expect(fault).toMatchObject({ path: 'connectors.under-test.createIndex.file', code: 'destination-misconfigured' });
    expect(fault.message).toContain('@timestamp');
    await rm(folder, { recursive: true });
  });

  test('is created with a template of that name that is there already, which stays as it is', async () => {
    const chosen = streamPlace();
    await putTemplate(chosen.index, { _meta: { of: 'others' } }, { priority: 7 });
    await (await open(chosen.options)).close();
    expect(await templateOf(chosen.index)).toMatchObject({ priority: 7 });
    expect(await backingIndices(chosen.index)).toMatchObject([{ mappings: { _meta: { of: 'others' } } }]);
  });

  test('is not created with createIndex: false', async () => {
    const chosen = streamPlace({ createIndex: false });
    const fault = await unreachableBy(() => open(chosen.options));
    expect(fault).toMatchObject({ code: 'destination-missing', message: expect.stringContaining('data stream') });
    expect(await templateOf(chosen.index)).toBeUndefined();
    await streamOf(chosen.index, MAPPINGS.events);
    await withSink(elasticsearch, chosen, (sink) => sink.check(never()));
  });
});

describe.skipIf(skip !== '')(`events in a data stream${skipped}`, () => {
  test('are the documents of an index plus @timestamp, each once in a backing index', async () => {
    const chosen = streamPlace();
    await withSink(elasticsearch, chosen, async (sink) => {
      const event = makeEvent({ name: 'name' });
      const first = (await sink.deliver([event], never())).get(event.id);
      const again = (await sink.deliver([event], never())).get(event.id);
      const [hit, ...others] = await hits(chosen.index);
      expect(others).toEqual([]);
      expect(hit).toMatchObject({ _id: event.id, _source: { ...event, '@timestamp': event.time } });
      expect(Object.keys(hit?._source as object).sort()).toEqual(['@timestamp', ...Object.keys(event)].sort());
      expect(first).toEqual({ kind: 'delivered', receipt: `${hit?._index}/${event.id}` });
      expect(again).toEqual({ kind: 'superseded', receipt: `${hit?._index}/${event.id}` });
    });
  });

  test.each([
    ['by a field', { fields: { time: '@timestamp' } }],
    ['by a function', { transform: 'own.mjs' }],
  ])('may have an @timestamp that their shape gives them: %s', async (_, given) => {
    const folder = await mkdtemp(join(tmpdir(), 'shape-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'own.mjs'), `export default ({ id, time }) => ({ '@timestamp': time, id });`);
    const shape = 'transform' in given ? { transform: join(folder, 'own.mjs') } : given;
    const chosen = streamPlace();
    const options = { ...optionsOf(elasticsearch, chosen.options), kind: 'elasticsearch', shape };
    const sink = (await openSink(options as Configured, testHost(), never())) as EventSink;
    const event = makeEvent({ name: 'name' });
    expect(await sink.deliver([entryOf(1, event)], never())).toMatchObject(
      new Map([[event.id, { kind: 'delivered', receipt: expect.any(String) }]]),
    );
    const [hit] = await hits(chosen.index);
    expect(hit?._source).toMatchObject({ '@timestamp': event.time, id: event.id });
    await sink.close();
  });

  test('are written to the new backing index after a rollover, a repeated one again, as the README says', async () => {
    const chosen = streamPlace();
    await withSink(elasticsearch, chosen, async (sink) => {
      const event = makeEvent({ name: 'name' });
      await sink.deliver([event], never());
      const { new_index } = await must<{ new_index: string }>('POST', `/${chosen.index}/_rollover`);
      const outcome = (await sink.deliver([event], never())).get(event.id);
      expect(outcome).toEqual({ kind: 'delivered', receipt: `${new_index}/${event.id}` });
      expect((await hits(chosen.index)).map(({ _id }) => _id)).toEqual([event.id, event.id]);
    });
  });

  test('are found in each backing index before anybody can search for them, and those that were removed are not', async () => {
    const chosen = streamPlace();
    const settings = { number_of_replicas: 0, refresh_interval: '-1' };
    await putTemplate(chosen.index, {}, { template: { settings, mappings: MAPPINGS.events } });
    const { sink, deliver, close } = await open(chosen.options);
    if (sink.holds !== 'events') throw new Error('events are expected');
    const events = [makeEvent({ name: 'first' }), makeEvent({ name: 'second' })] as const;
    const where = new Map<string, string>();
    for (const event of events) {
      await deliver([event], never());
      const [newest = ''] = Object.keys(await must<object>('GET', `/${chosen.index}`))
        .sort()
        .reverse();
      where.set(event.id, `${newest}/${event.id}`);
      await must('POST', `/${chosen.index}/_rollover`);
    }
    const ids = [...where.keys(), 'never-delivered'];
    expect(await sink.find?.(ids, never())).toEqual(where);
    await must('DELETE', `/${where.get(events[1].id)?.replace('/', '/_doc/')}`);
    expect([...((await sink.find?.(ids, never())) ?? []).keys()]).toEqual([events[0].id]);
    await close();
  });

  test.each([
    ['lost', MAPPINGS.events.properties, { id: { type: 'keyword' } }, /lacks source/],
    ['gained', { id: { type: 'keyword' } }, MAPPINGS.events.properties, undefined],
  ])('check looks at the backing index that is written: fields %s by a rollover', async (_, before, after, lacks) => {
    const chosen = streamPlace();
    await streamOf(chosen.index, { dynamic: false, properties: before });
    await putTemplate(chosen.index, { dynamic: false, properties: after });
    await must('POST', `/${chosen.index}/_rollover`);
    await withSink(elasticsearch, chosen, async (sink) => {
      const said = await sink.check(never()).then(
        () => undefined,
        ({ fault }) => fault.message,
      );
      if (lacks === undefined) expect(said).toBeUndefined();
      else expect(said).toMatch(lacks);
    });
  });
});

describe.skipIf(skip !== '')(`what the name stands for is what dataStream says${skipped}`, () => {
  test('an index or an alias where a data stream is expected', async () => {
    const chosen = streamPlace();
    const alias = newIndex();
    await must('PUT', `/${chosen.index}`, { mappings: MAPPINGS.events, aliases: { [alias]: {} } });
    for (const index of [chosen.index, alias]) {
      const fault = await unreachableBy(() => open({ ...chosen.options, index }));
      expect(fault).toMatchObject({ code: 'destination-misconfigured', path: 'connectors.under-test.dataStream' });
      expect(fault.message).toContain(index);
      expect(fault.suggestion).toMatch(/free the name/);
    }
  });

  test('an alias of a data stream', async ({ skip }) => {
    const chosen = streamPlace();
    const alias = newIndex();
    await streamOf(chosen.index, MAPPINGS.events);
    const { status } = await request('POST', '/_aliases', { actions: [{ add: { index: chosen.index, alias } }] });
    if (status === 404) return skip('OpenSearch has no aliases of data streams');
    const fault = await unreachableBy(() => open({ ...chosen.options, index: alias }));
    expect(fault).toMatchObject({ code: 'destination-misconfigured', message: expect.stringContaining(chosen.index) });
  });

  test('a data stream where an index is expected: dataStream is suggested, for events only', async () => {
    const chosen = streamPlace();
    await streamOf(chosen.index, MAPPINGS.events);
    for (const content of ['events', 'groups']) {
      const fault = await unreachableBy(() => open({ ...chosen.options, content, dataStream: false }));
      expect(fault).toMatchObject({ code: 'destination-misconfigured', path: 'connectors.under-test.index' });
      expect(fault.suggestion?.includes('dataStream: true'), content).toBe(content === 'events');
    }
  });
});

describe('answers that the server of these tests does not give (scripted)', () => {
  type Script = (asked: string) => { status: number; body: unknown } | undefined;
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  /** A whole cluster in which nothing is yet, unless the script says otherwise, and what it was asked. */
  async function scripted(script: Script) {
    const asked: string[] = [];
    const server = createServer((incoming, outgoing) => {
      incoming.resume().on('end', () => {
        const line = `${incoming.method} ${incoming.url?.replace(/\?.*/, '')}`;
        asked.push(line);
        const missing = { status: 404, body: error('index_not_found_exception') };
        const { status, body } =
          script(line) ?? (line.startsWith('GET') ? missing : { status: 200, body: { acknowledged: true } });
        outgoing.writeHead(status, { 'x-elastic-product': 'Elasticsearch', 'content-type': 'application/json' });
        outgoing.end(JSON.stringify(body));
      });
    });
    const { url, close } = await listening(server);
    closers.push(close);
    return { asked, options: { nodes: [url], index: 'i', content: 'events', dataStream: true } };
  }
  const error = (type: string, reason = 'because') => ({ error: { type, reason } });

  test('the cluster is asked whether it has data streams, then for the template, then for the stream', async () => {
    const { asked, options } = await scripted(() => undefined);
    const host = testHost();
    await (await open(options, {}, host)).close();
    expect(asked).toEqual(['GET /', 'GET /i', 'GET /_data_stream/i', 'PUT /_index_template/i', 'PUT /_data_stream/i']);
    expect(host.notes).toHaveLength(1);
  });

  test.each([
    ['GET /_data_stream/i', 400, { error: 'no handler found for uri [/_data_stream/i] and method [GET]' }],
    ['GET /_data_stream/i', 405, { error: 'Incorrect HTTP method for uri [/_data_stream/i]' }],
    ['PUT /_index_template/i', 400, error('x_content_parse_exception', '[index_template] unknown field [data_stream]')],
    ['PUT /_index_template/i', 400, error('illegal_argument_exception', 'unrecognized option data_stream')],
    ['PUT /_data_stream/i', 405, { error: 'Incorrect HTTP method for uri [/_data_stream/i]' }],
  ])('without data streams: %s %i %j', async (line, status, body) => {
    const { options } = await scripted((asked) => (asked === line ? { status, body } : undefined));
    const fault = await unreachableBy(() => open(options));
    expect(fault).toMatchObject({ code: 'destination-misconfigured', path: 'connectors.under-test.dataStream' });
  });

  test.each([
    ['PUT /_index_template/i', 400, 'illegal_argument_exception', 'connectors.under-test.createIndex'],
    ['PUT /_data_stream/i', 400, 'illegal_argument_exception', 'connectors.under-test.createIndex'],
    ['PUT /_index_template/i', 403, 'security_exception', 'connectors.under-test.index'],
  ])('any other refusal is no lack of data streams: %s %i %s', async (line, status, type, path) => {
    const { options } = await scripted((asked) => (asked === line ? { status, body: error(type) } : undefined));
    const fault = await unreachableBy(() => open(options));
    expect(fault.path).toBe(path);
    expect(fault.message).toContain(`${type}: because`);
    if (status === 403) expect(fault.suggestion).toContain('manage_index_templates');
  });

  test('a stream that another bridge creates at the same moment is as good as one’s own', async () => {
    const { options } = await scripted((asked) =>
      asked === 'PUT /_data_stream/i' ? { status: 400, body: error('resource_already_exists_exception') } : undefined,
    );
    const host = testHost();
    await (await open(options, {}, host)).close();
    expect(host.notes).toEqual([]);
  });

  test.each([
    ['put into the failure store', { _index: '.fs-i-1', status: 201, _seq_no: 0, failure_store: 'used' }, '.fs-i-1'],
    ['dropped by a pipeline', { _index: 'i', status: 200, _version: -3, result: 'noop' }, 'dropped it'],
    [
      'given another id by a pipeline',
      { _index: 'i', _id: 'other', status: 201, _seq_no: 0 },
      'changed its id to other',
    ],
  ])('a document that is %s is a dead letter, not a delivery', async (_, answer, said) => {
    const event = makeEvent({ name: 'name' }, { id: randomUUID() });
    const stored = { _id: event.id, ...answer };
    const { options } = await scripted((asked) => {
      if (asked.endsWith('/_bulk')) return { status: 200, body: { errors: false, items: [{ create: stored }] } };
      return asked === 'GET /i' ? { status: 200, body: { '.ds-i-1': { data_stream: 'i' } } } : undefined;
    });
    const sink = await open(options);
    const outcome = (await sink.deliver([event], never())).get(event.id);
    await sink.close();
    expect(outcome).toMatchObject({ kind: 'dead', fault: { message: expect.stringContaining(said) } });
  });
});
