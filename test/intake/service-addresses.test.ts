/**
 * `receiver.allowFrom: service`: the callers' addresses as the service tells them. The double is a server that answers
 * GetIPList; the oracle is what a callback is answered.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { type BridgeProcess, bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';
import { IDENTIFIER, SECRET_KEY } from '../vendor/stand-in.ts';

async function startService(lists: Record<string, unknown>) {
  let status = 200;
  const asked: string[] = [];
  const server = createServer((incoming, response) => {
    const { pathname, searchParams } = new URL(incoming.url ?? '', 'http://x');
    asked.push(pathname);
    const IPList = lists[searchParams.get('nettype') ?? ''];
    response.writeHead(status).end(JSON.stringify({ ActionStatus: 'OK', ErrorCode: 0, IPList }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  onTestFinished(close);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    lists,
    fail: (next: number) => {
      status = next;
    },
  };
}

function homeFor(baseUrl: string, allowFrom: unknown) {
  const home = bridgeHome(() => ({ f: { kind: 'file', path: 'unused', enabled: false } }), {
    receiver: { host: '127.0.0.1', port: 0, allowFrom, refreshAddresses: '1s' },
    reconcile: { api: { baseUrl, identifier: IDENTIFIER, secretKey: SECRET_KEY } },
  });
  onTestFinished(home.remove);
  return home;
}

const status = async (bridge: BridgeProcess) => (await bridge.post({ search: search(), body: body() })).status;
const warnings = async ({ adminUrl }: BridgeProcess) =>
  ((await (await fetch(`${adminUrl}/readyz`)).json()) as { warnings?: string[] }).warnings;

test('refreshed: an address that is taken away is refused, one that comes is let in, own ones stay', async () => {
  const service = await startService({ 5: ['192.0.2.0/25', '127.0.0.0/8'], 6: ['198.51.100.7', 'nonsense', 7] });
  const bridge = await startBridgeProcess(homeFor(service.url, 'service'));
  await expect.poll(() => status(bridge)).toBe(200);
  await expect.poll(() => bridge.stderr()).toMatch(/"count":3.*have changed/);
  service.lists['5'] = ['192.0.2.0/25'];
  await expect.poll(() => status(bridge), { timeout: 15_000 }).toBe(403);
  service.lists['6'] = [' 127.0.0.1 '];
  await expect.poll(() => status(bridge), { timeout: 15_000 }).toBe(200);
  expect(new Set(service.asked)).toEqual(new Set(['/v4/ConfigSvc/GetIPList']));

  service.lists['6'] = ['198.51.100.7'];
  const own = await startBridgeProcess(homeFor(service.url, ['service', '127.0.0.0/8']));
  await expect.poll(() => own.stderr()).toMatch(/have changed/);
  expect(await status(own)).toBe(200);
});

test('an outage, an empty list and a restart go on with the last list', async () => {
  const service = await startService({ 5: ['192.0.2.0/25'], 6: [] });
  const home = homeFor(service.url, 'service');
  const first = await startBridgeProcess(home);
  await expect.poll(() => status(first), { timeout: 15_000 }).toBe(403);
  for (const list of [[], null, 'x', ['nonsense']]) {
    service.lists['5'] = list;
    const before = service.asked.length;
    await expect.poll(() => service.asked.length, { timeout: 20_000 }).toBeGreaterThan(before + 3);
    expect(await status(first)).toBe(403);
  }
  expect(first.stderr()).toMatch(/cannot be read, those known before stay/);
  await first.end('SIGTERM');
  service.fail(403);
  const second = await startBridgeProcess(home);
  expect(await status(second)).toBe(403);
  expect(await warnings(second)).toBeUndefined();
});

test('as long as no list was ever read nobody is locked out, and it is said', async () => {
  const bridge = await startBridgeProcess(homeFor('http://127.0.0.1:1', 'service'));
  expect(await status(bridge)).toBe(200);
  expect(await warnings(bridge)).toEqual([expect.stringMatching(/addresses of the service are not known yet/)]);
  await bridge.end('SIGKILL');
});

test('it needs the credentials of reconcile.api', async () => {
  const home = homeFor('http://127.0.0.1:1', ['service']);
  const config = readFileSync(home.configFile, 'utf8');
  writeFileSync(
    home.configFile,
    config.slice(0, config.indexOf('reconcile:')) + config.slice(config.indexOf('journal:')),
  );
  const { code, stdout, stderr } = await runCommand(['check', '--config', home.configFile]);
  expect(code).toBe(2);
  expect(stdout + stderr).toMatch(/receiver\.allowFrom.*reconcile\.api is needed/);
});
