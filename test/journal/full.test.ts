/** A journal that strangers filled with groups: what was known goes on, without a restart. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import { createDeliveryReader } from '../../src/journal/reads.ts';
import { prunePass } from '../../src/journal/retention.ts';
import { systemClock } from '../../src/model/clock.ts';
import { createSignals } from '../../src/model/signal.ts';
import { bridgeHome, inStep, startBridgeProcess } from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';
import { madeEvent } from '../support/events.ts';
import { IDENTIFIER, SECRET_KEY, startVendor } from '../vendor/stand-in.ts';

test.each([
  ['many groups', 2_000],
  // Each takes a page beside its own part of one.
  ['groups just too large for a page', 700],
  ['large groups', 30_000],
])(
  '%s: afterwards known groups are recorded and the bridge is ready; new ones have a fault of their own',
  async (_, size) => {
    const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: `${folder}/events.ndjson` } }), {
      receiver: { host: '127.0.0.1', port: 0, whenUnrecordable: 'fail' },
      journal: { maxBytes: '4MiB', keepDelivered: '1s' },
    });
    onTestFinished(home.remove);
    const bridge = await startBridgeProcess(home);
    const post = (GroupId: string, fields: Record<string, unknown>) =>
      bridge.post({ search: search(), body: body({ GroupId, EventTime: Date.now(), ...fields }) });
    expect(await post('known', { Name: 'before' })).toEqual(OK);
    let [sent, refused] = [0, 0];
    const isFull = () => bridge.stderr().includes('it is of a new group');
    const flood = async (): Promise<void> => {
      while (sent < 3_000 && (refused < 100 || !isFull())) {
        const answer = await post(`g${++sent}`, { Introduction: 'x'.repeat(size) });
        if (answer.status !== 200) refused++;
      }
    };
    await Promise.all(Array.from({ length: 8 }, flood));
    expect(isFull()).toBe(true);
    expect(refused).toBeGreaterThan(0);
    await inStep(bridge);
    const ready = async () => (await fetch(`${bridge.adminUrl}/readyz`)).status;
    await expect.poll(ready, { timeout: 15_000 }).toBe(200);
    const kept = async () => ((await (await fetch(`${bridge.adminUrl}/api/events`)).json()) as { events: [] }).events;
    await expect.poll(kept, { timeout: 15_000 }).toEqual([]);
    const now = Date.now();
    for (let n = 0; n < 50; n++) {
      const fields = { Name: `after ${n}`, Introduction: 'y'.repeat(2_000), EventTime: now + n };
      expect(await post('known', fields)).toEqual(OK);
    }
    expect((await post('a stranger', { Name: 'x' })).status).toBe(503);
    expect(await (await fetch(`${bridge.adminUrl}/readyz`)).text()).toContain('callbacks of new ones are refused');
    const group = (await (await fetch(`${bridge.adminUrl}/api/group?id=known`)).json()) as { group: { name: string } };
    expect(group.group.name).toBe('after 49');
    expect(await bridge.end('SIGTERM')).toBe(0);
  },
  120_000,
);

interface Run {
  readonly stopped?: string;
  readonly failures: readonly { readonly message: string }[];
  readonly counts: { readonly read: number; readonly inStep: number; readonly mended: number };
}

test('a backfill of more groups than the journal holds leaves those known their room', async () => {
  const vendor = await startVendor({ limits: { list: 1_000, groups: 1_000 } });
  onTestFinished(vendor.stop);
  for (let n = 0; n < 3_000; n++) vendor.create({ GroupId: `r${n}`, Introduction: 'x'.repeat(400) });
  const callsPerSecond = { list: 1_000, groups: 40 };
  const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: `${folder}/events.ndjson` } }), {
    receiver: { host: '127.0.0.1', port: 0, whenUnrecordable: 'fail' },
    journal: { maxBytes: '4MiB', keepDelivered: '1s' },
    reconcile: { api: { baseUrl: vendor.url, identifier: IDENTIFIER, secretKey: SECRET_KEY, callsPerSecond } },
  });
  onTestFinished(home.remove);
  const bridge = await startBridgeProcess(home);
  const post = (Name: string) =>
    bridge.post({ search: search(), body: body({ GroupId: 'known', Name, EventTime: Date.now() }) });
  const status = async () => {
    const found = await (await fetch(`${bridge.adminUrl}/api/reconcile`)).json();
    return found as { running: boolean; run?: Run };
  };
  expect(await post('before')).toEqual(OK);
  vendor.create({ GroupId: 'known', Name: 'before' });
  const reconcile = async () => {
    const headers = { 'content-type': 'application/json' };
    await fetch(`${bridge.adminUrl}/api/reconcile`, { method: 'POST', headers, body: '{}' });
    await expect.poll(async () => (await status()).running, { timeout: 30_000 }).toBe(false);
    await inStep(bridge);
    return (await status()).run;
  };
  // While its events wait for their place the journal may be full for a moment: then it goes on where it stopped.
  const ended = async () => (await reconcile())?.stopped;
  await expect.poll(ended, { timeout: 60_000, interval: 1_000 }).toBe(undefined);
  const { failures = [], counts } = (await status()).run ?? {};
  expect(failures[0]?.message).toContain('the journal holds too many groups');
  // Those are read by no run yet: the one that goes on where another stopped comes to them again.
  expect(counts?.read).toBe((counts?.inStep ?? 0) + (counts?.mended ?? 0));
  for (let n = 0; n < 20; n++) expect(await post(`after ${n}`)).toEqual(OK);
  expect(await bridge.end('SIGTERM')).toBe(0);
}, 120_000);

test('one whose maxBytes was lowered below what it holds settles and prunes that, and records again', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'full-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const open = (maxBytes: number) => {
    const database = openDatabase(join(folder, 'journal.db'), { maxBytes });
    return { database, journal: openJournal(database, systemClock, createSignals(), () => ['a']) };
  };
  const first = open(8 * 1_048_576);
  for (let n = 1; n <= 300; n++) await first.journal.record(madeEvent(n, { introduction: 'x'.repeat(8_000) }, 'g'));
  first.journal.close();

  const { database, journal } = open(1_048_576);
  onTestFinished(journal.close);
  const record = () => journal.record(madeEvent(301, { introduction: 'x'.repeat(8_000) })).catch(() => 'refused');
  expect(await record()).toBe('refused');
  for (let upTo = 1; upTo <= 300; upTo++) {
    const told = JSON.stringify([[upTo, 'r'.repeat(200)]]);
    const receipts = [{ from: upTo, upTo, at: 0, told }];
    journal.settle({ connector: 'a', upTo, receipts, waiting: [], dead: [], released: [] });
  }
  const reader = createDeliveryReader(database.connection);
  await expect.poll(() => reader.cursor('a'), { timeout: 10_000 }).toBe(300);
  const settings = () => ({ keepDelivered: 86_400_000, connectors: ['a'] });
  await prunePass(settings, { journal, reader, clock: systemClock }, new AbortController().signal);
  await expect.poll(record, { timeout: 10_000 }).toBe('recorded');
});

test('one that has used a part of its reserve is granted no more at each start', () => {
  const folder = mkdtempSync(join(tmpdir(), 'full-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const maxBytes = 4 * 1_048_576;
  for (let start = 1; start <= 3; start++) {
    const { connection, fill, ...database } = openDatabase(join(folder, 'journal.db'), { maxBytes });
    expect(database.maxBytes).toBe(maxBytes);
    const put = connection.prepare('INSERT INTO groups (group_id, state) VALUES (?, ?)');
    for (let n = 0; fill() < 0.98; n++) put.run(`${start} ${n}`, 'x'.repeat(4_000));
    database.close();
  }
});

test('dead letters for which a full journal has no room at once are written step by step, as pruning makes room', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'full-'));
  const database = openDatabase(join(folder, 'journal.db'), { maxBytes: 4 * 1_048_576 });
  const journal = openJournal(database, systemClock, createSignals(), () => ['a']);
  onTestFinished(() => {
    journal.close();
    rmSync(folder, { recursive: true });
  });
  let head = 0;
  const record = () => journal.record(madeEvent(head + 1, { introduction: 'x'.repeat(3_000) }, 'g'));
  while ((await record().catch(() => 'refused')) === 'recorded') head++;
  const fault = { code: 'event-refused', message: 'm'.repeat(2_000) } as const;
  for (let upTo = 20; upTo <= head; upTo += 20) {
    const dead = [1, 2, 3, 4].map((n) => ({ seq: upTo - n, attempts: 1, fault }));
    journal.settle({ connector: 'a', upTo, waiting: [], dead, released: [] });
  }
  const reader = createDeliveryReader(database.connection);
  const settings = () => ({ keepDelivered: 0, connectors: ['a'] });
  const written = async () => {
    await prunePass(settings, { journal, reader, clock: systemClock }, AbortSignal.timeout(1_000)).catch(() => {});
    return reader.cursor('a');
  };
  await expect.poll(written, { timeout: 30_000, interval: 200 }).toBe(head - (head % 20));
  await expect.poll(() => record().catch(() => 'refused'), { timeout: 5_000 }).toBe('recorded');
}, 60_000);
