/** The package as npm packs and installs it, run in a folder that holds a YAML file and nothing else. */
import { cpSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Installed, spawnBridge } from '../support/bridge.process.ts';
import { DOCUMENTED, SDK_APP_ID } from '../support/callbacks.ts';
import { runProgram } from '../support/program.ts';
import { blocksOf } from './documents.ts';
import { nodeOf, olderNode, oldestNode } from './node-versions.ts';

const own: { version: string; pkg: Record<string, unknown> } = (() => {
  const pkg = JSON.parse(readFileSync('package.json', 'utf8'));
  return { version: pkg.version, pkg };
})();

let installed: string;
let tarball: string;
beforeAll(async () => {
  installed = mkdtempSync(join(tmpdir(), 'installed-'));
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  const packed = await runProgram('npm', ['pack', '--pack-destination', installed, ...quiet]);
  if (packed.code !== 0) throw new Error(`npm pack:\n${packed.stdout}${packed.stderr}`);
  const [name = 'none'] = globSync('*.tgz', { cwd: installed });
  tarball = join(installed, name);
  const done = await runProgram('npm', ['install', '--prefer-offline', ...quiet, tarball], { cwd: installed });
  if (done.code !== 0) throw new Error(`npm install:\n${done.stdout}${done.stderr}`);
}, 300_000);
afterAll(() => rmSync(installed, { recursive: true }));

/** A folder with a YAML file, and the connector of its own that the how-to page has. */
function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'empty-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [lines] = blocksOf('docs/how-to/own-connector.md').filter(({ language }) => language === 'js');
  writeFileSync(join(folder, 'lines.mjs'), lines?.text ?? '');
  writeFileSync(
    join(folder, 'bridge.yaml'),
    [
      `app: { sdkAppId: ${SDK_APP_ID} }`,
      'receiver: { host: 127.0.0.1, port: 0 }',
      'admin: { port: 0 }',
      'connectors: { audit-file: { kind: file, path: data/events.ndjson }, own: { kind: ./lines.mjs, path: lines.ndjson } }',
      '',
    ].join('\n'),
  );
  return folder;
}

/** From the version to an event in a file, by this Node; nothing but the bridge's own lines is printed. */
async function runs(node: string): Promise<void> {
  const cwd = emptyFolder();
  const bin = join(installed, 'node_modules/.bin/group-sync-bridge');
  expect(await runProgram(node, [bin, '--version'], { cwd })).toEqual({
    code: 0,
    stdout: `${own.version}\n`,
    stderr: '',
  });
  const checked = await runProgram(node, [bin, 'check', '--config', 'bridge.yaml'], { cwd });
  expect(checked).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('valid') });

  const program: Installed = { program: [node, bin], cwd };
  const home = { folder: cwd, configFile: 'bridge.yaml', remove() {} };
  const bridge = await spawnBridge(home, (child) => onTestFinished(() => void child.kill('SIGKILL')), {}, [], program);
  expect(await bridge.post(DOCUMENTED)).toMatchObject({ status: 200 });
  const file = join(cwd, 'data/events.ndjson');
  await expect.poll(() => existsSync(file) && readFileSync(file, 'utf8')).toMatch(/"name":"MyFirstGroup"/);
  const lines = join(cwd, 'lines.ndjson');
  await expect.poll(() => existsSync(lines) && readFileSync(lines, 'utf8')).toMatch(/"name":"MyFirstGroup"/);
  const status = await runProgram(node, [bin, 'status', '--admin', bridge.adminUrl, '--config', 'bridge.yaml'], {
    cwd,
  });
  expect(status).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/audit-file +file +running/) });
  expect(await bridge.end('SIGTERM')).toBe(0);
  const strange = bridge
    .stderr()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'));
  expect(strange).toEqual([]);
}

/** Asks for a second page of groups with the Next of the first one, and prints what was asked for. */
const PAGES = `
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
const { createGroupApi } = await import(process.argv[2]);
const asked = [];
const server = createServer(async (request, response) => {
  asked.push(await text(request));
  response.end('{"ErrorCode":0,"TotalCount":0,"GroupIdList":[],"Next":' + (asked.length === 1 ? '12345678901234567890' : '0') + '}');
}).listen(0, '127.0.0.1', async () => {
  const settings = { sdkAppId: '1', identifier: 'a', secretKey: 'k', callsPerSecond: { list: 1e4, groups: 1e4 } };
  const baseUrl = 'http://127.0.0.1:' + server.address().port;
  const api = createGroupApi({ ...settings, baseUrl }, { now: Date.now, elapsed: () => performance.now(), sleep: async () => {} });
  for await (const page of api.groupIds('Public', new AbortController().signal)) void page;
  console.log(asked[1], typeof JSON.rawJSON);
  server.close();
  server.closeAllConnections();
});
`;

