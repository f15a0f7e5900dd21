/** The admin server shares descriptors, memory and thread with the receiver: whoever comes to it must not take those away. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type BridgeProcess, bridgeHome, spawnBridge, startBridgeProcess } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: `${folder}/events.ndjson` } }));
let bridge: BridgeProcess;
beforeAll(async () => {
  bridge = await spawnBridge(home);
});
afterAll(() => {
  bridge.child.kill('SIGKILL');
  home.remove();
});

const portOf = (url: string): number => Number(new URL(url).port);
const callback = { search: search(), body: body() };

/** The status and headers of an answer that is not read further. */
function ask(path: string, headers: Record<string, string> = {}, method = 'GET', payload?: string) {
  return new Promise<{ status: number; headers: NodeJS.Dict<string | string[]> }>((resolve, reject) => {
    request(bridge.adminUrl + path, { method, headers, agent: false }, (response) => {
      response.on('error', () => {});
      resolve({ status: response.statusCode ?? 0, headers: response.headers });
      response.destroy();
    })
      .on('error', reject)
      .end(payload);
  });
}

function open(url: string, bytes: string): Socket {
  const socket = connect(portOf(url), '127.0.0.1').on('error', () => {});
  socket.write(bytes);
  socket.resume();
  onTestFinished(() => void socket.destroy());
  return socket;
}

const residentMb = ({ child }: BridgeProcess): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024;

const LISTS = ['/', '/events', '/groups', '/dead-letters', '/quarantine', '/reconcile'];
/** Pages of what there is not. */
const UNKNOWN = ['/event?id=x', '/group?id=x', '/dead-letters?connector=x', '/whole'];
const PAGES = [...LISTS, ...UNKNOWN];
type Asked = readonly [method: string, path: string, status: number, headers?: Record<string, string>, body?: string];
const ANSWERED: readonly Asked[] = [
  ...LISTS.map((path) => ['GET', path, 200] as const),
  ...UNKNOWN.map((path) => ['GET', path, 404] as const),
  ['GET', '/live?at=/', 200],
  ['HEAD', '/live?at=/', 200],
  ['GET', '/healthz', 200],
  ['GET', '/readyz', 200],
  ['GET', '/metrics', 200],
  ['GET', '/api/status', 200],
  ['GET', '/api/nothing', 404],
  ['GET', '/api/quarantine?limit=x', 400],
  ['GET', '/api/status', 403, { host: 'evil.example' }],
  ['GET', '/', 403, { 'sec-fetch-site': 'cross-site' }],
  ['POST', '/actions/pause', 403],
  ['POST', '/actions/nothing', 404, { 'sec-fetch-site': 'same-origin' }, 'a=b'],
  ['POST', '/api/connectors/audit/pause', 415, {}, '{}'],
  ['POST', '/api/connectors/nobody/pause', 404, { 'content-type': 'application/json' }, '{}'],
  ['POST', '/api/connectors/audit/replay', 400, { 'content-type': 'application/json' }, 'rubbish'],
];

