/** Whatever a command is told, it prints characters that can be seen, spaces and line feeds; and its own colours on a terminal. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand } from '../support/bridge.process.ts';

/** Titles, the clipboard, colours, C1, marks that reorder or hide, half a pair, a tag, fillers, a line feed. */
const HOSTILE =
  '\u001b]52;c;ZWNobyBwd25lZA==\u0007\u001b]0;T\u0007\u001b[31m\u001b[2J\u009b2J\u0090q\u009c\t\r\b\u0000\u007f\u202e\u2066\u200b\u200d\ufeff\u00ad\u2028\ud800\u{e0041}\u034f\u3164\u2800\nx';
const UNPRINTED = /(?!\n)(?:[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u3164\u2800]|\u034f)/u;
const h = (text: string): string => text + HOSTILE;
const fault = { code: 'event-refused', message: h('reason'), path: h('path'), suggestion: h('what to do') };
const event = {
  id: h('id'),
  subject: h('g'),
  data: { groupId: h('g'), changed: { name: h('name') } },
  [h('key')]: h('value'),
};
const letter = { seq: 7, event, attempts: 2, fault, deadAt: 1_670_574_414_123 };
const run = {
  ...{ startedAt: 1, endedAt: 2, dryRun: false, total: 2, stopped: h('why') },
  counts: { read: 2, inStep: 0, mended: 0, fields: { [h('field')]: 1 }, gone: 0, failed: 2 },
  failures: [{ groupId: h('g'), message: h('message') }],
  unlisted: [{ groupType: h('type'), message: h('message'), off: false }],
};
const connector = {
  ...{ name: 'f', kind: h('kind'), cursor: 0, lag: 1, lagSeconds: 1, delivered: 0, deadLetters: 1 },
  state: { kind: 'waiting', fault, since: 1, retryAt: 2 },
};
const status = {
  ...{ ready: false, reason: h('reason'), warnings: [h('warning')], receiver: h('http://x'), callbacks: 0 },
  verdict: {
    recording: { tone: 'red', says: h('recording') },
    copies: { tone: 'red', says: h('copies'), troubles: [] },
  },
  journal: { file: h('file'), head: 1, bytes: 1, quarantined: 1 },
  connectors: [connector],
  reconcile: { running: false, run },
};
const quarantined = { id: 1, receivedAt: 1, search: h('search'), body: h('body'), fault };
const ANSWERS: Record<string, object> = {
  'GET /api/status': status,
  'GET /api/connectors/f/dead-letters': { deadLetters: [letter] },
  'GET /api/connectors/f/dead-letters/7': letter,
  'GET /api/quarantine': { quarantined: [quarantined] },
  'GET /api/reconcile': status.reconcile,
  'POST /api/reload': {
    ...{ added: [h('a')], changed: [h('b')], removed: [h('c')], unchanged: 0 },
    ...{ applied: [h('d')], needsRestart: [h('e')] },
  },
};

let folder: string;
let admin: string;
let refusing: string;
let kept: string;
const servers = [false, true].map((refuses) =>
  createServer(({ method, url = '' }, response) => {
    const answer = refuses ? undefined : ANSWERS[`${method} ${new URL(url, 'http://x').pathname}`];
    response.writeHead(answer === undefined ? 503 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? { fault }));
  }).listen(0, '127.0.0.1'),
);
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'escapes-'));
  kept = join(folder, `${'x'.repeat(5)}.yaml`);
  writeFileSync(kept, `app: { sdkAppId: ${JSON.stringify(h('1'))} }\n${JSON.stringify(h('key'))}: 1\nconnectors: {}\n`);
  [admin = '', refusing = ''] = await Promise.all(
    servers.map(async (server) => {
      if (!server.listening) await once(server, 'listening');
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    }),
  );
});
afterAll(() => {
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true });
});

const COMMANDS: readonly string[][] = [
  ['status'],
  ['dead-letters', 'list', 'f'],
  ['dead-letters', 'show', 'f', '7'],
  ['dead-letters', 'retry', 'f', '7'],
  ['dead-letters', 'discard', 'f', '7'],
  ['quarantine', 'list'],
  ['pause', 'f'],
  ['pause', h('nobody').replaceAll('\u0000', '')],
  ['resume', 'f'],
  ['replay', 'f', '--from', 'beginning'],
  ['reload'],
];

/** What was printed of each. */
async function printed(commands: readonly (readonly string[])[]): Promise<string> {
  const runs = await Promise.all(commands.map((args) => runCommand(args)));
  for (const { stdout, stderr } of runs) expect(stdout + stderr).not.toBe('');
  return runs.map(({ stdout, stderr }) => stdout + stderr).join('');
}

test('what a bridge tells', async () => {
  const words = await printed(COMMANDS.map((args) => [...args, '--admin', admin]));
  for (const part of ['reason', 'warning', 'what to do', 'g', 'b', 'e', 'kind']) {
    expect(words).toContain(`${part}\\u001b]52`);
  }
  expect(words).not.toMatch(UNPRINTED);
});

test('the same as JSON, which stays JSON', async () => {
  for (const args of [['status'], ['dead-letters', 'show', 'f', '7'], ['quarantine', 'list']]) {
    const json = await printed([[...args, '--admin', admin, '--json']]);
    expect(json).not.toMatch(UNPRINTED);
    expect(JSON.stringify(JSON.parse(json))).toContain('\u202e');
  }
});

test('what a bridge refuses', async () => {
  expect(await printed([COMMANDS[0], COMMANDS[1]].map((args = []) => [...args, '--admin', refusing]))).not.toMatch(
    UNPRINTED,
  );
});

test.each([
  ['a command that is none', () => [h('no').replaceAll('\u0000', '')]],
  ['an option that is none', () => ['status', `--${h('no').replaceAll('\u0000', '')}`]],
  ['a file that is not there', () => ['check', '--config', h('no').replaceAll('\u0000', '')]],
  ['a file that says it', () => ['check', '--config', kept]],
])('%s', async (_, args) => {
  const { code, stdout, stderr } = await runCommand(args());
  expect(code).toBe(2);
  expect(stderr).not.toBe('');
  expect(stdout + stderr).not.toMatch(UNPRINTED);
});

test('with colours, only these are sequences', async () => {
  const { stdout } = await runCommand(['status', '--admin', admin], { NO_COLOR: '', FORCE_COLOR: '1' });
  expect(stdout).toContain('\u001b[');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: its own
  expect(stdout.replaceAll(/\u001b\[(1|2|22|31|32|33|39)m/g, '')).not.toMatch(UNPRINTED);
  expect(stdout).not.toContain('\u001b[31m\u001b[2J');
});
