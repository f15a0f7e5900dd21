import { expect, onTestFinished, test } from 'vitest';
import type { EventSink, GroupSink, Outcomes, Sink, Source } from '../../connectors/contract.ts';
import type { CopyState } from '../../src/model/copy.ts';
import { entryOf } from '../../src/model/entry.ts';
import { newGroup } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { createSignals, type Signals } from '../../src/model/signal.ts';
import { BEGUN, jumpingClock } from '../support/clock.ts';
import { madeEvent } from '../support/events.ts';
import { startWatchedLane } from '../support/lane.ts';

/* A copy that was lost is made whole again, and is called so, and verified, only then. */

const DELIVERED: Outcome = { kind: 'delivered', receipt: 'r' };
const LOST: CopyState = { differing: 0, incomplete: { since: 1, reason: 'it was deleted', upTo: 4 } };
const EVENTS = [1, 2, 3, 4].map((n) => entryOf(n, madeEvent(n)));

const after = (seq: number, limit: number) => EVENTS.filter((one) => one.seq > seq).slice(0, limit);
const journal: Source = { available: () => 0, next: after, settle: () => {} };
const events = { oldest: () => EVENTS[0], read: after, isOpen: () => false, has: () => false };

function start(sink: Sink, more: Partial<Parameters<typeof startWatchedLane>[0]> = {}) {
  const stop = new AbortController();
  const signals = createSignals();
  const copies: CopyState[] = [];
  const resyncs: Signals['lane.resync'][] = [];
  const notes: string[] = [];
  signals.on('copy.state', ({ copy }) => void copies.push(copy));
  signals.on('lane.resync', (progress) => void resyncs.push(progress));
  const clock = jumpingClock(() => {});
  const note = (message: string) => void notes.push(message);
  const given = { sink, verify: false, source: journal, events, cursor: 4, copy: LOST, clock, signals, note } as const;
  const lane = startWatchedLane({ ...given, ...more }, stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await lane.ended;
  });
  return { lane, copies, resyncs, notes, slept: clock.slept };
}

function groupSink(answer: (groupId: string, call: number) => Outcome): GroupSink {
  let calls = 0;
  return {
    holds: 'groups',
    async put(states): Promise<Outcomes> {
      calls++;
      return new Map(states.map(({ groupId }) => [groupId, answer(groupId, calls)]));
    },
    close: async () => {},
  };
}
/** Takes all events, and says which. */
function eventSink() {
  const given: number[] = [];
  const sink: EventSink = {
    holds: 'events',
    async deliver(batch) {
      given.push(...batch.map(({ seq }) => seq));
      return new Map(batch.map(({ id }) => [id, DELIVERED]));
    },
    close: async () => {},
  };
  return { sink, given };
}

const groups = ['a', 'b'].map(newGroup);

test('a destination that is overloaded while groups are brought to it is waited for, and all of them are brought', async () => {
  const overloaded: Outcome = {
    kind: 'retry',
    fault: { code: 'destination-overloaded', message: '429' },
    afterMs: 700,
  };
  const made = start(
    groupSink((_, call) => (call === 1 ? overloaded : DELIVERED)),
    { groups },
  );
  await expect.poll(() => made.resyncs).toMatchObject([{ done: 2, mended: 2, failed: 0, ended: true }]);
  expect(made.slept).toContain(700);
});

test('groups that were not taken are told as differing where no comparison will find them', async () => {
  const dead: Outcome = { kind: 'dead', fault: { code: 'event-refused', message: 'no' } };
  const made = start(
    groupSink((groupId) => (groupId === 'b' ? dead : DELIVERED)),
    { groups },
  );
  await expect.poll(() => made.copies).toEqual([{ differing: 1 }]);
});

test('a replay of some events does not make a copy whole that waits for a person', async () => {
  const { sink, given } = eventSink();
  const made = start(sink, { restore: 'ask' });
  await made.lane.ask({ kind: 'replay', cursor: 2 });
  await expect.poll(() => given).toEqual([3, 4]);
  await made.lane.ask({ kind: 'pause' });
  expect(made.copies).toEqual([]);
  await made.lane.ask({ kind: 'resume' });
  await made.lane.ask({ kind: 'replay', cursor: 0 });
  await expect.poll(() => given).toEqual([3, 4, 1, 2, 3, 4]);
  await expect.poll(() => made.copies.at(-1)).toEqual({ differing: 0 });
});

