/** The verdict is the same on the page, in the command's exit code and in the metrics, whatever the state. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { launchBrowser } from '../browser/browser.ts';
import { live, openWatched } from '../browser/watched.ts';
import { freePort } from '../servers/port.ts';
import { bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser.close());

const METRIC = { green: 0, amber: 1, red: 2 } as const;

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
  const copies = page.locator('.verdict span[data-tone]').nth(1);
  const command = (...args: string[]) => runCommand([...args, '--config', home.configFile]);

  const expectTone = async (tone: keyof typeof METRIC, says: RegExp): Promise<void> => {
    await expect.poll(() => copies.getAttribute('data-tone'), { timeout: 20_000 }).toBe(tone);
    await expect.poll(() => copies.textContent()).toMatch(says);
    const status = await command('status', '--check');
    expect(status.stdout).toMatch(says);
    expect(status.code).toBe(tone === 'green' ? 0 : 1);
    const metrics = await (await fetch(`${bridge.adminUrl}/metrics`)).text();
    expect(metrics).toContain(`\nbridge_verdict_copies ${METRIC[tone]}\n`);
  };

  expect(await bridge.post({ search: search(), body: body() })).toEqual(OK);
  await expectTone('green', /The copy is in step, verified \d+ s ago/);
  expect((await command('pause', 'copy')).code).toBe(0);
  await expectTone('amber', /0 of 1 copy in step.*; copy is paused/);
  expect((await command('status', '--check', '--allow', 'paused')).code).toBe(0);
  expect((await command('resume', 'copy')).code).toBe(0);
  await expectTone('green', /The copy is in step/);
  rmSync(join(home.folder, 'copy.ndjson'));
  await expectTone('red', /copy is incomplete: the file .* was deleted or replaced/);
  expect((await command('replay', 'copy', '--from', 'beginning')).code).toBe(0);
  await expectTone('green', /The copy is in step/);
  expect(complaints).toEqual([]);
  await page.context().close();
  await bridge.end('SIGTERM');
}, 90_000);
