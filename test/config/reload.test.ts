/** A running bridge takes over what changed in its file: no callback is dropped, no event is lost, a bad file changes nothing. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { compareConfigs } from '../../src/config/diff.ts';
import { parseConfig } from '../../src/config/file.ts';
import { createReload } from '../../src/config/reload.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { closeServer, listen } from '../../src/http/server.ts';
import { signOf } from '../../src/intake/authentication.ts';
import { malformedEnvelope } from '../../src/intake/context.ts';
import { createReloadableReceiver } from '../../src/intake/reloadable.ts';
import { systemClock } from '../../src/model/clock.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { createSignals } from '../../src/model/signal.ts';
import { followTopic } from '../servers/readback.ts';
import {
  type BridgeHome,
  type BridgeProcess,
  bridgeHome,
  runCommand,
  startBridgeProcess,
} from '../support/bridge.process.ts';
import { body, OK, SDK_APP_ID, search } from '../support/callbacks.ts';
import { startSilence } from '../support/silence.ts';

const brokers = inject('kafkaBrokers');
const skip = brokers === '' ? ' (skipped: no Kafka in this run)' : '';

type Settings = Record<string, Record<string, unknown>> & { connectors: Record<string, Record<string, unknown>> };

/** Changes the file as an editor would. */
function edit(home: BridgeHome, change: (config: Settings) => void): void {
  const config = parse(readFileSync(home.configFile, 'utf8'));
  change(config);
  writeFileSync(home.configFile, stringify(config));
}

async function postReload(bridge: BridgeProcess) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${bridge.adminUrl}/api/reload`, { method: 'POST', headers, body: '{}' });
  // biome-ignore lint/suspicious/noExplicitAny: whatever it answers, the tests look at it
  return { status: response.status, json: (await response.json()) as any };
}

async function metricsOf(bridge: BridgeProcess): Promise<string> {
  return (await fetch(`${bridge.adminUrl}/metrics`)).text();
}

async function reloads(bridge: BridgeProcess, outcome: 'applied' | 'refused'): Promise<number> {
  return Number(new RegExp(`config_reloads_total\\{outcome="${outcome}"\\} (\\d+)`).exec(await metricsOf(bridge))?.[1]);
}

/** By signal; resolves when it has been taken over. */
async function hangUp(bridge: BridgeProcess): Promise<void> {
  const before = await reloads(bridge, 'applied');
  bridge.child.kill('SIGHUP');
  await expect.poll(() => reloads(bridge, 'applied')).toBe(before + 1);
}

async function events(...files: string[]): Promise<CanonicalEvent[]> {
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  return texts.flatMap((text) => text.split('\n').filter((line) => line !== '')).map((line) => JSON.parse(line));
}

/** The names each group was given, in the order they arrived; a repeated one counts where it came first. */
function namesByGroup(arrived: readonly CanonicalEvent[]): Record<string, string[]> {
  const names: Record<string, string[]> = {};
  for (const { subject, data } of arrived) {
    names[subject] ??= [];
    if (!names[subject].includes(data.changed.name ?? '')) names[subject].push(data.changed.name ?? '');
  }
  return names;
}

/** One client a group, each callback after the one before was answered. */
function streamOfCallbacks(bridge: BridgeProcess, groups: number) {
  const posted: Record<string, string[]> = {};
  const refused: unknown[] = [];
  let over = false;
  const clients = Array.from({ length: groups }, async (_, client) => {
    const GroupId = `@TGS#${client}`;
    posted[GroupId] = [];
    for (let n = 0; !over; n++) {
      const answer = await bridge.post({ search: search(), body: body({ GroupId, Name: `${n}` }) });
      posted[GroupId].push(`${n}`);
      if (answer.status !== 200 || answer.text !== OK.text) refused.push(answer);
    }
  });
  const count = (): number => Object.values(posted).reduce((sum, names) => sum + names.length, 0);
  return {
    posted,
    refused,
    /** Lets at least so many more come. */
    async more(callbacks: number): Promise<void> {
      const from = count();
      await expect.poll(count).toBeGreaterThan(from + callbacks);
    },
    async end(): Promise<void> {
      over = true;
      await Promise.all(clients);
    },
  };
}

const fileAt = (path: string) => ({ kind: 'file', path });

