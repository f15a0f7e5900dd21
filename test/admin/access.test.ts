// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the configuration's own
/** Who may use the admin server: with a token only who has it, without one only this machine; and never another site's page. */
import { request } from 'node:http';
import { join } from 'node:path';
import { Hono } from 'hono';
import { describe, expect, onTestFinished, test } from 'vitest';
import { guardAccess, guardRequests } from '../../src/admin/access/guard.ts';
import { ADMIN_SERVER } from '../../src/admin/server.ts';
import { parseConfig } from '../../src/config/file.ts';
import { configSchema } from '../../src/config/schema.ts';
import { closeServer, listen } from '../../src/http/server.ts';
import { systemClock } from '../../src/model/clock.ts';
import { createSignals } from '../../src/model/signal.ts';
import { bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';

const TOKEN = 'a-token-of-32-characters-or-so/+=';
const HOUR = 3_600_000;

type Headers = Readonly<Record<string, string>>;

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Sends any header as given, Host too, and follows nothing. */
function send(url: string, method = 'GET', headers: Headers = {}, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request(url, { method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
    })
      .on('error', reject)
      .end(body);
  });
}

/** The guard before a page, an API, metrics and an action, on a real server; `at` is its clock, to be set. */
async function guarded(token?: string) {
  const at = { now: Date.now(), elapsed: 0 };
  const signals = createSignals();
  const wrong: string[] = [];
  signals.on('admin.token-wrong', ({ peer }) => wrong.push(peer));
  const app = new Hono();
  guardRequests(app);
  app.get('/healthz', (context) => context.text('healthy'));
  guardAccess(app, token, { ...systemClock, now: () => at.now, elapsed: () => at.elapsed }, signals);
  app.get('/metrics', (context) => context.text('metrics'));
  app.get('/api/status', (context) => context.text('status'));
  app.post('/api/pause', (context) => context.text('paused'));
  app.get('/', (context) => context.text('overview'));
  app.get('/group', (context) => context.text(`group ${context.req.query('id')}`));
  app.post('/actions/pause', (context) => context.text('acted'));
  const options = { ...ADMIN_SERVER, host: '127.0.0.1', port: 0, maxConnections: 100, signals };
  const { server, port } = await listen(app.fetch, options);
  onTestFinished(() => closeServer(server, 0));
  const host = `127.0.0.1:${port}`;
  const origin = `http://${host}`;
  const call = (path: string, method?: string, headers?: Headers, body?: string) =>
    send(origin + path, method, headers, body);
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const signIn = (given: string, to = '/', headers: Headers = { origin }) =>
    call('/signin', 'POST', { ...form, ...headers }, String(new URLSearchParams({ token: given, to })));
  return { at, wrong, host, origin, call, form, signIn };
}

const bearer = (token = TOKEN) => ({ authorization: `Bearer ${token}` });
const json = { 'content-type': 'application/json' };
const cookieOf = ({ headers }: Answer): string => String(headers['set-cookie']);
/** The cookie as a browser sends it back. */
const session = (answer: Answer) => ({ cookie: cookieOf(answer).split(';')[0] ?? '' });

