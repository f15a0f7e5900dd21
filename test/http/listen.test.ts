/** A server that cannot listen says which setting to change, and why; whatever it refuses by itself is told. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { listen } from '../../src/http/server.ts';
import { createSignals } from '../../src/model/signal.ts';

const tryTo = (host: string, port = 0, keepAliveMs = 1_000) =>
  listen(() => new Response('ok'), {
    ...{ section: 'receiver', host, port, keepAliveMs, maxConnections: 10, signals: createSignals() },
    malformedBody: (why) => why,
  });

test('a port that is taken, a host that is not here, and one that nobody knows', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  onTestFinished(() => void other.close());
  const { port } = other.address() as AddressInfo;
  await expect(tryTo('127.0.0.1', port)).rejects.toMatchObject({
    fault: { code: 'address-in-use', path: 'receiver.port', suggestion: expect.stringMatching(/another process/) },
  });
  for (const host of ['192.0.2.1', 'no-such-host.invalid']) {
    await expect(tryTo(host), host).rejects.toMatchObject({
      fault: {
        code: 'address-unusable',
        path: 'receiver.host',
        suggestion: expect.stringMatching(/^it is no address of this machine/),
      },
    });
  }
});

test('a connection is kept however long keepAlive is', async () => {
  const { server, port } = await tryTo('127.0.0.1', 0, 30 * 86_400_000);
  onTestFinished(() => void server.close().closeAllConnections());
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on('warning', onWarning);
  onTestFinished(() => void process.off('warning', onWarning));
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('ok');
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(warnings).toEqual([]);
});

test.each([
  ['a target that is no path', 'OPTIONS *', 'x'],
  ['an address of another form', 'POST HTTP://x/callback', 'x'],
  ['a backslash in the path', 'POST /call\\back', 'x'],
  ['a port that is none', 'POST /callback', 'x:99999'],
  ['a port that is empty', 'POST /callback', 'x:'],
  ['an address that is written in another way', 'POST /callback', '[0:0:0:0:0:0:0:1]'],
  ['a host that is none', 'POST /callback', 'a%62c'],
])('%s is refused, and told', async (_, asked, host) => {
  const told: string[] = [];
  const { server, port } = await listen(() => new Response('ok'), {
    ...{ section: 'receiver', host: '127.0.0.1', port: 0, keepAliveMs: 1_000, maxConnections: 10 },
    signals: createSignals(),
    malformedBody: (why) => why,
    onMalformed: ({ why }) => told.push(why),
  });
  onTestFinished(() => void server.close());
  const socket = connect(port, '127.0.0.1');
  socket.write(`${asked} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  const [head, body] = (await text(socket)).split('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1.1 400 .*connection: close/is);
  expect(told).toEqual([body]);
  expect(body).toMatch(/^not an HTTP request: ./);
});