describe.skipIf(skip !== '')(`under a stream of callbacks${skip}`, () => {
  test('connectors come, change and go: every callback is answered OK, every event arrives in order per group', async () => {
    const topic = `test.${randomUUID()}`;
    const home = bridgeHome((folder) => ({
      steady: fileAt(join(folder, 'steady')),
      moving: fileAt(join(folder, 'moving-1')),
      topic: { kind: 'kafka', brokers, topic, createTopic: { partitions: 3 } },
    }));
    const at = (name: string): string => join(home.folder, name);
    const bridge = await startBridgeProcess(home);
    const stream = streamOfCallbacks(bridge, 8);
    await stream.more(100);

    edit(home, ({ connectors }) => {
      connectors.late = fileAt(at('late'));
    });
    expect(await postReload(bridge)).toEqual({
      status: 200,
      json: { added: ['late'], changed: [], removed: [], unchanged: 3, applied: [], needsRestart: [] },
    });
    await stream.more(100);

    edit(home, ({ connectors }) => {
      connectors.moving = fileAt(at('moving-2'));
      connectors.topic = { ...connectors.topic, batch: { maxEvents: 7, maxWaitMs: 1 } };
    });
    await hangUp(bridge);
    await stream.more(100);

    edit(home, ({ connectors }) => {
      connectors.moving = fileAt(at('moving-3'));
      connectors.topic = { ...connectors.topic, batch: { maxEvents: 1_000 } };
      connectors.late = { ...connectors.late, enabled: false };
    });
    expect((await postReload(bridge)).json).toMatchObject({
      changed: ['moving', 'topic'],
      removed: ['late'],
      unchanged: 1,
    });
    const untilGone = await events(at('late'));
    await stream.more(100);
    // What ended takes nothing more.
    expect(await events(at('late'))).toEqual(untilGone);

    edit(home, ({ connectors }) => {
      connectors.late = { ...connectors.late, enabled: true };
    });
    await hangUp(bridge);
    await stream.more(100);
    await stream.end();

    expect(stream.refused).toEqual([]);
    const { posted } = stream;
    const all = Object.values(posted).flat().length;
    await expect.poll(async () => namesByGroup(await events(at('steady')))).toEqual(posted);
    await expect.poll(async () => namesByGroup(await events(at('late')))).toEqual(posted);
    const moving = ['moving-1', 'moving-2', 'moving-3'].map(at);
    await expect.poll(async () => namesByGroup(await events(...moving))).toEqual(posted);
    for (const file of moving) expect(await events(file)).not.toEqual([]);
    // An unchanged lane goes on as it was; one that ends settles the batch it has.
    for (const files of [[at('steady')], [at('late')], moving]) expect(await events(...files)).toHaveLength(all);

    const reader = await followTopic(brokers, topic);
    const inTopic = () => reader.records.map(({ value }): CanonicalEvent => JSON.parse(value ?? ''));
    await expect.poll(() => namesByGroup(inTopic())).toEqual(posted);
    await reader.close();
    expect(await bridge.end('SIGTERM')).toBe(0);
    home.remove();
  });
});