describe('with a token', () => {
  test('programs send it as a bearer; a refusal names the setting and never the token', async () => {
    const { call, wrong } = await guarded(TOKEN);
    for (const path of ['/api/status', '/metrics']) {
      const missing = await call(path);
      expect(missing.status).toBe(401);
      expect(JSON.parse(missing.text).fault).toMatchObject({ code: 'token-missing', path: 'admin.token' });
      expect(missing.headers['www-authenticate']).toMatch(/^Bearer/);
      const refused = await call(path, 'GET', bearer(`${TOKEN}x`));
      expect(refused.status).toBe(401);
      expect(JSON.parse(refused.text).fault).toMatchObject({ code: 'token-wrong', path: 'admin.token' });
      expect(missing.text + refused.text).not.toContain(TOKEN);
      expect((await call(path, 'GET', { authorization: `Basic ${btoa(`:${TOKEN}`)}` })).status).toBe(401);
      expect((await call(path, 'GET', bearer())).status).toBe(200);
    }
    expect(wrong).toEqual(['127.0.0.1', '127.0.0.1']);
    expect((await call('/api/pause', 'POST', json, '{}')).status).toBe(401);
    expect((await call('/api/pause', 'POST', { ...json, ...bearer() }, '{}')).text).toBe('paused');
    // Whatever is not there is not told to strangers either.
    expect((await call('/api/nothing')).status).toBe(401);
    expect((await call('/nothing')).status).toBe(303);
  });

  test('health is open to everybody, and any Host is served', async () => {
    const { call } = await guarded(TOKEN);
    expect((await call('/healthz', 'GET', { host: 'bridge.example' })).text).toBe('healthy');
    expect((await call('/metrics', 'GET', { host: 'bridge.example', ...bearer() })).text).toBe('metrics');
  });

  test('a page leads to the sign-in and back; the cookie opens pages, not the API', async () => {
    const { call, signIn } = await guarded(TOKEN);
    const asked = await call('/group?id=%40TGS%231&a=b');
    expect(asked.status).toBe(303);
    expect(asked.headers.location).toBe(`/signin?to=${encodeURIComponent('/group?id=%40TGS%231&a=b')}`);
    const page = await call(String(asked.headers.location));
    expect(page.status).toBe(200);
    expect(page.text).toContain('value="/group?id=%40TGS%231&amp;a=b"');
    expect(page.headers['content-security-policy']).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
    expect(page.text).not.toMatch(/<script| on\w+=/i);

    const refused = await signIn('wrong', '/group?id=1');
    expect(refused.status).toBe(401);
    expect(refused.headers['set-cookie']).toBeUndefined();
    expect(refused.text).toMatch(/role="alert".*not the token/);
    expect(refused.text).toContain('value="/group?id=1"');

    const entered = await signIn(TOKEN, '/group?id=1');
    expect(entered.status).toBe(303);
    expect(entered.headers.location).toBe('/group?id=1');
    expect((await call('/group?id=1', 'GET', session(entered))).text).toBe('group 1');
    expect((await call('/signin?to=/group', 'GET', session(entered))).headers.location).toBe('/group');
    expect((await call('/api/status', 'GET', session(entered))).status).toBe(401);
    expect((await call('/metrics', 'GET', session(entered))).status).toBe(401);
  });

  test('the cookie is not the token, is kept from scripts and other sites, ends, and cannot be changed', async () => {
    const { at, call, host, signIn } = await guarded(TOKEN);
    const entered = await signIn(TOKEN);
    const cookie = cookieOf(entered);
    expect(cookie).toMatch(/; HttpOnly/);
    expect(cookie).toMatch(/; SameSite=Strict/);
    expect(cookie).toMatch(/; Path=\/(;|$)/);
    expect(cookie).toMatch(/; Max-Age=43200/);
    expect(cookie).not.toMatch(/Secure|Domain/);
    expect(decodeURIComponent(cookie)).not.toContain(TOKEN);
    // By HTTPS, as a proxy in front or the browser itself says.
    expect(cookieOf(await signIn(TOKEN, '/', { origin: `https://${host}` }))).toMatch(/; Secure/);
    const forwarded = { 'sec-fetch-site': 'same-origin', 'x-forwarded-proto': 'https' };
    expect(cookieOf(await signIn(TOKEN, '/', forwarded))).toMatch(/; Secure/);

    const later = session(entered).cookie.replace(/=(\d+)/, (_, expiry) => `=${Number(expiry) + 1}`);
    expect((await call('/', 'GET', { cookie: later })).status).toBe(303);
    at.now += 12 * HOUR - 2_000;
    expect((await call('/', 'GET', session(entered))).status).toBe(200);
    at.now += 4_000;
    expect((await call('/', 'GET', session(entered))).status).toBe(303);
  });

  test('another token signs everybody out', async () => {
    const first = await guarded(TOKEN);
    const entered = await first.signIn(TOKEN);
    const same = await guarded(TOKEN);
    expect((await same.call('/', 'GET', session(entered))).status).toBe(200);
    const second = await guarded('another-token-of-this-bridge');
    expect((await second.call('/', 'GET', session(entered))).status).toBe(303);
  });

  test('signing out takes the cookie back', async () => {
    const { call, form, origin, signIn } = await guarded(TOKEN);
    const entered = session(await signIn(TOKEN));
    expect((await call('/signout', 'POST', { ...form, ...entered })).status).toBe(403);
    const out = await call('/signout', 'POST', { ...form, ...entered, origin });
    expect(out.headers.location).toBe('/signin');
    expect(cookieOf(out)).toMatch(/^group-sync-bridge=;.*Max-Age=0/);
  });

  test('after signing in nobody is led to another site', async () => {
    const { call, signIn } = await guarded(TOKEN);
    const elsewhere = [
      'https://evil.example/',
      '//evil.example',
      '/\\evil.example',
      '\\\\evil.example',
      '/\t/evil.example',
      '/.//evil.example',
      '/x/..//evil.example',
      'javascript:alert(1)',
      'evil.example',
      '',
    ];
    const entered = session(await signIn(TOKEN));
    for (const to of elsewhere) {
      expect((await signIn(TOKEN, to)).headers.location, to).toBe('/');
      expect((await call(`/signin?${new URLSearchParams({ to })}`, 'GET', entered)).headers.location, to).toBe('/');
    }
    expect((await signIn(TOKEN, '/group?to=//evil.example')).headers.location).toBe('/group?to=//evil.example');
    const shown = await call(`/signin?${new URLSearchParams({ to: '/"><script>' })}`);
    expect(shown.text).not.toContain('<script');
    expect((await call('//evil.example/x')).headers.location).toBe('/signin');
  });

  test('guessing is slowed down by address, and lets who is signed in go on', async () => {
    const { at, call, signIn, wrong } = await guarded(TOKEN);
    const entered = session(await signIn(TOKEN));
    for (let n = 0; n < 5; n++) {
      expect((await signIn(`guess ${n}`)).status).toBe(401);
      expect((await call('/api/status', 'GET', bearer(`guess-${n}`))).status).toBe(401);
    }
    const slowed = await call('/api/status', 'GET', bearer('guess'));
    expect(slowed.status).toBe(429);
    expect(slowed.headers['retry-after']).toBe('60');
    expect(JSON.parse(slowed.text).fault).toMatchObject({ code: 'token-guessed', path: 'admin.token' });
    expect((await signIn('guess')).status).toBe(429);
    // The right one is served, however it is given: behind a proxy everybody has this address.
    for (let n = 0; n < 20; n++) expect((await call('/metrics', 'GET', bearer())).status).toBe(200);
    expect((await signIn(TOKEN)).status).toBe(303);
    expect(wrong).toHaveLength(10);
    expect((await call('/', 'GET', entered)).status).toBe(200);
    // A clock that is set back keeps nobody out for longer.
    at.now -= 3_600_000;
    at.elapsed += 60_000;
    expect((await call('/api/status', 'GET', bearer('guess'))).status).toBe(401);
    expect((await signIn('x'.repeat(20_000))).status).toBe(413);
  });
});

