/** Malformed HTTP is answered in the form of a server's other refusals: the receiver's envelope, the admin servers' fault. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { type BridgeProcess, bridgeHome, spawnBridge } from '../support/bridge.process.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';

const folder = mkdtempSync(join(tmpdir(), 'malformed-'));
const connectors = { file: { kind: 'file', path: join(folder, 'events.ndjson') } };
const home = bridgeHome(() => connectors);
/** Its Kafka is nowhere: the admin server is there all the same. */
const workerConfig = {
  app: { sdkAppId: SDK_APP_ID },
  source: { kind: 'kafka', brokers: '127.0.0.1:1', topic: 'nowhere', groupId: 'nobody' },
  journal: { file: join(folder, 'groups.db') },
  admin: { port: 0 },
  connectors,
};
const started: BridgeProcess[] = [];
const ports: Record<string, number> = {};

beforeAll(async () => {
  const configFile = join(folder, 'worker.yaml');
  writeFileSync(configFile, stringify(workerConfig));
  const homes = [home, { folder, configFile, remove() {} }];
  started.push(...(await Promise.all(homes.map((one) => spawnBridge(one)))));
  const [bridge, worker] = started;
  const portOf = (url = '') => Number(new URL(url).port);
  ports.receiver = portOf(bridge?.url);
  ports['admin server of a bridge'] = portOf(bridge?.adminUrl);
  ports['admin server of a worker'] = portOf(worker?.adminUrl);
});
afterAll(() => {
  for (const { child } of started) child.kill('SIGKILL');
  home.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** The last answer on a connection that the server ends. */
async function lastAnswer(port: number, bytes: string): Promise<{ head: string; body: string }> {
  const socket = connect(port, '127.0.0.1');
  socket.write(bytes);
  const all = await text(socket);
  const [head = '', body = ''] =
    all
      .split(/(?=HTTP\/1\.1 \d{3} )/)
      .at(-1)
      ?.split('\r\n\r\n') ?? [];
  return { head, body };
}

const healthy = 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n';
const MALFORMED = {
  'no HTTP at all': 'NONSENSE\r\n\r\n',
  'no Host': 'GET /healthz HTTP/1.1\r\n\r\n',
  'a Host that is none': 'GET /healthz HTTP/1.1\r\nhost: a b\r\n\r\n',
  'a header of 40 kB': `GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(40_000)}\r\n\r\n`,
  'a method that nobody knows': 'GIVE /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n',
  'a length that is no number': 'POST /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: x\r\n\r\n',
  'two framings of one body':
    'POST /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  'two Hosts': 'GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n',
  'two Hosts that are one': 'GET /healthz HTTP/1.0\r\nhost: localhost\r\nhost: localhost\r\n\r\n',
  'a list of Hosts': 'GET /healthz HTTP/1.1\r\nhost: localhost, evil.example\r\n\r\n',
  'a Host with a user': 'GET /healthz HTTP/1.1\r\nhost: a@localhost\r\n\r\n',
  'another version': 'GET /healthz HTTP/2.0\r\nhost: localhost\r\n\r\n',
  'chunks in HTTP/1.0': 'POST /healthz HTTP/1.0\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  'a coding before the chunks':
    'POST /healthz HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  'a coding that is none': 'POST /healthz HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n',
  'lengths that agree': 'POST /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n',
  'a line that is folded': 'GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: a\r\n b\r\n\r\n',
  'line feeds alone': 'GET /healthz HTTP/1.1\nhost: localhost\n\n',
  'a target that is no path': 'OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n',
  'a tunnel': 'CONNECT localhost:443 HTTP/1.1\r\nhost: localhost\r\n\r\n',
  'rubbish after a good request': `${healthy}RUBBISH\r\n\r\n`,
};

describe.each(['receiver', 'admin server of a bridge', 'admin server of a worker'])('the %s answers', (server) => {
  test.each(Object.entries(MALFORMED))('%s', async (_, bytes) => {
    const { head, body } = await lastAnswer(ports[server] ?? 0, bytes);
    expect(head).toMatch(/^HTTP\/1\.1 400 .*\r\ncontent-type: application\/json\r\n/is);
    expect(head).toMatch(/connection: close/i);
    expect(head).toMatch(/x-content-type-options: nosniff\r\ncache-control: no-store/i);
    const message = expect.stringMatching(/^not an? (HTTP(\/1\.1)? )?request: ./);
    expect(JSON.parse(body)).toEqual(
      server === 'receiver'
        ? { ActionStatus: 'FAIL', ErrorInfo: message, ErrorCode: 400 }
        : { fault: { code: 'usage', message } },
    );
  });
});
