/**
 * What every connector holds, read back from its real destination. A connector's test gives a Target; this file has
 * the doubles (a host that remembers its notes) and the event maker; the oracle is the target's `readBack`.
 */
import { randomUUID } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Connector, GroupSink, Host, Outcomes, Sink } from '../../connectors/contract.ts';
import { deliver } from '../../src/delivery/deliver.ts';
import { compileFilter, type FilterSettings } from '../../src/delivery/filter.ts';
import { systemClock } from '../../src/model/clock.ts';
import { entryOf } from '../../src/model/entry.ts';
import {
  type CanonicalEvent,
  type ChangedFields,
  type EventId,
  groupEvent,
  PROFILE_FIELDS,
  sourceOf,
} from '../../src/model/event.ts';
import { type Fault, Unreachable } from '../../src/model/fault.ts';
import { type Group, merge, newGroup } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';

/** What the destination holds of one event. */
export interface Found {
  readonly id: EventId;
  readonly groupId: string;
  /** The values that event set and that still stand. */
  readonly changed: ChangedFields;
  /** Where it lies, in the words of the connector's receipts. */
  readonly receipt: string;
}

/** A destination of one test alone: an own index, topic or file. */
export interface Place {
  /** As in the YAML, without what every lane takes. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Everything that lies there, in the order in which it was written (within a group is enough). */
  readBack(): Promise<readonly Found[]>;
  /** Only where merged groups are held. */
  readonly copies?: Copies;
  dispose?(): Promise<void>;
}

/** The copies of groups in one place, looked at and changed by others than the sink. */
export interface Copies {
  state(groupId: string): Promise<Group | undefined>;
  /** Where a sink that reads back says that the copy lies. */
  where(groupId: string): string;
  /** Puts this there as it is; undefined removes the copy. */
  overwrite(groupId: string, state: Group | undefined): Promise<void>;
}

/** An event that the destination refuses for good, and words of its reason. */
export interface Poison {
  place(): Promise<Place>;
  event(groupId: string): CanonicalEvent;
  readonly reason: RegExp;
}

export interface Target<Options> {
  /** For the titles: `elasticsearch, content: groups`. */
  readonly name: string;
  readonly connector: Connector<Options>;
  /** Whether an event stays when a later one of its group supersedes it. */
  readonly keeps: 'every event' | 'the latest of a group';
  /** Why none of it can run here, or '' when it can. */
  readonly skip: string;
  place(): Promise<Place>;
  /** Options of a destination that cannot be had: a closed port. */
  unreachable(): Promise<Readonly<Record<string, unknown>>>;
  /** A string is the reason why this destination refuses no event. */
  readonly poison: Poison | string;
}

export const HOST_NAME = 'under-test';

export function testHost(): Host & { readonly notes: string[] } {
  const notes: string[] = [];
  const note = (message: string) => void notes.push(message);
  return { name: HOST_NAME, clock: systemClock, source: sourceOf('1400701118'), notes, note, created: note };
}

