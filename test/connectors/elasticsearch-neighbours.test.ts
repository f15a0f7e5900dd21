/** What stands around a real Elasticsearch: settings that refuse every document, proxies with limits and answers of their own. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { elasticsearchOptions } from '../../connectors/elasticsearch/options.ts';
import { type Configured, openSink } from '../../connectors/index.ts';
import { entryOf } from '../../src/model/entry.ts';
import { getDocuments } from '../servers/readback.ts';
import { type BridgeProcess, bridgeHome, inStep, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';
import { makeEvent, never, testHost, unreachableBy } from './suite.ts';

const url = inject('elasticsearchUrl');

async function must(method: string, path: string, content: object): Promise<void> {
  const response = await fetch(url + path, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(content),
  });
  expect(response.status, await response.text()).toBeLessThan(300);
}

/** A proxy before Elasticsearch; `instead` may answer a request itself, or break it off. */
async function proxy(instead: (sent: { bytes: number; path: string }, answer: Answer) => boolean): Promise<string> {
  const server: Server = createServer(async (incoming, answer) => {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    const sent = Buffer.concat(parts);
    if (instead({ bytes: sent.length, path: incoming.url ?? '' }, answer)) return;
    const { method, headers } = incoming;
    const onward = request(url + incoming.url, { method, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 500, response.headers);
      response.pipe(answer);
    });
    onward.end(sent);
  });
  return listening(server);
}
type Answer = Parameters<Parameters<typeof createServer>[1] & object>[1];

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function start(nodes: string, more: object = {}) {
  const index = `around-${randomUUID()}`;
  const retry = { initialMs: 100, maxMs: 500 };
  const home = bridgeHome(() => ({
    copy: { kind: 'elasticsearch', nodes, index, createIndex: { replicas: 0 }, retry, ...more },
  }));
  onTestFinished(home.remove);
  const bridge = await startBridgeProcess(home);
  const send = async (GroupId: string, fields: object = { Name: GroupId }) =>
    expect((await bridge.post({ search: search(), body: body({ GroupId, ...fields }) })).status).toBe(200);
  const connector = async () =>
    ((await (await fetch(`${bridge.adminUrl}/api/status`)).json()) as { connectors: object[] }).connectors[0];
  return { bridge, home, index, send, connector };
}

function json(answer: Answer, status: number, content: object, headers: Record<string, string> = {}): void {
  answer.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(content));
}

const gzipped = (answer: Answer): void => json(answer, 200, {}, { 'content-encoding': 'gzip' });

const upgraded = (answer: Answer): void =>
  void answer.socket?.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n');

async function end(bridge: BridgeProcess): Promise<void> {
  expect(await bridge.end('SIGTERM')).toBe(0);
}

