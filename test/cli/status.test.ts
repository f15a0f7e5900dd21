/** What the command line says of a running bridge: what it is doing, for people, for programs, and as long as they look. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, onTestFinished, test } from 'vitest';
import { programOf } from '../../src/cli/program.ts';
import { type Reading, ratesBetween } from '../../src/cli/status.ts';
import { linesOf, tableLines } from '../../src/cli/terminal.ts';
import { span, visible } from '../../src/model/text.ts';
import { freePort } from '../servers/index.ts';
import {
  type BridgeHome,
  type BridgeProcess,
  bridgeHome,
  runCommand,
  startBridgeProcess,
} from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

const ESC = '\u001b';
const JSON_TYPE = { 'content-type': 'application/json' };

/** On a fixed admin port, so that it is found again after a restart. */
async function watchedHome(): Promise<BridgeHome> {
  const home = bridgeHome(
    (folder) => ({
      audit: { kind: 'file', path: join(folder, 'events.ndjson') },
      down: { kind: 'kafka', brokers: '127.0.0.1:1', topic: 't', retry: { initialMs: 60_000, maxMs: 60_000 } },
    }),
    { admin: { port: await freePort() } },
  );
  onTestFinished(home.remove);
  return home;
}

async function post(bridge: BridgeProcess, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const { status } = await bridge.post({ search: search(), body: body({ Name: crypto.randomUUID() }) });
    expect(status).toBe(200);
  }
}

/** `status --watch`, left to run; `on` wraps the command, in a terminal for instance. */
function watching(home: BridgeHome, args: readonly string[] = [], on?: (command: string) => readonly string[]) {
  const command = [process.execPath, 'src/cli.ts', 'status', '--watch', '--config', home.configFile, ...args];
  const [file = '', ...rest] = on === undefined ? command : on(command.join(' '));
  const child: ChildProcess = spawn(file, rest, { env: { ...process.env, NO_COLOR: '1' } });
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      said += chunk;
    });
  }
  const ended = once(child, 'exit') as Promise<[number | null]>;
  return { child, said: () => said, lines: () => said.split('\n').filter((line) => line !== ''), ended };
}

