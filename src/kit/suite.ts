/** What every connector holds, read back from its real destination: a list of cases for any test runner. */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { guarded } from '../../connectors/guard.ts';
import { inputSchemaOf } from '../../connectors/options.ts';
import type { CanonicalEvent, ChangedFields, EventId } from '../model/event.ts';
import type { Outcome } from '../model/outcome.ts';
import { expectUsable, makeEvent, never, openDriven, optionsOf, testHost, unreachableBy, withSink } from './doubles.ts';
import { groupCases } from './group-cases.ts';
import type { Found, Target } from './target.ts';

export interface Case {
  readonly name: string;
  /** Rejects where the connector does not hold it. Resolves with a text, the reason, where it cannot be asked of this one. */
  run(): Promise<unknown>;
}

/** Returns the cases of a connector, each with places of its own; they may run one after another in any order. */
export function connectorCases<Options>(given: Target<Options>): Case[] {
  // As the bridge takes it: what it gives is checked, too.
  const target = { ...given, connector: guarded(given.connector) };
  return [...destinationCases(target), ...optionCases(target)];
}

/** Those that need the destination. */
export function destinationCases<Options>(target: Target<Options>): Case[] {
  return [
    ...deliveryCases(target),
    ...abortCases(target),
    ...oddCases(target),
    ...lifeCases(target),
    ...outageCases(target),
    ...groupCases(target),
  ];
}

function deliveryCases<Options>({ connector, keeps, place: newPlace }: Target<Options>): Case[] {
  return [
    {
      name: 'a batch is settled by id, and every event is found where its receipt says',
      async run() {
        const place = await newPlace();
        await withSink(connector, place, async (sink) => {
          const batch = Array.from({ length: 50 }, (_, i) =>
            makeEvent({ name: `name ${i}`, customFields: { n: `${i}` } }),
          );
          expectFound(batch, await sink.deliver(batch, never()), await place.readBack());
        });
      },
    },
    {
      name: 'an empty batch settles nothing and writes nothing',
      async run() {
        const place = await newPlace();
        await withSink(connector, place, async (sink) => {
          assert.deepEqual([...(await sink.deliver([], never()))], []);
          assert.deepEqual(await place.readBack(), []);
        });
      },
    },
    {
      name: 'the same batch a second time changes nothing of what is found',
      async run() {
        const place = await newPlace();
        await withSink(connector, place, async (sink) => {
          const batch = Array.from({ length: 5 }, (_, i) => makeEvent({ name: `name ${i}`, faceUrl: '' }));
          await sink.deliver(batch, never());
          const again = await sink.deliver(batch, never());
          const found = await place.readBack();
          expectFound(batch, again, found, ['delivered', 'superseded']);
          assert.equal(new Set(found.map((copy) => copy.id)).size, batch.length);
        });
      },
    },
    {
      name: `of many events of a group, ${keeps === 'every event' ? 'the order is kept' : 'the last one stands'}`,
      async run() {
        const place = await newPlace();
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
            assert.deepEqual(lost, []);
          }
          const found = await place.readBack();
          for (const groupId of [one, other]) {
            const delivered = events.filter((event) => event.data.groupId === groupId).map((event) => event.id);
            const ids = found.filter((copy) => copy.groupId === groupId).map((copy) => copy.id);
            assert.deepEqual(ids, keeps === 'every event' ? delivered : delivered.slice(-1));
          }
        });
      },
    },
  ];
}

