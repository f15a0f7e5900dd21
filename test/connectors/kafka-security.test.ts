// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the configuration's own
/** A broker that asks who comes: SASL over TLS on one port, client certificates on another, tokens on a third, all real. */
import { randomUUID, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { kafka } from '../../connectors/kafka/connector.ts';
import {
  type Authority,
  createAuthority,
  createPemFolder,
  type Issued,
  type PemFolder,
} from '../servers/certificates.ts';
import { freePort, type KafkaServer, startKafka } from '../servers/index.ts';
import { followTopic } from '../servers/readback.ts';
import { bridgeHome, runCommand } from '../support/bridge.process.ts';
import { makeEvent, never, openDriven, testHost, unreachableBy } from './suite.ts';

const skip = inject('kafkaBrokers') === '' ? 'no Kafka in this run' : '';
const user = { username: 'bridge', password: 'Geheim-4711' };
const reader = { username: 'reader', password: 'Lesen-4711' };
const path = 'connectors.under-test';

let pems: PemFolder;
let server: KafkaServer;
let ports: { sasl: number; mutual: number; token: number };
let authority: Authority;
let stranger: Authority;
let client: Issued;

const file = (pem: string): string => pems.file(pem);
const sasl = (more = {}) => ({ mechanism: 'scram-sha-512', ...user, ...more });
const ca = () => ({ caFile: file(authority.certificate) });

beforeAll(async () => {
  if (skip !== '') return;
  pems = createPemFolder();
  [authority, stranger] = await Promise.all([createAuthority('ours'), createAuthority('another')]);
  const [own, outdated, issued] = await Promise.all([
    authority.issue({ commonName: 'broker' }),
    authority.issue({ notAfter: new Date(Date.now() - 3_600_000) }),
    authority.issue({ commonName: 'bridge' }),
  ]);
  client = issued;
  ports = { sasl: await freePort(), mutual: await freePort(), token: await freePort() };
  expired = await freePort();
  elsewhere = await freePort();
  const named = await authority.issue({ names: ['kafka.example'] });
  const identity = (listener: string, keystore: string) => ({
    [`listener.name.${listener}.ssl.keystore.type`]: 'PEM',
    [`listener.name.${listener}.ssl.keystore.location`]: keystore,
  });
  const oauthbearer = 'org.apache.kafka.common.security.oauthbearer';
  const plain = 'org.apache.kafka.common.security.plain.PlainLoginModule required';
  server = await startKafka({
    listeners: {
      SECURE: { protocol: 'SASL_SSL', port: ports.sasl },
      TOKEN: { protocol: 'SASL_PLAINTEXT', port: ports.token },
      MUTUAL: { protocol: 'SSL', port: ports.mutual },
      EXPIRED: { protocol: 'SSL', port: expired },
      ELSEWHERE: { protocol: 'SSL', port: elsewhere },
    },
    scramUsers: [user, reader],
    files: {
      'own.pem': own.key + own.certificate + authority.certificate,
      'expired.pem': outdated.key + outdated.certificate,
      'elsewhere.pem': named.key + named.certificate,
      'authority.pem': authority.certificate,
    },
    settings: {
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:ANONYMOUS',
      'allow.everyone.if.no.acl.found': 'true',
      ...identity('secure', 'own.pem'),
      ...identity('mutual', 'own.pem'),
      ...identity('expired', 'expired.pem'),
      ...identity('elsewhere', 'elsewhere.pem'),
      'listener.name.mutual.ssl.client.auth': 'required',
      'listener.name.mutual.ssl.truststore.type': 'PEM',
      'listener.name.mutual.ssl.truststore.location': 'authority.pem',
      'listener.name.token.sasl.enabled.mechanisms': 'OAUTHBEARER',
      'listener.name.token.oauthbearer.sasl.jaas.config': `${oauthbearer}.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
      'listener.name.token.oauthbearer.sasl.server.callback.handler.class': `${oauthbearer}.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler`,
      'listener.name.secure.sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
      'listener.name.secure.plain.sasl.jaas.config': `${plain} user_${user.username}="${user.password}";`,
      'listener.name.secure.scram-sha-256.sasl.jaas.config':
        'org.apache.kafka.common.security.scram.ScramLoginModule required;',
      'listener.name.secure.scram-sha-512.sasl.jaas.config':
        'org.apache.kafka.common.security.scram.ScramLoginModule required;',
    },
  });
});
let expired: number;
let elsewhere: number;
afterAll(async () => {
  await server?.stop();
  pems?.remove();
});

interface TokenEndpoint {
  readonly url: string;
  /** The client, its secret and the form of each request. */
  readonly requests: readonly Record<string, string | undefined>[];
  /** How long the next tokens are valid for, in seconds. */
  lifetime: number;
}

/** Gives unsecured tokens, which the broker believes, to whoever knows the secret. */
async function tokenEndpoint(): Promise<TokenEndpoint> {
  const requests: Record<string, string | undefined>[] = [];
  const endpoint = { url: '', requests, lifetime: 300 };
  const { url } = await elsewhereAt(async (request, response) => {
    const [kind, encoded = ''] = request.headers.authorization?.split(' ') ?? [];
    const [id, secret] = Buffer.from(encoded, 'base64').toString().split(':').map(decodeURIComponent);
    requests.push({ ...{ kind, id, secret }, ...Object.fromEntries(new URLSearchParams(await text(request))) });
    const right = secret === user.password;
    const now = Math.floor(Date.now() / 1_000);
    const parts = [{ alg: 'none' }, { sub: id, iat: now, exp: now + endpoint.lifetime }];
    const token = `${parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`;
    const answer = right
      ? { access_token: token, token_type: 'bearer', expires_in: endpoint.lifetime }
      : { error: 'invalid_client', error_description: 'this client is not known' };
    response.writeHead(right ? 200 : 401, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  return Object.assign(endpoint, { url: `${url}/token` });
}

const oauth = (tokenEndpoint: string, more = {}) => ({
  mechanism: 'oauthbearer',
  tokenEndpoint,
  clientId: 'the bridge: one',
  clientSecret: user.password,
  ...more,
});

const options = (port: number, more: Record<string, unknown>) => ({
  brokers: [`127.0.0.1:${port}`],
  topic: `test.${randomUUID()}`,
  createTopic: { partitions: 1 },
  connectionTimeoutMs: 2_000,
  requestTimeoutMs: 2_000,
  ...more,
});
const faultOf = (given: Record<string, unknown>) =>
  unreachableBy(() => kafka.open(kafka.options.parse(given), testHost(), never()));

describe.skipIf(skip)('events arrive', () => {
  test.each([
    ['SASL PLAIN', () => options(ports.sasl, { tls: ca(), sasl: sasl({ mechanism: 'plain' }) })],
    ['SASL SCRAM-SHA-256', () => options(ports.sasl, { tls: ca(), sasl: sasl({ mechanism: 'scram-sha-256' }) })],
    ['SASL SCRAM-SHA-512', () => options(ports.sasl, { tls: ca(), sasl: sasl() })],
    ['an authority known by its fingerprint', () => options(ports.sasl, { tls: fingerprint(authority), sasl: sasl() })],
    [
      'a client certificate',
      () => options(ports.mutual, { tls: { ...ca(), certFile: file(client.certificate), keyFile: file(client.key) } }),
    ],
    [
      'another name than that of the address',
      () => options(elsewhere, { tls: { ...ca(), serverName: 'kafka.example' } }),
    ],
  ])('with %s', async (_, given) => {
    const chosen = given();
    const sink = await openDriven(kafka, kafka.options.parse(chosen), testHost());
    const event = makeEvent({ name: 'secret' });
    expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
    await sink.check(never());
    await sink.close();
    // Read through the plain listener, which only the test has.
    const reader = await followTopic(server.brokers, chosen.topic);
    await reader.until((records) => records.length === 1, 'the event');
    await reader.close();
    expect(JSON.parse(reader.records[0]?.value ?? '')).toEqual(event);
  });
});

test.skipIf(skip)('what keeps from all topics of a template is told, although nothing is to be delivered', async () => {
  const caFile = file(authority.certificate);
  const given = options(ports.sasl, { tls: { caFile }, sasl: sasl() });
  const parsed = kafka.options.parse({ ...given, topic: `${given.topic}.{groupType}` });
  const { sink, deliver, close } = await openDriven(kafka, parsed, testHost());
  onTestFinished(close);
  const event = makeEvent({ name: 'secret' });
  expect((await deliver([event], never())).get(event.id)?.kind).toBe('delivered');
  writeFileSync(caFile, stranger.certificate);
  expect(await unreachableBy(async () => sink.identify?.(undefined, never()))).toMatchObject({
    code: 'destination-credentials',
  });
});

const msk = { mechanism: 'aws-msk-iam', region: 'eu-central-1' };

describe.skipIf(skip)('a token (OAUTHBEARER)', () => {
  test('of an endpoint lets events in; it is asked for once, and anew before its time is over', async () => {
    const endpoint = await tokenEndpoint();
    const given = options(ports.token, {
      sasl: oauth(endpoint.url, { scope: 'a b', parameters: { audience: 'kafka' }, extensions: { traceId: 'one' } }),
    });
    const sink = await openDriven(kafka, kafka.options.parse(given), testHost());
    const event = makeEvent({ name: 'by token' });
    expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
    expect(endpoint.requests).toEqual([
      {
        ...{ kind: 'Basic', id: 'the bridge: one', secret: user.password },
        ...{ grant_type: 'client_credentials', scope: 'a b', audience: 'kafka' },
      },
    ]);
    await sink.close();

    // The broker wants to be shown a new one when this one ends.
    endpoint.lifetime = 12;
    const short = await openDriven(kafka, kafka.options.parse(given), testHost());
    const delivered = async () => (await short.deliver([event], never())).get(event.id)?.kind;
    await expect.poll(async () => [await delivered(), endpoint.requests.length > 4]).toEqual(['delivered', true]);
    await short.close();
  });

  test('that is refused is not shown again', async () => {
    const right = await tokenEndpoint();
    let first = true;
    const { url } = await elsewhereAt(async (request, response) => {
      const wrong = { access_token: 'eyJhbGciOiJub25lIn0.e30.', expires_in: 300 };
      if (first) response.end(JSON.stringify(wrong));
      else {
        const { authorization = '' } = request.headers;
        const body = await text(request);
        response.end(await (await fetch(right.url, { method: 'POST', headers: { authorization }, body })).text());
      }
      first = false;
    });
    const given = kafka.options.parse(options(ports.token, { sasl: oauth(url) }));
    expect(await unreachableBy(() => kafka.open(given, testHost(), never()))).toMatchObject({
      code: 'destination-credentials',
    });
    await (await kafka.open(given, testHost(), never())).close();
  });

  test.each<[string, () => Promise<Record<string, unknown>>, object]>([
    [
      'a wrong secret',
      async () => oauth((await tokenEndpoint()).url, { clientSecret: 'wrong-4711' }),
      { code: 'destination-credentials', path: `${path}.sasl`, message: /invalid_client: this client is not known/ },
    ],
    [
      'an endpoint that is not there',
      async () => oauth(`http://127.0.0.1:${await freePort()}/token`),
      { code: 'destination-unreachable', path: `${path}.sasl.tokenEndpoint`, message: /ECONNREFUSED/ },
    ],
    [
      'an endpoint that is something else',
      async () => oauth((await elsewhereAt((_, response) => response.end('<html>'))).url),
      { code: 'destination-misconfigured', path: `${path}.sasl.tokenEndpoint`, message: /answers 200/ },
    ],
    [
      'a token that the broker does not take',
      async () =>
        oauth(
          (
            await elsewhereAt((_, response) =>
              response.end('{"access_token":"eyJhbGciOiJub25lIn0.e30.","expires_in":60}'),
            )
          ).url,
        ),
      { code: 'destination-credentials', path: `${path}.sasl`, message: /token is refused: .*invalid_token/ },
    ],
    [
      'one of AWS, at a broker that is none of theirs',
      async () => ({ ...msk, accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wrong-4711' }),
      { code: 'destination-credentials', path: `${path}.sasl`, message: /token is refused: .*invalid_token/ },
    ],
    [
      'the role of this machine, without the package that asks for it',
      async () => msk,
      { code: 'destination-misconfigured', path: `${path}.sasl`, message: /credential-provider-node is not installed/ },
    ],
  ])('is told: %s', async (_, given, { message, ...expected }: { message?: RegExp }) => {
    const fault = await faultOf(options(ports.token, { sasl: await given() }));
    expect(fault).toMatchObject({ ...expected, message: expect.stringMatching(message ?? '') });
    expect(JSON.stringify(fault)).not.toMatch(/4711/);
  });
});

async function elsewhereAt(answer: RequestListener): Promise<{ url: string }> {
  const server = createServer(answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function fingerprint({ certificate }: { certificate: string }) {
  return { caFingerprint: new X509Certificate(certificate).fingerprint256 };
}

describe.skipIf(skip)('whoever is not let in is told which setting to look at', () => {
  test.each<[string, () => Record<string, unknown>, { code: string; path: string; suggestion: RegExp }]>([
    [
      'a wrong password',
      () => options(ports.sasl, { tls: ca(), sasl: sasl({ password: 'wrong-4711' }) }),
      { code: 'destination-credentials', path: 'sasl', suggestion: /sasl\.username and sasl\.password/ },
    ],
    [
      'a wrong password, PLAIN',
      () => options(ports.sasl, { tls: ca(), sasl: sasl({ mechanism: 'plain', password: 'wrong-4711' }) }),
      { code: 'destination-credentials', path: 'sasl', suggestion: /sasl\.username and sasl\.password/ },
    ],
    [
      'a mechanism that the listener does not have',
      () =>
        options(ports.mutual, {
          tls: { ...ca(), certFile: file(client.certificate), keyFile: file(client.key) },
          sasl: sasl(),
        }),
      { code: 'destination-misconfigured', path: 'sasl', suggestion: /takes no user: leave sasl out/ },
    ],
    [
      'no user',
      () => options(ports.sasl, { tls: ca() }),
      { code: 'destination-unreachable', path: 'sasl', suggestion: /require a user \(sasl\)/ },
    ],
    [
      'no TLS',
      () => options(ports.sasl, { sasl: sasl() }),
      { code: 'destination-unreachable', path: 'tls', suggestion: /speaks TLS: set tls/ },
    ],
    [
      'TLS to a port without',
      () => ({ ...options(0, { tls: ca() }), brokers: [server.brokers] }),
      { code: 'destination-unreachable', path: 'tls', suggestion: /does not speak TLS/ },
    ],
    [
      'an authority of nobody’s',
      () => options(ports.sasl, { tls: true, sasl: sasl() }),
      { code: 'destination-credentials', path: 'tls.caFile', suggestion: /tls\.caFile or tls\.caFingerprint/ },
    ],
    [
      'another authority',
      () => options(ports.sasl, { tls: { caFile: file(stranger.certificate) }, sasl: sasl() }),
      { code: 'destination-credentials', path: 'tls.caFile', suggestion: /tls\.caFile/ },
    ],
    [
      'a wrong fingerprint',
      () => options(ports.sasl, { tls: fingerprint(stranger), sasl: sasl() }),
      { code: 'destination-credentials', path: 'tls.caFingerprint', suggestion: /compare it/ },
    ],
    [
      'an expired certificate',
      () => options(expired, { tls: ca() }),
      { code: 'destination-credentials', path: 'tls', suggestion: /renew/ },
    ],
    [
      'a certificate for another name',
      () => options(elsewhere, { tls: ca() }),
      { code: 'destination-credentials', path: 'tls.serverName', suggestion: /tls\.serverName/ },
    ],
    [
      'no client certificate',
      () => options(ports.mutual, { tls: ca() }),
      { code: 'destination-credentials', path: 'tls.certFile', suggestion: /client certificate/ },
    ],
    [
      'a file that is not there',
      () => options(ports.sasl, { tls: { caFile: '/nowhere.pem' }, sasl: sasl() }),
      { code: 'destination-misconfigured', path: 'tls.caFile', suggestion: /PEM/ },
    ],
  ])('%s', async (_, given, { code, path: setting, suggestion }) => {
    const fault = await faultOf(given());
    expect(fault).toMatchObject({
      code,
      path: `${path}.${setting}`,
      suggestion: expect.stringMatching(suggestion),
    });
    expect(JSON.stringify(fault)).not.toMatch(/4711|PRIVATE KEY/);
  });

  test('and goes on by itself once the file is there', async () => {
    const caFile = pems.path('later.pem');
    const given = options(ports.sasl, { tls: { caFile }, sasl: sasl() });
    expect(await faultOf(given)).toMatchObject({ path: `${path}.tls.caFile` });
    writeFileSync(caFile, authority.certificate);
    const sink = await openDriven(kafka, kafka.options.parse(given), testHost());
    // What is renewed wrongly and then mended is read anew, too.
    writeFileSync(caFile, stranger.certificate);
    expect(await unreachableBy(() => sink.check(never()))).toMatchObject({ path: `${path}.tls.caFile` });
    writeFileSync(caFile, authority.certificate);
    await sink.check(never());
    await sink.close();
  });

  test('check --connect prints it, and never the password', async () => {
    const home = bridgeHome(() => ({
      events: options(ports.sasl, { kind: 'kafka', tls: ca(), sasl: sasl({ password: '${KAFKA_PASSWORD}' }) }),
    }));
    const wrong = await runCommand(['check', '--connect', '--config', home.configFile], {
      KAFKA_PASSWORD: 'wrong-4711',
    });
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toMatch(/✗ .*Kafka does not let this client in: .*\(connectors\.events\.sasl\)/);
    expect(wrong.stdout + wrong.stderr).not.toContain('4711');
    const right = await runCommand(['check', '--connect', '--config', home.configFile], {
      KAFKA_PASSWORD: user.password,
    });
    expect(right).toMatchObject({ code: 0, stdout: expect.stringMatching(/✓ brokers: reached as bridge/) });
    home.remove();
  });

  test('check --connect tells who may read and not write, and writes nothing to find out', async () => {
    const topic = `doctor-${randomUUID()}`;
    const admin = new Kafka({ brokers: [server.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic }] });
    const rule = { resourceType: 2, resourceName: topic, resourcePatternType: 3, host: '*', permissionType: 3 };
    const allow = (username: string, operation: number) => ({ ...rule, principal: `User:${username}`, operation });
    const [WRITE, DESCRIBE, DESCRIBE_CONFIGS] = [4, 8, 10];
    const both = [user, reader].flatMap(({ username }) => [
      allow(username, DESCRIBE),
      allow(username, DESCRIBE_CONFIGS),
    ]);
    await admin.createAcls({ acl: [...both, allow(user.username, WRITE)] });
    const checked = async (who: typeof user) => {
      const home = bridgeHome(() => ({
        events: { kind: 'kafka', ...options(ports.sasl, { topic, tls: ca(), sasl: sasl(who) }) },
      }));
      onTestFinished(home.remove);
      return runCommand(['check', '--connect', '--config', home.configFile]);
    };
    // The broker takes a moment to know the rules.
    await expect
      .poll(() => checked(reader))
      .toMatchObject({
        code: 1,
        stdout: expect.stringMatching(/✗ .*TOPIC_AUTHORIZATION_FAILED.*allow this client to/),
      });
    expect(await checked(user)).toMatchObject({ code: 0, stdout: expect.stringMatching(/✓ write permission: yes/) });
    expect((await admin.fetchTopicOffsets(topic)).map(({ high }) => high)).toEqual(['0']);
    await admin.disconnect();
  });
});
