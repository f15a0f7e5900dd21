import { expect, test } from 'vitest';
import type { ReconcileRun } from '../../src/model/reconcile-run.ts';
import { newCounts } from '../../src/reconcile/run.ts';
import { waitBefore } from '../../src/reconcile/schedule.ts';

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
