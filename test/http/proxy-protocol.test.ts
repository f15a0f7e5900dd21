/** The PROXY protocol: who is behind a load balancer, in both versions, byte by byte, with TLS and without. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readProxyHeader, V2 } from '../../src/http/proxy-protocol.ts';
import { createAuthority, createPemFolder } from '../servers/certificates.ts';
import { type BridgeProcess, bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

const version2 = (family: number, addresses: readonly number[], command = 1, more: readonly number[] = []): Buffer => {
  const rest = Buffer.from([...addresses, ...more]);
  return Buffer.concat([V2, Buffer.from([0x20 | command, family, rest.length >> 8, rest.length & 0xff]), rest]);
};
const V4 = [192, 0, 2, 1, 10, 0, 0, 1, 0x15, 0xb3, 0x01, 0xbb];
const V6 = [0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 7, ...Array(16).fill(1), 0x15, 0xb3, 0x01, 0xbb];
const HEADERS: Record<string, readonly [Buffer, string | undefined]> = {
  'version 1, IPv4': [Buffer.from('PROXY TCP4 192.0.2.1 10.0.0.1 5555 443\r\n'), '192.0.2.1'],
  'version 1, IPv6': [Buffer.from('PROXY TCP6 2001:db8::7 ::1 5555 443\r\n'), '2001:db8::7'],
  'version 1, unknown': [Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  'version 2, IPv4': [version2(0x11, V4), '192.0.2.1'],
  'version 2, IPv6': [version2(0x21, V6), '2001:db8:0:0:0:0:0:7'],
  'version 2, with more behind the addresses': [version2(0x11, V4, 1, [3, 0, 4, 1, 2, 3, 4]), '192.0.2.1'],
  'version 2, the load balancer itself': [version2(0, [], 0), undefined],
  'version 2, a Unix socket': [version2(0x31, Array(216).fill(0)), undefined],
};

describe('a header', () => {
  test.each(Object.entries(HEADERS))('%s: is read once it is whole, and no byte further', (_, [header, caller]) => {
    for (let n = 0; n < header.length; n++) expect(readProxyHeader(header.subarray(0, n)), `${n}`).toBeUndefined();
    expect(readProxyHeader(header)).toEqual({ caller, bytes: header.length });
    expect(readProxyHeader(Buffer.concat([header, header]))).toEqual({ caller, bytes: header.length });
  });

  test.each([
    ['HTTP', 'POST /callback HTTP/1.1\r\n'],
    ['an address that is none', 'PROXY TCP4 192.0.2.999 10.0.0.1 1 2\r\n'],
    ['an address of the other family', 'PROXY TCP4 ::1 ::1 1 2\r\n'],
    ['a family that is none', 'PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n'],
    ['a line without an end', `PROXY TCP4 ${'1'.repeat(200)}`],
    ['another version', `${V2.toString('latin1')}\x31\x11\0\x0c`],
    ['a command that is none', `${V2.toString('latin1')}\x22\x11\0\0`],
    ['a length of 60,000', `${V2.toString('latin1')}\x21\x11\xea\x60`],
  ])('%s is none', (_, text) => {
    expect(readProxyHeader(Buffer.from(text, 'latin1'))).toBe('none');
  });

  test('whatever comes, it is read or refused', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('', 'PROXY ', V2.toString('latin1')),
        fc.uint8Array({ maxLength: 300 }),
        (text, rest) => {
          const found = readProxyHeader(Buffer.concat([Buffer.from(text, 'latin1'), rest]));
          expect(found === undefined || found === 'none' || found.bytes > 0).toBe(true);
        },
      ),
    );
  });
});

const REQUEST = `POST /callback?${search()} HTTP/1.1\r\nhost: x\r\ncontent-length: ${Buffer.byteLength(body())}\r\n\r\n${body()}`;

async function start(receiver: object): Promise<BridgeProcess> {
  const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: join(folder, 'events.ndjson') } }), {
    receiver: { host: '127.0.0.1', port: 0, ...receiver },
  });
  onTestFinished(home.remove);
  return startBridgeProcess(home);
}

function open({ url }: BridgeProcess, from = '127.0.0.1'): Socket {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', localAddress: from }).on(
    'error',
    () => {},
  );
  onTestFinished(() => void socket.destroy());
  return socket;
}

async function status(socket: Socket): Promise<string> {
  const [data] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [unknown];
  return /^HTTP\/1\.1 (\d+)/.exec(String(data))?.[1] ?? 'closed';
}

describe('the receiver', () => {
  const proxied = {
    proxyProtocol: true,
    trustProxy: ['127.0.0.1'],
    allowFrom: ['192.0.2.1', '2001:db8::7', '127.0.0.2'],
  };
  const STRANGER = Buffer.from('PROXY TCP4 198.51.100.9 10.0.0.1 5555 443\r\n');

  test('takes for the caller whom the load balancer names; others on the same port name nobody', async () => {
    const bridge = await start(proxied);
    const stranger = open(bridge);
    stranger.write(Buffer.concat([STRANGER, Buffer.from(REQUEST)]));
    expect(await status(stranger)).toBe('403');
    expect(bridge.stderr()).toMatch(/198\.51\.100\.9 may not call/);
    for (const [name, [header, caller]] of Object.entries(HEADERS)) {
      const socket = open(bridge);
      socket.write(header);
      socket.write(REQUEST);
      expect(await status(socket), name).toBe(caller === undefined ? '403' : '200');
      if (caller === undefined) continue;
      // The whole connection is its.
      socket.write(REQUEST);
      expect(await status(socket), name).toBe('200');
    }
    const slow = open(bridge);
    const [header] = HEADERS['version 2, IPv4'] ?? [Buffer.alloc(0)];
    for (const byte of Buffer.concat([header, Buffer.from(REQUEST)])) slow.write(Buffer.of(byte));
    expect(await status(slow)).toBe('200');

    const direct = open(bridge, '127.0.0.2');
    direct.write(REQUEST);
    expect(await status(direct)).toBe('200');
    const without = open(bridge);
    without.write(REQUEST);
    expect(await status(without)).toBe('closed');
    expect(bridge.stderr()).toMatch(/no PROXY header, which receiver\.proxyProtocol requires/);
    const forged = open(bridge, '127.0.0.2');
    forged.write(Buffer.concat([header, Buffer.from(REQUEST)]));
    expect(await status(forged)).toBe('400');
    expect(await bridge.end('SIGTERM')).toBe(0);
  });

  test('the same before TLS', async () => {
    const { certificate, key } = await (await createAuthority('proxied')).issue();
    const pem = createPemFolder();
    onTestFinished(pem.remove);
    const bridge = await start({ ...proxied, tls: { certFile: pem.file(certificate), keyFile: pem.file(key) } });
    for (const [header, wanted] of [
      [HEADERS['version 1, IPv4']?.[0], '200'],
      [STRANGER, '403'],
    ] as const) {
      const raw = open(bridge);
      raw.write(header ?? '');
      const socket = connectTls({ socket: raw, rejectUnauthorized: false }).on('error', () => {});
      socket.write(REQUEST);
      expect(await status(socket)).toBe(wanted);
    }
    expect(await bridge.end('SIGTERM')).toBe(0);
  });

  test('check asks for the list of load balancers', async () => {
    const home = bridgeHome((at) => ({ audit: { kind: 'file', path: join(at, 'x') } }), {
      receiver: { proxyProtocol: true },
    });
    onTestFinished(home.remove);
    const { code, stderr } = await runCommand(['check', '--config', home.configFile]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/receiver\.trustProxy: proxyProtocol needs the load balancers’ addresses/);
  });
});

test('healthPath: a load balancer that can ask this port alone is told whether to send callbacks here', async () => {
  const bridge = await start({ healthPath: '/health', allowFrom: ['192.0.2.1'] });
  const health = new URL('/health', bridge.url);
  const well = await fetch(health);
  expect([well.status, await well.json()]).toEqual([200, { status: 'ok' }]);
  expect((await fetch(health, { method: 'HEAD' })).status).toBe(200);
  expect((await fetch(health, { method: 'POST' })).status).toBe(404);
  expect((await fetch(`${health}/`)).status).toBe(404);
  expect(await (await fetch(`${bridge.adminUrl}/metrics`)).text()).toContain(
    'bridge_callbacks_total{command="none",outcome="refused",fault="path-unknown"} 2',
  );
  const plain = await start({});
  expect((await fetch(new URL('/health', plain.url))).status).toBe(404);
});
