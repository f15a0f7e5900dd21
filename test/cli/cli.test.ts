import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { type BridgeHome, bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cli-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const fileHome = (): BridgeHome =>
  bridgeHome((at) => ({ 'audit-file': { kind: 'file', path: join(at, 'events.ndjson') } }));

function yaml(text: string): string {
  const file = join(folder, 'bridge.yaml');
  writeFileSync(file, text);
  return file;
}

describe('check', () => {
  test('the shipped files are valid', async () => {
    for (const file of ['config/bridge.yaml', 'config/kafka-elasticsearch.yaml']) {
      expect(await runCommand(['check', '--config', file])).toMatchObject({ code: 0, stderr: '' });
    }
  });

  test('every problem at once, each with its place, exit 2', async () => {
    const file = yaml('app:\n  sdkAppId: x\nreceiver:\n  prt: 80\nconnectors:\n  a: { kind: kafak }\n');
    const { code, stderr, stdout } = await runCommand(['check', '--config', file]);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    const lines = stderr.trim().split('\n');
    expect(lines[0]).toMatch(/bridge\.yaml:2:13 app\.sdkAppId: .*digits/);
    expect(lines[1]).toMatch(/bridge\.yaml:4:3 receiver\.prt: .*"port"/);
    expect(lines[2]).toMatch(/bridge\.yaml:6:\d+ connectors\.a\.kind: .*"kafka"/);
    expect(lines[3]).toMatch(/3 problems in /);

    const json = await runCommand(['check', '--json', '--config', file]);
    expect(json).toMatchObject({ code: 2, stderr });
    const { ok, problems } = JSON.parse(json.stdout);
    expect(ok).toBe(false);
    expect(problems).toHaveLength(3);
    expect(problems[1]).toMatchObject({ file, line: 4, column: 3, path: 'receiver.prt' });
  });

  test('--connect says which connector cannot be had and which setting to look at, exit 1', async () => {
    const file = yaml(
      `app: { sdkAppId: 1 }\nconnectors:\n  events: { kind: kafka, brokers: 127.0.0.1:1, topic: t }\n  audit: { kind: file, path: ${folder}/e.ndjson }\nreconcile: { api: { baseUrl: http://127.0.0.1:2, secretKey: k } }\n`,
    );
    const { code, stdout, stderr } = await runCommand(['check', '--connect', '--config', file]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/events \(kafka\):\n +✗ .*connectors\.events\.brokers.*127\.0\.0\.1:1/);
    expect(stdout).toMatch(/audit \(file\):\n +✓ file: .*can be created/);
    expect(stdout).toMatch(
      /reconcile \(.*:2\):\n +✗ signed call: .*ECONNREFUSED 127\.0\.0\.1:2.*reconcile\.api\.baseUrl/,
    );
    expect(stderr).toMatch(/^1 of the connectors cannot be used/);
  });
});

describe('schema', () => {
  test.each(['event', 'group', 'config'])('%s is JSON Schema', async (name) => {
    const { code, stdout } = await runCommand(['schema', name]);
    expect(code).toBe(0);
    const schema = JSON.parse(stdout);
    expect(schema).toMatchObject({ $schema: expect.stringContaining('json-schema.org'), type: 'object' });
    // A schema that could be read back refuses what is not of its kind.
    if (name === 'event') expect(() => z.fromJSONSchema(schema).parse({})).toThrow(/specversion/);
  });
});

describe('wrong usage', () => {
  test.each([
    [['shcema', 'event'], /unknown command.*schema/is],
    [['schema', 'evnt'], /one of event, group, config/],
    [['schema', 'event', '--connector', 'audit-fil'], /did you mean "audit-file"\? known: audit-file/],
    [['schema', 'config', '--connector', 'audit-file'], /--connector does not apply to config/],
    [['status', '--wait', 'in-step', '--watch'], /'--wait <state>' cannot be used with option '--watch'/],
    [['send', '--count', 'many'], /whole number/],
    [['send', '--to', 'nowhere'], /a URL without query and user is expected/],
    [['status', '--admin', 'nowhere'], /such as http:\/\/127\.0\.0\.1:8081$/m],
    [['start', '--confg', 'x'], /unknown option.*--config/is],
    [[], /Usage:/],
  ])('%j: exit 2, and what would be right', async (args, said) => {
    const { code, stderr } = await runCommand(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(said);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test.each(['start', 'check', 'send', 'schema', 'demo'])('%s --help exits 0', async (command) => {
    const { code, stdout } = await runCommand([command, '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Usage: group-sync-bridge/);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('an answer that cannot be written is a failure, told in one line', async () => {
  const full = openSync('/dev/full', 'w');
  onTestFinished(() => closeSync(full));
  const child = spawn(process.execPath, ['src/cli.ts', 'schema', 'config'], { stdio: ['ignore', full, 'pipe'] });
  const said = text(child.stderr as Readable);
  expect(await once(child, 'exit')).toEqual([1, null]);
  expect(await said).toMatch(/^the answer cannot be written: ENOSPC.*\n$/);
});

describe('start and send', () => {
  test('the first lines say where it listens, which connectors run, and what to try', async () => {
    const home = fileHome();
    const bridge = await startBridgeProcess(home);
    expect(bridge.stdout()).toMatch(/callbacks +http:\/\/127\.0\.0\.1:\d+\/callback \(SDKAppID 1400701118\)/);
    expect(bridge.stdout()).toMatch(/connector +audit-file \(file\)/);
    expect(bridge.stdout()).toMatch(/try +.*send --count 10/);

    const sent = await runCommand([
      'send',
      '--config',
      home.configFile,
      '--to',
      bridge.url,
      '--count',
      '250',
      '--groups',
      '7',
    ]);
    expect(sent).toMatchObject({ code: 0, stderr: '' });
    expect(sent.stdout).toMatch(
      /^sent 250 to http.* in [\d.]+ s: 250 OK, 0 failed; p50 [\d.]+ ms, p99 [\d.]+ ms, max [\d.]+ ms\n$/,
    );
    const lines = async () => (await readFile(join(home.folder, 'events.ndjson'), 'utf8')).trim().split('\n');
    await expect.poll(async () => (await lines()).length).toBe(250);
    const groups = new Set((await lines()).map((line) => JSON.parse(line).subject));
    expect(groups.size).toBe(7);

    const json = await runCommand(['send', '--config', home.configFile, '--to', bridge.url, '--count', '5', '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({ sent: 5, ok: 5, failed: 0 });
    const wrong = await runCommand([
      'send',
      '--config',
      home.configFile,
      '--to',
      bridge.url.replace('callback', 'elsewhere'),
    ]);
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toMatch(/10 × HTTP 404: /);
    expect(await bridge.end('SIGTERM')).toBe(0);
    home.remove();
  });

  test.each(['full', 'gone'])(
    'what it says cannot be written, its place is %s: callbacks are answered all the same',
    async (how) => {
      const port = await freePort();
      const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: join(folder, 'events.ndjson') } }), {
        receiver: { host: '127.0.0.1', port },
      });
      const full = openSync('/dev/full', 'w');
      const to = how === 'full' ? full : 'pipe';
      const child = spawn(process.execPath, ['src/cli.ts', 'start', '--config', home.configFile], {
        stdio: ['ignore', to, to],
      });
      onTestFinished(() => {
        child.kill('SIGKILL');
        closeSync(full);
        home.remove();
      });
      const ended = once(child, 'exit');
      child.stdout?.destroy();
      child.stderr?.destroy();
      const answers = (payload: string) =>
        fetch(`http://127.0.0.1:${port}/callback?${search()}`, { method: 'POST', body: payload }).then(
          ({ status }) => status,
          () => child.exitCode ?? 'none yet',
        );
      await expect.poll(() => answers(body()), { timeout: 10_000 }).toBe(200);
      // Each kind of refusal is a line.
      for (const payload of ['', '{}', body()]) expect(await answers(payload)).toBe(payload.length > 2 ? 200 : 400);
      child.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
    },
  );

  test('--rate is kept', async () => {
    const home = fileHome();
    const bridge = await startBridgeProcess(home);
    const { stdout } = await runCommand([
      'send',
      '--config',
      home.configFile,
      '--to',
      bridge.url,
      '--count',
      '50',
      '--rate',
      '100',
      '--json',
    ]);
    // 50 at 100 a second: the last one is due after 0.49 s.
    expect(JSON.parse(stdout).seconds).toBeGreaterThan(0.48);
    await bridge.end('SIGTERM');
    home.remove();
  });

  test('nobody listens: exit 1 and a hint', async () => {
    const { code, stderr } = await runCommand(['send', '--to', 'http://127.0.0.1:1/callback']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/10 of 10 callbacks were not answered OK.*is a bridge listening at/);
  });

  test('who is not let in is told whose token and SDKAppID those are', async () => {
    const home = fileHome();
    const bridge = await startBridgeProcess(home);
    const other = yaml('app: { sdkAppId: 7 }\nconnectors:\n  a: { kind: file, path: x }\n');
    const { code, stdout, stderr } = await runCommand(['send', '--config', other, '--to', bridge.url]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^10 × HTTP 403: .*SdkAppid is not that of this app/);
    expect(stderr).toMatch(/check token and SDKAppID in the --config file, and that receiver.allowFrom/);
    await bridge.end('SIGTERM');
    home.remove();
  });

  test('a port that is taken: exit 1, the setting is named', async () => {
    const home = fileHome();
    const bridge = await startBridgeProcess(home);
    const file = yaml(
      `app: { sdkAppId: 1 }\nreceiver: { host: 127.0.0.1, port: ${new URL(bridge.url).port} }\njournal: { file: ${folder}/j.db }\nconnectors:\n  a: { kind: file, path: ${folder}/x }\n`,
    );
    const { code, stderr } = await runCommand(['start', '--config', file]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/EADDRINUSE.*receiver\.port/);
    await bridge.end('SIGTERM');
    home.remove();
  });

  test('a second bridge on the same journal: exit 1, the first goes on', async () => {
    const home = fileHome();
    const bridge = await startBridgeProcess(home);
    const { code, stderr } = await runCommand(['start', '--config', home.configFile]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/another bridge has the journal .* open \(journal\.file\) — stop it/);
    expect(await runCommand(['send', '--config', home.configFile, '--to', bridge.url])).toMatchObject({ code: 0 });
    await bridge.end('SIGTERM');
    home.remove();
  });
});