describe('a file that cannot be taken over', () => {
  test('changes nothing, and every problem is said with its line and column', async () => {
    const home = bridgeHome((folder) => ({ audit: fileAt(join(folder, 'events')) }));
    const bridge = await startBridgeProcess(home);
    const good = readFileSync(home.configFile, 'utf8');
    const lines = good.trimEnd().split('\n').length;
    writeFileSync(home.configFile, `${good.replace('kind: file', 'kind: fil')}unknown: 1\n`);

    const { status, json } = await postReload(bridge);
    expect(status).toBe(422);
    expect(json.fault.code).toBe('config-invalid');
    expect(json.problems).toMatchObject([
      { file: home.configFile, line: expect.any(Number), column: 11, path: 'connectors.audit.kind' },
      { file: home.configFile, line: lines + 1, column: 1, path: 'unknown' },
    ]);
    bridge.child.kill('SIGHUP');
    await expect.poll(() => reloads(bridge, 'refused')).toBe(2);
    const logged =
      bridge
        .stderr()
        .split('\n')
        .findLast((line) => line !== '') ?? '';
    const { level, problems } = JSON.parse(logged);
    expect(level).toBe(50);
    expect(problems).toEqual([expect.stringContaining('connectors.audit.kind'), expect.stringContaining(':1 unknown')]);
    expect(await metricsOf(bridge)).toMatch(/^bridge_config_last_reload_success 0$/m);

    const { code, stdout, stderr } = await runCommand(['reload', '--admin', bridge.adminUrl]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(`${home.configFile}:${lines + 1}:1 unknown: unknown key`);
    expect(stderr).toMatch(/\n2 problems in .*: nothing was changed\n$/);

    // A file that the settings name counts as much.
    const forwardTo = { forwardTo: 'https://127.0.0.1:1', caFile: join(home.folder, 'none.pem') };
    writeFileSync(home.configFile, good);
    edit(home, (config) => {
      config.receiver = { ...config.receiver, otherCommands: forwardTo };
      config.connectors.other = fileAt(join(home.folder, 'other'));
    });
    expect(await postReload(bridge)).toMatchObject({
      status: 422,
      json: { problems: [{ path: 'receiver.otherCommands.caFile' }] },
    });

    expect(await bridge.post({ search: search(), body: body({ Name: 'still' }) })).toEqual(OK);
    await expect.poll(async () => (await events(join(home.folder, 'events'))).length).toBe(1);
    expect(await events(join(home.folder, 'other'))).toEqual([]);
    writeFileSync(home.configFile, good);
    expect(await postReload(bridge)).toMatchObject({ status: 200, json: { unchanged: 1 } });
    expect(await metricsOf(bridge)).toMatch(/^bridge_config_last_reload_success 1$/m);
    expect(await bridge.end('SIGTERM')).toBe(0);
    home.remove();
  });
});

test('a connector whose destination hangs or cannot be reached is removed or mended within bounded time', async () => {
  const { port, sockets } = await startSilence();
  const home = bridgeHome((folder) => ({
    steady: fileAt(join(folder, 'steady')),
    hanging: { kind: 'elasticsearch', nodes: [`http://127.0.0.1:${port}`], index: 'x' },
    silent: { kind: 'kafka', brokers: `127.0.0.1:${port}`, topic: 'x', requestTimeoutMs: 600_000 },
    down: { kind: 'kafka', brokers: '127.0.0.1:1', topic: 'x', retry: { initialMs: 60_000, maxMs: 3_600_000 } },
  }));
  edit(home, (config) => Object.assign(config, { shutdownMs: '50s' }));
  const bridge = await startBridgeProcess(home);
  expect(await bridge.post({ search: search(), body: body() })).toEqual(OK);
  await expect.poll(() => sockets.size).toBeGreaterThanOrEqual(2);
  await expect.poll(() => bridge.stderr()).toMatch(/down: waiting/);

  edit(home, ({ connectors }) => {
    delete connectors.hanging;
    connectors.silent = fileAt(join(home.folder, 'silent'));
    connectors.down = fileAt(join(home.folder, 'down'));
  });
  const start = performance.now();
  expect((await postReload(bridge)).json).toMatchObject({
    removed: ['hanging'],
    changed: ['silent', 'down'],
    unchanged: 1,
  });
  // Far below every time-out of the destinations: 5 s for a batch, 3 s to close, and a busy machine.
  expect(performance.now() - start).toBeLessThan(20_000);
  for (const name of ['silent', 'down']) {
    await expect.poll(async () => (await events(join(home.folder, name))).length).toBe(1);
  }
  // Nor does what they left open keep the bridge.
  const told = performance.now();
  expect(await bridge.end('SIGTERM')).toBe(0);
  expect(performance.now() - told).toBeLessThan(20_000);
  home.remove();
});

test('metrics and status show the connectors there are', async () => {
  const home = bridgeHome((folder) => ({ steady: fileAt(join(folder, 'steady')), old: fileAt(join(folder, 'old')) }));
  const bridge = await startBridgeProcess(home);
  expect(await bridge.post({ search: search(), body: body() })).toEqual(OK);
  await expect.poll(() => metricsOf(bridge)).toMatch(/delivered_total\{connector="old"\} 1/);
  edit(home, (config) => {
    const { connectors } = config;
    config.reconcile = { api: { baseUrl: 'http://127.0.0.1:1', secretKey: 'k' } };
    delete connectors.old;
    connectors.down = {
      kind: 'kafka',
      brokers: '127.0.0.1:1',
      topic: 'x',
      retry: { initialMs: 60_000, maxMs: 60_000 },
    };
  });
  expect((await postReload(bridge)).status).toBe(200);
  const metrics = await metricsOf(bridge);
  expect(metrics).not.toContain('connector="old"');
  expect(metrics).toMatch(/delivered_total\{connector="down"\} 0/);
  expect(metrics).toMatch(/delivered_total\{connector="steady"\} 1/);
  expect(metrics).toMatch(/lag_events\{connector="down"\} 1/);
  const status: unknown = await (await fetch(`${bridge.adminUrl}/api/status`)).json();
  expect(status).toMatchObject({
    reconcile: { running: false },
    connectors: [
      { name: 'steady', kind: 'file' },
      { name: 'down', kind: 'kafka', lag: 1 },
    ],
  });
  const paused = await runCommand(['pause', 'old', '--admin', bridge.adminUrl]);
  expect(paused.stderr).toMatch(/no connector called old runs here — these do: steady, down/);
  expect(await bridge.end('SIGTERM')).toBe(0);
  home.remove();
});

describe('the receiver', () => {
  test('tokens are rotated without a callback refused; what only a start can take is named', async () => {
    const app = (...callbackTokens: string[]) => ({ sdkAppId: '1400701118', callbackTokens });
    const home = bridgeHome((folder) => ({ audit: fileAt(join(folder, 'events')) }), { app: app('old') });
    const bridge = await startBridgeProcess(home);
    const post = async (token: string, path = ''): Promise<number> => {
      const RequestTime = `${Math.floor(Date.now() / 1000)}`;
      const signed = search({ RequestTime, Sign: signOf(token, RequestTime) });
      const url = path === '' ? bridge.url : new URL(path, bridge.url).href;
      return (await fetch(`${url}?${signed}`, { method: 'POST', body: body() })).status;
    };
    expect([await post('old'), await post('new')]).toEqual([200, 401]);
    edit(home, (config) => {
      config.app = app('old', 'new');
    });
    await hangUp(bridge);
    expect([await post('old'), await post('new')]).toEqual([200, 200]);

    edit(home, (config) => {
      config.app = { ...app('new'), sdkAppId: '1' };
      config.receiver = { ...config.receiver, port: 1, maxConnections: 7, path: '/moved' };
      config.journal = { ...config.journal, keepDelivered: '1d', maxBytes: '2GiB' };
      config.admin = { port: 2 };
    });
    const needsRestart = ['app.sdkAppId', 'receiver.port', 'receiver.maxConnections', 'journal.maxBytes', 'admin.port'];
    const applied = ['app.callbackTokens', 'receiver.path', 'journal.keepDelivered'];
    const command = ['reload', '--admin', bridge.adminUrl];
    const { code, stdout } = await runCommand(command);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `now in effect: ${applied.join(', ')}\ntakes effect at the next start: ${needsRestart.join(', ')}\n`,
    });
    expect([await post('old', '/moved'), await post('new', '/moved'), await post('new')]).toEqual([401, 200, 404]);
    // Named again as long as it is not in effect.
    expect(JSON.parse((await runCommand([...command, '--json'])).stdout)).toMatchObject({
      unchanged: 1,
      applied: [],
      needsRestart: needsRestart,
    });
    expect(bridge.stderr()).toMatch(/takes effect at the next start: .*receiver\.port/);
    expect(await bridge.end('SIGTERM')).toBe(0);
    home.remove();
  });

  test('requests in flight are answered by the handler they were forwarded to, later ones by the new one', async () => {
    const held: ServerResponse[] = [];
    const before = await startHandler((response) => held.push(response));
    const after = await startHandler((response) => response.end('after'));
    const forwarding = (forwardTo: string) => ({
      app: { sdkAppId: SDK_APP_ID, signWindow: 60_000 },
      receiver: {
        ...configSchema.shape.receiver.parse({}),
        otherCommands: { forwardTo, forwardAll: false, timeoutMs: 60_000 },
      },
    });
    const none = async (): Promise<never> => {
      throw new Error('nothing is recorded here');
    };
    const signals = createSignals();
    const ports = { record: none, quarantine: none, clock: systemClock, signals, stopping: () => false };
    const intake = createReloadableReceiver(forwarding(before), ports);
    const { server, port } = await listen(intake.fetch, {
      section: 'receiver',
      maxConnections: 100,
      keepAliveMs: 620_000,
      signals,
      host: '127.0.0.1',
      port: 0,
      malformedBody: malformedEnvelope,
    });
    onTestFinished(() => closeServer(server, 0));
    const post = async (): Promise<string> => {
      const query = search({ CallbackCommand: 'Group.CallbackAfterNewMemberJoin' });
      return (await fetch(`http://127.0.0.1:${port}/callback?${query}`, { method: 'POST', body: '{}' })).text();
    };
    const inFlight = post();
    await expect.poll(() => held.length).toBe(1);
    intake.prepare(forwarding(after))();
    expect(await post()).toBe('after');
    held[0]?.end('before');
    expect(await inFlight).toBe('before');
    // Nothing is kept open towards the handler before.
    await expect.poll(() => held[0]?.socket?.destroyed ?? true).toBe(true);
    intake.close();
  });
});

