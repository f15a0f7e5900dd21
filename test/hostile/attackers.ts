/** Those who attack at once, in a process of their own: `node attackers.ts RECEIVER ADMIN HANDLER_PORT [NAMES]`, until it is ended. */
import { Agent, request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { search } from '../support/callbacks.ts';

const [receiver = '', admin = '', handlerPort = '', only = ''] = process.argv.slice(2);
const counts: Record<string, number> = {};
const count = (what: string): void => {
  counts[what] = (counts[what] ?? 0) + 1;
};

process.on('uncaughtException', (thrown) => count(`error here: ${thrown.message}`));
process.on('SIGTERM', () => {
  process.stdout.write(JSON.stringify(counts));
  process.exit(0);
});

/** Calls `work` so many times a second, and waits for none of them. */
async function each(perSecond: number, work: (turn: number) => unknown): Promise<void> {
  for (let turn = 0; ; turn++) {
    work(turn);
    await delay(1_000 / perSecond);
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** Sends a request; the answer is read and counted by its status. */
function ask(name: string, url: string, options: { headers?: Record<string, string>; body?: string } = {}) {
  return new Promise<void>((resolve) => {
    const { headers = {}, body } = options;
    const end = (how: string): void => {
      count(`${name}: ${how}`);
      resolve();
    };
    const method = body === undefined ? 'GET' : 'POST';
    const call = request(url, { agent, method, headers, timeout: 15_000 }, (response) => {
      response.resume();
      response.on('end', () => end(String(response.statusCode)));
      response.on('error', () => end('cut off'));
    });
    call.on('timeout', () => call.destroy(new Error('no answer'))).on('error', () => end('cut off'));
    call.end(body);
  });
}

const callback = (GroupId: string, fields: object): string =>
  JSON.stringify({
    CallbackCommand: 'Group.CallbackAfterGroupInfoChanged',
    ...{ GroupId, Type: 'Public', Operator_Account: 'mallory', EventTime: Date.now(), ...fields },
  });
const post = (name: string, groupId: string, fields: object): Promise<void> =>
  ask(name, `${receiver}?${search()}`, { body: callback(groupId, fields) });

/** A byte that becomes fifty when it is shown, and text that would become markup, or hide. */
const UNSEEN = ['\u007f', '\u202e', '<script>', '\u200b', '\u0001\u0002'].map((one) =>
  one.repeat(60_000 / one.length / 4),
);
const FIELDS = ['Name', 'Introduction', 'Notification', 'FaceUrl'];
const amplify = (turn: number) =>
  post('amplifying', `evil${turn % 10}`, { [FIELDS[turn % 4] ?? 'Name']: UNSEEN[turn % UNSEEN.length] });
const poison = (turn: number) =>
  post('custom fields', 'evil0', {
    UserDefinedDataList: Array.from({ length: 1_500 }, (_, k) => ({ Key: (turn * 1_500 + k).toString(36), Value: '' })),
  });
const flood = (turn: number) => post('new groups', `new${turn}`, { Introduction: 'x'.repeat(2_000) });
const ahead = (turn: number) => post('clocks', `ahead${turn % 10}`, { Name: 'x', EventTime: Date.now() + 3_600_000 });

function open(url: string): Socket {
  const { hostname, port } = new URL(url);
  return connect(Number(port), hostname).on('error', () => {});
}

/** Sends a request byte by byte, for ever. */
async function dribble(url: string): Promise<void> {
  for (;;) {
    const socket = open(url);
    socket.on('connect', () => count(`slow clients at the ${url === admin ? 'admin server' : 'receiver'}`));
    socket.write('POST /callback HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ');
    while (!socket.destroyed) {
      socket.write('a');
      await delay(1_000 + Math.random() * 1_000);
    }
  }
}

const TARGET = `/callback?${search()}`;
const BROKEN = [
  'GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil\r\n\r\n',
  `POST ${TARGET} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  `POST ${TARGET} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 60000\r\n\r\n{"CallbackComm`,
  'PROXY TCP4 192.0.2.1 127.0.0.1 5555 443\r\n\r\n',
  '\x16\x03\x01\0\xf1\x01\0\0\xed\x03\x03',
  '\0'.repeat(10_000),
  `GET /${'%2e%2e/'.repeat(1_000)} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`,
  'GET /live?at=/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n',
  '',
];
async function breakOff(turn: number): Promise<void> {
  const socket = open(turn % 2 === 0 ? receiver : admin);
  count('broken clients');
  socket.write(Buffer.from(BROKEN[turn % BROKEN.length] ?? '', 'latin1'));
  await delay(50);
  if (turn % 3 === 0) socket.resetAndDestroy();
  else socket.end();
  setTimeout(() => socket.destroy(), 5_000);
}

/** A body without an end, until it is cut off. */
function pour(turn: number): void {
  const [url, path] = turn % 2 === 0 ? [receiver, TARGET] : [admin, '/api/connectors/group-index/replay'];
  const socket = open(url);
  const chunk = `10000\r\n${' '.repeat(65_536)}\r\n`;
  let left = 160;
  const more = (): void => {
    while (left-- > 0 && !socket.destroyed) if (!socket.write(chunk)) return;
    socket.destroy();
  };
  count('bodies without an end');
  socket.on('drain', more);
  socket.resume();
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`,
  );
  more();
}

/** Asks many times at once without waiting for an answer, and again once all were answered. */
async function burst(): Promise<void> {
  const [many, asked] = [40, `POST ${TARGET} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\n\r\n{}`];
  for (;;) {
    const socket = open(receiver);
    let left = 0;
    const more = (): void => {
      count('bursts');
      left += many;
      socket.write(asked.repeat(many));
    };
    socket.on('connect', more).on('data', (data) => {
      left -= data.toString('latin1').split('HTTP/1.1 ').length - 1;
      if (left <= 0) more();
    });
    await new Promise((resolve) => socket.once('close', resolve));
  }
}

const IMAGE = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' };
async function foreignPage(): Promise<void> {
  for (;;) {
    await ask('pages of another site', `${admin}/events`, { headers: IMAGE });
    await delay(2);
  }
}

const LOOKED_AT = [
  '/events',
  '/groups',
  '/group?id=evil0',
  '/',
  '/group?id=evil1',
  '/api/events?limit=1000',
  '/api/group?id=evil0&limit=1000',
  '/api/groups?limit=1000',
  '/events?group=evil2',
  '/metrics',
];
async function onlooker(first: number): Promise<void> {
  for (let turn = first; ; turn++) {
    await ask('pages', admin + LOOKED_AT[turn % LOOKED_AT.length]);
    await delay(300);
  }
}

/** Follows a page live, again whenever it ends; every third one never reads. */
async function watch(n: number): Promise<void> {
  const at = encodeURIComponent(LOOKED_AT[n % 5] ?? '/');
  for (;;) {
    const socket = open(admin);
    socket.write(`GET /live?at=${at} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`);
    if (n % 3 !== 2) socket.on('data', ({ length }) => (counts['live bytes'] = (counts['live bytes'] ?? 0) + length));
    await new Promise((resolve) => socket.once('close', resolve));
    count('live pages that ended');
    await delay(1_000);
  }
}

/** The handler that other commands are forwarded to, which answers in every way but a good one. */
const ODD = [
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
  'HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\n{}',
  'HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\n{}',
  'HTTP/1.1 200 OK\r\nContent-Le',
  'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}',
  `HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n${' '.repeat(2_000_000)}`,
  'hello',
  '',
];
let exchanges = 0;
createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', () => void socket.write(ODD[exchanges++ % ODD.length] ?? ''));
  setTimeout(() => socket.destroy(), 10_000);
}).listen(Number(handlerPort), '127.0.0.1');
const other = () =>
  ask('odd handler', `${receiver}?${search({ CallbackCommand: 'Group.CallbackAfterNewMemberJoin' })}`, { body: '{}' });

/** By name, so that one of them can be looked at alone. */
const ATTACKS: Readonly<Record<string, () => readonly Promise<void>[]>> = {
  amplifying: () => [each(5, amplify)],
  fields: () => [each(2, poison)],
  groups: () => [each(100, flood)],
  clocks: () => [each(20, ahead)],
  broken: () => [each(20, breakOff), each(1, pour)],
  bursts: () => Array.from({ length: 50 }, burst),
  handler: () => [each(10, other)],
  foreign: () => Array.from({ length: 6 }, foreignPage),
  looking: () => [...[0, 3, 6].map(onlooker), ...Array.from({ length: 12 }, (_, n) => watch(n))],
  slow: () => [receiver, admin].flatMap((url) => Array.from({ length: 300 }, () => dribble(url))),
};
const chosen = only === '' ? Object.keys(ATTACKS) : only.split(',');
await Promise.all(chosen.flatMap((name) => ATTACKS[name]?.() ?? []));