describe.each([
  ['with a token', TOKEN],
  ['without one', undefined],
])('what a page of another site makes a browser send is refused, %s', (_, token) => {
  test('to the API: it must be JSON, and of this server if it says whose it is', async () => {
    const { call, form, origin } = await guarded(token);
    const pause = (headers: Headers) => call('/api/pause', 'POST', { ...bearer(), ...headers }, '{}');
    expect((await pause({})).status).toBe(415);
    expect((await pause(form)).status).toBe(415);
    expect((await pause({ 'content-type': 'text/plain' })).status).toBe(415);
    expect((await pause({ ...json, origin: 'http://evil.example' })).status).toBe(403);
    expect((await pause({ ...json, 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await pause({ ...json, origin })).status).toBe(200);
    expect((await pause(json)).status).toBe(200);
  });

  test('by a form: the browser must say that it is of this server', async () => {
    const { call, form, host, origin, signIn } = await guarded(token);
    const cookie = token === undefined ? {} : session(await signIn(token));
    const act = (headers: Headers) => call('/actions/pause', 'POST', { ...form, ...cookie, ...headers }, 'a=b');
    const accepted: Headers[] = [
      { origin },
      { origin: `https://${host}` },
      { 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'same-origin', origin: 'null' },
    ];
    for (const headers of accepted) expect((await act(headers)).text, JSON.stringify(headers)).toBe('acted');
    const refused: Headers[] = [
      {},
      { origin: 'null' },
      { origin: 'http://evil.example' },
      { origin: 'http://127.0.0.1:1' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site', origin },
      { 'sec-fetch-site': 'none' },
    ];
    for (const headers of refused) expect((await act(headers)).status, JSON.stringify(headers)).toBe(403);
    if (token === undefined) return;
    expect((await signIn(token, '/', { origin: 'http://evil.example' })).status).toBe(403);
    expect((await signIn(token, '/', {})).status).toBe(403);
    // A program that holds the token is no browser.
    expect((await call('/actions/pause', 'POST', { ...form, ...bearer() })).text).toBe('acted');
    // Without the cookie the way leads to the sign-in.
    expect((await call('/actions/pause', 'POST', { ...form, origin })).headers.location).toBe('/signin');
  });
});

test('without a token only this machine’s names are served: pages, API and metrics alike, but for health', async () => {
  const { call } = await guarded();
  for (const path of ['/', '/metrics', '/api/status']) {
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:80']) {
      expect((await call(path, 'GET', { host })).status, `${host}${path}`).toBe(403);
    }
    for (const host of ['localhost', 'LOCALHOST:8081', '127.0.0.1:1', '[::1]:8081']) {
      expect((await call(path, 'GET', { host })).status, `${host}${path}`).toBe(200);
    }
  }
  expect((await call('/healthz', 'GET', { host: 'evil.example' })).status).toBe(200);
  expect((await call('/signin')).status).toBe(404);
});

describe('admin in the configuration', () => {
  const load = (admin: string, env: Record<string, string> = {}) => {
    const text = `app: { sdkAppId: 1 }\nconnectors: { audit: { kind: file, path: x } }\nadmin: ${admin}\n`;
    const result = parseConfig(text, { file: 'c.yaml', env, schema: configSchema });
    return result.ok ? result.config.admin : result.problems.map(({ path, message }) => `${path}: ${message}`);
  };

  test('any host but loopback needs a token; an empty one is none', () => {
    const needed = [expect.stringMatching(/^admin\.token: a token of at least 16 characters is needed.*admin\.host/)];
    expect(load('{ host: 0.0.0.0 }')).toEqual(needed);
    expect(load('{ host: 0.0.0.0, token: "" }')).toEqual(needed);
    expect(load('{ host: "::", token: "${ADMIN_TOKEN:-}" }')).toEqual(needed);
    expect(load('{ host: bridge.internal, token: "${ADMIN_TOKEN:-}" }', { ADMIN_TOKEN: TOKEN })).toMatchObject({
      host: 'bridge.internal',
      token: TOKEN,
    });
    expect(load('{ token: "" }')).toMatchObject({ host: '127.0.0.1' });
    for (const host of ['127.0.0.1', '"::1"', 'localhost']) expect(load(`{ host: ${host} }`)).toHaveProperty('port');
  });

  test('a token that is too short, or cannot stand in a header, is refused without being shown', () => {
    for (const token of ['only-15-letters', 'sixteen letters and spaces', 'sechzehn-Zeichen-ü']) {
      const problems = load(`{ token: "${token}" }`);
      expect(problems).toEqual([expect.stringMatching(/^admin\.token: at least 16 characters/)]);
      expect(JSON.stringify(problems)).not.toContain(token);
    }
  });
});

test('a bridge with a token: start and check say whom it lets in, commands bring it along or say what to set', async () => {
  const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: join(folder, 'events.ndjson') } }), {
    admin: { host: '0.0.0.0', port: 0, token: '${ADMIN_TOKEN:-}' },
  });
  onTestFinished(home.remove);
  const [open, check] = await Promise.all(
    ['', TOKEN].map((token) => runCommand(['check', '--config', home.configFile], { ADMIN_TOKEN: token })),
  );
  expect(open).toMatchObject({ code: 2, stderr: expect.stringMatching(/admin\.token: a token/) });
  expect(check?.stdout).toMatch(
    /admin server at http:\/\/0\.0\.0\.0:0 is open to other machines, too, with admin\.token/,
  );
  expect(check?.stdout).toMatch(/plain HTTP.*HTTPS/);

  const bridge = await startBridgeProcess(home, { ADMIN_TOKEN: TOKEN });
  expect(bridge.stdout()).toMatch(/console .*open to other machines, too, with admin\.token/);
  const admin = bridge.adminUrl.replace('0.0.0.0', '127.0.0.1');
  for (const path of ['/api/status', '/metrics', '/api/quarantine', '/api/connectors/audit/dead-letters']) {
    expect((await send(admin + path)).status, path).toBe(401);
    expect((await send(admin + path, 'GET', bearer())).status, path).toBe(200);
  }
  for (const path of ['/healthz', '/readyz', '/signin']) expect((await send(admin + path)).status, path).toBe(200);

  const status = (token: string, ...more: string[]) =>
    runCommand(['status', '--admin', admin, ...more], { ADMIN_TOKEN: token });
  const [right, configured, without, another] = await Promise.all([
    status(TOKEN),
    status(TOKEN, '--config', home.configFile),
    status(''),
    status('another-token-of-a-bridge'),
  ]);
  expect(right).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Callbacks are recorded/) });
  expect(configured).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Callbacks are recorded/) });
  expect(without).toMatchObject({ code: 2, stderr: expect.stringMatching(/requires its admin\.token.*ADMIN_TOKEN/) });
  expect(another).toMatchObject({ code: 2, stderr: expect.stringMatching(/another admin\.token.*ADMIN_TOKEN/) });
  expect(another.stderr).not.toContain('another-token-of-a-bridge');
  expect(bridge.stderr()).toMatch(/refused a wrong admin\.token/);
  await bridge.end('SIGTERM');
  expect(bridge.stdout() + bridge.stderr()).not.toContain(TOKEN);
});
