import { describe, expect, test } from 'vitest';
import { createServiceClock, MAX_SKEW_MS } from '../../src/model/service-clock.ts';

/** A clock of this machine that the test moves. */
function at(now: number) {
  const machine = { time: now, passed: 0 };
  const clock = createServiceClock({ now: () => machine.time, elapsed: () => machine.passed });
  const pass = (ms: number): void => {
    machine.time += ms;
    machine.passed += ms;
  };
  return { clock, pass };
}

describe('the clock of the service', () => {
  test('is this machine’s until the service has said its time', () => {
    expect(at(1_000_000).clock.now()).toBe(1_000_000);
  });

  test('what the service says arrives late, never early: the highest of some minutes counts', () => {
    const { clock, pass } = at(1_000_000);
    clock.observe(1_040_000);
    pass(1_000);
    clock.observe(1_039_000);
    expect(clock.now()).toBe(1_041_000);
  });

  test('it follows a clock that was put right, after some minutes', () => {
    const { clock, pass } = at(1_000_000);
    clock.observe(1_040_000);
    for (let n = 0; n < 12; n++) {
      pass(60_000);
      clock.observe(1_000_000 + (n + 1) * 60_000);
    }
    expect(clock.now()).toBe(1_720_000);
  });

  test('a time that cannot be right is not heeded', () => {
    const { clock } = at(1_000_000_000);
    for (const time of [0, Number.NaN, 1_000_000_000 + MAX_SKEW_MS + 1, 1_000_000_000 - MAX_SKEW_MS - 1])
      clock.observe(time);
    expect(clock.now()).toBe(1_000_000_000);
  });
});
