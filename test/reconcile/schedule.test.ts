import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import { createGroupReader } from '../../src/journal/groups.ts';
import { newGroup } from '../../src/model/group.ts';
import type { ReconcileRun } from '../../src/model/reconcile-run.ts';
import { createSignals } from '../../src/model/signal.ts';
import { newCounts, performRun, type RunPorts } from '../../src/reconcile/run.ts';
import { createReconcileSchedule, waitBefore } from '../../src/reconcile/schedule.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import { hastyClock } from '../support/clock.ts';
import { IDENTIFIER, SECRET_KEY, startVendor } from '../vendor/stand-in.ts';

const HOUR_MS = 3_600_000;
const NOW = 1_700_000_000_000;
const run = (more: Partial<ReconcileRun>): ReconcileRun => ({
  startedAt: NOW - 7 * HOUR_MS,
  dryRun: false,
  total: 0,
  counts: newCounts(),
  failures: [],
  unlisted: [],
  ...more,
});

test('the next run comes `every` after the end of the last one, at once where that is over or none has ended', () => {
  expect(waitBefore(6 * HOUR_MS, undefined, NOW)).toBe(0);
  expect(waitBefore(6 * HOUR_MS, run({}), NOW)).toBe(0);
  expect(waitBefore(6 * HOUR_MS, run({ endedAt: NOW - HOUR_MS }), NOW)).toBe(5 * HOUR_MS);
  expect(waitBefore(6 * HOUR_MS, run({ endedAt: NOW - 7 * HOUR_MS }), NOW)).toBe(0);
  expect(waitBefore(6 * HOUR_MS, run({ stopped: 'it was stopped' }), NOW)).toBe(60_000);
});

test('a clock that was set back since does not put it off for longer than `every`', () => {
  expect(waitBefore(6 * HOUR_MS, run({ endedAt: NOW + 100 * HOUR_MS }), NOW)).toBe(6 * HOUR_MS);
});

test('what a run of some groups, or a dry run, ended is not told as the end of a run over all', async () => {
  const vendor = await startVendor({ groups: 2, limits: { list: 100_000, groups: 100_000 } });
  onTestFinished(() => vendor.stop());
  const folder = mkdtempSync(join(tmpdir(), 'schedule-'));
  const signals = createSignals();
  const clock = { ...hastyClock(), now: () => now };
  let now = NOW;
  const database = openDatabase(join(folder, 'journal.db'));
  const journal = openJournal(database, clock, signals);
  const api = { baseUrl: vendor.url, identifier: IDENTIFIER, secretKey: SECRET_KEY };
  const settings = { api: { ...api, callsPerSecond: { list: 1_000, groups: 1_000 } } };
  const reconcile = { ...settings, customFields: [], maxGone: '5%', groupTypes: ['Public'] };
  const schedule = createReconcileSchedule(
    { app: { sdkAppId: SDK_APP_ID }, reconcile } as unknown as Parameters<typeof createReconcileSchedule>[0],
    {
      ...{ journal, database, clock, signals, findingsFile: join(folder, 'findings.ndjson') },
      groups: createGroupReader(database.connection, journal.buffered),
      stopping: new AbortController().signal,
    },
  );
  onTestFinished(async () => {
    await schedule.end();
    journal.close();
    rmSync(folder, { recursive: true });
  });
  const reconciler = schedule.reconciler();
  const run = async (request: Parameters<NonNullable<typeof reconciler>['start']>[0]): Promise<void> => {
    const ended = new Promise((resolve) => signals.on('reconcile.ended', resolve));
    reconciler?.start(request);
    await ended;
    await expect.poll(() => reconciler?.status().running).toBe(false);
  };
  await run({});
  expect(reconciler?.lastEndedAt()).toBe(NOW);
  now += HOUR_MS;
  await run({ groupIds: [...vendor.groups.keys()].slice(0, 1) });
  await run({ dryRun: true });
  expect(reconciler?.status().run?.endedAt).toBe(now);
  expect(reconciler?.lastEndedAt()).toBe(NOW);
});

