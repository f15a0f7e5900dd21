import { afterEach, describe, expect, test } from 'vitest';
import {
  type CopyStatus,
  type EventSink,
  type GroupSink,
  Interrupted,
  type Report,
  Revoked,
  type Sink,
  type Source,
  type Waiting,
} from '../../connectors/contract.ts';
import { compileFilter, type FilterSettings } from '../../src/delivery/filter.ts';
import { watchLanes } from '../../src/delivery/health.ts';
import { type Lane, startLane } from '../../src/delivery/lane.ts';
import { enter } from '../../src/delivery/lane-state.ts';
import { delayAfter } from '../../src/delivery/outage.ts';
import { createQuestions } from '../../src/delivery/thread/questions.ts';
import { createJournalSource } from '../../src/journal/deliveries.ts';
import { UNSEEN_COPY } from '../../src/model/copy.ts';
import { type Entry, entryOf } from '../../src/model/entry.ts';
import type { CanonicalEvent, EventId } from '../../src/model/event.ts';
import { type Fault, Unreachable } from '../../src/model/fault.ts';
import { type Group, newGroup } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { createSignals, type Signals } from '../../src/model/signal.ts';
import { madeEvent } from '../support/events.ts';

/*
 * Doubles: a journal in memory, a clock that jumps to the end of each sleep, sinks that answer what the test says.
 * The oracle is what the sink was given and what was reported as settled.
 */

const FAULT: Fault = { code: 'event-refused', message: 'no' };
const DOWN = new Unreachable({ code: 'destination-unreachable', message: 'down' });
const DELIVERED: Outcome = { kind: 'delivered', receipt: 'r' };
const DEAD: Outcome = { kind: 'dead', fault: FAULT };
const RETRY: Outcome = { kind: 'retry', fault: FAULT };

type Outcomes = ReadonlyMap<EventId, Outcome>;
type Answer = (batch: readonly CanonicalEvent[], call: number) => Outcomes | Promise<Outcomes>;

function harness(
  answer: Answer,
  options: {
    waiting?: Waiting[];
    cursor?: number;
    maxEvents?: number;
    paused?: boolean;
    filter?: FilterSettings;
    /** A sink of groups with this `read`, which answers each state as `answer` does its group's events. */
    read?: (state: Group) => Promise<CopyStatus>;
    merged?: () => number;
    source?: (journal: Source) => Source;
  } = {},
) {
  const events: CanonicalEvent[] = [];
  const given: EventId[][] = [];
  const attempts: EventId[] = [];
  const reports: Report[] = [];
  const seen: { name: string; payload: unknown }[] = [];
  const slept: number[] = [];
  let now = 1_000;
  let skew = 0;
  let opens = 0;
  let closes = 0;

  const signals = createSignals();
  signals.tap((name, payload) => seen.push({ name, payload }));
  const groups: Group[] = [];
  const brought: { groupIds: string[]; how: string }[] = [];
  const settle = async (batch: readonly CanonicalEvent[]): Promise<Outcomes> => {
    given.push(batch.map(({ id }) => id));
    const outcomes = await answer(batch, given.length);
    for (const { id } of batch) if (outcomes.get(id)?.kind === 'delivered') attempts.push(id);
    return outcomes;
  };
  const close = async () => void closes++;
  const eventSink: EventSink = {
    holds: 'events',
    deliver: (batch) => settle(batch.map(({ event }) => event)),
    close,
  };
  const groupSink: GroupSink = {
    holds: 'groups',
    async put(states, how) {
      const named = states.map(({ groupId }) => groupId);
      if (states.every(({ versions }) => Object.keys(versions).length === 0)) {
        brought.push({ groupIds: named, how });
        return new Map(named.map((groupId) => [groupId, DELIVERED]));
      }
      const ids = new Set(states.flatMap(({ versions }) => Object.values(versions).map(([, id]) => id)));
      const batch = events.filter(({ id }) => ids.has(id));
      const outcomes = await settle(batch);
      return new Map(
        batch.flatMap(({ id, subject }) => {
          const outcome = outcomes.get(id);
          return outcome === undefined ? [] : [[subject, outcome] as const];
        }),
      );
    },
    ...(options.read !== undefined && {
      read: async (states: readonly Group[]) =>
        new Map(
          await Promise.all(states.map(async (state) => [state.groupId, await options.read?.(state)] as const)),
        ) as ReadonlyMap<string, CopyStatus>,
    }),
    close,
  };
  const holdsGroups = options.read !== undefined || options.merged !== undefined;
  const sink: Sink = holdsGroups ? groupSink : eventSink;
  const read = (after: number, limit: number, upTo = events.length): Entry[] =>
    events.slice(after, Math.min(after + limit, upTo)).map((event, index) => entryOf(after + index + 1, event));
  const merged = options.merged ?? (() => events.length);
  const journal: Source = {
    ...createJournalSource('c', sink.holds, {
      reader: { head: () => events.length, merged, read, readHeads: read, isDiscarded: () => false, has: () => true },
      clock: { now: () => now, elapsed: () => now },
      post: () => {},
    }),
    settle: (report) => void reports.push(report),
  };
  const stop = new AbortController();
  let lane: Lane | undefined;
  return {
    signals,
    given,
    groups,
    brought,
    delivered: attempts,
    reports,
    seen,
    slept,
    stop,
    setClock: (ms: number) => {
      skew += ms;
    },
    opened: () => opens,
    closed: () => closes,
    append(...more: CanonicalEvent[]) {
      events.push(...more);
      lane?.wake();
    },
    start(open: () => Promise<unknown> = async () => sink) {
      lane = startLane(
        {
          connector: 'c',
          batch: { maxEvents: options.maxEvents ?? 100, maxWaitMs: 0 },
          retry: { initialMs: 100, maxMs: 1_000 },
          filter: compileFilter(options.filter ?? {}),
        },
        {
          open: () => {
            opens++;
            return open().then(() => sink);
          },
          source: options.source?.(journal) ?? journal,
          groups: {
            page: (after, limit) => groups.filter(({ groupId }) => groupId > after).slice(0, limit),
            count: () => groups.length,
            get: (wanted) => groups.find(({ groupId }) => groupId === wanted),
          },
          trace: (_connector, _batch, work) => work(),
          clock: {
            // Somebody may set it; delays are by the other.
            now: () => now + skew,
            elapsed: () => now,
            async sleep(ms, signal) {
              // A lane with nothing to do sleeps longest, and only until it is woken.
              if (ms >= 60_000) {
                await new Promise<void>((resolve) => {
                  if (signal?.aborted) resolve();
                  signal?.addEventListener('abort', () => resolve());
                });
                return;
              }
              slept.push(ms);
              now += ms;
              await new Promise((resolve) => setImmediate(resolve));
            },
          },
          signals,
          random: () => 0,
        },
        {
          paused: options.paused ?? false,
          from: { cursor: options.cursor ?? 0, waiting: options.waiting ?? [] },
        },
        stop.signal,
      );
      return lane;
    },
    cursor: () => reports.at(-1)?.upTo,
    of: <Name extends keyof Signals>(name: Name) =>
      seen.filter((one) => one.name === name).map(({ payload }) => payload as Signals[Name]),
  };
}