/** Numbers that a double cannot hold go through as they are: the service's page marks, 64-bit ids of others in documents. */
async function keepsDigits(node: string): Promise<void> {
  const cwd = emptyFolder();
  writeFileSync(join(cwd, 'pages.mjs'), PAGES);
  const api = join(installed, 'node_modules/group-sync-bridge/dist/src/reconcile/api.js');
  const { stdout } = await runProgram(node, ['pages.mjs', api], { cwd });
  expect(stdout).toBe('{"Limit":10000,"Next":12345678901234567890,"GroupType":"Public"} function\n');
}

describe('the packed package', () => {
  test('runs on the Node of this checkout', async () => {
    await runs(process.execPath);
    await keepsDigits(process.execPath);
  });

  test(`runs on the oldest Node that engines names, ${oldestNode()}`, async ({ skip }) => {
    const node = await nodeOf(oldestNode());
    if ('missing' in node) {
      if (process.env.CI === 'true') throw new Error(node.missing);
      process.stderr.write(`SKIPPED: the package on Node ${oldestNode()}: ${node.missing}\n`);
      return skip(node.missing);
    }
    await runs(node.file);
    await keepsDigits(node.file);
  });

  test('says which Node it needs on one that is too old', async ({ skip }) => {
    const node = await olderNode();
    const { stdout } = await runProgram(node ?? 'none', ['--version']);
    if (node === undefined || /^v2[2-9]/.test(stdout)) return skip('no Node before 22 is on the path');
    const bin = join(installed, 'node_modules/.bin/group-sync-bridge');
    const said = `Node ${oldestNode()} or newer is needed, this is ${stdout.trim().slice(1)}\n`;
    expect(await runProgram(node, [bin, 'start'])).toEqual({ code: 1, stdout: '', stderr: said });
  });

  test('has the demo that needs no servers', async () => {
    const bin = join(installed, 'node_modules/.bin/group-sync-bridge');
    const { code, stdout } = await runProgram(process.execPath, [bin, 'demo', '--embedded', '--count', '20']);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Console .*\nDone in /s) });
  });

  test('says that its demo needs a checkout', async () => {
    const bin = join(installed, 'node_modules/.bin/group-sync-bridge');
    const { code, stderr } = await runProgram(process.execPath, [bin, 'demo'], { cwd: installed });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^the demo needs a checkout/);
  });

  test('is found by npx where it is installed', async () => {
    const { code, stdout } = await runProgram('npx', ['group-sync-bridge', '--version'], { cwd: installed });
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${own.version}\n` });
  });

  test('brings types, assets and the default configuration, and nothing of the tests', () => {
    const home = join(installed, 'node_modules/group-sync-bridge');
    const files = globSync('**/*.*', { cwd: home, exclude: ['node_modules'] });
    expect(files).toEqual(expect.arrayContaining(['dist/src/client/index.d.ts', 'config/bridge.yaml', 'README.md']));
    expect(existsSync(join(home, 'LICENSE'))).toBe(true);
    const assets = globSync('src/**/*.*', { exclude: ['**/*.ts'] }).map((file) => `dist/${file}`);
    expect(assets.filter((file) => !files.includes(file))).toEqual([]);
    expect(files.filter((file) => /(^|\/)(test|scripts|data)\//.test(file) || /[^d]\.ts$/.test(file))).toEqual([]);
  });

  test('publint finds nothing', async () => {
    const { messages } = await publint({
      strict: true,
      pack: { tarball: Uint8Array.from(readFileSync(tarball)).buffer },
    });
    expect(messages.map((message) => formatMessage(message, own.pkg))).toEqual([]);
  });

  test('are the types wrong? They are not, for importers (the package is ESM alone)', async () => {
    const attw = 'node_modules/@arethetypeswrong/cli/dist/index.js';
    const args = [attw, tarball, '--profile', 'esm-only', '--format', 'ascii', '--no-color', '--no-emoji'];
    const { code, stdout, stderr } = await runProgram(process.execPath, args);
    expect({ code, shown: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, shown: '' });
  });
});

test('npm ci in a checkout has nothing to say about an older Node, since it brings a newer one', async ({ skip }) => {
  const node = await olderNode();
  if (node === undefined) return skip('no Node from 20 on that is older than this one is on the path');
  const cwd = mkdtempSync(join(tmpdir(), 'checkout-'));
  onTestFinished(() => rmSync(cwd, { recursive: true }));
  for (const file of ['package.json', 'package-lock.json']) cpSync(file, join(cwd, file));
  const env = { PATH: [dirname(node), process.env.PATH].join(delimiter) };
  const { stdout: npm } = await runProgram('npm', ['--version'], { cwd, env });
  const [major = 0, minor = 0] = npm.split('.').map(Number);
  if (major < 10 || (major === 10 && minor < 9)) return skip(`npm ${npm} does not know devEngines`);
  const { code, stderr } = await runProgram('npm', ['ci', '--dry-run', '--ignore-scripts', '--no-audit'], { cwd, env });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