test('groups that are gone count once among those known, however often their run is stopped and gone on with', async () => {
  const ids = Array.from({ length: 60 }, (_, n) => `g${n}`);
  const recorded: unknown[] = [];
  let fails = true;
  const ports = {
    api: {
      async *groupIds() {
        yield { ids: [], total: 0 };
      },
      async groups(asked: readonly string[]) {
        // The second call fails once the first was answered.
        if (fails && asked.length < 50) {
          await expect.poll(() => plan.run.counts.gone % 50 === 0 && plan.run.counts.gone > 0).toBe(true);
          throw new Error('down');
        }
        return { readAt: 1_000, groups: [], gone: asked, failed: [] };
      },
    },
    journal: {
      beginReconcile: async () => {},
      recordRead: async (events: readonly unknown[]) => void recorded.push(...events),
    },
    groups: {
      get: (groupId: string) => ({ ...newGroup(groupId), versions: { name: [1, 'e'] } }),
      livingIds: (after: string) => (after === '' ? ids : []),
    },
    reader: { has: () => false },
    clock: hastyClock(),
    signals: createSignals(),
  } as unknown as RunPorts;
  const settings = { sdkAppId: '1400', groupTypes: ['Public'], customFields: [], maxGone: '5%' };
  const plan = { run: run({}), groupIds: undefined, whole: true, resumed: false, allowGone: false, failedBefore: [] };
  const perform = (resumed: boolean) =>
    performRun(
      { ...plan, resumed },
      settings as unknown as Parameters<typeof performRun>[1],
      ports,
      new AbortController().signal,
    );
  for (let times = 0; times < 30; times++) await perform(times > 0);
  fails = false;
  plan.run.stopped = undefined;
  await perform(true);
  expect(plan.run.counts).toMatchObject({ known: 60, gone: 60, read: 60, withheld: 60, destroyed: 0 });
  expect(recorded).toEqual([]);
});

test.each(['live', 'are gone'])(
  'groups that %s count once, however often the journal could not record them',
  async (how) => {
    const ids = Array.from({ length: 600 }, (_, n) => `g${n}`);
    const living = ids.map((groupId) => ({ groupId, name: 'n' }));
    let fails = true;
    const ports = {
      api: {
        async *groupIds() {
          yield { ids: [], total: 0 };
        },
        groups: async (asked: readonly string[]) => ({
          ...{ readAt: 1_000, failed: [] },
          groups: how === 'live' ? living.filter(({ groupId }) => asked.includes(groupId)) : [],
          gone: how === 'live' ? [] : asked,
        }),
      },
      journal: {
        beginReconcile: async () => {},
        recordRead: async (_: unknown, groupIds: readonly string[]) => {
          if (fails && groupIds.length > 0) throw new Error('full');
        },
      },
      groups: {
        get: (groupId: string) => ({ ...newGroup(groupId), name: 'n', versions: { name: [1, 'e'] } }),
        livingIds: (after: string) => (after === '' ? ids : []),
      },
      reader: { has: () => false },
      clock: hastyClock(),
      signals: createSignals(),
    } as unknown as RunPorts;
    const settings = { sdkAppId: '1400', groupTypes: ['Public'], customFields: [], maxGone: 1_000 };
    const plan = { run: run({}), groupIds: undefined, whole: true, resumed: false, allowGone: false, failedBefore: [] };
    const perform = () =>
      performRun(plan, settings as unknown as Parameters<typeof performRun>[1], ports, new AbortController().signal);
    for (let times = 0; times < 5; times++) await perform();
    expect(plan.run.stopped).toContain('full');
    fails = false;
    await perform();
    expect(plan.run.counts).toMatchObject({ known: 600, read: 600 });
  },
);
