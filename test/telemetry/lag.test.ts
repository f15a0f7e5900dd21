/** For how long a connector has not been in step: one number, from the receipt of the oldest open event, wherever it is shown. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { bridgeStatus } from '../../src/admin/contract.ts';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import { systemClock } from '../../src/model/clock.ts';
import { createSignals } from '../../src/model/signal.ts';
import { bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, SDK_APP_ID, search } from '../support/callbacks.ts';
import { madeEvent } from '../support/events.ts';

const DOWN = { kind: 'elasticsearch', nodes: ['http://127.0.0.1:1'], index: 'none' };

test('after a start with a backlog and a destination that is down, it counts from the receipt of the oldest event', async () => {
  const home = bridgeHome(() => ({ down: DOWN }));
  onTestFinished(home.remove);
  const before = await startBridgeProcess(home);
  const sent = Date.now();
  expect(await before.post({ search: search(), body: body({ Name: 'one' }) })).toMatchObject({ status: 200 });
  const answered = Date.now();
  expect(await before.post({ search: search(), body: body({ Name: 'two' }) })).toMatchObject({ status: 200 });
  expect(await before.end('SIGTERM')).toBe(0);

  const bridge = await startBridgeProcess(home);
  const started = Date.now();
  const read = async (path: string) => fetch(bridge.adminUrl + path);
  const metric = async (): Promise<number> =>
    Number(/^bridge_delivery_lag_seconds\{connector="down"\} (\S+)$/m.exec(await (await read('/metrics')).text())?.[1]);
  const status = async () => bridgeStatus.parse(await (await read('/api/status')).json()).connectors[0];
  const told = async (): Promise<number> => {
    const { stdout } = await runCommand(['status', '--json', '--admin', bridge.adminUrl]);
    return JSON.parse(stdout).connectors[0].lagSeconds;
  };

  const first = await metric();
  expect(first).toBeGreaterThanOrEqual((started - answered) / 1_000);
  await expect.poll(metric).toBeGreaterThan(first + 0.5);
  for (const number of [(await status())?.lagSeconds, await told()]) {
    expect(number).toBeGreaterThan(first);
    expect(number).toBeLessThanOrEqual((Date.now() - sent) / 1_000);
  }
  expect(await status()).toMatchObject({ lag: 2, delivered: 0 });
  expect(await (await read('/')).text()).toMatch(/<b>2<\/b> <span class="quiet">events, .*for/s);
  expect(await bridge.end('SIGTERM')).toBe(0);
});

test('of what was received before the clock was set back it counts from when it was seen to be open', async () => {
  const home = bridgeHome(() => ({ down: DOWN }));
  onTestFinished(home.remove);
  const journal = openJournal(openDatabase(join(home.folder, 'journal.db')), systemClock, createSignals());
  const event = madeEvent(1);
  const data = { ...event.data, receivedAt: Date.now() + 3_600_000 };
  await journal.record({ ...event, source: `urn:tencent-chat:app:${SDK_APP_ID}`, data });
  journal.close();
  const bridge = await startBridgeProcess(home);
  const lag = async () =>
    bridgeStatus.parse(await (await fetch(`${bridge.adminUrl}/api/status`)).json()).connectors[0]?.lagSeconds;
  await expect.poll(lag, { timeout: 5_000 }).toBeGreaterThan(1);
  expect(await lag()).toBeLessThan(3_600);
  expect(await bridge.end('SIGTERM')).toBe(0);
});

test('a connector that is added to a journal whose events are pruned is behind none of them', async () => {
  const home = bridgeHome((folder) => ({ late: { kind: 'file', path: join(folder, 'late.ndjson') } }));
  onTestFinished(home.remove);
  const journal = openJournal(openDatabase(join(home.folder, 'journal.db')), systemClock, createSignals());
  await journal.record({ ...madeEvent(1), source: `urn:tencent-chat:app:${SDK_APP_ID}` });
  journal.flushGroups();
  await journal.prune(0, () => 1, 10);
  journal.close();
  const bridge = await startBridgeProcess(home);
  const status = async () => bridgeStatus.parse(await (await fetch(`${bridge.adminUrl}/api/status`)).json());
  expect(await status()).toMatchObject({ journal: { head: 1 }, connectors: [{ lag: 0 }] });
  expect(await bridge.end('SIGTERM')).toBe(0);
});