test.each(['auto', 'ask'] as const)(
  'a lost copy of events that are all pruned waits for none of them, and says so (restore: %s)',
  async (restore) => {
    const sink: EventSink = { holds: 'events', deliver: async () => new Map(), close: async () => {} };
    const events = { oldest: () => undefined, read: () => [], isOpen: () => false, has: () => false };
    const source: Source = { available: () => 0, next: () => [], settle: () => {} };
    const made = start(sink, { restore, events, source });
    if (restore === 'ask') await made.lane.ask({ kind: 'replay', cursor: 4 });
    await expect.poll(() => made.copies.at(-1)).toEqual({ differing: 0, lacking: { events: 4, before: BEGUN } });
  },
);

test('a copy that was verified for another filter or shape is compared anew, at once, and not called verified until then', async () => {
  const verify = { every: 3_600_000, groupsPerSecond: 500, mend: true };
  const sink: GroupSink = {
    ...groupSink((_, call) => (call === 1 ? DELIVERED : { ...DELIVERED, kind: 'superseded' })),
    read: async (states) => new Map(states.map(({ groupId }) => [groupId, { status: 'missing', where: groupId }])),
  };
  const copy = { verifiedAt: BEGUN - 1, scope: 'narrow', differing: 0 };
  const made = start(sink, { verify, groups, copy, scope: 'wide' });
  const verified = { verifiedAt: BEGUN, scope: 'wide', differing: 0 };
  await expect.poll(() => made.copies.slice(0, 2)).toEqual([{ differing: 0 }, verified]);
});

test('a copy is not called verified where the settings name another destination, until that is compared', async () => {
  const sink: EventSink = {
    holds: 'events',
    deliver: async () => new Map(),
    find: async () => new Map(),
    identify: async (before) => ({ identity: 'new', ...(before === 'old' && { moved: true, lost: 'it was old' }) }),
    close: async () => {},
  };
  const before = { verifiedAt: BEGUN - 1, scope: '', lacking: { events: 1, before: 1 } };
  const incomplete = { since: 1, reason: 'none lies there', upTo: 4, vain: true };
  const copy = { identity: 'old', differing: 3, ...before, incomplete };
  const old = EVENTS.map(({ seq, event }) => entryOf(seq, { ...event, data: { ...event.data, receivedAt: 1 } }));
  const events = { oldest: () => old[0], read: (seq: number) => old.slice(seq), isOpen: () => false, has: () => false };
  const made = start(sink, { verify: { every: 3_600_000, groupsPerSecond: 500, mend: true }, copy, events });
  // What went to the other one is not to be here.
  const moved = { identity: 'new', begins: 4, differing: 0 };
  await expect.poll(() => made.copies.slice(0, 2)).toEqual([moved, { ...moved, verifiedAt: BEGUN, scope: '' }]);
  await made.lane.ask({ kind: 'replay', cursor: 1 });
  await expect.poll(() => made.copies).toContainEqual(expect.objectContaining({ begins: 1 }));
});

test('nor are groups that are brought there', async () => {
  const sink: GroupSink = {
    ...groupSink((_, call) => (call === 1 ? DELIVERED : { ...DELIVERED, kind: 'superseded' })),
    read: async (states) => new Map(states.map(({ groupId }) => [groupId, { status: 'missing', where: groupId }])),
    identify: async (before) => ({ identity: 'new', ...(before === 'old' && { moved: true, lost: 'it was old' }) }),
  };
  const copy = { identity: 'old', verifiedAt: BEGUN - 1, scope: '', differing: 0 };
  const made = start(sink, { verify: { every: 3_600_000, groupsPerSecond: 500, mend: true }, groups, copy });
  await expect
    .poll(() => made.copies.slice(0, 4).map(({ verifiedAt }) => verifiedAt))
    .toEqual([undefined, undefined, undefined, BEGUN]);
});

const PRUNED = {
  oldest: () => EVENTS[3],
  read: (seq: number) => after(Math.max(seq, 3), 1),
  isOpen: () => false,
  has: () => false,
};

test('groups are brought again to a connector that was not enabled while events were pruned that it had not had', async () => {
  const settled: number[] = [];
  const source: Source = { ...journal, available: (seq) => 4 - seq, settle: ({ upTo }) => void settled.push(upTo) };
  const made = start(
    groupSink(() => DELIVERED),
    { groups, events: PRUNED, source, cursor: 1, copy: { identity: 'i', differing: 0 }, missed: () => 2 },
  );
  const reason = '2 events that it had not received were pruned while it was not enabled';
  const incomplete = { since: BEGUN, reason, upTo: 1 };
  await expect
    .poll(() => made.copies)
    .toEqual([
      { identity: 'i', differing: 0, incomplete },
      { identity: 'i', differing: 0 },
    ]);
  expect(made.resyncs).toMatchObject([{ done: 2, ended: true }]);
  expect(settled).toEqual([3, 4]);
});