let running: { stop: AbortController; lane: Lane } | undefined;
afterEach(async () => {
  running?.stop.abort();
  await running?.lane.ended;
  running = undefined;
});
function run(made: ReturnType<typeof harness>, open?: () => Promise<unknown>): Lane {
  const lane = made.start(open);
  running = { stop: made.stop, lane };
  return lane;
}

const all =
  (outcome: Outcome): Answer =>
  (batch) =>
    new Map(batch.map(({ id }) => [id, outcome]));
const [A1, A2, A3, B1, C1] = [
  madeEvent(1, {}, 'A'),
  madeEvent(2, {}, 'A'),
  madeEvent(3, {}, 'A'),
  madeEvent(4, {}, 'B'),
  madeEvent(5, {}, 'C'),
];
const ids = (...events: CanonicalEvent[]): EventId[] => events.map(({ id }) => id);

describe('delivery', () => {
  test('in journal order, in batches of at most maxEvents, the cursor after them', async () => {
    const made = harness(all(DELIVERED), { maxEvents: 2 });
    made.append(A1, A2, B1, C1, A3);
    run(made);
    await expect.poll(made.cursor).toBe(5);
    expect(made.given).toEqual([ids(A1, A2), ids(B1, C1), ids(A3)]);
    expect(made.reports.map(({ upTo }) => upTo)).toEqual([2, 4, 5]);
  });

  test('goes on after the cursor it finds', async () => {
    const made = harness(all(DELIVERED), { cursor: 2 });
    made.append(A1, A2, B1);
    run(made);
    await expect.poll(made.cursor).toBe(3);
    expect(made.given).toEqual([ids(B1)]);
  });

  test('to a sink of groups only what is merged; the rest when that is', async () => {
    let merged = 2;
    const made = harness(all(DELIVERED), { merged: () => merged });
    made.append(A1, A2, B1, C1);
    const lane = run(made);
    await expect.poll(made.cursor).toBe(2);
    // One write a group, whose state names the event that stands.
    expect(made.given).toEqual([ids(A2)]);
    merged = 4;
    lane.wake();
    await expect.poll(made.cursor).toBe(4);
    expect(made.given).toEqual([ids(A2), ids(B1, C1)]);
  });

  test('a new event wakes an idle lane', async () => {
    const made = harness(all(DELIVERED));
    run(made);
    await expect.poll(() => made.of('lane.opened')).toHaveLength(1);
    made.append(A1);
    await expect.poll(made.cursor).toBe(1);
  });

  test('an event that the connector is not to have is passed over, and the cursor with it', async () => {
    const made = harness(all(DELIVERED), { filter: { groupIds: ['B'] } });
    made.append(A1, B1, A2);
    run(made);
    await expect.poll(made.cursor).toBe(3);
    expect(made.delivered).toEqual(ids(B1));
  });

  test('superseded counts as settled', async () => {
    const made = harness(all({ kind: 'superseded', receipt: 'r' }));
    made.append(A1);
    run(made);
    await expect.poll(made.cursor).toBe(1);
    expect(made.of('lane.delivered')).toMatchObject([{ delivered: 0, superseded: 1 }]);
  });
});

