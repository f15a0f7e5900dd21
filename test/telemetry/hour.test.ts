import { describe, expect, test } from 'vitest';
import type { Clock } from '../../src/model/clock.ts';
import { type CallbackOutcome, createSignals } from '../../src/model/signal.ts';
import { watchHour } from '../../src/telemetry/hour.ts';

/** 10 s slots; a time that is the begin of one. */
const START = 1_700_000_000_000;

function watched() {
  let now = START;
  const clock: Clock = { now: () => now, sleep: async () => {} };
  const signals = createSignals();
  const hour = watchHour(signals, clock);
  return {
    hour,
    at: (seconds: number) => {
      now = START + seconds * 1000;
    },
    answer: (ms: number, outcome: CallbackOutcome = 'recorded', times = 1) => {
      for (let n = 0; n < times; n++) signals.emit('callback.answered', { command: 'c', outcome, ms });
    },
  };
}

describe('the last hour of callbacks', () => {
  test('each callback is counted in its stretch, by outcome, once the slot is over', () => {
    const { hour, at, answer } = watched();
    answer(1);
    answer(1, 'duplicate', 2);
    at(10);
    answer(1, 'failed');
    expect(hour.stretches(10)).toHaveLength(360);
    expect(hour.stretches(10).at(-1)).toMatchObject({
      from: START,
      seconds: 10,
      total: 3,
      counts: { recorded: 1, duplicate: 2, failed: 0 },
    });
    at(25);
    expect(hour.stretches(10).at(-1)).toMatchObject({
      from: START + 10_000,
      total: 1,
      counts: { recorded: 0, failed: 1 },
    });
    expect(hour.stretches(300).at(-1)).toMatchObject({ seconds: 300, total: 4 });
    expect(hour.stretches(300)).toHaveLength(12);
  });

  test('what is older than an hour is forgotten, also when nothing came meanwhile', () => {
    const { hour, at, answer } = watched();
    answer(1, 'recorded', 5);
    at(3_600);
    expect(hour.stretches(10)[0]).toMatchObject({ from: START, total: 5 });
    at(3_610);
    expect(hour.stretches(10).reduce((sum, { total }) => sum + total, 0)).toBe(0);
    answer(1);
    at(3_610 + 86_400);
    expect(hour.stretches(10).reduce((sum, { total }) => sum + total, 0)).toBe(0);
    answer(1);
    expect(hour.lately().total).toBe(1);
  });

  test('a clock that is set back loses and repeats nothing', () => {
    const { hour, at, answer } = watched();
    at(100);
    answer(1);
    at(40);
    answer(1);
    at(110);
    expect(hour.stretches(10).reduce((sum, { total }) => sum + total, 0)).toBe(2);
  });

  test.each([0.07, 0.4, 3, 48, 900, 1_999, 7_000])('quantiles of %d ms are right to within a tenth', (ms) => {
    const { hour, at, answer } = watched();
    answer(ms, 'recorded', 99);
    answer(ms * 20, 'recorded', 1);
    at(10);
    const { p50 = 0, p99 = 0 } = hour.stretches(10).at(-1) ?? {};
    expect(Math.abs(p50 / ms - 1)).toBeLessThan(0.1);
    expect(Math.abs(p99 / ms - 1)).toBeLessThan(0.1);
    at(20);
    answer(ms, 'recorded', 98);
    answer(ms * 1.5, 'recorded', 2);
    at(30);
    const slower = hour.stretches(10).at(-1)?.p99 ?? 0;
    expect(Math.abs(slower / (ms * 1.5) - 1)).toBeLessThan(0.1);
  });

  test('whatever time an answer took is counted: zero, not a number, days', () => {
    const { hour, at, answer } = watched();
    for (const ms of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 86_400_000]) answer(ms);
    at(10);
    expect(hour.stretches(10).at(-1)).toMatchObject({ total: 5 });
    expect(hour.stretches(10)[0]).not.toHaveProperty('p50');
  });

  test('the present covers 10 to 20 seconds', () => {
    const { hour, at, answer } = watched();
    answer(1, 'recorded', 30);
    at(14);
    expect(hour.lately()).toMatchObject({ seconds: 14, total: 30 });
    at(24);
    expect(hour.lately()).toMatchObject({ seconds: 14, total: 0 });
  });
});