test.each(ANSWERED.map((asked) => [asked.slice(0, 3).join(' '), asked] as const))(
  '%s: every answer is taken for what it says it is, and not kept',
  async (_, [method, path, status, headers, payload]) => {
    const answer = await ask(path, headers, method, payload);
    expect(answer.status).toBe(status);
    expect(answer.headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
  },
);

test('what is not there is answered with a page to a browser, and as a fault to a program', async () => {
  for (const path of ['/nothing', '/events/', ...UNKNOWN]) {
    const { status, headers } = await ask(path, { accept: 'text/html,*/*;q=0.8' });
    expect([status, headers['content-type']], path).toEqual([404, 'text/html; charset=UTF-8']);
  }
  for (const [path, accept] of [
    ['/nothing', '*/*'],
    ['/api/nothing', 'text/html'],
  ] as const) {
    const { status, headers } = await ask(path, { accept });
    expect([status, headers['content-type']], path).toEqual([404, 'application/json']);
  }
});

test('what an address asks for and no form offers is said, in the place of showing all or nothing', async () => {
  const page = async (path: string) => (await fetch(bridge.adminUrl + path)).text();
  for (const asked of ['since=2026-11-28T10:00Z', 'until=yesterday', 'type=chat.group.renamed']) {
    const told = (await page(`/events?${asked}`)).replace(/<[^>]+>/g, '');
    expect(told).toContain(`Ignored, since not understood: ${asked}`);
  }
  expect(await page('/events?since=2026-11-28T10:00&type=chat.group.created')).not.toContain('not understood');

  expect(await bridge.post(callback)).toMatchObject({ status: 200 });
  expect(await page('/whole?event=1&from=1000000')).toMatch(/&quot;specversion&quot;|"specversion"/);
});

describe('what a browser says to come from another site is refused without a rendering', () => {
  const ways = [
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
    { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'Cross-Site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'document' },
  ];
  const paths = [...PAGES, '/live?at=/', '/healthz', '/readyz', '/metrics', '/api/status', '/signin', '/nothing'];
  test.each(paths)('%s', async (path) => {
    for (const way of ways) {
      expect((await ask(path, way)).status, JSON.stringify(way)).toBe(403);
      expect((await ask(path, way, 'HEAD')).status, JSON.stringify(way)).toBe(403);
    }
  });

  test('but for a person who follows a link, and programs', async () => {
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
    expect((await ask('/', link)).status).toBe(200);
    expect((await ask('/', { 'sec-fetch-site': 'none' })).status).toBe(200);
    expect((await ask('/', { 'sec-fetch-site': 'same-origin', 'sec-fetch-dest': 'empty' })).status).toBe(200);
    expect((await ask('/', {})).status).toBe(200);
    expect((await ask('/actions/pause', link, 'POST', 'a=b')).status).toBe(403);
  });
});

test('of content types and proxies’ words the whole counts', async () => {
  const pause = (type: string) => ask('/api/connectors/nobody/pause', { 'content-type': type }, 'POST', '{}');
  for (const type of ['application/json', 'Application/JSON; charset=utf-8', 'application/json ;x=y']) {
    expect((await pause(type)).status, type).toBe(404);
  }
  for (const type of [
    'application/json-evil',
    'application/json+x',
    'application/jsonp',
    'text/plain; application/json',
  ]) {
    expect((await pause(type)).status, type).toBe(415);
  }
});

test('a body of more than 1 MiB is answered 413 or cut off, with a length and without', async () => {
  const before = residentMb(bridge);
  const path = '/api/connectors/audit/replay';
  const long = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`;
  const piece = ' '.repeat(65_536);
  const chunk = `${piece.length.toString(16)}\r\n${piece}\r\n`;
  for (const [head, part] of [
    [`${long}transfer-encoding: chunked\r\n\r\n`, chunk],
    [`${long}content-length: 900000000\r\n\r\n`, piece],
  ] as const) {
    const socket = connect(portOf(bridge.adminUrl), '127.0.0.1').on('error', () => {});
    let answer = '';
    socket.setEncoding('latin1').on('data', (text) => {
      answer += text;
    });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    let sent = 0;
    const pour = (): void => {
      while (!socket.destroyed && sent < 200_000_000) {
        sent += part.length;
        if (!socket.write(part)) return;
      }
      socket.destroy();
    };
    socket.on('drain', pour);
    socket.write(head);
    pour();
    await closed;
    expect(sent).toBeLessThan(100_000_000);
    expect(answer).toMatch(/^(HTTP\/1\.1 413 .*"usage".*|)$/s);
  }
  expect(residentMb(bridge) - before).toBeLessThan(50);
});

test('connections beyond 256 take the place of the longest idle ones; callbacks are answered meanwhile', async () => {
  let opened = 0;
  const hello = 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n';
  for (let n = 0; n < 400; n++) {
    const socket = open(bridge.adminUrl, hello).on('close', () => opened--);
    await once(socket, 'connect');
    opened++;
  }
  await expect.poll(() => opened).toBeLessThanOrEqual(256);
  expect(opened).toBeGreaterThan(200);
  expect((await bridge.post(callback)).status).toBe(200);
  expect(bridge.stderr()).toMatch(/256 connections to the admin server are open: the longest idle one made room/);
});

describe('places of live streams', () => {
  const watch = 'GET /live?at=/reconcile HTTP/1.1\r\nhost: localhost\r\n\r\n';
  const watching = async (): Promise<number> => (await ask('/live?at=/')).status;

  test('a place is free as soon as its connection ended, in whatever way', async () => {
    for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
      for (let n = 0; n < 30; n++) {
        const socket = open(bridge.adminUrl, watch);
        await Promise.race([once(socket, 'data'), once(socket, 'close')]);
        socket[leave]();
      }
      await expect.poll(watching, { timeout: 2_000 }).toBe(200);
    }
  });

  test('a pipeline takes one place, and a HEAD none', async () => {
    open(bridge.adminUrl, watch.repeat(30));
    const heads = Array.from({ length: 30 }, () => open(bridge.adminUrl, watch.replace('GET', 'HEAD')));
    await Promise.all(heads.map((socket) => once(socket, 'data')));
    expect(await watching()).toBe(200);
  });

  test('who watches beyond the places is told so; a place that ends is free for the next', async () => {
    const sockets = Array.from({ length: 24 }, () => open(bridge.adminUrl, watch));
    await Promise.all(sockets.map((socket) => once(socket, 'data')));
    expect(await watching()).toBe(503);
    sockets[0]?.destroy();
    await expect.poll(watching, { timeout: 2_000 }).toBe(200);
  });
});

test('where few files may be open, the servers take less connections, say so, and answer', async () => {
  const small = bridgeHome((folder) => ({ audit: { kind: 'file', path: `${folder}/events.ndjson` } }));
  onTestFinished(small.remove);
  const program = ['bash', '-c', 'ulimit -n 120; exec "$0" src/cli.ts "$@"', process.execPath] as const;
  const limited = await spawnBridge(small, (child) => onTestFinished(() => void child.kill('SIGKILL')), {}, [], {
    program,
  });
  expect(limited.stderr()).toMatch(/may open 120 files: the receiver takes at most 42 connections, not the 10000/);
  const sockets = Array.from({ length: 200 }, () => open(limited.url, ''));
  const admins = Array.from({ length: 100 }, () => open(limited.adminUrl, 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'));
  await Promise.all([...sockets, ...admins].map((socket) => once(socket, 'connect')));
  for (let n = 0; n < 3; n++) expect((await limited.post(callback)).status).toBe(200);
  expect((await fetch(`${limited.adminUrl}/readyz`)).status).toBe(200);
  expect(await limited.end('SIGTERM')).toBe(0);
});

test('a bridge without tokens says at the start and on the overview that anybody can send', async () => {
  expect(bridge.stdout()).toMatch(/warning +no app\.callbackTokens, no receiver\.allowFrom/);
  expect(bridge.stderr()).toMatch(/"level":40.*no app\.callbackTokens, no receiver\.allowFrom/);
  expect(await (await fetch(`${bridge.adminUrl}/`)).text()).toMatch(/role="alert".*no app\.callbackTokens/s);
  const guarded = bridgeHome((folder) => ({ audit: { kind: 'file', path: `${folder}/events.ndjson` } }), {
    receiver: { host: '127.0.0.1', port: 0, allowFrom: ['127.0.0.1'] },
  });
  onTestFinished(guarded.remove);
  const other = await startBridgeProcess(guarded);
  expect(other.stdout() + other.stderr()).not.toContain('no app.callbackTokens');
  expect(await (await fetch(`${other.adminUrl}/`)).text()).not.toContain('no app.callbackTokens');
});
