/** A batch becomes one state a group. The doubles are sinks that answer what the test says and remember what they were given. */
import { describe, expect, test } from 'vitest';
import type { EventSink, GroupSink } from '../../connectors/contract.ts';
import { deliver } from '../../src/delivery/deliver.ts';
import { compileFilter } from '../../src/delivery/filter.ts';
import { entryOf } from '../../src/model/entry.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { type Group, merge, newGroup } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { madeEvent } from '../support/events.ts';

const FAULT = { code: 'event-refused', message: 'no' } as const;
const never = new AbortController().signal;
const everything = compileFilter({});

function groupSink(answer: (state: Group) => Outcome | undefined, follow?: NonNullable<GroupSink['follow']>) {
  const given: Group[][] = [];
  const sink: GroupSink = {
    holds: 'groups',
    async put(states) {
      given.push([...states]);
      return new Map(
        states.flatMap((state) => {
          const outcome = answer(state);
          return outcome === undefined ? [] : [[state.groupId, outcome] as const];
        }),
      );
    },
    ...(follow !== undefined && { follow }),
    close: async () => {},
  };
  return { sink, given };
}

const delivered = (): Outcome => ({ kind: 'delivered', receipt: 'r' });
const kindsOf = (events: readonly CanonicalEvent[], outcomes: ReadonlyMap<string, Outcome>) =>
  events.map(({ id }) => outcomes.get(id)?.kind);
const entriesOf = (events: readonly CanonicalEvent[]) => events.map((event, seq) => entryOf(seq, event));
const unknown = { get: () => undefined };

describe('a sink of groups', () => {
  const events = [
    madeEvent(1, { name: 'one' }, 'A'),
    madeEvent(2, { name: 'two' }, 'A'),
    madeEvent(3, { introduction: 'three' }, 'B'),
  ];

  test('is given one state a group; an event that a later one overtook is superseded', async () => {
    const { sink, given } = groupSink(delivered);
    const outcomes = await deliver(sink, entriesOf(events), unknown, everything, never);
    expect(given.map((states) => states.map(({ groupId, name }) => [groupId, name]))).toEqual([
      [
        ['A', 'two'],
        ['B', undefined],
      ],
    ]);
    expect(kindsOf(events, outcomes)).toEqual(['superseded', 'delivered', 'delivered']);
  });

  test('that replaces what lies there is given whole states only: without one it throws, and nothing is written', async () => {
    const { sink, given } = groupSink(delivered, async () => {});
    await expect(deliver(sink, entriesOf(events), unknown, everything, never)).rejects.toThrow(/whole state of A/);
    expect(given).toEqual([]);
  });

  test('a refused state is taken apart down to the event that is to blame; the others pass, in order', async () => {
    const poison = madeEvent(2, { name: 'poison' }, 'A');
    const batch = [madeEvent(1, { introduction: 'a' }, 'A'), poison, madeEvent(3, { notification: 'b' }, 'A')];
    const whole = batch.reduce<Group>(merge, newGroup('A'));
    const { sink, given } = groupSink((state) =>
      state.name === 'poison' ? { kind: 'dead', fault: FAULT } : delivered(),
    );
    const outcomes = await deliver(sink, entriesOf(batch), { get: () => whole }, everything, never);
    expect(kindsOf(batch, outcomes)).toEqual(['delivered', 'dead', 'delivered']);
    expect(given.map(([state]) => Object.keys(state?.versions ?? {}).length)).toHaveLength(given.length);
    expect(given.at(-1)?.[0]).toMatchObject({ notification: 'b' });
  });

  test('when a part is to be retried, what stands after it waits with it', async () => {
    const batch = [madeEvent(1, { name: 'poison' }, 'A'), madeEvent(2, { introduction: 'x' }, 'A')];
    let puts = 0;
    const { sink } = groupSink(() => (++puts <= 2 ? { kind: 'dead', fault: FAULT } : { kind: 'retry', fault: FAULT }));
    const outcomes = await deliver(sink, entriesOf(batch), unknown, everything, never);
    expect(kindsOf(batch, outcomes)).toEqual(['dead', 'retry']);
  });

  test('is given large states in several puts: few are in memory at once', async () => {
    const large = Array.from({ length: 300 }, (_, n) => madeEvent(n, { introduction: 'x'.repeat(60_000) }, `g${n}`));
    const states = new Map(large.map((event) => [event.subject, merge(newGroup(event.subject), event)]));
    const { sink, given } = groupSink(delivered);
    const outcomes = await deliver(sink, entriesOf(large), states, everything, never);
    expect(kindsOf(large, outcomes)).toEqual(large.map(() => 'delivered'));
    expect(given.map((put) => put.length)).toEqual([139, 139, 22]);
  });

  test('what it says nothing of is left out, so that it is tried again', async () => {
    const { sink } = groupSink(({ groupId }) => (groupId === 'A' ? undefined : delivered()));
    const outcomes = await deliver(sink, entriesOf(events), unknown, everything, never);
    expect(kindsOf(events, outcomes)).toEqual([undefined, undefined, 'delivered']);
  });
});

test('a sink of events is given the entries as they are', async () => {
  const given: string[] = [];
  const sink: EventSink = {
    holds: 'events',
    async deliver(batch) {
      given.push(...batch.map(({ text }) => text));
      return new Map();
    },
    close: async () => {},
  };
  const event = madeEvent(1, { name: 'x' });
  await deliver(sink, entriesOf([event]), unknown, everything, never);
  expect(given).toEqual([JSON.stringify(event)]);
});
