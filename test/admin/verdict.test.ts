/** The verdict is the same on the page, in the command's exit code and in the metrics, whatever the state. */
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { Server } from 'node:net';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import { startBridge } from '../../src/bridge.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { systemClock } from '../../src/model/clock.ts';
import type { Tone } from '../../src/model/verdict.ts';
import { launchBrowser } from '../browser/browser.ts';
import { live, openWatched } from '../browser/watched.ts';
import { freePort } from '../servers/port.ts';
import { bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, OK, SDK_APP_ID, search } from '../support/callbacks.ts';
import { startSilence } from '../support/silence.ts';

const elasticsearchUrl = inject('elasticsearchUrl');
const skip = elasticsearchUrl === '' ? ' (skipped: no Elasticsearch in this run)' : '';

let browser: Browser;
beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser.close());

const METRIC = { green: 0, amber: 1, red: 2 } as const;
const SENTENCES = { recording: 0, copies: 1 } as const;

/** Expects a sentence on the open page, then the exit code and the metric that go with it. */
async function expectTone(page: Page, of: keyof typeof SENTENCES, tone: Tone, says: RegExp): Promise<void> {
  const admin = new URL(page.url()).origin;
  const sentence = page.locator('.verdict span[data-tone]').nth(SENTENCES[of]);
  await expect.poll(() => sentence.getAttribute('data-tone'), { timeout: 20_000 }).toBe(tone);
  await expect.poll(() => sentence.textContent()).toMatch(says);
  const status = await runCommand(['status', '--check', '--admin', admin]);
  expect(status.stdout).toMatch(says);
  expect(status.code).toBe(tone === 'green' ? 0 : 1);
  const metrics = await (await fetch(`${admin}/metrics`)).text();
  expect(metrics).toContain(`\nbridge_verdict_${of} ${METRIC[tone]}\n`);
}

test('green, amber and red, in all three places', async () => {
  const home = bridgeHome(
    (folder) => ({
      copy: { kind: 'file', path: join(folder, 'copy.ndjson'), verify: { every: '1s' }, restore: 'ask' },
    }),
    { admin: { port: await freePort() } },
  );
  onTestFinished(home.remove);
  const bridge = await startBridgeProcess(home);
  const { page, complaints } = await openWatched(browser);
  await page.goto(`${bridge.adminUrl}/events`);
  await live(page);
  const command = (...args: string[]) => runCommand([...args, '--config', home.configFile]);

  expect(await bridge.post({ search: search(), body: body() })).toEqual(OK);
  await expectTone(page, 'copies', 'green', /The copy is in step, verified \d+ s ago/);
  expect((await command('pause', 'copy')).code).toBe(0);
  await expectTone(page, 'copies', 'amber', /0 of 1 copy in step.*; copy is paused/);
  expect((await command('status', '--check', '--allow', 'paused')).code).toBe(0);
  expect((await command('resume', 'copy')).code).toBe(0);
  await expectTone(page, 'copies', 'green', /The copy is in step/);
  rmSync(join(home.folder, 'copy.ndjson'));
  await expectTone(page, 'copies', 'red', /copy is incomplete: the file .* was deleted or replaced/);
  expect((await command('replay', 'copy', '--from', 'beginning')).code).toBe(0);
  await expectTone(page, 'copies', 'green', /The copy is in step/);
  expect(complaints).toEqual([]);
  await page.context().close();
  await bridge.end('SIGTERM');
}, 120_000);

/** A bridge in this process, whose clock can be moved, with one connector and a page of it open. */
async function openBridge(copy: Record<string, unknown>, journal: Record<string, unknown> = {}) {
  const home = bridgeHome(() => ({}));
  onTestFinished(home.remove);
  const config = configSchema.parse({
    app: { sdkAppId: SDK_APP_ID },
    receiver: { host: '127.0.0.1', port: 0, whenUnrecordable: 'fail' },
    admin: { port: 0 },
    journal: { file: join(home.folder, 'journal.db'), ...journal },
    connectors: { copy: { ...(copy.kind === 'file' && { path: join(home.folder, 'copy.ndjson') }), ...copy } },
  });
  const bridge = await startBridge(config as Config, 'silent');
  onTestFinished(() => bridge.stop('the test has ended'));
  const { page, complaints } = await openWatched(browser);
  onTestFinished(() => page.context().close());
  await page.goto(`${bridge.adminUrl}/events`);
  await live(page);
  return {
    page,
    complaints,
    async post(fields: Record<string, unknown> = {}): Promise<number> {
      const url = `${bridge.receiverUrl}?${search()}`;
      return (await fetch(url, { method: 'POST', body: body({ EventTime: Date.now(), ...fields }) })).status;
    },
  };
}

/** So much later, for this process alone. */
function moveClock(ms: number): void {
  const { now } = systemClock;
  const moved = vi.spyOn(systemClock, 'now').mockImplementation(() => now() + ms);
  onTestFinished(() => moved.mockRestore());
}