test('also where what was pruned lies between events that were kept, as for a dead letter of another connector', async () => {
  const source: Source = { ...journal, available: (seq) => 4 - seq };
  const kept = { ...PRUNED, read: (seq: number) => after(seq, 1) };
  const pruned = { events: kept, source, cursor: 1, copy: { differing: 0 }, missed: () => 5 };
  const groupsMade = start(
    groupSink(() => DELIVERED),
    { ...pruned, groups },
  );
  await expect.poll(() => groupsMade.copies).toMatchObject([{ incomplete: { upTo: 1 } }, { differing: 0 }]);
  const { sink, given } = eventSink();
  const made = start(sink, pruned);
  await expect.poll(() => given).toEqual([2, 3, 4]);
  expect(made.notes).toEqual(['5 events that it had not received were pruned while it was not enabled']);
  expect(made.copies).toMatchObject([{ lacking: { events: 5 } }]);
});

test('also where nothing is left in the journal after what it has had', async () => {
  const source: Source = { available: (seq) => 4 - seq, next: () => [], settle: () => {} };
  const events = { ...PRUNED, oldest: () => undefined, read: () => [] };
  const made = start(
    groupSink(() => DELIVERED),
    { groups, events, source, cursor: 1, copy: { differing: 0 }, missed: () => 3 },
  );
  await expect.poll(() => made.copies).toMatchObject([{ incomplete: { upTo: 1 } }, { differing: 0 }]);
});

test('a connector that holds events says how many were pruned while it was not enabled, once there is another', async () => {
  const { sink, given } = eventSink();
  const source: Source = { ...journal, next: (seq, limit) => after(Math.max(seq, 3), limit) };
  const made = start(sink, { events: PRUNED, source, cursor: 1, copy: { differing: 0 }, missed: () => 2 });
  await expect.poll(() => given).toEqual([4]);
  const before = EVENTS[3]?.receivedAt;
  expect(made.copies).toEqual([{ differing: 0, lacking: { events: 2, before } }]);
  expect(made.notes).toEqual(['2 events that it had not received were pruned while it was not enabled']);
});

test('what is recorded while a lane begins is no event that was pruned', async () => {
  const { sink, given } = eventSink();
  let head = 3;
  const read = (): [] => {
    head = 4;
    return [];
  };
  const source: Source = { ...journal, available: (seq) => head - seq };
  const made = start(sink, { events: { ...PRUNED, read }, source, cursor: 3, copy: { differing: 0 } });
  await expect.poll(() => given).toEqual([4]);
  expect(made.notes).toEqual([]);
});

test('what a comparison of events brings is delivered before it finds more', async () => {
  const many = Array.from({ length: 4_000 }, (_, n) => entryOf(n + 1, madeEvent(n + 1)));
  const there = new Set([many[0]?.id]);
  let [calls, brought, most, now] = [0, 0, 0, 0];
  const sink: EventSink = {
    holds: 'events',
    async deliver(batch) {
      for (const { id } of batch) there.add(id);
      return new Map(batch.map(({ id }) => [id, DELIVERED]));
    },
    async find(ids) {
      const found = ids.filter((id) => there.has(id));
      // The first look is a sample, which brings nothing.
      if (calls++ > 0) {
        most = Math.max(most, brought - there.size);
        brought += ids.length - found.length;
      }
      return new Map(found.map((id) => [id, 'there']));
    },
    close: async () => {},
  };
  const read = (from: number, limit: number) => many.slice(from, from + limit);
  start(sink, {
    clock: { ...jumpingClock(() => {}), elapsed: () => now++ },
    events: { oldest: () => many[0], read, isOpen: () => false, has: () => false },
    source: { ...journal, available: () => 0, next: async () => [] },
    cursor: 4_000,
    copy: { identity: 'i', differing: 0 },
    verify: { every: 3_600_000, groupsPerSecond: 1_000_000, mend: true },
  });
  await expect.poll(() => there.size).toBe(4_000);
  expect(most).toBeLessThan(1_500);
});
