/** What reaches the receiver's port and is no callback: counted, and told once in ten seconds with what it seems to be. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { type BridgeProcess, bridgeHome, startBridgeProcess } from '../support/bridge.process.ts';

async function start(): Promise<BridgeProcess> {
  const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: `${folder}/events.ndjson` } }));
  onTestFinished(home.remove);
  return startBridgeProcess(home);
}

const refused = async ({ adminUrl }: BridgeProcess): Promise<number> => {
  const metrics = await (await fetch(`${adminUrl}/metrics`)).text();
  const counts = metrics.matchAll(/bridge_callbacks_total\{command="none",outcome="refused",fault="[a-z-]+"\} (\d+)/g);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
};

/** Writes the bytes to the port, and waits until it is closed. */
async function say({ url }: BridgeProcess, bytes: string | undefined): Promise<void> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  await once(socket, 'connect');
  if (bytes === undefined) socket.end();
  else socket.write(Buffer.from(bytes, 'latin1'));
  socket.resume();
  await once(socket, 'close');
}

const PROXY_V1 = 'PROXY TCP4 192.0.2.1 127.0.0.1 5555 443\r\nPOST /callback HTTP/1.1\r\nHost: x\r\n\r\n';

test.each([
  ['the PROXY protocol', PROXY_V1, /PROXY protocol: switch it off/],
  ['its second version', '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c', /PROXY protocol: switch it off/],
  ['TLS', '\x16\x03\x01\0\xf1\x01\0\0\xed\x03\x03', /TLS is spoken to a plain port: set receiver.tls/],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /HTTP\/2 is spoken/],
  ['no Host', 'POST /callback HTTP/1.1\r\n\r\n', /Host is missing/],
  ['a tunnel', 'CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n', /this is no proxy/],
  ['anything', 'hello\r\n\r\n', /not an HTTP request/],
])('%s on the receiver’s port', async (_, bytes, says) => {
  const bridge = await start();
  await say(bridge, bytes);
  await expect.poll(() => refused(bridge)).toBe(1);
  await say(bridge, bytes);
  await expect.poll(() => refused(bridge)).toBe(2);
  const lines = bridge
    .stderr()
    .split('\n')
    .filter((line) => line.includes('is no callback'));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(says);
  expect(JSON.parse(lines[0] as string)).toMatchObject({ level: 40, peer: expect.stringContaining('127.0.0.1') });
  expect(await bridge.end('SIGTERM')).toBe(0);
});

test.each([
  ['another path', 'POST', '/callbacks?Sign=secret', /POST \/callbacks is no callback.*compare receiver.path/],
  ['two slashes more', 'POST', '/callback//', /POST \/callback\/\/ is no callback/],
  ['a path of another spelling', 'POST', '/%63allback', /POST \/%63allback is no callback/],
  ['another method', 'GET', '/callback', /GET \/callback is no callback.*POST is/],
])('%s', async (_, method, target, says) => {
  const bridge = await start();
  await fetch(new URL(target, bridge.url), { method });
  await expect.poll(() => refused(bridge)).toBe(1);
  expect(bridge.stderr()).toMatch(says);
  expect(bridge.stderr()).not.toContain('secret');
  expect(await bridge.end('SIGTERM')).toBe(0);
});

test('another method is told while others knock at paths that are none', async () => {
  const bridge = await start();
  for (let n = 0; n < 3; n++) await fetch(new URL(`/${n}`, bridge.url));
  await fetch(bridge.url);
  await fetch(new URL('/last', bridge.url));
  await expect.poll(() => refused(bridge)).toBe(5);
  expect(bridge.stderr()).toMatch(/GET \/0 is no callback/);
  expect(bridge.stderr()).toMatch(/GET \/callback is no callback.*POST is/);
  expect(await bridge.end('SIGTERM')).toBe(0);
});

test('a connection that brings nothing is a probe, and not worth a word', async () => {
  const bridge = await start();
  await say(bridge, undefined);
  expect(await refused(bridge)).toBe(0);
  expect(bridge.stderr()).not.toContain('is no callback');
  expect(await bridge.end('SIGTERM')).toBe(0);
});
