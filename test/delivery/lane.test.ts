import { afterEach, describe, expect, test } from 'vitest';
import type { Located, Sink } from '../../connectors/contract.ts';
import { createInquiries, type Inquiry } from '../../src/delivery/inquiries.ts';
import { type Lane, startLane } from '../../src/delivery/lane.ts';
import { delayAfter } from '../../src/delivery/schedule.ts';
import { createLookUps } from '../../src/delivery/whereabouts.ts';
import type { DeliveryReader, JournalEntry, Settlement, Waiting } from '../../src/journal/deliveries.ts';
import type { CanonicalEvent, EventId } from '../../src/model/event.ts';
import { type Fault, Unreachable } from '../../src/model/fault.ts';
import { type Group, newGroup } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { createSignals, type Signals } from '../../src/model/signal.ts';
import { madeEvent } from '../support/events.ts';

/*
 * Doubles: a journal in memory, a clock that jumps to the end of each sleep, a sink that answers what the test says.
 * The oracle is what the sink was given and what was settled.
 */

const FAULT: Fault = { code: 'event-refused', message: 'no' };
const DOWN = new Unreachable({ code: 'destination-unreachable', message: 'down' });
const DELIVERED: Outcome = { kind: 'delivered', receipt: 'r' };
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
    wants?: (event: CanonicalEvent) => boolean;
    locate?: NonNullable<Sink['locate']>;
    merged?: () => number;
  } = {},
) {
  const events: CanonicalEvent[] = [];
  const rows = new Map<number, Waiting>(options.waiting?.map((entry) => [entry.seq, entry]));
  const given: EventId[][] = [];
  const attempts: EventId[] = [];
  const settlements: Settlement[] = [];
  const seen: { name: string; payload: unknown }[] = [];
  const slept: number[] = [];
  let now = 1_000;
  let opens = 0;
  let closes = 0;

  const signals = createSignals();
  signals.tap((name, payload) => seen.push({ name, payload }));
  const groups: Group[] = [];
  const restored: string[][] = [];
  const sink: Sink = {
    merged: options.merged !== undefined,
    async restore(some) {
      restored.push(some.map(({ groupId }) => groupId));
      return new Map(some.map(({ groupId }) => [groupId, DELIVERED]));
    },
    async deliver(batch) {
      given.push(batch.map(({ id }) => id));
      const outcomes = await answer(batch, given.length);
      for (const { id } of batch) if (outcomes.get(id)?.kind === 'delivered') attempts.push(id);
      return outcomes;
    },
    async check() {},
    ...(options.locate !== undefined && { locate: options.locate }),
    async close() {
      closes++;
    },
  };
  const read = (after: number, limit: number, upTo = events.length) =>
    events
      .slice(after, Math.min(after + limit, upTo))
      .map((event, index): JournalEntry => ({ seq: after + index + 1, event }));
  const journal: DeliveryReader = {
    head: () => events.length,
    merged: options.merged ?? (() => 0),
    cursor: () => options.cursor ?? 0,
    read,
    readHeads: read,
    waiting: () => [...rows.values()],
    paused: () => false,
    countWaiting: () => 0,
    countDeadLetters: () => 0,
    deadLetters: () => [],
    deadLetter: () => undefined,
    deadLetterSeqs: () => [],
    openDelivery: () => undefined,
    countQuarantined: () => 0,
    quarantined: () => [],
    seqAt: () => 1,
  };
  const stop = new AbortController();
  let lane: Lane | undefined;
  return {
    given,
    groups,
    restored,
    delivered: attempts,
    settlements,
    seen,
    slept,
    stop,
    opened: () => opens,
    closed: () => closes,
    append(...more: CanonicalEvent[]) {
      events.push(...more);
      lane?.wake();
    },
    start(open: () => Promise<Sink> = async () => sink) {
      lane = startLane(
        {
          connector: 'c',
          batch: { maxEvents: options.maxEvents ?? 100, maxWaitMs: 0 },
          retry: { initialMs: 100, maxMs: 1_000 },
          paused: options.paused ?? false,
          wants: options.wants ?? (() => true),
        },
        {
          open: () => {
            opens++;
            return open().then(() => sink);
          },
          journal,
          groups: {
            page: (after, limit) => groups.filter(({ groupId }) => groupId > after).slice(0, limit),
            count: () => groups.length,
            get: (wanted) => groups.find(({ groupId }) => groupId === wanted),
          },
          settle: (settlement) => settlements.push(settlement),
          clock: {
            now: () => now,
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
        stop.signal,
      );
      return lane;
    },
    cursor: () => settlements.at(-1)?.cursor,
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
function run(made: ReturnType<typeof harness>, open?: () => Promise<Sink>): Lane {
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
  test('in journal order, in batches of at most maxEvents, the cursor behind them', async () => {
    const made = harness(all(DELIVERED), { maxEvents: 2 });
    made.append(A1, A2, B1, C1, A3);
    run(made);
    await expect.poll(made.cursor).toBe(5);
    expect(made.given).toEqual([ids(A1, A2), ids(B1, C1), ids(A3)]);
    expect(made.settlements.map(({ cursor }) => cursor)).toEqual([2, 4, 5]);
  });

  test('goes on behind the cursor it finds', async () => {
    const made = harness(all(DELIVERED), { cursor: 2 });
    made.append(A1, A2, B1);
    run(made);
    await expect.poll(made.cursor).toBe(3);
    expect(made.given).toEqual([ids(B1)]);
  });

  test('to a sink that asks for merged groups only what is merged; the rest when that is', async () => {
    let merged = 2;
    const made = harness(all(DELIVERED), { merged: () => merged });
    made.append(A1, A2, B1, C1);
    const lane = run(made);
    await expect.poll(made.cursor).toBe(2);
    expect(made.given).toEqual([ids(A1, A2)]);
    merged = 4;
    lane.wake();
    await expect.poll(made.cursor).toBe(4);
    expect(made.given).toEqual([ids(A1, A2), ids(B1, C1)]);
  });

  test('a new event wakes an idle lane', async () => {
    const made = harness(all(DELIVERED));
    run(made);
    await expect.poll(() => made.of('lane.opened')).toHaveLength(1);
    made.append(A1);
    await expect.poll(made.cursor).toBe(1);
  });

  test('an event that the connector is not to have is passed over, and the cursor with it', async () => {
    const made = harness(all(DELIVERED), { wants: ({ subject }) => subject === 'B' });
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
    expect(made.settlements).toHaveLength(1);
    expect(made.of('lane.unreachable').map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(made.of('lane.recovered')).toEqual([{ connector: 'c', downMs: 2_750 }]);
  });

  test('cannot be opened: tried again, nothing lost', async () => {
    const made = harness(all(DELIVERED));
    let tries = 0;
    made.append(A1);
    run(made, async () => {
      if (++tries < 4) throw DOWN;
      return {} as Sink;
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
    expect(made.settlements.flatMap(({ waiting }) => waiting)).toEqual([]);
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

  test('refused for good becomes a dead letter with its reason, the next one passes', async () => {
    const made = harness(
      (batch) => new Map(batch.map(({ id }) => [id, id === A1.id ? { kind: 'dead', fault: FAULT } : DELIVERED])),
    );
    made.append(A1, A2, B1);
    run(made);
    await expect.poll(made.cursor).toBe(3);
    expect(made.delivered).toEqual(ids(A2, B1));
    expect(made.settlements[0]?.dead).toEqual([{ seq: 1, attempts: 1, fault: FAULT }]);
    expect(made.of('lane.dead-letter')).toMatchObject([{ eventId: A1.id, attempts: 1, fault: FAULT }]);
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
    expect(made.settlements[0]?.dead).toMatchObject([{ seq: 2 }]);
  });

  test('that waited when the bridge stopped is tried when it starts again, before its group’s later ones', async () => {
    const waiting: Waiting[] = [
      { seq: 1, event: A1, attempts: 3, dueAt: 5_000, fault: FAULT },
      { seq: 2, event: A2, attempts: 0, dueAt: 0, fault: FAULT },
    ];
    const made = harness(all(DELIVERED), { waiting, cursor: 2 });
    made.append(A1, A2, A3, B1);
    run(made);
    await expect.poll(() => made.delivered.length).toBe(4);
    expect(made.delivered).toEqual(ids(B1, A1, A2, A3));
    expect(made.settlements.flatMap(({ released }) => released).sort()).toEqual([1, 2, 3]);
  });

  test('behind which a whole group waited: the group is delivered in one go once it is through', async () => {
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
    lane.pause();
    await expect.poll(() => made.of('lane.state').at(-1)?.state.kind).toBe('paused');
    made.append(A2, B1);
    lane.resume();
    await expect.poll(made.cursor).toBe(3);
    expect(made.given).toEqual([ids(A1), ids(A2, B1)]);
  });

  test('a lane that was paused starts paused and opens nothing', async () => {
    const made = harness(all(DELIVERED), { paused: true });
    made.append(A1);
    const lane = run(made);
    await expect.poll(() => made.of('lane.state').at(-1)?.state.kind).toBe('paused');
    expect(made.opened()).toBe(0);
    lane.resume();
    await expect.poll(made.cursor).toBe(1);
  });

  test('replay: what lies behind comes again, in order, and rows behind it are forgotten', async () => {
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
    lane.replay(1);
    await expect.poll(() => made.delivered.length).toBe(4);
    expect(made.delivered).toEqual(ids(A1, A2, B1, A2));
    expect(made.settlements.filter(({ rewind }) => rewind)).toMatchObject([{ cursor: 1 }]);
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
    lane.replay(0);
    await expect.poll(() => made.settlements.some(({ rewind }) => rewind)).toBe(true);
    down = false;
    await expect.poll(made.cursor).toBe(2);
    expect(made.delivered).toEqual(ids(A1, A1, A2));
  });

  test('restore: every group is brought, page by page, while events go on being delivered', async () => {
    const made = harness(all(DELIVERED));
    const groupIds = Array.from({ length: 1_200 }, (_, n) => `g${String(n).padStart(4, '0')}`);
    made.groups.push(...groupIds.map(newGroup));
    const lane = run(made);
    made.append(A1);
    await expect.poll(made.cursor).toBe(1);
    lane.restore('join');
    made.append(A2);
    await expect
      .poll(() => made.of('lane.restored').at(-1))
      .toMatchObject({ done: 1_200, total: 1_200, failed: 0, ended: true });
    expect(made.restored.flat()).toEqual(groupIds);
    await expect.poll(made.cursor).toBe(2);
    expect(made.delivered).toEqual(ids(A1, A2));
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
    lane.retry([{ seq: 1, event: A1 }]);
    lane.retry([{ seq: 1, event: A1 }]);
    await expect.poll(() => made.settlements.flatMap(({ released }) => released)).toEqual([1]);
    expect(made.delivered).toEqual(ids(A2, A1));
  });
});

describe('where a copy lies', () => {
  const HERE: Located = { standing: 'in-step', where: 'here' };
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
        async locate({ groupId }) {
          calls.push(`locate ${groupId}`);
          await new Promise((resolve) => setImmediate(resolve));
          calls.push(`located ${groupId}`);
          return HERE;
        },
      },
    );
    const lane = run(made);
    made.append(A1);
    await expect.poll(() => calls).toEqual(['deliver']);
    const answers = [lane.locate(group, never), lane.locate(newGroup('B'), never)];
    made.append(A2);
    gate.resolve();
    expect(await Promise.all(answers)).toEqual([{ located: HERE }, { located: HERE }]);
    await expect.poll(made.cursor).toBe(2);
    const asked = ['locate A', 'located A', 'locate B', 'located B'];
    expect(calls).toEqual(['deliver', 'delivered', ...asked, 'deliver', 'delivered']);
    // An idle lane answers, too.
    expect(await lane.locate(group, never)).toEqual({ located: HERE });
  });

  test('a lane that backs off answers at once with its fault, and rests on', async () => {
    const fault: Fault = { code: 'destination-overloaded', message: '429' };
    const made = harness(
      (batch, call) => all(call === 1 ? { kind: 'retry', fault, afterMs: 70_000 } : DELIVERED)(batch, call),
      { locate: async () => HERE },
    );
    const lane = run(made);
    made.append(A1);
    await expect.poll(() => made.of('lane.unreachable')).toHaveLength(1);
    for (let n = 0; n < 3; n++) expect(await lane.locate(group, never)).toEqual({ fault });
    expect(made.given).toHaveLength(1);
    // Asked for by a person, its rest ends.
    lane.resume();
    await expect.poll(made.cursor).toBe(1);
    expect(await lane.locate(group, never)).toEqual({ located: HERE });
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
      { locate: async () => HERE },
    );
    const lane = run(made);
    made.append(A1);
    await expect.poll(() => made.given).toHaveLength(1);
    const answer = lane.locate(group, never);
    gate.resolve();
    expect(await answer).toEqual({ fault: DOWN.fault });
    await expect.poll(made.cursor).toBe(1);
  });

  test('a paused lane asks the sink it has; one that has none opens none', async () => {
    const made = harness(all(DELIVERED), { locate: async () => HERE });
    const lane = run(made);
    await expect.poll(() => made.of('lane.opened')).toHaveLength(1);
    lane.pause();
    await expect.poll(() => made.of('lane.state').at(-1)?.state.kind).toBe('paused');
    expect(await lane.locate(group, never)).toEqual({ located: HERE });

    const other = harness(all(DELIVERED), { paused: true, locate: async () => HERE });
    const unopened = other.start();
    expect(await unopened.locate(group, never)).toMatchObject({
      fault: { code: 'copy-unknown', suggestion: expect.stringMatching(/resume/) },
    });
    expect(other.opened()).toBe(0);
    other.stop.abort();
    await unopened.ended;
  });

  test('whatever a sink throws concerns the question only', async () => {
    const made = harness(all(DELIVERED), {
      locate: async ({ groupId }) => {
        if (groupId === 'A') throw DOWN;
        throw new TypeError('x is not a function');
      },
    });
    const lane = run(made);
    expect(await lane.locate(group, never)).toEqual({ fault: DOWN.fault });
    expect(await lane.locate(newGroup('B'), never)).toEqual({
      fault: { code: 'copy-unknown', message: 'x is not a function' },
    });
    expect(await lane.locate(group, AbortSignal.abort())).toMatchObject({
      fault: { message: expect.stringMatching(/in time/) },
    });
    made.append(A1);
    await expect.poll(made.cursor).toBe(1);
    expect(made.of('lane.unreachable')).toEqual([]);
  });

  test('of a destination that is not read back the last receipt of each group is remembered', async () => {
    const made = harness(
      (batch) =>
        new Map(
          batch.map(({ id }) => [id, id === B1.id ? { kind: 'dead', fault: FAULT } : { ...DELIVERED, receipt: id }]),
        ),
    );
    const lane = run(made);
    made.append(A1, A2, B1, C1);
    await expect.poll(made.cursor).toBe(4);
    expect(await lane.locate(group, never)).toEqual({ receipt: A2.id });
    expect(await lane.locate(newGroup('B'), never)).toEqual({});
    expect(await lane.locate(newGroup('C'), never)).toEqual({ receipt: C1.id });
  });

  test('of so many groups only: those delivered longest ago are forgotten', () => {
    const lookUps = createLookUps(2);
    const to = (receipt: string): Outcome => ({ kind: 'delivered', receipt });
    lookUps.remember([
      ['A', to('a')],
      ['B', to('b')],
      ['A', to('a again')],
      ['C', to('c')],
    ]);
    expect(['A', 'B', 'C'].map((groupId) => lookUps.recall(groupId).receipt)).toEqual(['a again', undefined, 'c']);
  });

  test('a lane that ends leaves no question open', async () => {
    const gate = Promise.withResolvers<void>();
    const made = harness(
      async (batch, call) => {
        await gate.promise;
        return all(DELIVERED)(batch, call);
      },
      { locate: async () => HERE },
    );
    const lane = run(made);
    made.append(A1);
    await expect.poll(() => made.given).toHaveLength(1);
    const answer = lane.locate(group, never);
    made.stop.abort();
    gate.resolve();
    await lane.ended;
    expect(await answer).toMatchObject({ fault: { code: 'copy-unknown' } });
    expect(await lane.locate(group, never)).toMatchObject({ fault: { code: 'copy-unknown' } });
  });
});

describe('a question to the relay’s thread is always answered', () => {
  const never = new AbortController().signal;

  test('by its answer, the time-out, its signal or the loss of the thread', async () => {
    const posted: Inquiry[] = [];
    const inquiries = createInquiries((inquiry) => posted.push(inquiry), 20);
    const answered = inquiries.ask('c', newGroup('A'), never);
    const late = inquiries.ask('c', newGroup('B'), never);
    expect(posted).toMatchObject([
      { id: 1, connector: 'c', group: { groupId: 'A' } },
      { id: 2, connector: 'c', group: { groupId: 'B' } },
    ]);
    inquiries.answered(1, { receipt: 'r' });
    expect(await answered).toEqual({ receipt: 'r' });
    expect(await late).toMatchObject({ fault: { message: expect.stringMatching(/in time/) } });
    inquiries.answered(2, { receipt: 'too late' });

    const patient = createInquiries(() => {}, 60_000);
    const given = new AbortController();
    const [dropped, lost] = [patient.ask('c', newGroup('A'), given.signal), patient.ask('c', newGroup('A'), never)];
    given.abort();
    expect(await dropped).toMatchObject({ fault: { code: 'copy-unknown' } });
    patient.lost(FAULT);
    expect(await lost).toEqual({ fault: FAULT });
    expect(await patient.ask('c', newGroup('A'), given.signal)).toMatchObject({ fault: { code: 'copy-unknown' } });
  });
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
    expect(made.settlements).toEqual([]);
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