describe('status', () => {
  test('says for how long a connector waits, when it is tried next, and how far it is behind', async () => {
    const home = await watchedHome();
    const bridge = await startBridgeProcess(home);
    const status = () => runCommand(['status', '--config', home.configFile]);
    await post(bridge, 1);
    expect((await status()).stdout).toMatch(/journal\.db: 1 event, /);
    await post(bridge, 1);
    await expect
      .poll(async () => (await status()).stdout)
      .toMatch(/down has waited for \d+ s, next try in (\d+ s|1 min): Kafka: .*\n {2}is Kafka running/);
    expect((await status()).stdout).toMatch(/down +kafka +waiting +2 +\d+ (s|min.*) +0$/m);
    const { stdout } = await runCommand(['status', '--json', '--config', home.configFile]);
    expect(JSON.parse(stdout)).toMatchObject({
      ready: true,
      callbacks: 2,
      connectors: [
        { name: 'audit', delivered: 2, lagSeconds: 0 },
        { name: 'down', lag: 2, delivered: 0, lagSeconds: expect.any(Number), state: { retryAt: expect.any(Number) } },
      ],
    });
    await bridge.end('SIGTERM');
  });

  test('--check exits with 1 where no connector is enabled: no copy is in step', async () => {
    const home = bridgeHome((folder) => ({ off: { kind: 'file', path: join(folder, 'e.ndjson'), enabled: false } }));
    const bridge = await startBridgeProcess(home);
    const { code, stdout } = await runCommand(['status', '--check', '--admin', bridge.adminUrl]);
    expect(`${code} ${stdout}`).toMatch(/^1 Callbacks are recorded\nThere are no copies: no connector is enabled\n/);
    await bridge.end('SIGTERM');
  });

  test('--check exits with 1 unless all is well, but for what is allowed; --wait in-step waits for it', async () => {
    const home = await watchedHome();
    const bridge = await startBridgeProcess(home);
    await post(bridge, 1);
    const status = (...args: string[]) => runCommand(['status', ...args, '--config', home.configFile]);
    // It may ask before the copy that is in step was compared for the first time.
    const checked = async () => (({ code, stdout }) => `${code} ${stdout}`)(await status('--check'));
    await expect
      .poll(checked, { timeout: 20_000 })
      .toMatch(/^1 Callbacks are recorded\n1 of 2 copies in step, 1 of the 2 verified .*; down is /);
    expect(await status('--check', '--allow', 'unreachable,connecting')).toMatchObject({ code: 0 });
    expect(await status('--check', '--allow', 'nonsense')).toMatchObject({ code: 2 });
    for (const [option, value, other] of [
      ['--allow', 'behind', '--check'],
      ['--timeout', '5s', '--wait'],
    ] as const) {
      const stderr = `${option} needs ${other}\n`;
      expect(await status(option, value)).toMatchObject({ code: 2, stderr });
    }
    for (const other of ['--watch', '--wait=in-step'])
      expect(await status('--check', other)).toMatchObject({ code: 2 });
    expect(await status('--wait', 'in-step', '--watch')).toMatchObject({ code: 2 });
    expect(await status('--allow', 'unreachable')).toMatchObject({ code: 2, stdout: '' });
    const late = { code: 1, stdout: expect.stringContaining('dead letter') };
    expect(await status('--wait', 'in-step', '--timeout', '1s')).toMatchObject(late);
    // Once nothing waits for it any more, the rest is in step.
    const without = home.configFile.replace('bridge.yaml', 'without.yaml');
    writeFileSync(without, readFileSync(home.configFile, 'utf8').replace('retry:', 'enabled: false\n    retry:'));
    copyFileSync(without, home.configFile);
    const waiting = status('--wait', 'in-step', '--timeout', '60s', '--json');
    await bridge.post({ search: search(), body: body({ Name: 'more' }) });
    expect((await fetch(`${bridge.adminUrl}/api/reload`, { method: 'POST', headers: JSON_TYPE })).status).toBe(200);
    const waited = await waiting;
    expect(waited).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(waited.stdout).verdict.copies).toMatchObject({ tone: 'green', troubles: [] });
    expect(await status('--check')).toMatchObject({ code: 0 });
    await bridge.end('SIGTERM');
  });

  test('a bridge that takes connections and does not answer is waited for no longer than --timeout, or ten seconds', async () => {
    const silent = createServer(() => {});
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    onTestFinished(() => {
      silent.close();
      silent.closeAllConnections();
    });
    const { port } = silent.address() as AddressInfo;
    const asked = (...args: string[]) => runCommand(['status', ...args, '--admin', `http://127.0.0.1:${port}`]);
    const begun = performance.now();
    const refused = { code: 1, stderr: expect.stringContaining(`no bridge answers at http://127.0.0.1:${port}`) };
    expect(await asked('--wait', 'in-step', '--timeout', '1s')).toMatchObject(refused);
    expect(performance.now() - begun).toBeLessThan(9_000);
    expect(await asked('--check')).toMatchObject(refused);
  });

  test('--watch elsewhere than on a terminal: a line a change, over a restart of the bridge, until Ctrl-C', async () => {
    const home = await watchedHome();
    const first = await startBridgeProcess(home);
    const watch = watching(home);
    const json = watching(home, ['--json']);
    // A rate is "…" until there was a second one to compare with.
    await expect
      .poll(watch.said)
      .toMatch(/^\S+Z ready, callbacks (…|0)\/s \| audit running, lag 0, dead letters 0, (…|0)\/s/m);
    await post(first, 3);
    await expect
      .poll(watch.said)
      .toMatch(/callbacks [\d.]*[1-9][\d.]*\/s \| audit running, lag 0, dead letters 0, [\d.]*[1-9]/);
    await expect
      .poll(json.lines)
      .toSatisfy((lines: string[]) => lines.some((line) => JSON.parse(line).callbacks === 3));

    await first.end('SIGTERM');
    await expect.poll(watch.said).toMatch(/no bridge answers at/);
    await expect.poll(json.lines).toSatisfy((lines: string[]) => lines.some((line) => JSON.parse(line).unreachable));
    const second = await startBridgeProcess(home);
    const before = watch.lines().length;
    await expect.poll(() => watch.lines().slice(before).join('\n')).toMatch(/Z ready, /);

    for (const { child, ended } of [watch, json]) {
      child.kill('SIGINT');
      expect((await ended)[0]).toBe(0);
    }
    // One a change, not one a second.
    const texts = watch.lines().map((line) => line.replace(/^\S+ /, ''));
    expect(texts.filter((text, index) => text.includes('no bridge') && text === texts[index - 1])).toEqual([]);
    await second.end('SIGTERM');
  });

  const script = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout ?? '';
  const noTerminal = script.includes('util-linux')
    ? ''
    : ' (skipped: no `script` of util-linux, which gives a terminal)';
  test.skipIf(noTerminal !== '')(
    `--watch on a terminal: drawn anew each second, then the terminal is as before${noTerminal}`,
    async () => {
      const home = await watchedHome();
      const bridge = await startBridgeProcess(home);
      // exec: a shell between them would end of the Ctrl-C with 130, where sh is dash.
      const watch = watching(home, [], (command) => ['script', '-qefc', `exec ${command}`, '/dev/null']);
      await expect.poll(() => watch.said().split(`${ESC}[H`).length).toBeGreaterThan(3);
      expect(watch.said()).toMatch(/audit +file +running +0 +0 +0\/s/);
      expect(watch.said().startsWith(`${ESC}[?1049h`)).toBe(true);
      // As the terminal would on Ctrl-C.
      watch.child.stdin?.write('\u0003');
      expect((await watch.ended)[0]).toBe(0);
      expect(watch.said().trimEnd().endsWith(`${ESC}[?1049l`)).toBe(true);
      await bridge.end('SIGTERM');
    },
  );

  test('no bridge there: --watch ends at once', async () => {
    const { code, stderr } = await runCommand(['status', '--watch', '--admin', 'http://127.0.0.1:1']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/no bridge answers .* or name its configuration with --config/);
  });
});

