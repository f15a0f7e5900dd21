// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the configuration's own
/** Secrets come from the environment or from files, and go nowhere: everything the bridge prints or answers is searched. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parseConfig } from '../../src/config/file.ts';
import { configSchema } from '../../src/config/schema.ts';
import { signOf } from '../../src/intake/authentication.ts';
import { createAuthority } from '../servers/certificates.ts';
import { freePort } from '../servers/index.ts';
import { bridgeHome, runCommand, spawnBridge } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

const MARK = 'S3CR3T';
const secret = (what: string): string => `${MARK}-${what}`;
const env = {
  CALLBACK_TOKEN: secret('token'),
  KAFKA_PASSWORD: secret('kafka'),
  ES_PASSWORD: secret('elasticsearch'),
  ES_KEY: secret('api-key'),
  AWS_SECRET: secret('aws'),
  AWS_SESSION: secret('session'),
  WEBHOOK_SECRET: `whsec_${MARK}${'a'.repeat(26)}`,
  WEBHOOK_KEY: secret('webhook'),
  ADMIN_TOKEN: secret('token-of-the-admin-server'),
};

test('no secret is printed, logged, answered or kept, whatever goes wrong', async () => {
  const closed = await freePort();
  const authority = await createAuthority(secret('nothing'));
  const tls = await authority.issue();
  const home = bridgeHome(
    (folder) => {
      const file = (name: string, content: string): string => {
        writeFileSync(join(folder, name), content);
        return join(folder, name);
      };
      return {
        events: {
          kind: 'kafka',
          brokers: `127.0.0.1:${closed}`,
          topic: 'x',
          tls: { certFile: file('c.pem', tls.certificate), keyFile: file('k.pem', tls.key) },
          sasl: { mechanism: 'plain', username: 'u', password: '${KAFKA_PASSWORD}' },
        },
        index: {
          kind: 'elasticsearch',
          nodes: [`http://127.0.0.1:${closed}`],
          index: 'x',
          auth: { username: 'u', password: `\${file:${file('es', `${env.ES_PASSWORD}\n`)}}` },
        },
        keyed: {
          kind: 'elasticsearch',
          nodes: [`http://127.0.0.1:${closed}`],
          index: 'x',
          auth: { apiKey: '${ES_KEY}' },
        },
        signed: {
          kind: 'elasticsearch',
          nodes: [`http://127.0.0.1:${closed}`],
          index: 'x',
          auth: {
            aws: { region: 'r', accessKeyId: 'k', secretAccessKey: '${AWS_SECRET}', sessionToken: '${AWS_SESSION}' },
          },
        },
        inUrl: { kind: 'elasticsearch', nodes: [`http://u:\${ES_PASSWORD}@127.0.0.1:${closed}`], index: 'x' },
        hook: {
          kind: 'http',
          url: `http://127.0.0.1:${closed}/\${WEBHOOK_KEY}`,
          allowPrivate: true,
          secrets: ['${WEBHOOK_SECRET}'],
          headers: { authorization: '${WEBHOOK_KEY}' },
        },
        file: { kind: 'file', path: join(folder, 'events.ndjson') },
      };
    },
    {
      app: { sdkAppId: '1400701118', callbackTokens: ['${CALLBACK_TOKEN}'] },
      admin: { port: 0, token: '${ADMIN_TOKEN}' },
    },
  );
  onTestFinished(home.remove);
  const said: string[] = [];

  // A configuration with every secret in the wrong place.
  const broken = join(home.folder, 'broken.yaml');
  writeFileSync(
    broken,
    readFileSync(home.configFile, 'utf8')
      .replace('mechanism: plain', 'mechanism: ${KAFKA_PASSWORD}')
      .replace('sdkAppId: "1400701118"', `sdkAppId: \${file:${join(home.folder, 'es')}}`)
      .replace('topic: x', 'topic: ["${ES_KEY}"]')
      .replace('port: 0\n  token: ${ADMIN_TOKEN}', 'port: ${ADMIN_TOKEN}\n  token: ${ADMIN_TOKEN} short')
      .replace('callbackTokens:', 'callbackToken: "${CALLBACK_TOKEN}"\n  callbackTokens:'),
  );
  const check = await runCommand(['check', '--config', broken], env);
  expect(check.code).toBe(2);
  expect(check.stderr).toContain('problems');
  expect(check.stderr).toMatch(/admin\.port: .*\n.*admin\.token: /);
  const connect = await runCommand(['check', '--connect', '--config', home.configFile], env);
  expect(connect.code).toBe(1);
  said.push(check.stdout, check.stderr, connect.stdout, connect.stderr);

  const bridge = await spawnBridge(home, (child) => onTestFinished(() => void child.kill('SIGKILL')), env);
  const now = String(Math.floor(Date.now() / 1_000));
  const sign = signOf(env.CALLBACK_TOKEN, now);
  const post = async (query: Record<string, string | undefined>, payload = body()) => {
    const { status, text } = await bridge.post({ search: search(query), body: payload });
    said.push(text);
    return status;
  };
  expect(await post({ Sign: sign, RequestTime: now })).toBe(200);
  expect(await post({ Sign: sign, RequestTime: '1' })).toBe(401);
  expect(await post({ Sign: 'x', RequestTime: now })).toBe(401);
  expect(await post({ Sign: sign, RequestTime: now }, body({ GroupId: 1 }))).toBe(200);
  expect(await post({ Sign: sign, RequestTime: now }, '{')).toBe(200);
  await expect.poll(() => bridge.stderr()).toMatch(/inUrl: waiting/);
  await expect.poll(() => bridge.stderr()).toMatch(/keyed: waiting/);
  await expect.poll(() => bridge.stderr()).toMatch(/hook: waiting/);
  for (const path of ['/api/status', '/api/quarantine', '/metrics', '/readyz']) {
    for (const authorization of [`Bearer ${env.ADMIN_TOKEN}`, `Bearer ${env.ADMIN_TOKEN}x`, '']) {
      said.push(await (await fetch(`${bridge.adminUrl}${path}`, { headers: { authorization } })).text());
    }
  }
  for (const token of [env.ADMIN_TOKEN, `${env.ADMIN_TOKEN}x`]) {
    const signIn = await fetch(`${bridge.adminUrl}/signin`, {
      method: 'POST',
      headers: { origin: bridge.adminUrl },
      body: new URLSearchParams({ token }),
      redirect: 'manual',
    });
    expect(signIn.status).toBe(token === env.ADMIN_TOKEN ? 303 : 401);
    said.push(await signIn.text(), ...[...signIn.headers].flat());
  }
  const commands = [['status'], ['quarantine', 'list'], ['dead-letters', 'list', 'events']].map((command) =>
    runCommand([...command, '--config', home.configFile, '--admin', bridge.adminUrl], env),
  );
  for (const { code, stdout, stderr } of await Promise.all(commands)) {
    expect(code, stderr).toBe(0);
    said.push(stdout, stderr);
  }
  await bridge.end('SIGTERM');
  said.push(bridge.stdout(), bridge.stderr(), readFileSync(join(home.folder, 'events.ndjson'), 'utf8'));

  const all = said.join('\n');
  expect(all.length).toBeGreaterThan(3_000);
  expect(all).not.toContain(MARK);
  // Base64 of the same, as it would stand in a header, and a Sign, which is good for a minute.
  expect(all).not.toContain(Buffer.from(`u:${env.ES_PASSWORD}`).toString('base64'));
  expect(all).not.toContain(sign);
  expect(all).not.toContain('PRIVATE KEY');
  expect(readFileSync(join(home.folder, 'journal.db'), 'latin1')).not.toContain(sign);
});

test.each([
  '"http://u:S3CR3T word@h:x"',
  '"http://u:S3CR3T@h/ x"',
  '"http//u:S3CR3T@h"',
  '"u:S3CR3T@h"',
  '[["http://S3CR3T@h"]]',
  '{ "http://u:S3CR3T@h": 1 }',
  '"https://h/?token=S3CR3T x"',
  `"http://S3CR3T@${'/'.repeat(65_536)} "`,
])('an address that is none is told as a problem, in no time, and never quoted: %#', (address) => {
  const text = `app: { sdkAppId: 1 }
connectors:
  e: { kind: elasticsearch, nodes: [${address}], index: x }
  k: { kind: kafka, brokers: ${address}, topic: "S3CR3T x", tls: { caFile: ${address} } }
  h: { kind: http, url: ${address} }
receiver: { otherCommands: { forwardTo: ${address} }, host: ${address}, allowFrom: [${address}] }
reconcile: { api: { baseUrl: ${address} } }
`;
  // Of the processor, which others may keep busy meanwhile.
  const before = process.cpuUsage();
  const result = parseConfig(text, { file: 'c.yaml', env: {}, schema: configSchema });
  expect(process.cpuUsage(before).user).toBeLessThan(1_000_000);
  if (result.ok) throw new Error('it was taken');
  expect(JSON.stringify(result.problems)).not.toContain('S3CR3T');
});

test('a single wrong address is a problem like any other', () => {
  const text =
    'app: { sdkAppId: 1 }\nconnectors:\n  e: { kind: elasticsearch, nodes: ["http://u:S3CR3T word@h:x"], index: x }\n';
  const result = parseConfig(text, { file: 'c.yaml', env: {}, schema: configSchema });
  expect(result).toMatchObject({ ok: false, problems: [{ path: 'connectors.e.nodes[0]' }] });
  expect(JSON.stringify(result)).not.toContain('S3CR3T');
});
