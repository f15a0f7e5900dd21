import { setImmediate as turn } from 'node:timers/promises';
import { Counter, Histogram, Registry } from 'prom-client';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Clock } from '../../src/model/clock.ts';
import type { CallbackOutcome } from '../../src/model/signal.ts';
import { keepStats } from '../../src/telemetry/stats.ts';

/** The beginning of a slot of 10 s. */
const START = 1_700_000_000_000;

async function kept() {
  let now = START;
  let wake = (): void => {};
  const clock: Pick<Clock, 'now' | 'sleep'> = {
    now: () => now,
    sleep: () =>
      new Promise((resolve) => {
        wake = resolve;
      }),
  };
  const registry = new Registry();
  const registers = [registry];
  const callbacks = new Counter({
    name: 'bridge_callbacks_total',
    help: '.',
    labelNames: ['command', 'outcome'],
    registers,
  });
  const buckets = [0.001, 0.0025, 0.005, 0.01, 0.1, 1, 2, 5];
  const ack = new Histogram({ name: 'bridge_ack_seconds', help: '.', buckets, registers });
  const delivered = new Counter({ name: 'bridge_delivered_total', help: '.', labelNames: ['connector'], registers });
  const leave = new AbortController();
  onTestFinished(() => {
    leave.abort();
    wake();
  });
  const stats = keepStats(registry, clock, leave.signal);
  await turn();
  return {
    stats,
    delivered,
    /** Moves the clock, and lets a snapshot be taken. */
    async at(seconds: number) {
      now = START + seconds * 1_000;
      wake();
      await turn();
    },
    answer(ms: number, outcome: CallbackOutcome = 'recorded', times = 1) {
      callbacks.inc({ command: 'c', outcome }, times);
      for (let n = 0; n < times; n++) ack.observe(ms / 1_000);
    },
  };
}

describe('the last hour, from snapshots of the metrics', () => {
  test('each callback is counted in its bucket, by outcome, once the slot is over', async () => {
    const { stats, at, answer } = await kept();
    answer(1);
    answer(1, 'duplicate', 2);
    await at(10);
    answer(1, 'failed');
    expect(stats.hour(10)).toHaveLength(360);
    expect(stats.hour(10).at(-1)).toMatchObject({
      from: START,
      seconds: 10,
      total: 3,
      counts: { recorded: 1, duplicate: 2, failed: 0 },
    });
    await at(20);
    expect(stats.hour(10).at(-1)).toMatchObject({
      from: START + 10_000,
      total: 1,
      counts: { recorded: 0, failed: 1 },
    });
    expect(stats.hour(300).at(-1)).toMatchObject({ seconds: 300, total: 4 });
    expect(stats.hour(300)).toHaveLength(12);
  });

  test('what is older than an hour is forgotten, also when no snapshot was taken meanwhile', async () => {
    const { stats, at, answer } = await kept();
    const total = (): number => stats.hour(10).reduce((sum, bucket) => sum + bucket.total, 0);
    answer(1, 'recorded', 5);
    await at(10);
    await at(3_600);
    expect(stats.hour(10)[0]).toMatchObject({ from: START, total: 5 });
    await at(3_610);
    expect(total()).toBe(0);
    answer(1);
    await at(3_620);
    expect(total()).toBe(1);
    await at(3_620 + 86_400);
    expect(total()).toBe(0);
  });

  test('a clock that is set back loses and repeats nothing', async () => {
    const { stats, at, answer } = await kept();
    await at(100);
    answer(1);
    await at(40);
    answer(1);
    await at(110);
    expect(stats.hour(10).reduce((sum, { total }) => sum + total, 0)).toBe(2);
    expect(stats.hour(10).at(-1)).toMatchObject({ from: START + 100_000, total: 1 });
  });

  test('after a clock was set back by an hour the present is that of the last seconds', async () => {
    const { stats, at, delivered } = await kept();
    for (const seconds of [10, 20, -3_500, -3_490, -3_480, -3_470]) {
      await at(seconds);
      delivered.inc({ connector: 'a' }, 100);
    }
    const { deliveredPerSecond } = await stats.current();
    expect(deliveredPerSecond('a')).toBe(20);
  });

  test('quantiles lie within the bucket of the histogram, and within the highest one at most', async () => {
    const { stats, at, answer } = await kept();
    answer(3, 'recorded', 98);
    answer(60, 'recorded', 2);
    await at(10);
    const { p50 = 0, p99 = 0 } = stats.hour(10).at(-1) ?? {};
    expect(p50).toBeCloseTo(2.5 + 2.5 * (50 / 98));
    expect(p99).toBeCloseTo(10 + 90 / 2);
    // Only what was answered since counts.
    answer(86_400_000);
    await at(20);
    expect(stats.hour(10).at(-1)).toMatchObject({ total: 1, p50: 5_000, p99: 5_000 });
    expect(stats.hour(10)[0]).not.toHaveProperty('p50');
  });

  test('the present covers 10 to 20 seconds, deliveries included', async () => {
    const { stats, at, answer, delivered } = await kept();
    answer(1, 'recorded', 30);
    delivered.inc({ connector: 'a' }, 28);
    await at(10);
    await at(14);
    const current = await stats.current();
    expect(current).toMatchObject({ seconds: 14, total: 30 });
    expect([current.deliveredPerSecond('a'), current.deliveredPerSecond('b')]).toEqual([2, 0]);
    await at(20);
    await at(24);
    expect(await stats.current()).toMatchObject({ seconds: 14, total: 0 });
  });
});
