/**
 * What is signed for AWS, which cannot be had here: a stand-in for its gate computes each signature anew from the bytes that
 * came, refuses what differs, and hands on the rest to a real Elasticsearch.
 */
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import { scopeOf, sha256, signatureOf } from '../../connectors/aws.ts';
import { elasticsearch } from '../../connectors/elasticsearch/connector.ts';
import { makeEvent, never, openDriven, testHost, unreachableBy } from './suite.ts';

const url = inject('elasticsearchUrl');
const key = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
const region = 'eu-central-1';

describe('a signature', () => {
  const published = {
    ...{ method: 'GET', path: '/', query: [] as [string, string][], bodyHash: sha256('') },
    headers: { host: 'example.amazonaws.com', 'x-amz-date': '20150830T123600Z' },
  };
  const unreserved = '-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

  // Of the suite aws-sig-v4-test-suite.
  test.each([
    ['get-vanilla', {}, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    ['post-vanilla', { method: 'POST' }, '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
    ['get-utf8', { path: '/ሴ' }, '8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85'],
    ['get-unreserved', { path: `/${unreserved}` }, '07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f'],
    [
      'get-vanilla-query-order-key-case',
      { query: Object.entries({ Param2: 'value2', Param1: 'value1' }) },
      'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    ],
  ])('is the one that AWS published for %s', (_, given, expected) => {
    const scope = scopeOf('us-east-1', 'service', Date.UTC(2015, 7, 30, 12, 36));
    expect(signatureOf({ ...published, ...given }, scope, key.secretAccessKey)).toBe(expected);
  });

  // Recorded of aws4 1.13.2.
  test('of an encoded path, a query, a text that is not ASCII and a session is what aws4 makes', () => {
    const scope = scopeOf(region, 'es', Date.UTC(2026, 0, 2, 3, 4, 5));
    const bodyHash = sha256('{"name":"群组 ñ"}\n');
    const headers = { 'x-amz-content-sha256': bodyHash, 'x-amz-security-token': 'a+token/with==' };
    const signable = {
      ...{ method: 'POST', path: '/%E7%BE%A4%20%40tgs%212%28a%29/_bulk', bodyHash },
      query: Object.entries({ timeout: '30000ms', filter_path: 'nodes.*.version' }),
      headers: { host: 'd.example.com', 'x-amz-date': scope.time, ...headers },
    };
    const recorded = '67730094aacbbbe3a48bb5299388732814a372defa593736ea077e7fe9d1341d';
    expect(signatureOf(signable, scope, key.secretAccessKey)).toBe(recorded);
  });
});

const digest = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');
const mac = (by: string | Buffer, text: string): Buffer => createHmac('sha256', by).update(text).digest();
const escaped = (text: string): string =>
  Buffer.from(text).reduce((out, byte) => {
    const character = String.fromCharCode(byte);
    return out + (/[\w.~/-]/.test(character) ? character : `%${byte.toString(16).padStart(2, '0').toUpperCase()}`);
  }, '');

interface Gate {
  /** Whose signature is right. */
  secretAccessKey: string;
  sessionToken?: string;
  service: string;
  now: () => number;
  /** A status instead of handing on. */
  broken?: number;
}

/** Returns why the gate would not let it pass. */
function objection({ method = '', url = '', headers }: IncomingMessage, body: Buffer, gate: Gate): string | undefined {
  const [path = '', query = ''] = url.split('?');
  const time = String(headers['x-amz-date']);
  const [, names = '', given] = /SignedHeaders=([^,]+), Signature=(\w+)$/.exec(headers.authorization ?? '') ?? [];
  const fields = query.split('&').map((field) => field.split('=').map((part) => escaped(decodeURIComponent(part))));
  const canonical = [
    ...[method, escaped(path)],
    query &&
      fields
        .map((field) => field.join('='))
        .sort()
        .join('&'),
    ...names.split(';').map((name) => `${name}:${headers[name]}`),
    ...['', names, digest(body)],
  ].join('\n');
  const parts = [time.slice(0, 8), region, gate.service, 'aws4_request'];
  const signing = parts.reduce<string | Buffer>(mac, `AWS4${gate.secretAccessKey}`);
  const expected = mac(signing, ['AWS4-HMAC-SHA256', time, parts.join('/'), digest(canonical)].join('\n'));
  const at = Date.parse(time.replace(/(....)(..)(..T..)(..)(..)Z/, '$1-$2-$3:$4:$5Z'));
  if (Math.abs(at - gate.now()) > 300_000) return `Signature expired: ${time} is now earlier than the server's time`;
  if (headers['x-amz-security-token'] !== gate.sessionToken || headers['x-amz-content-sha256'] !== digest(body)) {
    return 'The security token included in the request is invalid.';
  }
  return given === expected.toString('hex')
    ? undefined
    : 'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key.';
}

async function gateWith(more: Partial<Gate> = {}) {
  const gate: Gate = { secretAccessKey: key.secretAccessKey, service: 'es', now: Date.now, ...more };
  const passed: string[] = [];
  const refused: string[] = [];
  const server = createServer(async (incoming, answer) => {
    const body = await buffer(incoming);
    const message = objection(incoming, body, gate);
    (message === undefined ? passed : refused).push(`${incoming.method} ${incoming.url}`);
    if (message !== undefined || gate.broken !== undefined) {
      answer.writeHead(gate.broken ?? 403, { 'content-type': 'application/json' });
      return answer.end(JSON.stringify({ message }));
    }
    const { method, headers } = incoming;
    const { authorization: _, ...others } = headers;
    const onward = request(url + incoming.url, { method, headers: others }, (response) => {
      answer.writeHead(response.statusCode ?? 500, response.headers);
      response.pipe(answer);
    });
    return onward.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { gate, passed, refused, node: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const options = (nodes: readonly string[], aws: object) => ({
  ...{ nodes, index: `aws-(ü)!@-${randomUUID()}`, createIndex: { replicas: 0 } },
  auth: { aws: { region, ...aws } },
});
const open = (given: object) => openDriven(elasticsearch, elasticsearch.options.parse(given), testHost());
const document = async (index: string, id: string): Promise<unknown> =>
  (await fetch(`${url}/${encodeURIComponent(index)}/_doc/${encodeURIComponent(id)}`)).json();

describe.skipIf(url === '')('requests that are signed for AWS', () => {
  test.each([
    ['es', {}],
    ['aoss', { sessionToken: 'a+token/with==' }],
  ])('arrive, at another node, too: %s', async (service, temporary) => {
    const [down, live] = [
      await gateWith({ service, broken: 503, ...temporary }),
      await gateWith({ service, ...temporary }),
    ];
    const given = options([down.node, live.node], { service, ...key, ...temporary });
    const sink = await open(given);
    const event = makeEvent({ name: '群组 ñ 🚀 *!' }, { groupId: '@TGS#2J4SZEAEL' });
    const outcomes = await sink.deliver([event], never());
    await sink.close();
    expect(outcomes.get(event.id)?.kind).toBe('delivered');
    expect(await document(given.index, '@TGS#2J4SZEAEL')).toMatchObject({ _source: { name: '群组 ñ 🚀 *!' } });
    expect(down.passed.length).toBeGreaterThan(0);
    expect([...down.refused, ...live.refused]).toEqual([]);
    expect(live.passed).toContainEqual(expect.stringMatching(/^POST .*%28%C3%BC%29%21.*\/_bulk\?timeout=/));

    const findings: string[] = [];
    const alive = elasticsearch.options.parse({ ...given, nodes: [live.node] });
    for await (const { step, state, says } of elasticsearch.examine(alive, testHost(), never())) {
      findings.push(`${step}: ${state}: ${says}`);
    }
    expect(findings.join('\n')).toMatch(/^cluster: well: reached as AKIDEXAMPLE: .*\nwrite permission: well: /s);
    expect(live.refused).toEqual([]);
  });

  test.each([
    ['another key', { secretAccessKey: 'other' }, /signature we calculated/, /secretAccessKey/],
    ['a session that has ended', { sessionToken: 'other' }, /security token/, /temporary keys expire/],
    ['a clock that is wrong', { now: () => Date.now() + 3_600_000 }, /Signature expired/, /this machine’s clock/],
  ])('are refused with what to do: %s', async (_, gate, message, suggestion) => {
    const { node } = await gateWith(gate);
    const given = elasticsearch.options.parse(
      options([node], { ...key, sessionToken: 'sessionToken' in gate ? 'mine' : undefined }),
    );
    const fault = await unreachableBy(() => elasticsearch.open(given, testHost(), never()));
    expect(fault).toMatchObject({
      ...{ code: 'destination-credentials', path: 'connectors.under-test.auth' },
      ...{ message: expect.stringMatching(message), suggestion: expect.stringMatching(suggestion) },
    });
    expect(JSON.stringify(fault)).not.toContain(key.secretAccessKey);
  });

  test('have the credentials of the environment as they are by then', async () => {
    const { gate, node, refused } = await gateWith({ sessionToken: 'first' });
    // The package keeps its credentials and renews them; here it is done by hand.
    const now = { ...key, sessionToken: 'first' };
    vi.doMock('@aws-sdk/credential-provider-node', () => ({ defaultProvider: () => async () => ({ ...now }) }));
    onTestFinished(() => void vi.doUnmock('@aws-sdk/credential-provider-node'));
    const sink = await open(options([node], {}));
    const renewed = { secretAccessKey: 'another', sessionToken: 'second' };
    Object.assign(now, renewed);
    Object.assign(gate, renewed);
    const event = makeEvent({ name: 'later' });
    expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
    await sink.close();
    expect(refused).toEqual([]);
  });
});
