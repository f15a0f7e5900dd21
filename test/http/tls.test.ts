import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type CertificateFiles, keepCertificate, readCertificate } from '../../src/http/certificate.ts';
import { listen } from '../../src/http/server.ts';
import type { Fault } from '../../src/model/fault.ts';
import type { SignalBus } from '../../src/model/signal.ts';
import { startReceiver } from '../intake/receiver.testbed.ts';
import { type Authority, createAuthority, type Issued } from '../servers/certificates.ts';
import { bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

let authority: Authority;
let stranger: Authority;
const folder = mkdtempSync(join(tmpdir(), 'tls-'));
beforeAll(async () => {
  [authority, stranger] = await Promise.all([createAuthority('ours'), createAuthority('another')]);
});
afterAll(() => rmSync(folder, { recursive: true }));

let written = 0;
function write(content: string, name = `file-${written++}.pem`): string {
  // Certificate tools write whole files or none, too.
  writeFileSync(join(folder, `${name}.new`), content);
  renameSync(join(folder, `${name}.new`), join(folder, name));
  return join(folder, name);
}

/** Writes `issued` to files; a renewal writes over both. */
function filesOf(issued: Issued, more: Partial<CertificateFiles> = {}): CertificateFiles {
  return { certFile: write(issued.certificate), keyFile: write(issued.key), ...more };
}

async function startSecure(files: CertificateFiles) {
  const certificate = readCertificate(files);
  const stop = new AbortController();
  const failures: string[] = [];
  let keep: (signals: SignalBus) => void = () => {};
  const receiver = await startReceiver(
    {},
    {
      serve: async (fetch, options) => {
        const listening = await listen(fetch, { ...options, certificate });
        keep = (signals) => {
          if (!('setSecureContext' in listening.server)) throw new Error('not a TLS server');
          keepCertificate(listening.server, certificate, signals, stop.signal);
        };
        return listening;
      },
    },
  );
  keep(receiver.signals);
  const loaded: number[] = [];
  const faults: Fault[] = [];
  receiver.signals.on('tls.loaded', ({ notAfter }) => loaded.push(notAfter));
  receiver.signals.on('tls.handshake-failed', ({ message }) => failures.push(message));
  receiver.signals.on('tls.failed', ({ fault }) => faults.push(fault));
  onTestFinished(async () => {
    stop.abort();
    await receiver.close();
  });
  return { ...receiver, loaded, faults, failures };
}

/** The serial number of the certificate that a new connection is shown. */
async function shown(port: number): Promise<string> {
  const socket = connectTls({ port, host: '127.0.0.1', ca: authority.certificate });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

function post(port: number, agent: Agent): Promise<{ status: number | undefined; text: string; socket: TLSSocket }> {
  return new Promise((resolve, reject) => {
    const call = request(
      { port, host: '127.0.0.1', agent, path: `/callback?${search()}`, method: 'POST' },
      async (response) => {
        const { statusCode: status, socket } = response;
        resolve({ status, text: await text(response), socket: socket as TLSSocket });
      },
    );
    call.on('error', reject);
    call.end(body());
  });
}

const agentOf = (options: ConstructorParameters<typeof Agent>[0] = {}): Agent => {
  const agent = new Agent({ ca: authority.certificate, keepAlive: true, ...options });
  onTestFinished(() => agent.destroy());
  return agent;
};

describe('a renewed certificate', () => {
  test('is shown to new connections, under load, with no request failed and no open connection cut', async () => {
    const [first, second] = await Promise.all([authority.issue(), authority.issue()]);
    const files = filesOf(first);
    const receiver = await startSecure(files);
    const before = await shown(receiver.port);

    let stop = false;
    let answered = 0;
    const bad: unknown[] = [];
    const kept = new Set<TLSSocket>();
    const load = async (agent: Agent): Promise<void> => {
      while (!stop) {
        try {
          const { status, socket } = await post(receiver.port, agent);
          if (agent.options.keepAlive) kept.add(socket);
          if (status === 200) answered++;
          else bad.push(status);
        } catch (thrown) {
          bad.push(thrown);
        }
      }
    };
    // Half of them on one connection each, half on a new connection for each request.
    const loads = [1, 2, 3].flatMap(() => [load(agentOf({ maxSockets: 1 })), load(agentOf({ keepAlive: false }))]);
    await expect.poll(() => answered).toBeGreaterThan(100);

    write(second.certificate, files.certFile.slice(folder.length + 1));
    // Until both are written they do not fit together.
    await expect.poll(() => receiver.faults.length, { timeout: 10_000 }).toBeGreaterThan(0);
    expect(await shown(receiver.port)).toBe(before);
    write(second.key, files.keyFile.slice(folder.length + 1));
    await expect.poll(() => shown(receiver.port), { timeout: 10_000 }).not.toBe(before);

    const then = answered;
    await expect.poll(() => answered).toBeGreaterThan(then + 100);
    stop = true;
    await Promise.all(loads);
    expect(bad).toEqual([]);
    expect(kept.size).toBe(3);
    expect(receiver.loaded).toHaveLength(1);
    expect(receiver.faults[0]).toMatchObject({ code: 'certificate-unusable', path: 'receiver.tls.keyFile' });
  });
});

describe('client certificates', () => {
  test('only those of the authority named are let in', async () => {
    const [own, good, bad] = await Promise.all([authority.issue(), authority.issue(), stranger.issue()]);
    const receiver = await startSecure(filesOf(own, { clientCaFile: write(authority.certificate) }));

    const withGood = agentOf({ cert: good.certificate, key: good.key });
    expect(await post(receiver.port, withGood)).toMatchObject({ status: 200 });
    await expect(post(receiver.port, agentOf())).rejects.toThrow(/certificate required|ECONNRESET|socket hang up/);
    await expect(post(receiver.port, agentOf({ cert: bad.certificate, key: bad.key }))).rejects.toThrow();
    await expect.poll(() => receiver.failures.length).toBe(2);
    expect(receiver.recorded()).toHaveLength(1);
  });
});

test('plain HTTP to the TLS port harms nobody', async () => {
  const receiver = await startSecure(filesOf(await authority.issue()));
  await expect(fetch(`http://127.0.0.1:${receiver.port}/callback`, { method: 'POST' })).rejects.toThrow();
  expect(await post(receiver.port, agentOf())).toMatchObject({ status: 200 });
});

describe('files that cannot be used', () => {
  const fault = (files: CertificateFiles): unknown => {
    try {
      return readCertificate(files);
    } catch (thrown) {
      return (thrown as { fault: Fault }).fault;
    }
  };

  test('each is named by its setting', async () => {
    const [one, other] = await Promise.all([authority.issue(), authority.issue()]);
    const good = filesOf(one);
    const setting = (path: string, message: RegExp) => ({
      code: 'certificate-unusable',
      path,
      message: expect.stringMatching(message),
      suggestion: expect.stringContaining('PEM'),
    });
    expect(fault({ ...good, certFile: '/nowhere.pem' })).toEqual(setting('receiver.tls.certFile', /nowhere.*ENOENT/));
    expect(fault({ ...good, certFile: good.keyFile })).toEqual(setting('receiver.tls.certFile', /cannot be used/));
    expect(fault({ ...good, keyFile: '/nowhere.pem' })).toEqual(setting('receiver.tls.keyFile', /ENOENT/));
    expect(fault({ ...good, keyFile: write(other.key) })).toEqual(setting('receiver.tls.keyFile', /mismatch/));
    expect(fault({ ...good, clientCaFile: write('no certificate') })).toEqual(
      setting('receiver.tls.clientCaFile', /cannot be used/),
    );
  });

  test('are refused by start and by check, before anything else', async () => {
    const home = bridgeHome((folder) => ({ file: { kind: 'file', path: join(folder, 'x.ndjson') } }), {
      receiver: { host: '127.0.0.1', port: 0, tls: { certFile: '/nowhere.pem', keyFile: '/nowhere.pem' } },
    });
    onTestFinished(home.remove);
    for (const command of ['start', 'check']) {
      const { code, stderr } = await runCommand([command, '--config', home.configFile]);
      expect([command, code]).toEqual([command, 2]);
      expect(stderr).toMatch(/nowhere\.pem.*ENOENT.*\(receiver\.tls\.certFile\)/);
    }
  });
});

test('a certificate that has expired is told by check, /readyz and status', async () => {
  const notBefore = new Date(Date.now() - 20_000_000);
  const files = filesOf(await authority.issue({ notBefore, notAfter: new Date(Date.now() - 10_000_000) }));
  const home = bridgeHome((folder) => ({ file: { kind: 'file', path: join(folder, 'x.ndjson') } }), {
    receiver: { host: '127.0.0.1', port: 0, tls: files as unknown as Record<string, unknown> },
  });
  onTestFinished(home.remove);
  expect((await runCommand(['check', '--config', home.configFile])).stdout).toMatch(
    /is valid until .*: callers will reject it\n/,
  );
  const bridge = await startBridgeProcess(home);
  const expired = 'the certificate in receiver.tls.certFile has expired: callers will reject it';
  const ready = (await (await fetch(`${bridge.adminUrl}/readyz`)).json()) as unknown;
  expect(ready).toEqual({ status: 'ready', warnings: [expired] });
  const status = await runCommand(['status', '--config', home.configFile, '--admin', bridge.adminUrl]);
  expect(status.stdout).toContain(`warning   ${expired}\n`);

  const renewed = await authority.issue();
  write(renewed.key, basename(files.keyFile));
  write(renewed.certificate, basename(files.certFile));
  await expect
    .poll(async () => (await (await fetch(`${bridge.adminUrl}/readyz`)).json()) as unknown, { timeout: 20_000 })
    .toEqual({ status: 'ready' });
  expect(await bridge.end('SIGTERM')).toBe(0);
});

test('the bridge as a user starts it answers HTTPS, and send finds it', async () => {
  const files = filesOf(await authority.issue());
  const home = bridgeHome((folder) => ({ file: { kind: 'file', path: join(folder, 'x.ndjson') } }), {
    receiver: { host: '127.0.0.1', port: 0, tls: files as unknown as Record<string, unknown> },
  });
  onTestFinished(home.remove);
  const bridge = await startBridgeProcess(home);
  expect(bridge.url).toMatch(/^https:/);
  const port = Number(new URL(bridge.url).port);
  expect(await post(port, agentOf())).toMatchObject({ status: 200 });
  const sent = await runCommand(['send', '--config', home.configFile, '--to', bridge.url, '--count', '3', '--json']);
  expect(JSON.parse(sent.stdout)).toMatchObject({ ok: 3, failed: 0 });
  expect(await bridge.end('SIGTERM')).toBe(0);
});