describe.skipIf(url === '')('around Elasticsearch', () => {
  test.each(['groups', 'events'])(
    'a setting that refuses every document is the index’s fault: %s wait',
    async (content) => {
      const { bridge, index, send, connector } = await start(url, { content });
      await send('first');
      await inStep(bridge);
      await must('PUT', `/${index}/_settings`, { 'index.default_pipeline': 'no-such-pipeline' });
      for (const id of ['a', 'b', 'c']) await send(id);
      await expect.poll(connector).toMatchObject({
        state: {
          kind: 'waiting',
          fault: {
            code: 'destination-misconfigured',
            message: expect.stringContaining('pipeline with id [no-such-pipeline] does not exist'),
          },
        },
        deadLetters: 0,
        lag: 3,
      });
      await must('PUT', `/${index}/_settings`, { 'index.default_pipeline': '_none' });
      await inStep(bridge);
      expect((await getDocuments(url, index)).size).toBe(4);
      await end(bridge);
    },
  );

  test.each(['groups', 'events'])('an index that asks for routing is the index’s fault: %s', async (content) => {
    const index = `routed-${randomUUID()}`;
    await must('PUT', `/${index}`, {
      mappings: { _routing: { required: true }, properties: { versions: { type: 'object', enabled: false } } },
      settings: { number_of_replicas: 0 },
    });
    const { bridge, send, connector } = await start(url, { index, createIndex: false, content });
    await send('a');
    await expect.poll(connector).toMatchObject({
      state: { kind: 'waiting', fault: { code: 'destination-misconfigured' } },
      deadLetters: 0,
    });
    await end(bridge);
  });

  test('a proxy that redirects is told with where to, and delivery goes on without it', async () => {
    let redirects = false;
    const node = await proxy((_, answer) => {
      if (redirects) answer.writeHead(302, { location: 'http://127.0.0.1:1/login' }).end();
      return redirects;
    });
    const { bridge, home, send, connector } = await start(node);
    await send('a');
    await inStep(bridge);
    redirects = true;
    await send('b');
    await expect.poll(connector).toMatchObject({
      state: {
        kind: 'waiting',
        fault: { message: expect.stringContaining('302 to http://127.0.0.1:1/login'), path: 'connectors.copy.nodes' },
      },
    });
    const checked = await runCommand(['check', '--config', home.configFile, '--connect']);
    expect(checked.stdout).toMatch(/✗.*302 to http:\/\/127.0.0.1:1\/login/);
    expect(checked.stdout).not.toContain('undefined');
    expect(checked.code).not.toBe(0);
    redirects = false;
    await inStep(bridge);
    await end(bridge);
  });

  test('an answer that stalls in the middle costs one time-out, and no connection', async () => {
    let stalled = 0;
    let isOpen = true;
    const nodes = await proxy(({ path }, answer) => {
      if (!path.includes('_bulk') || stalled++ > 0) return false;
      answer.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' }).write('{"took":');
      answer.once('close', () => {
        isOpen = false;
      });
      return true;
    });
    const { bridge, send } = await start(nodes, { requestTimeoutMs: 1_000 });
    await send('g1');
    await inStep(bridge, 20_000);
    expect(isOpen).toBe(false);
    expect(stalled).toBeGreaterThan(1);
    expect(bridge.stderr()).toMatch(/did not answer within 1000 ms/);
  });

  test.each([
    ['of a coding that it has not', /is not Elasticsearch.*cannot be unpacked/, gzipped],
    [
      'whose items are none',
      /is not Elasticsearch.*is none to POST/,
      (answer: Answer) => json(answer, 200, { items: [null] }),
    ],
    ['that the request took too long to come', /takes no more for now/, (answer: Answer) => json(answer, 408, {})],
    ['that changes the protocol', /it answers 101/, upgraded],
  ])('an answer %s is told, and delivery goes on without it', async (_, said, give) => {
    let isOdd = true;
    const nodes = await proxy(({ path }, answer) => {
      if (!isOdd || !path.includes('_bulk')) return false;
      give(answer);
      return true;
    });
    const { bridge, send, connector } = await start(nodes, { requestTimeoutMs: 1_000 });
    await send('g1');
    await expect
      .poll(connector, { timeout: 5_000 })
      .toMatchObject({ state: { fault: { message: expect.stringMatching(said), path: 'connectors.copy.nodes' } } });
    isOdd = false;
    await inStep(bridge);
    await end(bridge);
  });

  test('a connection that breaks off large requests gets smaller ones', async () => {
    const sizes: number[] = [];
    const node = await proxy(({ bytes, path }, answer) => {
      if (!path.includes('_bulk')) return false;
      sizes.push(bytes);
      if (bytes > 200_000) answer.socket?.resetAndDestroy();
      return bytes > 200_000;
    });
    const { bridge, index, send, home } = await start(node);
    await send('first');
    await inStep(bridge);
    const command = (name: string) =>
      runCommand([name, 'copy', '--config', home.configFile, '--admin', bridge.adminUrl]);
    expect((await command('pause')).code).toBe(0);
    await Promise.all(Array.from({ length: 30 }, (_, n) => send(`g${n}`, { Notification: 'x'.repeat(20_000) })));
    expect((await command('resume')).code).toBe(0);
    await inStep(bridge);
    expect((await getDocuments(url, index)).size).toBe(31);
    expect(Math.max(...sizes)).toBeGreaterThan(200_000);
    await end(bridge);
  });
});

test.skipIf(url === '')('after trouble that made requests small for nothing they are large again', async () => {
  let isDown = true;
  let written = 0;
  const node = await proxy(({ path }, answer) => {
    if (!path.includes('_bulk')) return false;
    written++;
    if (isDown) answer.socket?.resetAndDestroy();
    return isDown;
  });
  const options = elasticsearchOptions.parse({
    nodes: node,
    index: `small-${randomUUID()}`,
    content: 'events',
    createIndex: { replicas: 0 },
  });
  const sink = await openSink({ kind: 'elasticsearch', ...options } as Configured, testHost(), never());
  const batch = () => Array.from({ length: 200 }, (_, n) => entryOf(n, makeEvent({ name: 'name' })));
  const deliver = async () => sink.holds === 'events' && sink.deliver(batch(), never());
  for (let attempt = 0; attempt < 20; attempt++) await unreachableBy(deliver);
  isDown = false;
  await deliver();
  written = 0;
  await deliver();
  expect(written).toBeLessThan(20);
  await sink.close();
  await fetch(`${url}/${options.index}`, { method: 'DELETE' });
});

test('an alias that is given a second index while it is looked at is not taken for both', async () => {
  const [one, both] = [['one'], ['one', 'two']].map((names) =>
    Object.fromEntries(
      names.map((name) => [
        name,
        { aliases: { copy: {} }, mappings: { dynamic: 'false' }, settings: { index: { uuid: name } } },
      ]),
    ),
  );
  /** What the alias stands for, each time it is asked. */
  const stands = [one, one, one, both, one, one];
  const server = createServer((incoming, answer) => {
    const found = incoming.url === '/copy' ? stands.shift() : { version: { number: '8.19.0' }, hits: { hits: [] } };
    answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(found));
  });
  const nodes = await listening(server);
  const options = elasticsearchOptions.parse({ nodes, index: 'copy', createIndex: false });
  const sink = await openSink({ kind: 'elasticsearch', ...options } as Configured, testHost(), never());
  onTestFinished(sink.close);
  await expect(sink.identify?.('copy one', never())).rejects.toThrow(/The alias copy has no write index/);
  expect(await sink.identify?.('copy one', never())).toEqual({ identity: 'copy one' });
});
