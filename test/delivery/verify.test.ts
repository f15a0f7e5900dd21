import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { EventSink, GroupSink } from '../../connectors/contract.ts';
import { compileFilter } from '../../src/delivery/filter.ts';
import { type ComparisonPorts, startComparison } from '../../src/delivery/verify.ts';
import { type Entry, entryOf } from '../../src/model/entry.ts';
import type { Fault } from '../../src/model/fault.ts';
import { merge, newGroup } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { createSignals } from '../../src/model/signal.ts';
import { logSignals } from '../../src/telemetry/log.ts';
import { madeEvent } from '../support/events.ts';

const FAULT: Fault = { code: 'event-refused', message: 'name is an integer there', suggestion: 'correct the mapping' };

const DELIVERED: Outcome = { kind: 'delivered', receipt: '' };
const SUPERSEDED: Outcome = { kind: 'superseded', receipt: '' };

/** Compares copies that all differ, until `put` says what becomes of them; those in `stubborn` differ after that, too. */
async function compared(outcomes: Readonly<Record<string, Outcome>>, mend: boolean, stubborn: readonly string[] = []) {
  const states = Object.keys(outcomes).map(newGroup);
  let repaired = false;
  const outcomeOf = (groupId: string): Outcome | undefined =>
    repaired ? (stubborn.includes(groupId) ? DELIVERED : SUPERSEDED) : outcomes[groupId];
  const sink: GroupSink = {
    holds: 'groups',
    put: async (given, how) => {
      const said = given.map(({ groupId }) => [groupId, outcomeOf(groupId) as Outcome] as const);
      repaired ||= how === 'repair';
      return new Map(said);
    },
    read: async () => new Map(states.map(({ groupId }) => [groupId, { status: 'differs', where: groupId }])),
    identify: async () => ({ identity: 'one' }),
    close: async () => {},
  };
  const ports = {
    groups: { page: () => states, get: () => undefined, count: () => states.length, latest: () => 0 },
    filter: compileFilter({}),
    cursor: () => 0,
    isWaiting: () => false,
    pageSize: 10,
    mend,
  } as unknown as ComparisonPorts;
  const signal = new AbortController().signal;
  return startComparison(sink, ports, signal)(signal);
}

test('what no event has told of is left as it is, and no difference, whether copies are mended or not', async () => {
  const outcomes = { told: DELIVERED, untold: SUPERSEDED };
  expect(await compared(outcomes, true)).toMatchObject({ looked: 2, found: 1, mended: 1 });
  expect(await compared(outcomes, false)).toMatchObject({ looked: 2, found: 1, mended: 0 });
});

test('a copy that the destination made something else of is not mended', async () => {
  // A trigger may make the same of it before it is compared with what is there.
  const found = await compared({ a: DELIVERED, b: DELIVERED, c: SUPERSEDED }, true, ['b', 'c']);
  expect(found).toMatchObject({ found: 3, mended: 1, why: { message: expect.stringContaining('b ') } });
});

test('a copy that cannot be mended is told with the reason', async () => {
  const { why, ...found } = await compared({ a: DELIVERED, b: { kind: 'dead', fault: FAULT } }, true, ['b']);
  expect({ why, found }).toMatchObject({ why: FAULT, found: { looked: 2, found: 2, mended: 1 } });

  const lines: { msg: string }[] = [];
  const signals = createSignals();
  logSignals(signals, pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }));
  signals.emit('copy.verified', { connector: 'index', ...found, why, ms: 1 });
  expect(lines[0]?.msg).toMatch(
    /^index: 2 of 2 .* 1 were mended; why not all: name is an integer there .*correct the mapping/,
  );
});

test.each(['read', 'scan'] as const)(
  'what is yet to be delivered is no difference, and what was pruned is one (%s)',
  async (way) => {
    const states = ['coming', 'pruned'].map((groupId, n) => ({
      ...merge(newGroup(groupId), madeEvent(n + 1)),
      groupId,
    }));
    const put: string[] = [];
    const sink: GroupSink = {
      holds: 'groups',
      async put(given) {
        put.push(...given.map(({ groupId }) => groupId));
        return new Map(given.map(({ groupId }) => [groupId, put.length > 1 ? SUPERSEDED : DELIVERED]));
      },
      ...(way === 'scan'
        ? { scan: async () => {} }
        : { read: async () => new Map(states.map(({ groupId }) => [groupId, { status: 'missing', where: groupId }])) }),
      close: async () => {},
    };
    const ports = {
      groups: {
        page: (after: string) => states.filter(({ groupId }) => groupId > after),
        get: () => undefined,
        count: () => states.length,
        latest: (groupId: string) => (groupId === 'coming' ? 3 : 2),
      },
      events: { has: (seq: number) => seq === 3 },
      filter: compileFilter({}),
      cursor: () => 0,
      isWaiting: () => false,
      pageSize: 10,
      mend: true,
    } as unknown as ComparisonPorts;
    const signal = new AbortController().signal;
    const compareNext = startComparison(sink, ports, signal);
    await expect.poll(() => compareNext(signal)).toMatchObject({ looked: 2, found: 1, mended: 1, state: 'ended' });
    expect(new Set(put)).toEqual(new Set(['pruned']));
  },
);

