/** What a connector says of whoever takes its connections and is not what it looks for: each names what would help. */
import dns from 'node:dns';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { expect, onTestFinished, test, vi } from 'vitest';
import { elasticsearch } from '../../connectors/elasticsearch/connector.ts';
import { http } from '../../connectors/http/connector.ts';
import { kafka } from '../../connectors/kafka/connector.ts';
import { postgres } from '../../connectors/postgres/connector.ts';
import { postgresOptions } from '../../connectors/postgres/options.ts';
import { tlsFault } from '../../connectors/tls.ts';
import type { Fault } from '../../src/model/fault.ts';
import { createAuthority } from '../servers/certificates.ts';
import { makeEvent, never, openDriven, testHost, unreachableBy } from './suite.ts';

async function portOf(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** As a proxy does whose server is down. */
const endsAtOnce = () => createServer((socket) => socket.resetAndDestroy());
const speaksHttp = () => createHttpServer((_, response) => response.end('{}'));
const speaksNothing = () => createServer((socket) => socket.once('data', () => socket.end()));
const greets = () => createServer((socket) => socket.end('220 mail.example.com ESMTP\r\n'));
async function speaksTls() {
  const { certificate: cert, key } = await (await createAuthority('any')).issue();
  return createTlsServer({ cert, key }, (socket) => socket.on('error', () => {}).end());
}

const toHttp = async (url: string): Promise<Fault> => {
  const options = http.options.parse({ url, allowPrivate: true });
  return unreachableBy(async () => {
    const sink = await openDriven(http, options, testHost());
    await sink.deliver([makeEvent({ name: 'a' })], never()).finally(() => sink.close());
  });
};
const toElasticsearch = (node: string) =>
  unreachableBy(() =>
    elasticsearch.open(elasticsearch.options.parse({ nodes: node, index: 'i' }), testHost(), never()),
  );
const toKafka = (port: number, more = {}) =>
  unreachableBy(() =>
    kafka.open(kafka.options.parse({ brokers: `127.0.0.1:${port}`, topic: 't', ...more }), testHost(), never()),
  );
const toPostgres = (url: string) =>
  unreachableBy(() => postgres.open(postgresOptions.parse({ url, table: 't' }), testHost(), never()));

const MISCONFIGURED = 'destination-misconfigured';
const UNREACHABLE = 'destination-unreachable';

test.each<[string, () => Promise<Server> | Server, (port: number) => Promise<Fault>, string, string, RegExp]>([
  ['http, https://', speaksHttp, (port) => toHttp(`https://127.0.0.1:${port}`), MISCONFIGURED, 'url', /write http:/],
  ['http, http://', speaksTls, (port) => toHttp(`http://127.0.0.1:${port}`), MISCONFIGURED, 'url', /write https:/],
  [
    'elasticsearch, https://',
    speaksHttp,
    (port) => toElasticsearch(`https://127.0.0.1:${port}`),
    MISCONFIGURED,
    'nodes',
    /write http:/,
  ],
  [
    'elasticsearch, http://',
    speaksTls,
    (port) => toElasticsearch(`http://127.0.0.1:${port}`),
    MISCONFIGURED,
    'nodes',
    /write https:/,
  ],
  [
    'elasticsearch',
    endsAtOnce,
    (port) => toElasticsearch(`http://127.0.0.1:${port}`),
    UNREACHABLE,
    'nodes',
    /see that it runs/,
  ],
  ['kafka', endsAtOnce, toKafka, UNREACHABLE, 'brokers', /ends them at once: is a proxy there, and no broker up/],
  [
    'kafka with tls',
    endsAtOnce,
    (port) => toKafka(port, { tls: true }),
    UNREACHABLE,
    'brokers',
    /ends them at once: is a proxy there, and no broker up/,
  ],
  ['kafka', speaksHttp, toKafka, MISCONFIGURED, 'brokers', /HTTP is spoken on this port/],
  ['kafka', speaksNothing, toKafka, UNREACHABLE, 'sasl', /ask for a user \(sasl\), or is it no Kafka/],
  ['http', greets, (port) => toHttp(`http://127.0.0.1:${port}`), UNREACHABLE, 'url', /no HTTP is spoken/],
  ['kafka with tls', speaksHttp, (port) => toKafka(port, { tls: true }), MISCONFIGURED, 'tls', /leave tls out/],
])('%s, to a server that %o', async (_, server, ask, code, setting, suggestion) => {
  const fault = await ask(await portOf(await server()));
  expect(fault).toMatchObject({
    code,
    path: `connectors.under-test.${setting}`,
    suggestion: expect.stringMatching(suggestion),
    message: expect.not.stringMatching(/\n|openssl|unknown/),
  });
});

test('the doctor of http finds that TLS is spoken where the URL says http://', async () => {
  const port = await portOf(await speaksTls());
  const options = http.options.parse({ url: `http://127.0.0.1:${port}`, allowPrivate: true });
  const examined = http.examine(options, testHost(), never())[Symbol.asyncIterator]();
  expect((await unreachableBy(() => examined.next())).suggestion).toMatch(/write https:/);
});

test.each<[string, () => Promise<Fault>]>([
  ['http', () => toHttp('http://two.example:1')],
  ['elasticsearch', () => toElasticsearch('http://two.example:1')],
  ['postgres', () => toPostgres('postgresql://user@two.example:1/any')],
  ['kafka', () => toKafka(1, { brokers: 'two.example:1' })],
])('%s says of each address of a name, such as both of localhost, why it is not reached', async (_, ask) => {
  const both = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
  const lookup = vi.spyOn(dns, 'lookup') as unknown as { mockImplementation(lookup: unknown): void };
  lookup.mockImplementation((_: string, __: object, found: (error: null, all: object) => void) => found(null, both));
  onTestFinished(() => void vi.restoreAllMocks());
  expect((await ask()).message).toMatch(/ECONNREFUSED 127.0.0.1:1; .*ECONNREFUSED 127.0.0.2:1/);
});

test('an address of IPv6 is told as URLs write it', async () => {
  const message = (await toPostgres('postgresql://user@[::1]:1/any')).message;
  expect(message).toContain('PostgreSQL at [::1]:1 cannot be had');
  expect(tlsFault(new Error('no'), 'connectors.x', { host: '::1', port: 1 }).message).toContain(
    'TLS with [::1]:1 fails',
  );
});