describe('what answers there is no bridge', () => {
  test.each([
    ['not JSON', 200, '<html>'],
    ['JSON of another kind', 200, '{"hello":1}'],
    ['another path', 404, 'nothing'],
  ])('%s: exit 1, said in words', async (_, status, text) => {
    const stranger = createServer((_request, response) => response.writeHead(status).end(text));
    stranger.listen(0, '127.0.0.1');
    await once(stranger, 'listening');
    onTestFinished(() => void stranger.close());
    const { port } = stranger.address() as AddressInfo;
    const { code, stdout, stderr } = await runCommand(['status', '--admin', `http://127.0.0.1:${port}`]);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/is not the admin server of a bridge|it is of the same version/);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});

describe('every command that acts on a running bridge', () => {
  test('answers as JSON when asked to, and names the connector that was probably meant', async () => {
    const home = await watchedHome();
    const bridge = await startBridgeProcess(home);
    await post(bridge, 2);
    const run = (...args: string[]) => runCommand([...args, '--config', home.configFile]);
    const json = async (...args: string[]): Promise<unknown> => JSON.parse((await run(...args, '--json')).stdout);
    expect(await json('pause', 'audit')).toEqual({ connector: 'audit', paused: true });
    expect(await json('replay', 'audit', '--from', 'beginning')).toMatchObject({ events: 2, done: false });
    expect(await json('resume', 'audit')).toEqual({ connector: 'audit', paused: false });
    const [again, nothing, retried, listed, mapped, ...unknown] = await Promise.all([
      json('replay', 'audit', '--from', '1'),
      json('replay', 'audit', '--from', '2999-01-01'),
      json('dead-letters', 'retry', 'audit'),
      json('dead-letters', 'list', 'audit'),
      json('quarantine', 'retry'),
      run('pause', 'adit'),
      run('dead-letters', 'retry', 'adit'),
      run('replay', 'adit', '--from', 'groups'),
    ]);
    expect(again).toEqual({ connector: 'audit', from: 1, events: 2, done: true, delivered: 2, refused: 0 });
    expect(nothing).toMatchObject({ events: 0, done: true });
    expect(retried).toEqual({ taken: 0, left: 0, delivered: 0, refused: 0 });
    expect(listed).toEqual({ deadLetters: [] });
    expect(mapped).toEqual({ mapped: 0, left: 0 });
    for (const refused of unknown) {
      expect(refused).toMatchObject({
        code: 2,
        stdout: '',
        stderr: expect.stringMatching(/^no connector called adit .*did you mean "audit"\? these do: audit, down\n$/),
      });
    }
    await bridge.end('SIGTERM');
  });
});

describe('for a terminal', () => {
  test('colours only where they are wanted', async () => {
    const check = async (env: Record<string, string>): Promise<boolean> =>
      (await runCommand(['check', '--config', 'config/bridge.yaml'], env)).stdout.includes(ESC);
    expect(await check({ NO_COLOR: '', FORCE_COLOR: '1' })).toBe(true);
    expect(await check({ NO_COLOR: '1' })).toBe(false);
    expect(await check({ NO_COLOR: '' })).toBe(false);
  });

  test('what comes from outside cannot command it', () => {
    const hostile = `${ESC}]0;x\u0007\u009b2J\r`;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the very point
    const control = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;
    expect(visible(`a\n${hostile}`)).toBe('a\n\\u001b]0;x\\u0007\\u009b2J\\u000d');
    expect(
      tableLines(['x'], [[hostile], ['a\nb']])
        .slice(1)
        .join(''),
    ).not.toMatch(control);
    expect(tableLines(['x'], [['a\nb']]).at(-1)).toBe('a\\u000ab');
  });

  test('a table has any number of rows', () => {
    const rows = Array.from({ length: 200_000 }, (_, index) => [String(index)]);
    expect(linesOf(tableLines(['n'], rows))).toHaveLength(200_001);
  });

  test('a column is as wide as a terminal shows its cells: Chinese letters take two places, marks of a letter none', () => {
    const names = ['茶話会', 'café', 'cafe\u0301', '한글', '🫖 tea', 'ｆｕｌｌ'];
    const [, ...lines] = tableLines(
      ['name', 'type'],
      names.map((name) => [name, 'Public']),
    );
    expect(lines).toEqual([
      '茶話会    Public',
      'café      Public',
      'cafe\u0301      Public',
      '한글      Public',
      '🫖 tea    Public',
      'ｆｕｌｌ  Public',
    ]);
  });
});

describe('figures', () => {
  const reading = (at: number, callbacks: number, delivered: number) =>
    ({ at, status: { callbacks, connectors: [{ name: 'a', delivered }] } }) as unknown as Reading;

  test('per second, from two readings; a bridge started anew counts from nought', () => {
    const rates = ratesBetween(reading(1_000, 10, 5), reading(3_000, 30, 6));
    expect([rates.callbacks, rates.delivered('a'), rates.delivered('b')]).toEqual([10, 0.5, undefined]);
    expect(ratesBetween(reading(1_000, 10, 5), reading(3_000, 2, 6)).callbacks).toBeUndefined();
    expect(ratesBetween(undefined, reading(3_000, 2, 6)).callbacks).toBeUndefined();
  });

  test.each([
    [-1, '0 s'],
    [0.4, '0 s'],
    [59.4, '59 s'],
    [60, '1 min'],
    [200, '3 min 20 s'],
    [18_720, '5 h 12 min'],
    [187_200, '2 d 4 h'],
    [86_459, '1 d'],
  ])('%d seconds are %s', (seconds, text) => {
    expect(span(seconds)).toBe(text);
  });
});

const program = await programOf();

describe('--help', () => {
  const leaves = (command: Command): Command[] =>
    command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
  const nameOf = (command: Command): string =>
    command.parent === null || command.parent === program
      ? command.name()
      : `${nameOf(command.parent)} ${command.name()}`;
  const commands = leaves(program);

  test('is about all commands there are', () => expect(commands.length).toBeGreaterThan(14));

  test.each(program.commands.map((command) => command.name()))(
    'of %s loads the file that has it alone',
    async (name) => {
      const { commands: loaded } = await programOf(name);
      expect(loaded.length).toBeLessThan(5);
      expect(loaded.map((command) => command.name())).toContain(name);
    },
  );

  test.each(commands.map((command) => [nameOf(command), command] as const))(
    'of %s closes with examples that use the options it has',
    (name, command) => {
      let text = '';
      command.configureOutput({
        writeOut: (part) => {
          text += part;
        },
      });
      command.outputHelp();
      const [, examples = ''] = /\nExamples?:\n([\s\S]+)$/.exec(text) ?? [];
      const lines = examples.split('\n').filter((line) => line.startsWith('  '));
      expect(lines.length).toBeGreaterThan(0);
      for (const line of lines) {
        expect(line).toContain(` ${name}`);
        for (const [option] of line.matchAll(/(?<= )--[a-z-]{2,}/g)) expect(text, line).toContain(`  ${option}`);
      }
    },
  );
});