describe('the destination as a whole', () => {
  test('unreachable: the same events again, with growing delays, nothing charged, without an end', async () => {
    const made = harness((batch, call) => {
      if (call <= 8) throw DOWN;
      return all(DELIVERED)(batch, call);
    });
    made.append(A1, B1);
    run(made);
    await expect.poll(made.cursor).toBe(2);
    expect(made.given).toEqual(Array.from({ length: 9 }, () => ids(A1, B1)));
    // Half of 100, 200, 400 …, at most 1000: random is 0 here.
    expect(made.slept).toEqual([50, 100, 200, 400, 500, 500, 500, 500]);
    expect(made.reports).toHaveLength(1);
    expect(made.of('lane.unreachable').map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(made.of('lane.recovered')).toEqual([{ connector: 'c', downMs: 2_750 }]);
  });

  test('cannot be opened: tried again, nothing lost', async () => {
    const made = harness(all(DELIVERED));
    let tries = 0;
    made.append(A1);
    run(made, async () => {
      if (++tries < 4) throw DOWN;
      return undefined;
    });
    await expect.poll(made.cursor).toBe(1);
    expect(made.opened()).toBe(4);
    expect(made.delivered).toEqual(ids(A1));
  });

  test('an unforeseen exception of a sink loses nothing either', async () => {
    const made = harness((batch, call) => {
      if (call === 1) throw new TypeError('x is not a function');
      return all(DELIVERED)(batch, call);
    });
    made.append(A1);
    run(made);
    await expect.poll(made.cursor).toBe(1);
    expect(made.delivered).toEqual(ids(A1));
    expect(made.of('lane.unreachable')).toMatchObject([{ fault: { message: 'x is not a function' } }]);
  });

  test('overloaded for every event of the batch: the lane waits, no event is charged', async () => {
    const overloaded: Outcome = {
      kind: 'retry',
      fault: { code: 'destination-overloaded', message: '429' },
      afterMs: 700,
    };
    const made = harness((batch, call) => all(call === 1 ? overloaded : DELIVERED)(batch, call));
    made.append(A1, B1);
    run(made);
    await expect.poll(made.cursor).toBe(2);
    expect(made.slept).toEqual([700]);
    expect(made.reports.flatMap(({ waiting }) => waiting)).toEqual([]);
  });

  test('asks to be left alone for a time, and is', async () => {
    const asks = new Unreachable({ code: 'destination-overloaded', message: '429' }, undefined, 40_000);
    const made = harness((batch, call) => {
      if (call === 1) throw asks;
      return all(DELIVERED)(batch, call);
    });
    made.append(A1);
    run(made);
    await expect.poll(made.cursor).toBe(1);
    expect(made.slept).toEqual([40_000]);
  });

  test('is gone in the middle of a batch: what was settled stays so, the rest is charged nothing and comes again, in order', async () => {
    const made = harness((batch, call) => {
      if (call > 2) return all(DELIVERED)(batch, call);
      const settled = call === 1 ? [A1, B1] : [A2];
      throw new Interrupted(new Map(settled.map(({ id }) => [id, DELIVERED])), DOWN);
    });
    made.append(A1, A2, A3, B1, C1);
    run(made);
    await expect.poll(() => made.reports.flatMap(({ released }) => released)).toEqual([2, 3, 5]);
    expect(made.given).toEqual([ids(A1, A2, A3, B1, C1), ids(A2, A3, C1), ids(A3, C1)]);
    expect(made.reports[0]?.waiting.map(({ entry, attempts }) => [entry.id, attempts])).toEqual(
      ids(A2, A3, C1).map((id) => [id, 0]),
    );
    expect(made.of('lane.retry')).toEqual([]);
    // Something was delivered each time, so that each is an outage of its own.
    expect(made.of('lane.unreachable').map(({ attempt }) => attempt)).toEqual([1, 1]);
  });

  test('stopped in the middle of a batch: what was settled is reported before the lane ends', async () => {
    const made = harness(() => {
      made.stop.abort();
      throw new Interrupted(new Map([[A1.id, DELIVERED]]), made.stop.signal.reason);
    });
    made.append(A1, B1);
    await run(made).ended;
    expect(made.reports).toMatchObject([{ upTo: 2, waiting: [{ entry: { id: B1.id }, attempts: 0 }], dead: [] }]);
    expect(made.of('lane.unreachable')).toEqual([]);
  });

  test('what comes in meanwhile is delivered after it, in order', async () => {
    const made = harness((batch, call) => {
      if (call === 1) {
        made.append(A2);
        throw DOWN;
      }
      return all(DELIVERED)(batch, call);
    });
    made.append(A1);
    run(made);
    await expect.poll(made.cursor).toBe(2);
    expect(made.delivered).toEqual(ids(A1, A2));
  });
});

describe('one event', () => {
  test('that waits for its retry holds back its own group only', async () => {
    let refusals = 3;
    const made = harness(
      (batch) => new Map(batch.map(({ id }) => [id, id === A1.id && refusals-- > 0 ? RETRY : DELIVERED])),
      { maxEvents: 2 },
    );
    made.append(A1, B1, A2, C1);
    run(made);
    await expect.poll(() => made.delivered.length).toBe(4);
    expect(made.delivered).toEqual(ids(B1, C1, A1, A2));
    expect(made.of('lane.retry').map(({ attempts }) => attempts)).toEqual([1, 2, 3]);
  });

  test('that waits with many more of its group lets other groups pass, and all come in order', async () => {
    const many = Array.from({ length: 30_000 }, (_, n) => madeEvent(n + 10, {}, 'A'));
    let held = true;
    const made = harness(
      (batch) => new Map(batch.map(({ id, subject }) => [id, held && subject === 'A' ? RETRY : DELIVERED])),
      { maxEvents: 1_000 },
    );
    made.append(...many, B1);
    run(made);
    await expect.poll(() => made.delivered).toEqual(ids(B1));
    held = false;
    await expect.poll(() => made.delivered.length).toBe(many.length + 1);
    expect(made.delivered.slice(1)).toEqual(ids(...many));
  });

  test('refused for good becomes a dead letter with its reason, the next one passes', async () => {
    const made = harness(
      (batch) => new Map(batch.map(({ id }) => [id, id === A1.id ? { kind: 'dead', fault: FAULT } : DELIVERED])),
    );
    made.append(A1, A2, B1);
    run(made);
    await expect.poll(made.cursor).toBe(3);
    expect(made.delivered).toEqual(ids(A2, B1));
    expect(made.reports[0]?.dead).toMatchObject([{ entry: { seq: 1 }, attempts: 1, fault: FAULT }]);
    expect(made.of('lane.dead-letter')).toMatchObject([{ eventId: A1.id, attempts: 1, fault: FAULT }]);
  });

  test('that waits for its retry does not wait longer when the clock is set back by an hour', async () => {
    const made = harness((batch, call) => {
      if (call === 1) made.setClock(-3_600_000);
      return all(call === 1 ? RETRY : DELIVERED)(batch, call);
    });
    made.append(A1);
    run(made);
    await expect.poll(() => made.delivered).toEqual(ids(A1));
    expect(made.slept).toEqual([50]);
  });

  test('that the connector forgot to settle is tried again', async () => {
    const made = harness(
      (batch, call) => new Map(batch.filter(({ id }) => call > 1 || id !== A1.id).map(({ id }) => [id, DELIVERED])),
    );
    made.append(A1, B1);
    run(made);
    await expect.poll(() => made.delivered.length).toBe(2);
    expect(made.delivered).toEqual(ids(B1, A1));
    expect(made.of('lane.retry')).toMatchObject([{ eventId: A1.id, fault: { code: 'event-unsettled' } }]);
  });

  test('outcomes go by id, never by position', async () => {
    const made = harness(
      (batch) =>
        new Map([...batch].reverse().map(({ id }) => [id, id === B1.id ? { kind: 'dead', fault: FAULT } : DELIVERED])),
    );
    made.append(A1, B1, C1);
    run(made);
    await expect.poll(made.cursor).toBe(3);
    expect(made.reports[0]?.dead).toMatchObject([{ entry: { seq: 2 } }]);
  });

  test('that waited when the bridge stopped is tried when it starts again, before its group’s later ones', async () => {
    const waiting: Waiting[] = [
      { entry: entryOf(1, A1), attempts: 3, dueAt: 5_000, fault: FAULT },
      { entry: entryOf(2, A2), attempts: 0, dueAt: 0, fault: FAULT },
    ];
    const made = harness(all(DELIVERED), { waiting, cursor: 2 });
    made.append(A1, A2, A3, B1);
    run(made);
    await expect.poll(() => made.delivered.length).toBe(4);
    expect(made.delivered).toEqual(ids(B1, A1, A2, A3));
    expect(made.reports.flatMap(({ released }) => released).sort()).toEqual([1, 2, 3]);
  });

  test('that waited is tried with a bounded number of others: all of their contents are read at once', async () => {
    const many = Array.from({ length: 2_500 }, (_, n) => madeEvent(n + 1, {}, `g${n}`));
    const waiting = many.map((event, n) => ({ entry: entryOf(n + 1, event), attempts: 1, dueAt: 0, fault: FAULT }));
    const made = harness(all(DELIVERED), { waiting, cursor: 2_500, maxEvents: 10_000 });
    run(made);
    await expect.poll(() => made.given.map((batch) => batch.length)).toEqual([1_000, 1_000, 500]);
  });

  test('for which a whole group waited: the group is delivered in one go once it is through', async () => {
    const many = Array.from({ length: 50 }, (_, n) => madeEvent(n + 10, {}, 'A'));
    let refusals = 1;
    const made = harness(
      (batch) => new Map(batch.map(({ id }) => [id, id === A1.id && refusals-- > 0 ? RETRY : DELIVERED])),
      { maxEvents: 1 },
    );
    made.append(A1, ...many);
    run(made);
    await expect.poll(() => made.delivered.length).toBe(51);
    expect(made.delivered).toEqual(ids(A1, ...many));
  });
});

describe('what a person asks for', () => {
  test('pause: nothing more is taken, what comes in stays in the journal; resume goes on in order', async () => {
    const made = harness(all(DELIVERED));
    const lane = run(made);
    made.append(A1);
    await expect.poll(made.cursor).toBe(1);
    void lane.ask({ kind: 'pause' });
    await expect.poll(() => made.of('lane.state').at(-1)?.state.kind).toBe('paused');
    made.append(A2, B1);
    void lane.ask({ kind: 'resume' });
    await expect.poll(made.cursor).toBe(3);
    expect(made.given).toEqual([ids(A1), ids(A2, B1)]);
  });

  test('a lane that was paused starts paused and opens nothing', async () => {
    const made = harness(all(DELIVERED), { paused: true });
    made.append(A1);
    const lane = run(made);
    await expect.poll(() => made.of('lane.state').at(-1)?.state.kind).toBe('paused');
    expect(made.opened()).toBe(0);
    void lane.ask({ kind: 'resume' });
    await expect.poll(made.cursor).toBe(1);
  });

  test('replay: what lies after it comes again, in order, and rows after it are forgotten', async () => {
    let refusals = 1;
    const made = harness(
      (batch) =>
        new Map(
          batch.map(({ id }) => [id, id === B1.id && refusals-- > 0 ? { kind: 'dead', fault: FAULT } : DELIVERED]),
        ),
    );
    const lane = run(made);
    made.append(A1, B1, A2);
    await expect.poll(made.cursor).toBe(3);
    void lane.ask({ kind: 'replay', cursor: 1 });
    await expect.poll(() => made.delivered.length).toBe(4);
    expect(made.delivered).toEqual(ids(A1, A2, B1, A2));
    expect(made.reports.filter(({ rewind }) => rewind)).toMatchObject([{ upTo: 1 }]);
  });

  test('replay while the destination is down: tried at once, and nothing is skipped', async () => {
    let down = true;
    const made = harness((batch, call) => {
      if (down && call > 1) throw DOWN;
      return all(DELIVERED)(batch, call);
    });
    const lane = run(made);
    made.append(A1);
    await expect.poll(made.cursor).toBe(1);
    made.append(A2);
    await expect.poll(() => made.of('lane.unreachable').length).toBeGreaterThan(2);
    void lane.ask({ kind: 'replay', cursor: 0 });
    await expect.poll(() => made.reports.some(({ rewind }) => rewind)).toBe(true);
    down = false;
    await expect.poll(made.cursor).toBe(2);
    expect(made.delivered).toEqual(ids(A1, A1, A2));
  });

  test('resync: every group is brought, page by page, while events go on being delivered', async () => {
    const made = harness(all(DELIVERED), { read: async () => ({ status: 'in-step', where: 'here' }) });
    const groupIds = Array.from({ length: 1_200 }, (_, n) => `g${String(n).padStart(4, '0')}`);
    made.groups.push(...groupIds.map(newGroup));
    const lane = run(made);
    made.append(A1);
    await expect.poll(made.cursor).toBe(1);
    const through = lane.ask({ kind: 'resync', how: 'join' });
    made.append(A2);
    await through;
    expect(made.of('lane.resync').at(-1)).toMatchObject({ done: 1_200, total: 1_200, failed: 0, ended: true });
    expect(made.brought.flatMap(({ groupIds }) => groupIds)).toEqual(groupIds);
    await expect.poll(made.cursor).toBe(2);
    expect(made.delivered).toEqual(ids(A1, A2));
  });

  test('what was refused before a replay comes in its order, also where the destination is doubted after it', async () => {
    let refusedFrom = 6;
    const numberOf = (id: EventId): number => Number(id.replace(/\D/g, ''));
    const made = harness(
      (batch) => new Map(batch.map(({ id }) => [id, numberOf(id) >= refusedFrom ? DEAD : DELIVERED] as const)),
      { maxEvents: 5 },
    );
    made.append(...Array.from({ length: 20 }, (_, n) => madeEvent(n + 1, {}, 'A')));
    const lane = run(made);
    await expect.poll(made.cursor).toBe(20);
    made.delivered.length = 0;
    refusedFrom = 1;
    await lane.ask({ kind: 'replay', cursor: 0 });
    await expect.poll(() => made.of('lane.unreachable').length).toBeGreaterThan(0);
    refusedFrom = 100;
    await expect.poll(() => new Set(made.delivered).size).toBe(20);
    expect(made.delivered.map(numberOf)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
  });

  test('resync: one of some groups is no end of one of all, which goes on after it', async () => {
    const made = harness(all(DELIVERED), { read: async () => ({ status: 'in-step', where: '' }) });
    made.groups.push(...['a', 'b'].map(newGroup));
    const health = watchLanes({ cursor: () => 0, copy: () => UNSEEN_COPY }, made.signals);
    const ended: unknown[] = [];
    made.signals.on('lane.resync', () => health('c').restore?.ended && ended.push(health('c').restore));
    const lane = run(made);
    // As it is told when somebody asks for it.
    const begun = { done: 0, total: 2, mended: 0, failed: 0, ended: false };
    made.signals.emit('lane.resync', { connector: 'c', how: 'join', named: false, ...begun });
    void lane.ask({ kind: 'resync', how: 'join' });
    void lane.ask({ kind: 'resync', how: 'repair', groupIds: ['b'] });
    await expect.poll(() => made.of('lane.resync').filter((one) => one.ended)).toHaveLength(2);
    expect(made.brought).toEqual([
      { groupIds: ['b'], how: 'repair' },
      { groupIds: ['a', 'b'], how: 'join' },
    ]);
    expect(ended).toMatchObject([{ done: 2, total: 2 }]);
  });

  test('resync: groups that the filter leaves out are not brought', async () => {
    const made = harness(all(DELIVERED), {
      filter: { groupIds: ['public-*'] },
      read: async () => ({ status: 'in-step', where: 'here' }),
    });
    made.groups.push(...['private-1', 'public-1', 'public-2'].map(newGroup));
    const lane = run(made);
    await lane.ask({ kind: 'resync', how: 'repair' });
    await expect.poll(() => made.of('lane.resync').at(-1)).toMatchObject({ done: 2, total: 3, mended: 2, ended: true });
    expect(made.brought).toEqual([{ groupIds: ['public-1', 'public-2'], how: 'repair' }]);
  });

  test('dead letters tried again are delivered once, and leave their row', async () => {
    let refusals = 1;
    const made = harness(
      (batch) =>
        new Map(
          batch.map(({ id }) => [id, id === A1.id && refusals-- > 0 ? { kind: 'dead', fault: FAULT } : DELIVERED]),
        ),
    );
    const lane = run(made);
    made.append(A1, A2);
    await expect.poll(made.cursor).toBe(2);
    void lane.ask({ kind: 'retry', entries: [entryOf(1, A1)] });
    void lane.ask({ kind: 'retry', entries: [entryOf(1, A1)] });
    await expect.poll(() => made.reports.flatMap(({ released }) => released)).toEqual([1]);
    expect(made.delivered).toEqual(ids(A2, A1));
  });
});

describe('where a copy lies', () => {
  const HERE: CopyStatus = { status: 'in-step', where: 'here' };
  const group = newGroup('A');
  const never = new AbortController().signal;

  test('is asked between deliveries: calls on a sink never overlap, and what waits is answered in order', async () => {
    const calls: string[] = [];
    const gate = Promise.withResolvers<void>();
    const made = harness(
      async (batch, call) => {
        calls.push('deliver');
        if (call === 1) await gate.promise;
        calls.push('delivered');
        return all(DELIVERED)(batch, call);
      },
      {
        async read({ groupId }) {
          calls.push(`read ${groupId}`);
          await new Promise((resolve) => setImmediate(resolve));
          calls.push(`have read ${groupId}`);
          return HERE;
        },
      },
    );
    const lane = run(made);
    made.append(A1);
    await expect.poll(() => calls).toEqual(['deliver']);
    const answers = [lane.readBack(group, never), lane.readBack(newGroup('B'), never)];
    made.append(A2);
    gate.resolve();
    expect(await Promise.all(answers)).toEqual([{ copy: HERE }, { copy: HERE }]);
    await expect.poll(made.cursor).toBe(2);
    const asked = ['read A', 'have read A', 'read B', 'have read B'];
    expect(calls).toEqual(['deliver', 'delivered', ...asked, 'deliver', 'delivered']);
    // An idle lane answers, too.
    expect(await lane.readBack(group, never)).toEqual({ copy: HERE });
  });

  test('a lane that backs off answers at once with its fault, and rests on', async () => {
    const fault: Fault = { code: 'destination-overloaded', message: '429' };
    const made = harness(
      (batch, call) => all(call === 1 ? { kind: 'retry', fault, afterMs: 70_000 } : DELIVERED)(batch, call),
      { read: async () => HERE },
    );
    const lane = run(made);
    made.append(A1);
    await expect.poll(() => made.of('lane.unreachable')).toHaveLength(1);
    for (let n = 0; n < 3; n++) expect(await lane.readBack(group, never)).toEqual({ fault });
    expect(made.given).toHaveLength(1);
    // Asked for by a person, its rest ends.
    void lane.ask({ kind: 'resume' });
    await expect.poll(made.cursor).toBe(1);
    expect(await lane.readBack(group, never)).toEqual({ copy: HERE });
    expect(made.given).toHaveLength(2);
  });

  test('what waits when the destination fails is answered with its fault', async () => {
    const gate = Promise.withResolvers<void>();
    const made = harness(
      async (batch, call) => {
        if (call > 1) return all(DELIVERED)(batch, call);
        await gate.promise;
        throw DOWN;
      },
      { read: async () => HERE },
    );
    const lane = run(made);
    made.append(A1);
    await expect.poll(() => made.given).toHaveLength(1);
    const answer = lane.readBack(group, never);
    gate.resolve();
    expect(await answer).toEqual({ fault: DOWN.fault });
    await expect.poll(made.cursor).toBe(1);
  });

  test('a paused lane asks the sink it has; one that has none opens none', async () => {
    const made = harness(all(DELIVERED), { read: async () => HERE });
    const lane = run(made);
    await expect.poll(() => made.of('lane.opened')).toHaveLength(1);
    void lane.ask({ kind: 'pause' });
    await expect.poll(() => made.of('lane.state').at(-1)?.state.kind).toBe('paused');
    expect(await lane.readBack(group, never)).toEqual({ copy: HERE });

    const other = harness(all(DELIVERED), { paused: true, read: async () => HERE });
    const unopened = other.start();
    expect(await unopened.readBack(group, never)).toMatchObject({
      fault: { code: 'copy-unknown', suggestion: expect.stringMatching(/resume/) },
    });
    expect(other.opened()).toBe(0);
    other.stop.abort();
    await unopened.ended;
  });

  test('whatever a sink throws concerns the question only', async () => {
    const made = harness(all(DELIVERED), {
      read: async ({ groupId }) => {
        if (groupId === 'A') throw DOWN;
        throw new TypeError('x is not a function');
      },
    });
    const lane = run(made);
    expect(await lane.readBack(group, never)).toEqual({ fault: DOWN.fault });
    expect(await lane.readBack(newGroup('B'), never)).toEqual({
      fault: { code: 'copy-unknown', message: 'x is not a function' },
    });
    expect(await lane.readBack(group, AbortSignal.abort())).toMatchObject({
      fault: { message: expect.stringMatching(/in time/) },
    });
    made.append(A1);
    await expect.poll(made.cursor).toBe(1);
    expect(made.of('lane.unreachable')).toEqual([]);
  });

  test('a lane that ends leaves no question open', async () => {
    const gate = Promise.withResolvers<void>();
    const made = harness(
      async (batch, call) => {
        await gate.promise;
        return all(DELIVERED)(batch, call);
      },
      { read: async () => HERE },
    );
    const lane = run(made);
    made.append(A1);
    await expect.poll(() => made.given).toHaveLength(1);
    const answer = lane.readBack(group, never);
    made.stop.abort();
    gate.resolve();
    await lane.ended;
    expect(await answer).toMatchObject({ fault: { code: 'copy-unknown' } });
    expect(await lane.readBack(group, never)).toMatchObject({ fault: { code: 'copy-unknown' } });
  });
});

describe('a question to the delivery thread is always answered', () => {
  const never = new AbortController().signal;

  test('by its answer, the time-out, its signal or the loss of the thread', async () => {
    const posted: [string, number][] = [];
    const questions = createQuestions((question: string, id) => posted.push([question, id]));
    const answered = questions.ask('A', never);
    const late = questions.ask('B', AbortSignal.timeout(20));
    expect(posted).toEqual([
      ['A', 1],
      ['B', 2],
    ]);
    const copy: CopyStatus = { status: 'in-step', where: 'here' };
    questions.answered(1, { copy });
    expect(await answered).toEqual({ copy });
    expect(await late).toMatchObject({ fault: { message: expect.stringMatching(/in time/) } });
    questions.answered(2, { copy });

    const given = new AbortController();
    const [dropped, lost] = [questions.ask('A', given.signal), questions.ask('A', never)];
    given.abort();
    expect(await dropped).toMatchObject({ fault: { code: 'copy-unknown' } });
    questions.lost(FAULT);
    expect(await lost).toEqual({ fault: FAULT });
    expect(await questions.ask('A', given.signal)).toMatchObject({ fault: { code: 'copy-unknown' } });
  });
});

describe('a source that is shared', () => {
  /** A journal whose entries can be taken away, and whose offsets the test may refuse to commit. */
  function shared() {
    let lease = new AbortController();
    let revoked = false;
    let refusals = 0;
    return {
      source: (journal: Source): Source => ({
        ...journal,
        alive() {
          if (!revoked) return;
          revoked = false;
          lease = new AbortController();
          throw new Revoked('another has the partition');
        },
        lease: () => lease.signal,
        settle(report) {
          if (refusals-- > 0) throw DOWN;
          return journal.settle(report);
        },
      }),
      revoke() {
        revoked = true;
        lease.abort(new Error('another has the partition'));
      },
      /** The members are asked to let go of what they have; work may come to its end. */
      recall() {
        revoked = true;
      },
      refuse(times: number) {
        refusals = times;
      },
    };
  }

  test('a lane that is interrupted at work does not rest before it has looked: others wait for it', async () => {
    const own = shared();
    const made = harness(
      (batch, call) => {
        if (call > 1) return all(DELIVERED)(batch, call);
        own.recall();
        lane.interrupt();
        throw DOWN;
      },
      { source: own.source },
    );
    made.append(A1);
    const lane = run(made);
    await expect.poll(() => made.delivered).toEqual(ids(A1));
    expect(made.slept).toEqual([]);
  });

  test('what waits is forgotten when it is revoked, and a delivery under way is aborted without an outage', async () => {
    const own = shared();
    const gate = Promise.withResolvers<void>();
    const made = harness(
      async (batch, call) => {
        if (call === 1) return all(RETRY)(batch, call);
        if (call === 2) {
          own.revoke();
          await gate.promise;
          throw new Error('aborted');
        }
        return all(DELIVERED)(batch, call);
      },
      { source: own.source },
    );
    made.append(A1);
    const lane = run(made);
    await expect.poll(() => made.given.length).toBe(2);
    gate.resolve();
    lane.interrupt();
    made.append(B1);
    await expect.poll(() => made.delivered).toEqual(ids(B1));
    expect(made.of('lane.unreachable')).toEqual([]);
  });

  test('a report that it does not take comes again, and nothing is delivered twice', async () => {
    const own = shared();
    own.refuse(3);
    const made = harness(all(DELIVERED), { source: own.source });
    made.append(A1, B1);
    run(made);
    await expect.poll(made.cursor).toBe(2);
    expect(made.given).toEqual([ids(A1, B1)]);
    expect(made.of('lane.unreachable').map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(made.of('lane.recovered')).toHaveLength(1);
  });

  test('that cannot be had is waited for as the destination is, and counts its own failures', async () => {
    let down = 3;
    const made = harness(all(DELIVERED), {
      source: (journal) => ({
        ...journal,
        next(...args) {
          if (down-- > 0) throw DOWN;
          return journal.next(...args);
        },
      }),
    });
    made.append(A1);
    run(made);
    await expect.poll(made.cursor).toBe(1);
    expect(made.slept).toEqual([50, 100, 200]);
    expect(made.of('lane.state').map(({ state }) => state.kind)).toEqual([
      ...['connecting', 'running', 'waiting', 'waiting', 'waiting', 'running'],
    ]);
  });
});

test('a state that no lane may enter from another is refused', () => {
  expect(() => enter({ kind: 'ended' }, { kind: 'running' })).toThrow(/a lane that is ended cannot become running/);
  expect(() => enter({ kind: 'running' }, { kind: 'connecting' })).toThrow();
});

describe('the end', () => {
  test('drain: what is there is delivered, then the sink is closed', async () => {
    const made = harness(all(DELIVERED), { maxEvents: 1 });
    made.append(A1, A2, B1);
    const lane = run(made);
    lane.drain();
    await lane.ended;
    expect(made.delivered).toEqual(ids(A1, A2, B1));
    expect(made.closed()).toBe(1);
  });

  test('drain: a lane whose destination is down does not wait for it', async () => {
    const made = harness(() => {
      throw DOWN;
    });
    made.append(A1);
    const lane = run(made);
    await expect.poll(() => made.given.length).toBeGreaterThan(2);
    lane.drain();
    await lane.ended;
    expect(made.reports).toEqual([]);
  });

  test('stop: an idle lane ends at once', async () => {
    const made = harness(all(DELIVERED));
    const lane = run(made);
    await expect.poll(() => made.of('lane.opened')).toHaveLength(1);
    made.stop.abort();
    await lane.ended;
    expect(made.closed()).toBe(1);
  });
});

test('delays grow from initialMs to maxMs, half of each is random', () => {
  const settings = { initialMs: 200, maxMs: 30_000 };
  const low = [1, 2, 3, 9, 10_000].map((attempt) => delayAfter(attempt, settings, () => 0));
  const high = [1, 2, 3, 9, 10_000].map((attempt) => delayAfter(attempt, settings, () => 0.999_999));
  expect(low).toEqual([100, 200, 400, 15_000, 15_000]);
  expect(high).toEqual([200, 400, 800, 30_000, 30_000]);
});
