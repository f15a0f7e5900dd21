/** A server that cannot listen says which setting to change, and why. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
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