/** Listens and returns the port; closed at the test's end with all its connections. */
async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test('what cannot be reached is amber, and red beyond a minute', async () => {
  const { page, post, complaints } = await openBridge({
    kind: 'elasticsearch',
    nodes: ['http://127.0.0.1:1'],
    index: 'none',
  });
  expect(await post()).toBe(200);
  await expectTone(page, 'copies', 'amber', /copy is 1 event behind for .*: unreachable for \d+ s/);
  moveClock(61_000);
  await expectTone(page, 'copies', 'red', /copy is 1 event behind for .*: unreachable for 1 min/);
  expect(complaints).toEqual([]);
}, 120_000);

test('what does not answer yet is amber', async () => {
  const { port } = await startSilence();
  const { page } = await openBridge({ kind: 'elasticsearch', nodes: [`http://127.0.0.1:${port}`], index: 'none' });
  await expectTone(page, 'copies', 'amber', /copy is connecting/);
}, 120_000);

test('a bridge that cannot record is red', async () => {
  const down = { kind: 'kafka', brokers: '127.0.0.1:1', topic: 'none' };
  const { page, post, complaints } = await openBridge(down, { maxBytes: '4MiB' });
  await expectTone(page, 'copies', 'amber', /copy is unreachable/);
  await page.getByRole('link', { name: 'Overview' }).click();
  const safe = page.getByText('Nothing is lost: events wait in the journal.');
  await safe.waitFor();
  let status = 200;
  for (let sent = 0; status === 200 && sent < 500; sent++) status = await post({ Introduction: 'x'.repeat(30_000) });
  expect(status).toBe(503);
  await expectTone(page, 'recording', 'red', /Callbacks are not recorded: .*journal\.maxBytes/);
  // What comes now does not wait there.
  await safe.waitFor({ state: 'detached' });
  expect(complaints).toEqual([]);
}, 120_000);

describe.skipIf(skip !== '')(`on a real Elasticsearch${skip}`, () => {
  let index: string;
  beforeEach(() => {
    index = `test-${randomUUID()}`;
  });
  const copy = () => ({ kind: 'elasticsearch', nodes: [elasticsearchUrl], index, createIndex: { replicas: 0 } });
  const es = (method: string, path: string, sent?: unknown) =>
    fetch(`${elasticsearchUrl}/${index}${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(sent !== undefined && { body: JSON.stringify(sent) }),
    });
  afterEach(() => es('DELETE', ''));

  test('a document that was changed and is not mended, and a comparison of yesterday, are amber', async () => {
    const { page, post } = await openBridge({ ...copy(), verify: { every: '1s', mend: false } });
    expect(await post({ GroupId: 'changed', Name: 'right' })).toBe(200);
    await expectTone(page, 'copies', 'green', /The copy is in step, verified/);
    expect((await es('POST', '/_update/changed?refresh=true', { doc: { name: 'wrong' } })).status).toBe(200);
    await expectTone(page, 'copies', 'amber', /copy differs in 1 that were not mended/);
    expect((await es('POST', '/_update/changed?refresh=true', { doc: { name: 'right' } })).status).toBe(200);
    await expectTone(page, 'copies', 'green', /The copy is in step, verified/);
    moveClock(25 * 3_600_000);
    await expectTone(page, 'copies', 'amber', /copy was last verified 1 d 1 h ago/);
  }, 120_000);

  test('a destination that is slow to take an event is amber, and one that refused it red', async () => {
    let held = false;
    const gate = createServer((asked, answer) => {
      const pass = () => {
        if (held && asked.url?.includes('_bulk')) return setTimeout(pass, 50);
        const { method = 'GET', url = '/', headers } = asked;
        const passed = request(`${elasticsearchUrl}${url}`, { method, headers }, (answered) => {
          answer.writeHead(answered.statusCode ?? 502, answered.headers);
          answered.pipe(answer);
        });
        asked.pipe(passed);
      };
      pass();
    });
    const versions = { type: 'object', enabled: false };
    const mappings = { properties: { notification: { type: 'integer' }, versions } };
    expect((await es('PUT', '', { mappings, settings: { number_of_replicas: 0 } })).status).toBe(200);
    const nodes = [`http://127.0.0.1:${await portOf(gate)}`];
    const { page, post } = await openBridge({ ...copy(), nodes, verify: { every: '1s' } });
    expect(await post({ GroupId: 'first' })).toBe(200);
    await expectTone(page, 'copies', 'green', /The copy is in step/);
    held = true;
    expect(await post({ GroupId: 'second' })).toBe(200);
    await expectTone(page, 'copies', 'amber', /copy is 1 event behind for \d+ s/);
    held = false;
    await expectTone(page, 'copies', 'green', /The copy is in step/);
    expect(await post({ GroupId: 'third', Notification: 'no number' })).toBe(200);
    await expectTone(page, 'copies', 'red', /copy has 1 dead letter/);
  }, 120_000);
});