/** A sink as the engine drives it: events go in, outcomes come by event id. */
export interface Driven {
  readonly sink: Sink;
  deliver(batch: readonly CanonicalEvent[], signal: AbortSignal): Promise<Outcomes>;
  /** Does as the doctor, and throws the first fault that it finds. */
  check(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface DrivenSettings {
  /** The merged state of a group. Without it, states are made of a batch alone where the sink allows that. */
  group?(groupId: string): Group | undefined;
  readonly filter?: FilterSettings;
}

export async function openDriven<Options>(
  connector: Connector<Options>,
  options: Options,
  host: Host,
  { group, filter = {} }: DrivenSettings = {},
): Promise<Driven> {
  const sink = await connector.open(options, host, never());
  const known = new Map<string, Group>();
  const whole = sink.holds === 'groups' && sink.follow !== undefined;
  return {
    sink,
    deliver(batch, signal) {
      if (whole)
        for (const event of batch)
          known.set(event.subject, merge(known.get(event.subject) ?? newGroup(event.subject), event));
      const groups = { get: group ?? ((groupId: string) => known.get(groupId)) };
      const entries = batch.map((event, index) => entryOf(index, event));
      return deliver(sink, entries, groups, compileFilter(filter), signal);
    },
    async check(signal) {
      signal.throwIfAborted();
      for await (const { state, fault } of connector.examine(options, host, signal)) {
        if (state === 'wrong' && fault !== undefined) throw new Unreachable(fault);
      }
    },
    close: () => sink.close(),
  };
}

let lastMoment = 1_670_574_414_123;

/** An event later than all before it, in a group of its own unless one is named. Ids have no order. */
export function makeEvent(changed: ChangedFields, given: { groupId?: string; id?: string; at?: number } = {}) {
  const occurredAt = given.at ?? ++lastMoment;
  return groupEvent('chat.group.info.changed', '1400701118', given.id ?? randomUUID(), {
    groupId: given.groupId ?? `@TGS#${randomUUID()}`,
    groupType: 'Public',
    operator: 'leckie',
    changed,
    occurredAt,
    occurredAtFrom: 'callback',
    receivedAt: occurredAt + 222,
    origin: { platform: 'RESTAPI', clientIp: '113.118.225.178', requestId: 'request' },
    extra: { Unknown: [1, { deep: null }] },
  });
}

export const never = (): AbortSignal => new AbortController().signal;

/** Opens, works, closes and disposes, whatever happens. */
export async function withSink<Options, T>(
  connector: Connector<Options>,
  place: Place,
  work: (sink: Driven, host: ReturnType<typeof testHost>) => Promise<T>,
  settings: DrivenSettings = {},
): Promise<T> {
  const host = testHost();
  try {
    const sink = await openDriven(connector, connector.options.parse(place.options) as Options, host, settings);
    try {
      return await work(sink, host);
    } finally {
      await sink.close();
    }
  } finally {
    await place.dispose?.();
  }
}

export function expectUsable(fault: Fault): void {
  expect(fault.path).toMatch(new RegExp(`^connectors\\.${HOST_NAME}\\.\\w`));
  expect(fault.suggestion).toMatch(/\w{3}/);
}

/** The fault that `work` throws. */
export async function unreachableBy(work: () => Promise<unknown>): Promise<Fault> {
  const thrown = await work().then(
    (value) => expect.unreachable(`it went through: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  expect(thrown).toBeInstanceOf(Unreachable);
  expectUsable((thrown as Unreachable).fault);
  return (thrown as Unreachable).fault;
}

/** The events whose version stands in a group, each with the values that it set. */
export function foundInGroup(group: Group, receipt: string): Found[] {
  const ids = new Set(Object.values(group.versions).map(([, id]) => id));
  return Array.from(ids, (id) => {
    const set = (field: string) => group.versions[field]?.[1] === id;
    const fields = PROFILE_FIELDS.filter(set).map((field) => [field, group[field]]);
    const custom = Object.entries(group.customFields).filter(([key]) => set(`customFields.${key}`));
    const changed = {
      ...Object.fromEntries(fields),
      ...(custom.length > 0 && { customFields: Object.fromEntries(custom) }),
    };
    return { id, groupId: group.groupId, changed, receipt };
  });
}

function kinds(outcomes: ReadonlyMap<EventId, Outcome>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind } of outcomes.values()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

/** Each event settled as one of `allowed`, and found with its values where its receipt says. */
function expectFound(
  batch: readonly CanonicalEvent[],
  outcomes: ReadonlyMap<EventId, Outcome>,
  found: readonly Found[],
  allowed: readonly Outcome['kind'][] = ['delivered'],
): void {
  expect([...outcomes.keys()].sort()).toEqual(batch.map((event) => event.id).sort());
  for (const event of batch) {
    const outcome = outcomes.get(event.id);
    expect(allowed, JSON.stringify(outcome)).toContain(outcome?.kind);
    const copies = found.filter((copy) => copy.id === event.id);
    const receipt = outcome !== undefined && 'receipt' in outcome ? outcome.receipt : undefined;
    expect(copies.map((copy) => copy.receipt)).toContain(receipt);
    for (const copy of copies) {
      expect(copy.groupId).toBe(event.data.groupId);
      expect(entriesOf(copy.changed)).toEqual(entriesOf(event.data.changed));
    }
  }
}

/** As entries, because comparisons of objects overlook a `__proto__` key. */
function entriesOf(changed: ChangedFields): unknown {
  const { customFields, ...fields } = changed;
  return [Object.entries(fields).sort(), customFields && Object.entries(customFields).sort()];
}

const ODD_TEXTS: Readonly<Record<string, string>> = {
  'emoji and CJK': '👩‍👩‍👧 群组名称 グループ',
  'U+0000': 'before\u0000after',
  'a lone surrogate': 'before\ud83dafter',
  'line ends': 'one\ntwo\r\nthree\u2028four',
  'quotes and backslashes': '"\\\'`$x<b>&amp;',
  'the empty text': '',
  '20,000 characters': '长'.repeat(20_000),
};

const ODD_ID_CHARACTERS = [...' /#%?&\'"<'];

/** Open files and sockets of this process, each with what tells it from a later one of the same number. */
function openHandles(): Set<string> {
  const handles = new Set<string>();
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      handles.add(`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`);
    } catch {
      // the one that read the folder
    }
  }
  return handles;
}

export function connectorSuite<Options>(target: Target<Options>): void {
  const { connector } = target;
  const title = `connector ${target.name}${target.skip === '' ? '' : ` (skipped: ${target.skip})`}`;

  describe.skipIf(target.skip !== '')(title, () => {
    test('a batch is settled by id, and every event is found where its receipt says', async () => {
      const place = await target.place();
      await withSink(connector, place, async (sink) => {
        const batch = Array.from({ length: 50 }, (_, i) =>
          makeEvent({ name: `name ${i}`, customFields: { n: `${i}` } }),
        );
        expectFound(batch, await sink.deliver(batch, never()), await place.readBack());
      });
    });

    test('an empty batch settles nothing and writes nothing', async () => {
      const place = await target.place();
      await withSink(connector, place, async (sink) => {
        expect([...(await sink.deliver([], never()))]).toEqual([]);
        expect(await place.readBack()).toEqual([]);
      });
    });

    test('the same batch a second time changes nothing of what is found', async () => {
      const place = await target.place();
      await withSink(connector, place, async (sink) => {
        const batch = Array.from({ length: 5 }, (_, i) => makeEvent({ name: `name ${i}`, faceUrl: '' }));
        await sink.deliver(batch, never());
        const again = await sink.deliver(batch, never());
        const found = await place.readBack();
        expectFound(batch, again, found, ['delivered', 'superseded']);
        expect(new Set(found.map((copy) => copy.id)).size).toBe(batch.length);
      });
    });

    test(`of many events of a group, ${target.keeps === 'every event' ? 'the order is kept' : 'the last one stands'}`, async () => {
      const place = await target.place();
      await withSink(connector, place, async (sink) => {
        const [one, other] = ['@TGS#one', '@TGS#other'];
        const events = Array.from({ length: 40 }, (_, i) =>
          makeEvent({ name: `name ${i}` }, { groupId: i % 3 === 0 ? other : one }),
        );
        for (const batch of [events.slice(0, 25), events.slice(25)]) {
          const settled = await sink.deliver(batch, never());
          const lost = batch.filter(
            (event) => !['delivered', 'superseded'].includes(settled.get(event.id)?.kind ?? ''),
          );
          expect(lost).toEqual([]);
        }
        const found = await place.readBack();
        for (const groupId of [one, other]) {
          const delivered = events.filter((event) => event.data.groupId === groupId).map((event) => event.id);
          const ids = found.filter((copy) => copy.groupId === groupId).map((copy) => copy.id);
          expect(ids).toEqual(target.keeps === 'every event' ? delivered : delivered.slice(-1));
        }
      });
    });

    test('an aborted signal is obeyed at once, and the sink works on', async () => {
      const place = await target.place();
      await withSink(connector, place, async (sink) => {
        const batch = [makeEvent({ name: 'name' })];
        const reason = new Error('told to stop');
        await expect(sink.deliver(batch, AbortSignal.abort(reason))).rejects.toBe(reason);
        await expect(sink.check(AbortSignal.abort(reason))).rejects.toBe(reason);
        expect(await place.readBack()).toEqual([]);
        expectFound(batch, await sink.deliver(batch, never()), await place.readBack());
      });
    });

    test('a signal that aborts in the middle ends the delivery, and the same batch can be delivered after it', async () => {
      const place = await target.place();
      await withSink(connector, place, async (sink) => {
        const batch = Array.from({ length: 200 }, () => makeEvent({ introduction: 'x'.repeat(2_000) }));
        const stop = new AbortController();
        const cut = sink.deliver(batch, stop.signal);
        stop.abort(new Error('told to stop'));
        await Promise.allSettled([cut]);
        const settled = await sink.deliver(batch, never());
        expectFound(batch, settled, await place.readBack(), ['delivered', 'superseded']);
      });
    });

    test.each(Object.entries(ODD_TEXTS))('texts come out as they went in: %s', async (_, text) => {
      const place = await target.place();
      await withSink(connector, place, async (sink) => {
        const batch = [
          makeEvent({ name: 'healthy' }),
          // A value of a custom field is merged up to 4 KB.
          makeEvent({
            ...{ name: text, introduction: text, notification: text, faceUrl: text },
            customFields: { key: text.slice(0, 1_000) },
          }),
          makeEvent({ name: 'healthy too' }),
        ];
        expectFound(batch, await sink.deliver(batch, never()), await place.readBack());
      });
    });

    test('group ids of 48 bytes may hold any character', async () => {
      const place = await target.place();
      await withSink(connector, place, async (sink) => {
        const ids = [...ODD_ID_CHARACTERS, ODD_ID_CHARACTERS.join('')].map((odd) =>
          `@TGS#_${odd}${odd}`.padEnd(48, 'x'),
        );
        const batch = ids.map((groupId) => makeEvent({ name: groupId }, { groupId }));
        expectFound(batch, await sink.deliver(batch, never()), await place.readBack());
      });
    });

    test('custom fields may be called __proto__ or constructor, also when delivered again', async () => {
      const place = await target.place();
      await withSink(connector, place, async (sink) => {
        const customFields = JSON.parse('{"__proto__": "p", "constructor": "c", "": "e", "a.b..c": "d"}');
        const groupId = '@TGS#proto';
        await sink.deliver(
          [makeEvent({ customFields: { ...customFields, constructor: 'before' } }, { groupId })],
          never(),
        );
        const batch = [makeEvent({ customFields }, { groupId })];
        const settled = await sink.deliver(batch, never());
        expectFound(batch, settled, await place.readBack());
      });
    });

    test('check passes and writes nothing', async () => {
      const place = await target.place();
      await withSink(connector, place, async (sink) => {
        await sink.check(never());
        expect(await place.readBack()).toEqual([]);
        await sink.deliver([makeEvent({ name: 'name' })], never());
        const before = await place.readBack();
        await sink.check(never());
        expect(await place.readBack()).toEqual(before);
      });
    });

    test.skipIf(process.platform !== 'linux')(
      'close may be called twice and leaves no file or socket open (counted on Linux only)',
      async () => {
        const place = await target.place();
        const options = connector.options.parse(place.options) as Options;
        const before = openHandles();
        const sink = await openDriven(connector, options, testHost());
        await sink.check(never());
        await sink.deliver([makeEvent({ name: 'name' })], never());
        await sink.close();
        await sink.close();
        await expect.poll(() => [...openHandles()].filter((handle) => !before.has(handle))).toEqual([]);
        await place.dispose?.();
      },
    );

    test('a destination that cannot be had is Unreachable, soon, and says which setting to look at', async () => {
      const options = connector.options.parse(await target.unreachable()) as Options;
      await unreachableBy(async () => {
        const sink = await openDriven(connector, options, testHost());
        try {
          return await sink.deliver([makeEvent({ name: 'name' })], never());
        } finally {
          await sink.close();
        }
      });
    }, 20_000);

    test('a poison event is dead with the destination’s reason, its neighbours are delivered', poisonTest(target));

    test('holds and readsBack say what the opened sink is', async () => {
      const place = await target.place();
      await withSink(connector, place, async ({ sink }) => {
        expect(sink.holds).toBe(connector.holds(connector.options.parse(place.options) as Options));
        if (sink.holds === 'groups') expect(sink.read !== undefined).toBe(connector.readsBack);
      });
    });

    test('what is written of a group is what the filter leaves', filterTest(target));
    test('read tells copies in step, that differ and that are missing, and writes nothing', readTest(target));
    test('compare tells which copies are not in step, and writes nothing', compareTest(target));
    test('repair mends a copy that was changed by hand, which join does not see', repairTest(target));
  });

  describe(`options of connector ${target.name}`, () => {
    const required = z.toJSONSchema(connector.options, { io: 'input' }).required ?? [];

    test('there is a required option, so that no connector writes to a place nobody named', () => {
      expect(required).not.toEqual([]);
    });

    test.each(required)('without %s they are refused, and the key is named', async (key) => {
      const { [key]: _, ...rest } = await target.unreachable();
      const { error } = connector.options.safeParse(rest);
      expect(error?.issues.map((issue) => issue.path.join('.'))).toEqual([key]);
    });

    test('an unknown key is refused by name', async () => {
      const { error } = connector.options.safeParse({ ...(await target.unreachable()), misspelt: 1 });
      expect(error?.message).toContain('misspelt');
    });

    test('each key is described', () => {
      const schema = z.toJSONSchema(connector.options, { io: 'input' });
      const undescribed = Object.entries(schema.properties ?? {}).filter(
        ([, property]) => typeof property === 'boolean' || property.description === undefined,
      );
      expect(undescribed.map(([key]) => key)).toEqual([]);
    });
  });
}

function poisonTest<Options>({ poison, connector }: Target<Options>) {
  return async ({ skip }: { skip: (reason: string) => never }) => {
    if (typeof poison === 'string') return skip(poison);
    const place = await poison.place();
    await withSink(connector, place, async (sink) => {
      const groupId = '@TGS#poisoned';
      const date = '2022-12-09';
      const healthy = [
        makeEvent({ name: date }),
        makeEvent({ name: date }, { groupId }),
        makeEvent({ introduction: 'after it' }, { groupId }),
        makeEvent({ name: date }),
      ];
      const bad = poison.event(groupId);
      const outcomes = await sink.deliver([...healthy.slice(0, 2), bad, ...healthy.slice(2)], never());
      const outcome = outcomes.get(bad.id);
      expect(outcome?.kind).toBe('dead');
      if (outcome?.kind !== 'dead') return;
      expect(outcome.fault.message).toMatch(poison.reason);
      expectUsable(outcome.fault);
      expect(kinds(outcomes)).toEqual({ delivered: healthy.length, dead: 1 });
      const found = await place.readBack();
      expect(healthy.filter((event) => !found.some((copy) => copy.id === event.id))).toEqual([]);
      expect(found.filter((copy) => copy.id === bad.id)).toEqual([]);
    });
  };
}

type Skip = { skip: (reason: string) => never };

function filterTest<Options>({ connector, place: newPlace }: Target<Options>) {
  return async ({ skip }: Skip) => {
    const place = await newPlace();
    const { copies } = place;
    if (copies === undefined) return skip('it holds events');
    const work = async (sink: Driven) => {
      const [first, alone] = [{ name: 'wanted', introduction: 'beside it' }, { introduction: 'alone' }].map((changed) =>
        makeEvent(changed, { groupId: '@TGS#filtered' }),
      ) as [CanonicalEvent, CanonicalEvent];
      await sink.deliver([first, alone], never());
      const state = await copies.state('@TGS#filtered');
      expect(state).toMatchObject({ name: 'wanted' });
      expect(state).not.toHaveProperty('introduction');
      expect(state?.versions).not.toHaveProperty('introduction');
    };
    await withSink(connector, place, work, { filter: { changedFields: ['name'] } });
  };
}

/** Three groups at a sink that reads back: a copy that is in step, one that was changed by hand, one that is missing. */
function readingTest<Options>(
  { connector, place: newPlace }: Target<Options>,
  work: (
    sink: GroupSink & Required<Pick<GroupSink, 'read'>>,
    states: { readonly inStep: Group; readonly changed: Group; readonly missing: Group },
    place: Place & Required<Pick<Place, 'copies'>>,
  ) => Promise<void>,
) {
  return async ({ skip }: Skip) => {
    const place = await newPlace();
    const { copies } = place;
    if (copies === undefined) return skip('it holds events');
    if (!connector.readsBack) return skip('it is not read back');
    await withSink(connector, place, async ({ sink }) => {
      if (sink.holds !== 'groups' || sink.read === undefined) return expect.unreachable('it cannot be read back');
      const made = (groupId: string) =>
        merge(newGroup(groupId), makeEvent({ name: 'right', customFields: { k: 'right' } }, { groupId }));
      const states = { inStep: made('in-step'), changed: made('changed'), missing: made('missing') };
      await sink.put(Object.values(states), 'join', never());
      await copies.overwrite('changed', {
        ...states.changed,
        name: 'wrong',
        customFields: { k: 'wrong' },
      });
      await copies.overwrite('missing', undefined);
      await work({ ...sink, read: sink.read }, states, { ...place, copies });
    });
  };
}

/** Whatever `work` does, it writes nothing. */
async function writingNothing<T>({ readBack }: Place, work: () => Promise<T>): Promise<T> {
  const before = await readBack();
  const result = await work();
  // With their receipts, which a write would change.
  expect(await readBack()).toEqual(before);
  return result;
}

function readTest<Options>(target: Target<Options>) {
  return readingTest(target, async (sink, states, place) => {
    const { where } = place.copies;
    const found = await writingNothing(place, () => sink.read(Object.values(states), never()));
    expect(Object.fromEntries(found)).toEqual({
      'in-step': { status: 'in-step', where: where('in-step') },
      changed: { status: 'differs', where: where('changed'), differs: ['name', 'customFields.k'] },
      missing: { status: 'missing', where: where('missing') },
    });
  });
}

const kindsById = (outcomes: Outcomes) => Object.fromEntries(Array.from(outcomes, ([id, { kind }]) => [id, kind]));

function compareTest<Options>(target: Target<Options>) {
  return readingTest(target, async (sink, states, place) => {
    const outcomes = await writingNothing(place, () => sink.put(Object.values(states), 'compare', never()));
    expect(kindsById(outcomes)).toEqual({ 'in-step': 'superseded', changed: 'delivered', missing: 'delivered' });
  });
}

function repairTest<Options>(target: Target<Options>) {
  return readingTest(target, async (sink, { changed, missing, inStep }, { copies }) => {
    expect(kindsById(await sink.put([changed], 'join', never()))).toEqual({ changed: 'superseded' });
    expect(await copies.state('changed')).toMatchObject({ name: 'wrong' });
    const outcomes = await sink.put([inStep, changed, missing], 'repair', never());
    expect(kindsById(outcomes)).toEqual({ 'in-step': 'superseded', changed: 'delivered', missing: 'delivered' });
    for (const state of [inStep, changed, missing]) expect(await copies.state(state.groupId)).toEqual(state);
  });
}
