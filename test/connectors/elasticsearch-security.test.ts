// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the configuration's own
/** An Elasticsearch that asks who comes: TLS, client certificates and a user, all real. API keys: see below. */
import { randomUUID, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { elasticsearch } from '../../connectors/elasticsearch/connector.ts';
import { parseConfig } from '../../src/config/file.ts';
import { configSchema } from '../../src/config/schema.ts';
import { compileShape, shapeSettings } from '../../src/model/shape.ts';
import {
  type Authority,
  createAuthority,
  createPemFolder,
  type Issued,
  type PemFolder,
} from '../servers/certificates.ts';
import {
  type ElasticsearchServer,
  elasticsearchReader,
  elasticsearchSecurity,
  elasticsearchUser,
  startElasticsearch,
} from '../servers/index.ts';
import { bridgeHome, runCommand } from '../support/bridge.process.ts';
import { makeEvent, never, openDriven, testHost, unreachableBy } from './suite.ts';

const plainUrl = inject('elasticsearchUrl');
const skip = plainUrl === '' ? 'no Elasticsearch in this run' : '';
const path = 'connectors.under-test';
const wrongPassword = { username: 'bridge', password: 'wrong-4711' };

let pems: PemFolder;
let server: ElasticsearchServer;
let authority: Authority;
let stranger: Authority;
let client: Issued;

const file = (pem: string): string => pems.file(pem);
const ca = () => ({ caFile: file(authority.certificate) });
const own = () => ({ certFile: file(client.certificate), keyFile: file(client.key) });
const fingerprint = ({ certificate }: Issued) => ({ caFingerprint: new X509Certificate(certificate).fingerprint256 });

beforeAll(async () => {
  if (skip !== '') return;
  pems = createPemFolder();
  [authority, stranger] = await Promise.all([createAuthority('ours'), createAuthority('another')]);
  const [node, issued] = await Promise.all([authority.issue(), authority.issue()]);
  client = issued;
  server = await startElasticsearch({
    settings: {
      ...elasticsearchSecurity,
      'xpack.security.http.ssl.enabled': 'true',
      'xpack.security.http.ssl.key': 'node.key',
      'xpack.security.http.ssl.certificate': 'node.pem',
      'xpack.security.http.ssl.certificate_authorities': 'authority.pem',
      'xpack.security.http.ssl.client_authentication': 'required',
    },
    files: {
      'node.key': node.key,
      'node.pem': node.certificate + authority.certificate,
      'authority.pem': authority.certificate,
    },
    tls: { ca: authority.certificate, cert: client.certificate, key: client.key },
  });
});
afterAll(async () => {
  await server?.stop();
  pems?.remove();
});

const options = (more: Record<string, unknown>) => ({
  nodes: [server.url],
  index: `test-${randomUUID()}`,
  createIndex: { replicas: 0 },
  requestTimeoutMs: 5_000,
  ...more,
});
const faultOf = (given: Record<string, unknown>) =>
  unreachableBy(() => elasticsearch.open(elasticsearch.options.parse(given), testHost(), never()));

/** A document, as anybody with the right certificate and password sees it. */
function readDocument(index: string, id: string): Promise<unknown> {
  const { username, password } = elasticsearchUser;
  return new Promise((resolve, reject) => {
    const call = request(
      `${server.url}/${index}/_doc/${encodeURIComponent(id)}`,
      { ca: authority.certificate, cert: client.certificate, key: client.key, auth: `${username}:${password}` },
      (response) => json(response).then((found) => resolve((found as { _source: unknown })._source), reject),
    );
    call.on('error', reject);
    call.end();
  });
}

describe.skipIf(skip)('a group arrives', () => {
  test.each([
    [
      'a CA file, a client certificate and a user',
      () => options({ tls: { ...ca(), ...own() }, auth: elasticsearchUser }),
    ],
    [
      'the authority’s fingerprint, with colons',
      () => options({ tls: { ...fingerprint(authority), ...own() }, auth: elasticsearchUser }),
    ],
    [
      'the user in the URL',
      () =>
        options({
          nodes: [server.url.replace('//', `//${elasticsearchUser.username}:${elasticsearchUser.password}@`)],
          tls: { ...ca(), ...own() },
        }),
    ],
  ])('with %s', async (_, given) => {
    const chosen = given();
    const sink = await openDriven(elasticsearch, elasticsearch.options.parse(chosen), testHost());
    const event = makeEvent({ name: 'secret' });
    expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
    await sink.check(never());
    await sink.close();
    expect(await readDocument(chosen.index, event.subject)).toMatchObject({ name: 'secret' });
  });
});

describe.skipIf(skip)('whoever is not let in is told which setting to look at', () => {
  test.each<[string, () => Record<string, unknown>, { code: string; path: string; suggestion: RegExp }]>([
    [
      'a wrong password',
      () => options({ tls: { ...ca(), ...own() }, auth: wrongPassword }),
      { code: 'destination-credentials', path: 'auth', suggestion: /auth\.username and auth\.password/ },
    ],
    [
      'an API key it does not know',
      () => options({ tls: { ...ca(), ...own() }, auth: { apiKey: 'id4711:wrong-4711' } }),
      { code: 'destination-credentials', path: 'auth', suggestion: /auth\.apiKey/ },
    ],
    [
      'no user',
      () => options({ tls: { ...ca(), ...own() } }),
      { code: 'destination-credentials', path: 'auth', suggestion: /set auth/ },
    ],
    [
      'no client certificate',
      () => options({ tls: ca(), auth: elasticsearchUser }),
      { code: 'destination-credentials', path: 'tls.certFile', suggestion: /client certificate/ },
    ],
    [
      'an authority that nobody named',
      () => options({ auth: elasticsearchUser }),
      { code: 'destination-credentials', path: 'tls.caFile', suggestion: /tls\.caFile or tls\.caFingerprint/ },
    ],
    [
      'another authority',
      () => options({ tls: { caFile: file(stranger.certificate), ...own() }, auth: elasticsearchUser }),
      { code: 'destination-credentials', path: 'tls.caFile', suggestion: /tls\.caFile/ },
    ],
    [
      'a wrong fingerprint',
      () => options({ tls: { ...fingerprint(stranger), ...own() }, auth: elasticsearchUser }),
      { code: 'destination-credentials', path: 'tls.caFingerprint', suggestion: /compare it/ },
    ],
    [
      'a name that is not in the certificate',
      () => options({ tls: { ...ca(), ...own(), serverName: 'es.example' }, auth: elasticsearchUser }),
      { code: 'destination-credentials', path: 'tls.serverName', suggestion: /tls\.serverName/ },
    ],
    [
      'https:// where plain HTTP is spoken',
      () => options({ nodes: [plainUrl.replace('http:', 'https:')], tls: ca() }),
      { code: 'destination-misconfigured', path: 'nodes', suggestion: /does not speak TLS/ },
    ],
    [
      'http:// where TLS is spoken',
      () => options({ nodes: [server.url.replace('https:', 'http:')], auth: elasticsearchUser }),
      { code: 'destination-misconfigured', path: 'nodes', suggestion: /https:\/\// },
    ],
    [
      'a key that is not the certificate’s',
      () => options({ tls: { ...ca(), ...own(), keyFile: file(stranger.key) }, auth: elasticsearchUser }),
      { code: 'destination-misconfigured', path: 'tls.keyFile', suggestion: /private key of certFile/ },
    ],
  ])('%s', async (_, given, { code, path: setting, suggestion }) => {
    const fault = await faultOf(given());
    expect(fault).toMatchObject({
      code,
      path: `${path}.${setting}`,
      suggestion: expect.stringMatching(suggestion),
    });
    expect(JSON.stringify(fault)).not.toMatch(/wrong-4711|PRIVATE KEY|bridge-test/);
  });

  test('check --connect prints it, and never the password', async () => {
    const home = bridgeHome(() => ({
      index: {
        kind: 'elasticsearch',
        ...options({ tls: { ...ca(), ...own() }, auth: { username: 'bridge', password: '${ES_PASSWORD}' } }),
      },
    }));
    const run = (password: string) =>
      runCommand(['check', '--connect', '--config', home.configFile], { ES_PASSWORD: password });
    const wrong = await run('wrong-4711');
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toMatch(/✗ .*\(connectors\.index\.auth\)/);
    expect(wrong.stdout + wrong.stderr).not.toContain('4711');
    const right = await run(elasticsearchUser.password);
    expect(right).toMatchObject({ code: 0, stdout: expect.stringMatching(/✓ cluster: reached as bridge/) });
    home.remove();
  });

  test('check --connect tells who may read and not write', async () => {
    const index = `doctor-${randomUUID()}`;
    const secured = { tls: { ...ca(), ...own() }, index, createIndex: { replicas: 0 } };
    const sink = await elasticsearch.open(
      elasticsearch.options.parse(options({ ...secured, auth: elasticsearchUser })),
      testHost(),
      never(),
    );
    await sink.close();
    const home = bridgeHome(() => ({
      index: { kind: 'elasticsearch', ...options({ ...secured, auth: elasticsearchReader }) },
    }));
    onTestFinished(home.remove);
    const { code, stdout } = await runCommand(['check', '--connect', '--config', home.configFile]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/✓ cluster: reached as reader/);
    expect(stdout).toMatch(/✓ mapping/);
    expect(stdout).toMatch(/✗ .*\[reader\].*\(connectors\.index\.index\) — grant this user read, write/);
  });

  test('who may write the groups, and not their versions, is told so', async () => {
    const [index, versionsIndex] = [`theirs-${randomUUID()}`, `versions-${randomUUID()}`];
    const shape = compileShape(shapeSettings.parse({ versionsIndex }), 'groups');
    const given = options({ tls: { ...ca(), ...own() }, index, auth: elasticsearchReader });
    const fault = await unreachableBy(() =>
      elasticsearch.open(elasticsearch.options.parse(given), { ...testHost(), shape }, never()),
    );
    expect(fault).toMatchObject({
      code: 'destination-credentials',
      path: `${path}.shape.versionsIndex`,
      suggestion: `grant this user read, write, create_index and view_index_metadata on ${versionsIndex}`,
    });
  });
});

/** The test artifact cannot create API keys (it lacks analysis-common), so here a server only notes what it is sent. */
test.each([
  ['as Elasticsearch encodes it', 'aWQ6c2VjcmV0LTQ3MTE=', 'ApiKey aWQ6c2VjcmV0LTQ3MTE='],
  ['as id:api_key', 'id:secret-4711', 'ApiKey aWQ6c2VjcmV0LTQ3MTE='],
])('an API key, %s, is sent with each request', async (_, apiKey, header) => {
  const seen: unknown[] = [];
  const recorder = createServer((incoming, response) => {
    seen.push(incoming.headers.authorization);
    response.writeHead(401, { 'content-type': 'application/json', 'x-elastic-product': 'Elasticsearch' });
    response.end('{"error":{"type":"security_exception","reason":"unable to authenticate"},"status":401}');
  });
  recorder.listen(0, '127.0.0.1');
  await once(recorder, 'listening');
  onTestFinished(() => void recorder.close());
  const nodes = [`http://127.0.0.1:${(recorder.address() as AddressInfo).port}`];
  const fault = await faultOf({ nodes, index: 'groups', auth: { apiKey } });
  expect(fault).toMatchObject({ path: `${path}.auth`, suggestion: expect.stringContaining('auth.apiKey') });
  expect(JSON.stringify(fault)).not.toContain('4711');
  expect(seen.length).toBeGreaterThan(0);
  expect(new Set(seen)).toEqual(new Set([header]));
});

describe('settings that do not fit together', () => {
  const complaints = (connector: string): string[] => {
    const text = `app: { sdkAppId: 1 }\nconnectors:\n  c: ${connector}\n`;
    const result = parseConfig(text, { file: 'c.yaml', env: {}, schema: configSchema });
    return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
  };
  const es = 'kind: elasticsearch, index: x';
  const kafka = 'kind: kafka, topic: x, brokers: "k:9092"';

  test.each([
    [`{ ${es}, nodes: "http://e:9200", tls: { caFile: x } }`, /^connectors\.c\.tls: tls is for https:/],
    [
      `{ ${es}, nodes: "https://u:p@e:9200", auth: { username: u, password: p } }`,
      /^connectors\.c\.auth: nodes already contains/,
    ],
    [`{ ${es}, nodes: "https://e", auth: { username: u } }`, /^connectors\.c\.auth/],
    [`{ ${es}, nodes: "https://e", auth: { aws: {} } }`, /^connectors\.c\.auth\.aws\.region: this key is missing/],
    [`{ ${es}, nodes: "https://e", auth: { apiKey: k, aws: { region: r } } }`, /^connectors\.c\.auth: /],
    [`{ ${es}, nodes: "https://e", auth: { aws: { region: r, accessKeyId: k } } }`, /accessKeyId and secretAccessKey/],
    [`{ ${es}, nodes: "https://e", auth: { aws: { region: r, sessionToken: k } } }`, /sessionToken needs both/],
    [`{ ${es}, nodes: "http://e:9200", auth: { aws: { region: r } } }`, /^connectors\.c\.nodes: .*https:/],
    [`{ ${es}, nodes: "https://e", tls: { certFile: x } }`, /^connectors\.c\.tls\.keyFile: set certFile and keyFile/],
    [
      `{ ${es}, nodes: "https://e", tls: { caFile: x, caFingerprint: ${'ab'.repeat(32)} } }`,
      /caFingerprint: caFile makes/,
    ],
    [`{ ${es}, nodes: "https://e", tls: { caFingerprint: abc } }`, /caFingerprint: a SHA-256 fingerprint is expected/],
    [`{ ${es}, nodes: "https://e", tls: { rejectUnauthorized: false } }`, /rejectUnauthorized/],
    [`{ ${kafka}, sasl: { mechanism: scram-sha-51, username: u, password: p } }`, /sasl\.mechanism.*scram-sha-512/],
    [`{ ${kafka}, sasl: { mechanism: plain, username: u } }`, /sasl\.password/],
    [`{ ${kafka}, tls: yes-please }`, /^connectors\.c\.tls: /],
  ])('%s', (connector, expected) => {
    expect(complaints(connector).join('\n')).toMatch(expected);
  });
});
