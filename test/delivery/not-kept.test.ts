/** Events that a destination takes and does not keep, or loses later, as comparisons see them. */
import { describe, expect, test } from 'vitest';
import type { EventSink } from '../../connectors/contract.ts';
import { ALIKE } from '../../src/delivery/doubt.ts';
import { type ComparisonPorts, type Found, startComparison } from '../../src/delivery/verify.ts';
import { type Entry, entryOf } from '../../src/model/entry.ts';
import { createSignals } from '../../src/model/signal.ts';
import { BEGUN, jumpingClock } from '../support/clock.ts';
import { madeEvent } from '../support/events.ts';
import { startWatchedLane } from '../support/lane.ts';

interface Copy {
  readonly count: number;
  readonly matches?: (seq: number) => boolean;
  /** Lie there no more. */
  readonly gone?: readonly number[];
  /** Are accepted, and not kept. */
  readonly dropped?: readonly number[];
  readonly brought?: readonly number[];
}

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, n) => first + n);

/** A copy of the events that match; each comparison runs to its end. */
function copyOf({ count, matches = () => true, gone = [], dropped = [], brought: known = [] }: Copy) {
  const one = { ...entryOf(1, madeEvent(1)), receivedAt: 0 };
  const entries = range(1, count).map((seq): Entry => ({ ...one, seq, id: `${seq}` }));
  const there = new Set(range(1, count).filter((seq) => ![...gone, ...dropped].includes(seq)));
  const brought = new Set(known);
  const sent: number[] = [];
  let turn = 0;
  const sink: EventSink = {
    holds: 'events',
    deliver: async () => new Map(),
    find: async (ids) => new Map(ids.filter((id) => there.has(Number(id))).map((id) => [id, 'there'])),
    close: async () => {},
  };
  const ports = {
    events: {
      oldest: () => ({ seq: 1 }),
      read: (after: number, limit: number) => entries.slice(after, after + limit),
      isOpen: () => false,
    },
    brought,
    filter: { matches: ({ seq }: Entry) => matches(seq) },
    cursor: () => count,
    bring: async (missing: readonly Entry[]) => {
      for (const { seq } of missing) {
        sent.push(seq);
        if (!dropped.includes(seq)) there.add(seq);
      }
    },
    now: () => BEGUN,
    random: () => (turn++ % 10) / 10,
    pageSize: 500,
    mend: true,
  } as unknown as ComparisonPorts;
  const signal = new AbortController().signal;
  const compare = async (): Promise<Found> => {
    const compareNext = startComparison(sink, ports, signal);
    let [found, mended] = [0, 0];
    for (;;) {
      const page = await compareNext(signal);
      found += page.found;
      mended += page.mended;
      if (page.state !== 'more') return { ...page, found, mended };
    }
  };
  const comparePage = (): Promise<Found> => startComparison(sink, ports, signal)(signal);
  return { compare, comparePage, there, brought, sent };
}

describe('a comparison of events', () => {
  test('mends the same loss once more, after it has found there what it had brought', async () => {
    const lost = range(1_000, 1_499);
    const { compare, there, brought } = copyOf({ count: 2_000, gone: lost });
    expect(await compare()).toMatchObject({ found: 500, mended: 500 });
    expect(await compare()).toMatchObject({ found: 0, mended: 0, state: 'ended' });
    expect(brought.size).toBe(0);
    for (const seq of lost) there.delete(seq);
    expect(await compare()).toMatchObject({ found: 500, mended: 500 });
  });

  test('does not call the copy lost for one event that is not kept, with a filter that lets few pass', async () => {
    const seldom = { count: 5_000, matches: (seq: number) => seq % 1_000 === 950 };
    // The sample has only the newest one.
    const { compare, sent } = copyOf({ ...seldom, dropped: [4_950] });
    expect(await compare()).toMatchObject({ found: 1, mended: 1, state: 'ended' });
    expect(await compare()).toMatchObject({ found: 1, mended: 0, state: 'ended' });
    expect(sent).toEqual([4_950]);

    const lost = copyOf({ ...seldom, gone: range(1, 5_000) });
    expect(await lost.compare()).toMatchObject({ looked: 5, found: 0, state: 'lost' });
    expect(lost.sent).toEqual([]);
  });

  test('notices a lost copy at once, also where some events were not kept before', async () => {
    const gone = range(1, 5_000);
    expect(await copyOf({ count: 5_000, gone, brought: [4_000] }).comparePage()).toMatchObject({ state: 'lost' });
    const few = (seq: number) => seq % 100 === 0;
    expect(await copyOf({ count: 50_000, gone: range(1, 50_000), matches: few }).compare()).toMatchObject({
      state: 'lost',
    });
    expect(await copyOf({ count: 5_000, gone, matches: (seq) => seq % 4 === 0 }).comparePage()).toMatchObject({
      state: 'lost',
    });
  });

  test('that breaks off forgets nothing of what was not kept', async () => {
    const known = range(2_000, 2_010);
    const { comparePage, brought } = copyOf({ count: 5_000, dropped: known, brought: known });
    expect(await comparePage()).toMatchObject({ state: 'more' });
    expect(brought.size).toBe(known.length);
  });

  test('says of old events, too, that they are not kept, unless all before them are gone', async () => {
    const old = { count: 5_000, dropped: range(50, 60), brought: range(50, 60) };
    const { compare } = copyOf(old);
    expect(await compare()).toMatchObject({ found: 11, mended: 0, state: 'ended' });
    expect(await compare()).toMatchObject({ found: 11, mended: 0, state: 'ended' });

    const expired = copyOf({ ...old, gone: range(1, 70) });
    expect(await expired.compare()).toMatchObject({ found: 0, mended: 0, state: 'ended' });
    expect([expired.brought.size, expired.sent]).toEqual([0, []]);
  });
});

test('what a comparison brings and a destination refuses never stops the lane', async () => {
  const entries = range(1, 2 * ALIKE).map((seq): Entry => ({ ...entryOf(seq, madeEvent(seq)), receivedAt: 0 }));
  const stop = new AbortController();
  const signals = createSignals();
  const told: string[] = [];
  signals.on('lane.dead-letter', ({ eventId }) => void told.push(eventId));
  signals.on('lane.unreachable', ({ fault }) => void told.push(fault.message));
  const read = (after: number, limit: number) => entries.slice(after, after + limit);
  const fault = { code: 'event-refused', message: 'of a wrong type' } as const;
  const { ended } = startWatchedLane(
    {
      sink: {
        holds: 'events',
        deliver: async (batch) => new Map(batch.map(({ id }) => [id, { kind: 'dead', fault }])),
        find: async (ids) => new Map(ids.filter((id) => id === entries[0]?.id).map((id) => [id, id])),
        close: async () => {},
      },
      verify: { every: 1_000, groupsPerSecond: 500, mend: true },
      source: { available: (after) => entries.length - after, next: read, settle: () => {} },
      events: { oldest: () => entries[0], read, isOpen: () => false, has: () => false },
      cursor: entries.length,
      clock: jumpingClock((elapsed) => elapsed > 10_000 && stop.abort()),
      signals,
    },
    stop.signal,
  );
  await ended;
  expect(told.sort()).toEqual(entries.slice(1).map(({ id }) => id));
});
