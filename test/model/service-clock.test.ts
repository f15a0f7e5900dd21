import { describe, expect, test } from 'vitest';
import { createServiceClock, MAX_SKEW_MS } from '../../src/model/service-clock.ts';

/** A clock of this machine that the test moves. */
function at(now: number) {
  const machine = { time: now, passed: 0 };
  const told: number[] = [];
  const ports = { now: () => machine.time, elapsed: () => machine.passed };
  const clock = createServiceClock(ports, (skewMs) => told.push(skewMs));
  const pass = (ms: number): void => {
    machine.time += ms;
    machine.passed += ms;
  };
  return { clock, pass, told };
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

  describe('where this machine is an hour slow', () => {
    const HOUR = 3_600_000;
    /** Callbacks of `groups` groups, each so far ahead of its receipt. */
    const hearAll = (clock: ReturnType<typeof createServiceClock>, distances: readonly number[], groups = 8): void =>
      distances.forEach((distance, n) => {
        clock.hear(`g${n % groups}`, distance);
      });
    const late = (n: number): number => -100 - (n % 7) * 200;
    const hour = Array.from({ length: 16 }, (_, n) => HOUR + late(n));

    test('the callbacks say so together, and are believed; it is told once, and so is its end', () => {
      const { clock, told } = at(1_000_000);
      hearAll(clock, hour.slice(0, 15));
      expect(clock.now()).toBe(1_000_000);
      hearAll(clock, [...hour, ...hour]);
      expect(Math.abs(clock.now() - 1_000_000 - HOUR)).toBeLessThan(2_000);
      expect(told).toEqual([clock.disagreement()]);
      hearAll(
        clock,
        Array.from({ length: 32 }, (_, n) => late(n)),
      );
      expect(clock.now()).toBe(1_000_000);
      expect(told.slice(1)).toEqual([0]);
    });

    test('one group, or some of the callbacks, are not enough: anybody may have sent them', () => {
      const { clock, told } = at(1_000_000);
      hearAll(clock, [...hour, ...hour, ...hour], 3);
      expect(clock.now()).toBe(1_000_000);
      expect(told).toEqual([]);
      const { clock: mixed } = at(1_000_000);
      hearAll(
        mixed,
        Array.from({ length: 200 }, (_, n) => (n % 5 === 0 ? late(n) : HOUR)),
      );
      expect(mixed.now()).toBe(1_000_000);
    });

    test('then an answer of that time is heeded, to the second', () => {
      const { clock } = at(1_000_000_000);
      clock.observe(1_000_000_000 + HOUR);
      expect(clock.now()).toBe(1_000_000_000);
      expect(clock.disagreement()).toBe(HOUR);
      hearAll(clock, hour);
      clock.observe(1_000_000_000 + HOUR + 300);
      expect(clock.now()).toBe(1_000_000_000 + HOUR + 300);
    });

    test('a signed time is heeded at once', () => {
      const { clock } = at(1_000_000_000);
      clock.observe(1_000_000_000 + HOUR, true);
      expect(clock.now()).toBe(1_000_000_000 + HOUR);
    });
  });

  test('callbacks that all come late are told of and change nothing: none of them proves that this clock is fast', () => {
    const { clock, told } = at(1_000_000_000);
    for (let n = 0; n < 16; n++) clock.hear(`g${n}`, -7_200_000);
    expect(clock.now()).toBe(1_000_000_000);
    expect(told).toEqual([-7_200_000]);
    for (let n = 0; n < 32; n++) clock.hear(`g${n}`, -1_000 * 86_400_000);
    expect(told).toEqual([-7_200_000, 0]);
    for (let n = 0; n < 32; n++) clock.hear(`g${n}`, -7_200_000);
    clock.observe(1_000_000_000 - 7_199_000);
    expect(clock.now()).toBe(1_000_000_000 - 7_199_000);
  });
});
