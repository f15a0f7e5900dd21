import { expect, test } from 'vitest';
import { trendOf } from '../../bench/trend.ts';

/** The lag of a lane that takes all there is once in `period` ms, while it falls behind by `growth` a second. */
function lag(rate: number, period: number, growth: number, from: number, ms: number) {
  return Array.from({ length: Math.floor(ms / 250) }, (_, index) => {
    const at = from + index * 250;
    return { at, value: (rate * (at % period)) / 1_000 + (growth * at) / 1_000 };
  });
}

test('a steady saw has no trend, wherever in a tooth it is cut', () => {
  for (let from = 0; from < 1_300; from += 70) {
    expect(Math.abs(trendOf(lag(10_000, 1_300, 0, from, 9_000)).perSecond)).toBeLessThan(500);
  }
});

test('a saw that rises has the trend of its rise', () => {
  for (let from = 0; from < 1_300; from += 70) {
    const trend = trendOf(lag(10_000, 1_300, 1_500, from, 9_000)).perSecond;
    expect(trend).toBeGreaterThan(1_000);
    expect(trend).toBeLessThan(2_000);
  }
});

test('of a single sample nothing is said', () => {
  expect(trendOf([{ at: 5, value: 100 }]).perSecond).toBe(0);
});
