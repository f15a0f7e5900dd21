import { expect, onTestFinished, test } from 'vitest';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { type Group, newGroup } from '../../src/model/group.ts';
import { createSignals } from '../../src/model/signal.ts';
import { newCounts, type PlannedRun, performRun, type RunPorts } from '../../src/reconcile/run.ts';
import { hastyClock } from '../support/clock.ts';

/*
 * A run goes on the thread that answers callbacks, over every group there is: between two turns of the event loop it may look
 * at some of them only, and record some in one transaction.
 */

const GROUPS = 20_000;
const ids = Array.from({ length: GROUPS }, (_, n) => `g${String(n).padStart(6, '0')}`);
const living = (groupId: string): Group => ({ ...newGroup(groupId), versions: { name: [1, 'e'] } });

/** Counts what is done between two turns, at most. */
function betweenTurns() {
  let most = 0;
  let count = 0;
  let immediate: NodeJS.Immediate;
  const turn = (): void => {
    count = 0;
    immediate = setImmediate(turn);
  };
  turn();
  onTestFinished(() => clearImmediate(immediate));
  return {
    did: (many = 1): void => {
      count += many;
      most = Math.max(most, count);
    },
    most: () => most,
  };
}

/** Runs with all groups known; `gone` says that the service has none of them. */
async function reconcile(gone: boolean) {
  const looked = betweenTurns();
  const recorded: CanonicalEvent[] = [];
  let largest = 0;
  /** States that were asked for after the first event was recorded. */
  let late = 0;
  const run: PlannedRun['run'] = {
    startedAt: 1,
    dryRun: false,
    total: 0,
    counts: newCounts(),
    failures: [],
    unlisted: [],
  };
  const ports = {
    api: {
      async *groupIds() {
        yield { ids: gone ? [] : ids, total: gone ? 0 : GROUPS };
      },
      groups: async (asked: readonly string[]) => ({
        readAt: 1_000,
        groups: gone ? [] : asked.map((groupId) => ({ groupId })),
        gone: gone ? asked : [],
        failed: [],
      }),
    },
    journal: {
      beginReconcile: async () => {},
      async recordRead(events: readonly CanonicalEvent[]) {
        largest = Math.max(largest, events.length);
        recorded.push(...events);
      },
    },
    groups: {
      get(groupId: string) {
        if (recorded.length > 0) late++;
        return living(groupId);
      },
      livingIds(after: string, limit: number) {
        const page = ids.filter((groupId) => groupId > after).slice(0, limit);
        looked.did(page.length);
        return page;
      },
    },
    reader: { has: () => false },
    findings: {},
    clock: hastyClock(),
    signals: createSignals(),
  } as unknown as RunPorts;
  const plan = { run, groupIds: undefined, whole: true, resumed: false, allowGone: true, failedBefore: [] };
  const settings = { sdkAppId: '1400', groupTypes: ['Public'], customFields: [], maxGone: '5%' };
  await performRun(plan, settings as unknown as Parameters<typeof performRun>[1], ports, new AbortController().signal);
  expect(run).toMatchObject({ endedAt: expect.any(Number) });
  expect(run.stopped).toBeUndefined();
  return { run, recorded, largest, late, looked: looked.most() };
}

test('the groups known are looked through a page at a time', async () => {
  const { run, looked } = await reconcile(false);
  expect(run.counts).toMatchObject({ read: GROUPS, inStep: GROUPS });
  expect(looked).toBeLessThanOrEqual(2_000);
});

test('groups that are gone are recorded some at a time, each once', async () => {
  const { run, recorded, largest, late } = await reconcile(true);
  expect(run.counts).toMatchObject({ gone: GROUPS, destroyed: GROUPS, withheld: 0 });
  expect(recorded.map(({ subject }) => subject).sort()).toEqual(ids);
  expect(largest).toBeLessThanOrEqual(1_000);
  // What is recorded is what was held against maxGone.
  expect(late).toBe(0);
});