async function startHandler(answer: (response: ServerResponse) => void): Promise<string> {
  const server: Server = createServer((request, response) => {
    request.resume();
    answer(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('what changed', () => {
  const read = (settings: Record<string, unknown>): Config => {
    const text = stringify({ app: { sdkAppId: 1 }, connectors: { a: fileAt('a') }, ...settings });
    const result = parseConfig(text, { file: 'f', env: {}, schema: configSchema });
    if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join());
    return result.config as Config;
  };

  test('connectors count by their settings, whatever their order; disabled ones are not there', () => {
    const before = read({
      connectors: {
        same: { kind: 'file', path: 'x', filter: { groupTypes: ['Public'] } },
        moved: fileAt('y'),
        off: { ...fileAt('z'), enabled: false },
        gone: fileAt('v'),
        switchedOff: fileAt('w'),
      },
    });
    const after = read({
      connectors: {
        on: fileAt('n'),
        switchedOff: { ...fileAt('w'), enabled: false },
        off: { ...fileAt('other'), enabled: false },
        moved: fileAt('y2'),
        same: { filter: { groupTypes: ['Public'] }, path: 'x', kind: 'file' },
      },
    });
    expect(compareConfigs(before, after)).toMatchObject({
      added: ['on'],
      changed: ['moved'],
      removed: ['gone', 'switchedOff'],
      unchanged: 1,
      applied: [],
      needsRestart: [],
    });
  });

  test('what only a start can take stays as it was, so that it is named each time; a whole section may come or go', () => {
    const before = read({ receiver: { port: 1, tls: { certFile: 'c', keyFile: 'k' } } });
    const after = read({
      receiver: { port: 2, maxInFlight: 3 },
      shutdownMs: '5s',
      reconcile: { api: { secretKey: 'x' } },
    });
    const change = compareConfigs(before, after);
    expect(change).toMatchObject({
      applied: ['receiver.maxInFlight', 'shutdownMs', 'reconcile'],
      needsRestart: ['receiver.port', 'receiver.tls'],
    });
    expect(change.config).toEqual({ ...after, receiver: { ...before.receiver, maxInFlight: 3 } });
    expect(compareConfigs(change.config, after)).toMatchObject({ applied: [], needsRestart: change.needsRestart });
    expect(compareConfigs(after, before).config.reconcile).toBeUndefined();
  });

  test('what takes effect now must go with what stays as it was until the next start', async () => {
    const before = read({ journal: { file: 'journal.db' }, receiver: { port: 1 } });
    const reloaded = (settings: Record<string, unknown>) => {
      const source = { file: 'f', load: () => ({ ok: true, config: read(settings) }) as const };
      const prepare = () => async () => {};
      return createReload({
        source,
        current: () => before,
        prepare,
        signals: createSignals(),
        stopping: () => false,
      })();
    };
    const journal = { file: 'other.db' };
    const onJournal = { a: fileAt('./journal.db') };
    await expect(reloaded({ journal, receiver: { port: 1 }, connectors: onJournal })).rejects.toMatchObject({
      problems: [{ path: 'connectors.a.path', message: expect.stringContaining('journal.file writes to the file') }],
    });
    const toReceiver = { a: { kind: 'http', url: 'http://127.0.0.1:1/', allowPrivate: true } };
    await expect(reloaded({ journal, receiver: { port: 2 }, connectors: toReceiver })).rejects.toMatchObject({
      problems: [{ path: 'connectors.a.url', suggestion: expect.stringContaining('restart the bridge') }],
    });
    const needsRestart = ['receiver.port', 'journal.file'];
    await expect(reloaded({ journal, receiver: { port: 2 } })).resolves.toMatchObject({ needsRestart });
  });

  test('one reload at a time: those who ask meanwhile share the next, which reads the file as it is then', async () => {
    let loads = 0;
    const gates: (() => void)[] = [];
    const reload = createReload({
      source: {
        file: 'f',
        load: () => ({ ok: true, config: read({ connectors: { [`c${loads++}`]: fileAt('x') } }) }),
      },
      current: () => read({}),
      prepare: () => () => new Promise((resolve) => gates.push(resolve)),
      signals: createSignals(),
      stopping: () => false,
    });
    const first = reload();
    await expect.poll(() => gates.length).toBe(1);
    const others = [reload(), reload()];
    await new Promise((resolve) => setImmediate(resolve));
    expect(loads).toBe(1);
    gates[0]?.();
    expect((await first).added).toEqual(['c0']);
    await expect.poll(() => gates.length).toBe(2);
    gates[1]?.();
    for (const other of await Promise.all(others)) expect(other.added).toEqual(['c1']);
    expect(loads).toBe(2);
  });
});
