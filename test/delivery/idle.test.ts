import { describe, expect, test } from 'vitest';
import type { GroupSink, Sink, Source } from '../../connectors/contract.ts';
import type { UpkeepSettings } from '../../src/delivery/upkeep.ts';
import { Unreachable } from '../../src/model/fault.ts';
import { createSignals, type LaneState } from '../../src/model/signal.ts';
import { jumpingClock } from '../support/clock.ts';
import { startWatchedLane } from '../support/lane.ts';

/*
 * A lane that has nothing to deliver, looks after its copy, and must leave the thread to the others. Its clock jumps to the
 * end of each sleep, and ends the lane after some; one that never sleeps is ended after many looks at its source.
 */

const DOWN = new Unreachable({ code: 'destination-unreachable', message: 'the coordinator is loading' });
const HOUR = 3_600_000;
const VERIFY = { every: HOUR, groupsPerSecond: 500, mend: true };
const SLEEPS = 30;
const MOST_LOOKS = 2_000;

const group = (more: Partial<GroupSink>): GroupSink => ({
  holds: 'groups',
  put: async () => new Map(),
  close: async () => {},
  ...more,
});

function start(sink: Sink, verify: UpkeepSettings['verify'], source: Partial<Source> = {}) {
  const stop = new AbortController();
  const states: LaneState['kind'][] = [];
  let looks = 0;
  const signals = createSignals();
  const verified: number[] = [];
  const notes: string[] = [];
  signals.on('copy.state', ({ copy }) => void verified.push(...(copy.verifiedAt ? [copy.verifiedAt] : [])));
  signals.on('lane.state', ({ state }) => void states.push(state.kind));
  const clock = jumpingClock((_, sleeps) => sleeps === SLEEPS && stop.abort());
  const looked: Source = {
    available: () => 0,
    next() {
      if (++looks >= MOST_LOOKS) stop.abort();
      return [];
    },
    settle: () => {},
    ...source,
  };
  const lane = startWatchedLane(
    { sink, verify, source: looked, clock, signals, note: notes.push.bind(notes) },
    stop.signal,
  );
  return { lane, states, verified, notes, slept: clock.slept, looks: () => looks };
}

describe('a lane with nothing to deliver', () => {
  test('whose comparison met a destination that could not be had goes on when that can be had', async () => {
    let scans = 0;
    const sink = group({
      async scan() {
        if (++scans === 1) throw DOWN;
      },
      identify: async () => ({ identity: 'one' }),
    });
    const made = start(sink, VERIFY);
    await made.lane.ended;
    expect(made.states).toEqual(['connecting', 'running', 'waiting', 'running', 'ended']);
    expect(scans).toBe(2);
    // One look for each sleep, the first and the one that broke off besides.
    expect(made.looks()).toBeLessThanOrEqual(made.slept.length + 2);
  });

  test('and reads all that lies there asks once a second how far that is, however fast groups may be compared', async () => {
    const sink = group({ scan: () => new Promise(() => {}), identify: async () => ({ identity: 'one' }) });
    const made = start(sink, { every: HOUR, groupsPerSecond: 100_000, mend: true });
    await made.lane.ended;
    expect(Math.min(...made.slept.slice(1))).toBeGreaterThanOrEqual(500);
  });

  test('whose destination could not be identified goes on when it can', async () => {
    let asked = 0;
    const sink = group({
      async identify() {
        if (++asked === 2) throw DOWN;
        return { identity: 'one' };
      },
    });
    const made = start(sink, false);
    await made.lane.ended;
    expect(made.states).toEqual(['connecting', 'running', 'waiting', 'running', 'ended']);
    expect(made.looks()).toBeLessThanOrEqual(made.slept.length + 2);
  });

  test('and cannot identify its destination rests between two looks', async () => {
    const made = start({ holds: 'events', deliver: async () => new Map(), close: async () => {} }, false);
    await made.lane.ended;
    expect(Math.min(...made.slept.slice(1))).toBeGreaterThan(1_000);
  });

  test('and whose sink can tell nothing of what lies there is not called verified, which is said once', async () => {
    const blind = group({});
    const made = start(blind, VERIFY);
    await made.lane.ended;
    expect([made.verified, made.notes]).toEqual([[], [expect.stringContaining('verifiable: false')]]);
    const identified = start(group({ identify: async () => ({ identity: 'one' }) }), VERIFY);
    await identified.lane.ended;
    expect([identified.verified.length > 0, identified.notes]).toEqual([true, []]);
  });
});

test('a report that the source does not take is not told again at once, whatever the lane is asked for meanwhile', async () => {
  let tries = 0;
  const made = start(group({}), false, {
    settle() {
      if (++tries < 4) throw DOWN;
    },
  });
  await Promise.all([made.lane.ask({ kind: 'replay', cursor: -1 }), made.lane.ask({ kind: 'pause' })]);
  expect(tries).toBe(4);
  expect(made.slept.filter((ms) => ms > 0).length).toBeGreaterThanOrEqual(3);
});