test('events are looked for, too, after the clock was set back behind their receipt', async () => {
  const asked: string[] = [];
  const sink: EventSink = {
    holds: 'events',
    deliver: async () => new Map(),
    async find(ids) {
      asked.push(...ids);
      return new Map(ids.map((id) => [id, 'there']));
    },
    close: async () => {},
  };
  const entries = [entryOf(1, madeEvent(1)), entryOf(2, madeEvent(2))];
  const { receivedAt } = entries[1] as Entry;
  const at = async (now: number): Promise<string[]> => {
    const read = (after: number, limit: number) => entries.filter(({ seq }) => seq > after).slice(0, limit);
    const ports = {
      events: { oldest: () => ({ seq: 1 }), read, isOpen: () => false },
      brought: new Set(),
      filter: compileFilter({}),
      cursor: () => 2,
      now: () => now,
      random: () => 0,
      mend: true,
    } as unknown as ComparisonPorts;
    const signal = new AbortController().signal;
    await startComparison(sink, ports, signal)(signal);
    return asked.splice(0);
  };
  const ids = entries.map(({ id }) => id);
  expect(await at(receivedAt + 3_600_000)).toEqual(ids);
  // What was written just now may not be found yet.
  expect(await at(receivedAt)).toEqual([]);
  expect(await at(receivedAt - 3_600_000)).toEqual(ids);
});

test('where a sample of the events lacks one, all are looked for, but those that a retention removed', async () => {
  const entries = Array.from({ length: 1_000 }, (_, n) => entryOf(n + 1, madeEvent(n + 1)));
  const seqOf = new Map(entries.map(({ id, seq }) => [id, seq]));
  const there = new Set(Array.from({ length: 500 }, (_, n) => n + 101));
  const sink: EventSink = {
    holds: 'events',
    deliver: async () => new Map(),
    find: async (ids) => new Map(ids.filter((id) => there.has(seqOf.get(id) ?? 0)).map((id) => [id, 'there'])),
    close: async () => {},
  };
  const brought: number[] = [];
  const ports = {
    events: {
      oldest: () => ({ seq: 1 }),
      read: (after: number, limit: number) => entries.slice(after, after + limit),
      isOpen: () => false,
    },
    brought: new Set(),
    filter: compileFilter({}),
    cursor: () => 1_000,
    bring: async (missing: readonly Entry[]) => void brought.push(...missing.map(({ seq }) => seq)),
    now: () => (entries[999]?.receivedAt ?? 0) + 3_600_000,
    random: () => 0.3,
    pageSize: 50,
    mend: true,
  } as unknown as ComparisonPorts;
  const signal = new AbortController().signal;
  const compareNext = startComparison(sink, ports, signal);
  let found = 0;
  for (let ended = false; !ended; ) {
    const step = await compareNext(signal);
    found += step.found;
    ended = step.state === 'ended';
  }
  // Those up to the 600th lie there; the first hundred are older than all that do.
  expect([found, brought.length, Math.min(...brought), Math.max(...brought)]).toEqual([400, 400, 601, 1_000]);
});

test('an event that does not lie there after it was brought is told, and not brought for ever', async () => {
  const entries = Array.from({ length: 1_000 }, (_, n) => entryOf(n + 1, madeEvent(n + 1)));
  const seqOf = new Map(entries.map(({ id, seq }) => [id, seq]));
  let dropped = [501];
  const sink: EventSink = {
    holds: 'events',
    deliver: async () => new Map(),
    find: async (ids) => new Map(ids.filter((id) => !dropped.includes(seqOf.get(id) ?? 0)).map((id) => [id, 'there'])),
    close: async () => {},
  };
  const brought: number[][] = [];
  const known = new Set<number>();
  let turn = 0;
  const compare = async (random: number): Promise<object> => {
    const bring = async (missing: readonly Entry[]) => void brought.push(missing.map(({ seq }) => seq));
    const read = (after: number, limit: number) => entries.slice(after, after + limit);
    const ports = {
      events: { oldest: () => ({ seq: 1 }), read, isOpen: () => false },
      brought: known,
      filter: compileFilter({}),
      cursor: () => 1_000,
      bring,
      now: () => (entries[999]?.receivedAt ?? 0) + 3_600_000,
      random: () => (turn++ % 2 === 0 ? random : 0),
      pageSize: 1_000,
      mend: true,
    } as unknown as ComparisonPorts;
    const signal = new AbortController().signal;
    const compareNext = startComparison(sink, ports, signal);
    const first = await compareNext(signal);
    return first.state === 'ended' ? first : compareNext(signal);
  };
  expect(await compare(0.5)).toMatchObject({ found: 1, mended: 1 });
  // They are looked for also where the sample would have missed them.
  const why = { message: expect.stringContaining('brought again') };
  expect(await compare(0.2)).toMatchObject({ found: 1, mended: 0, why });
  dropped = [];
  expect(await compare(0.2)).toMatchObject({ found: 0, state: 'ended' });
  expect(brought).toHaveLength(1);
});