function abortCases<Options>({ connector, place: newPlace }: Target<Options>): Case[] {
  return [
    {
      name: 'an aborted signal is obeyed at once, and the sink works on',
      async run() {
        const place = await newPlace();
        await withSink(connector, place, async (sink) => {
          const batch = [makeEvent({ name: 'name' })];
          const reason = new Error('told to stop');
          const isReason = (thrown: unknown): boolean => thrown === reason;
          await assert.rejects(async () => sink.deliver(batch, AbortSignal.abort(reason)), isReason);
          await assert.rejects(sink.check(AbortSignal.abort(reason)), isReason);
          assert.deepEqual(await place.readBack(), []);
          expectFound(batch, await sink.deliver(batch, never()), await place.readBack());
        });
      },
    },
    {
      name: 'a signal that aborts in the middle ends the delivery, and the same batch can be delivered after it',
      async run() {
        const place = await newPlace();
        await withSink(connector, place, async (sink) => {
          const batch = Array.from({ length: 200 }, () => makeEvent({ introduction: 'x'.repeat(2_000) }));
          const stop = new AbortController();
          const cut = sink.deliver(batch, stop.signal);
          stop.abort(new Error('told to stop'));
          await Promise.allSettled([cut]);
          const settled = await sink.deliver(batch, never());
          expectFound(batch, settled, await place.readBack(), ['delivered', 'superseded']);
        });
      },
    },
  ];
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

function oddCases<Options>({ connector, place: newPlace }: Target<Options>): Case[] {
  return [
    ...Object.entries(ODD_TEXTS).map(([what, text]) => ({
      name: `texts come out as they went in: ${what}`,
      async run() {
        const place = await newPlace();
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
      },
    })),
    {
      name: 'group ids of 48 bytes may hold any character',
      async run() {
        const place = await newPlace();
        await withSink(connector, place, async (sink) => {
          const ids = [...ODD_ID_CHARACTERS, ODD_ID_CHARACTERS.join('')].map((odd) =>
            `@TGS#_${odd}${odd}`.padEnd(48, 'x'),
          );
          const batch = ids.map((groupId) => makeEvent({ name: groupId }, { groupId }));
          expectFound(batch, await sink.deliver(batch, never()), await place.readBack());
        });
      },
    },
    {
      name: 'custom fields may be called __proto__ or constructor, also when delivered again',
      async run() {
        const place = await newPlace();
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
      },
    },
  ];
}

function lifeCases<Options>({ connector, place: newPlace }: Target<Options>): Case[] {
  return [
    {
      name: 'check passes and writes nothing',
      async run() {
        const place = await newPlace();
        await withSink(connector, place, async (sink) => {
          await sink.check(never());
          assert.deepEqual(await place.readBack(), []);
          await sink.deliver([makeEvent({ name: 'name' })], never());
          const before = await place.readBack();
          await sink.check(never());
          assert.deepEqual(await place.readBack(), before);
        });
      },
    },
    {
      name: 'close may be called twice and leaves no file or socket open (counted on Linux only)',
      async run() {
        if (process.platform !== 'linux') return 'this is not Linux';
        const place = await newPlace();
        const options = optionsOf(connector, place.options);
        const before = openHandles();
        const sink = await openDriven(connector, options, testHost());
        await sink.check(never());
        await sink.deliver([makeEvent({ name: 'name' })], never());
        await sink.close();
        await sink.close();
        await untilClosed(before);
        await place.dispose?.();
      },
    },
    {
      name: 'holds and readsBack say what the opened sink is',
      async run() {
        const place = await newPlace();
        await withSink(connector, place, async ({ sink }) => {
          assert.equal(sink.holds, connector.holds(optionsOf(connector, place.options)));
          if (sink.holds === 'groups') assert.equal(sink.read !== undefined, connector.readsBack);
        });
      },
    },
  ];
}

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

/** Waits until nothing is open that was not before: a socket is gone a little later than its end was asked for. */
async function untilClosed(before: ReadonlySet<string>): Promise<void> {
  const until = performance.now() + 30_000;
  for (;;) {
    const left = [...openHandles()].filter((handle) => !before.has(handle));
    if (left.length === 0) return;
    if (performance.now() > until) assert.deepEqual(left, [], 'close leaves files or sockets open');
    await delay(20);
  }
}

/** How soon a destination that cannot be had is given up. */
const UNREACHABLE_MS = 20_000;

function outageCases<Options>({ connector, unreachable, poison }: Target<Options>): Case[] {
  return [
    {
      name: 'a destination that cannot be had is Unreachable, soon, and says which setting to look at',
      async run() {
        const begun = performance.now();
        const options = optionsOf(connector, await unreachable());
        await unreachableBy(async () => {
          const sink = await openDriven(connector, options, testHost());
          try {
            return await sink.deliver([makeEvent({ name: 'name' })], never());
          } finally {
            await sink.close();
          }
        });
        assert.ok(performance.now() - begun < UNREACHABLE_MS, `it took longer than ${UNREACHABLE_MS} ms`);
      },
    },
    {
      name: 'a poison event is dead with the destination’s reason, its neighbours are delivered',
      async run() {
        if (typeof poison === 'string') return poison;
        const place = await poison.place();
        return withSink(connector, place, async (sink) => {
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
          if (outcome?.kind !== 'dead') assert.fail(`the poison event is ${outcome?.kind ?? 'not settled'}`);
          assert.match(outcome.fault.message, poison.reason);
          expectUsable(outcome.fault);
          const alive = healthy.filter((event) => outcomes.get(event.id)?.kind !== 'delivered');
          assert.deepEqual(alive, [], 'its neighbours are delivered');
          assert.equal(outcomes.size, healthy.length + 1);
          const found = await place.readBack();
          assert.deepEqual(
            healthy.filter((event) => !found.some((copy) => copy.id === event.id)),
            [],
          );
          assert.deepEqual(
            found.filter((copy) => copy.id === bad.id),
            [],
          );
        });
      },
    },
  ];
}

/** Those that need its options alone. */
export function optionCases<Options>({ connector: { options }, unreachable }: Target<Options>): Case[] {
  const issuesOf = (given: unknown) => {
    const parsed = options.safeParse(given);
    return parsed.success ? [] : parsed.error.issues;
  };
  const { properties = {}, required = [] } = inputSchemaOf(options);
  return [
    {
      name: 'there is a required option, so that no connector writes to a place nobody named',
      run: async () => assert.notDeepEqual(required, []),
    },
    ...required.map((key) => ({
      name: `without the option ${key} they are refused, and the key is named`,
      async run() {
        const { [key]: _, ...rest } = await unreachable();
        assert.deepEqual(
          issuesOf(rest).map(({ path }) => path.join('.')),
          [key],
        );
      },
    })),
    {
      name: 'an option that is not known is refused by name',
      async run() {
        assert.match(JSON.stringify(issuesOf({ ...(await unreachable()), misspelt: 1 })), /misspelt/);
      },
    },
    {
      name: 'each option is described',
      async run() {
        const undescribed = Object.entries(properties).filter(
          ([, property]) => typeof property === 'boolean' || property.description === undefined,
        );
        assert.deepEqual(
          undescribed.map(([key]) => key),
          [],
        );
      },
    },
  ];
}

/** Each event settled as one of `allowed`, and found with its values where its receipt says. */
function expectFound(
  batch: readonly CanonicalEvent[],
  outcomes: ReadonlyMap<EventId, Outcome>,
  found: readonly Found[],
  allowed: readonly Outcome['kind'][] = ['delivered'],
): void {
  assert.deepEqual([...outcomes.keys()].sort(), batch.map((event) => event.id).sort());
  for (const event of batch) {
    const outcome = outcomes.get(event.id);
    assert.ok(
      allowed.some((kind) => kind === outcome?.kind),
      `${allowed.join(' or ')}: ${JSON.stringify(outcome)}`,
    );
    const copies = found.filter((copy) => copy.id === event.id);
    const receipt = outcome !== undefined && 'receipt' in outcome ? outcome.receipt : undefined;
    const receipts = copies.map((copy) => copy.receipt);
    assert.ok(
      receipts.some((one) => one === receipt),
      `found at ${receipts.join(', ')}, and the receipt says ${receipt}`,
    );
    for (const copy of copies) {
      assert.equal(copy.groupId, event.data.groupId);
      assert.deepEqual(entriesOf(copy.changed), entriesOf(event.data.changed));
    }
  }
}

/** As entries, because comparisons of objects overlook a `__proto__` key. */
function entriesOf(changed: ChangedFields): unknown {
  const { customFields, ...fields } = changed;
  return [Object.entries(fields).sort(), customFields && Object.entries(customFields).sort()];
}
