/** The cases of every connector's life cycle: opening and closing, an unavailable destination, options. */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { inputSchemaOf } from '../../connectors/options.ts';
import {
  atNewPlace,
  casesAt,
  type Driven,
  expectUsable,
  makeEvent,
  never,
  openDriven,
  optionsOf,
  testHost,
  unreachableBy,
  withSink,
} from './doubles.ts';
import type { Case, Target } from './target.ts';

export function lifeCases<Options>(target: Target<Options>): Case[] {
  const { connector } = target;
  const at = casesAt(target);
  return [
    at('check passes and writes nothing', async (sink, place) => {
      await sink.check(never());
      assert.deepEqual(await place.readBack(), []);
      await sink.deliver([makeEvent({ name: 'name' })], never());
      const before = await place.readBack();
      await sink.check(never());
      assert.deepEqual(await place.readBack(), before);
    }),
    {
      name: 'close may be called twice and leaves no file or socket open (counted on Linux only)',
      async run() {
        if (process.platform !== 'linux') return 'this is not Linux';
        const place = await target.place();
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
    at('holds and readsBack say what the opened sink is', async ({ sink }, place) => {
      assert.equal(sink.holds, connector.holds(optionsOf(connector, place.options)));
      if (sink.holds === 'groups') assert.equal(sink.read !== undefined, connector.readsBack);
    }),
  ];
}

/** Returns the open files and sockets of this process, distinguishable from later ones with the same number. */
function openHandles(): Set<string> {
  const handles = new Set<string>();
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      handles.add(`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`);
    } catch {
      // This was the handle that read the folder itself.
    }
  }
  return handles;
}

/** Waits until nothing is open that was not before, since a socket outlives the call that ends it a little. */
async function untilClosed(before: ReadonlySet<string>): Promise<void> {
  const until = performance.now() + 30_000;
  for (;;) {
    const left = [...openHandles()].filter((handle) => !before.has(handle));
    if (left.length === 0) return;
    if (performance.now() > until) assert.deepEqual(left, [], 'close leaves files or sockets open');
    await delay(20);
  }
}

const UNREACHABLE_MS = 20_000;

export function outageCases<Options>({ connector, unreachable, poison }: Target<Options>): Case[] {
  return [
    {
      name: 'a destination that cannot be had is Unreachable, soon, and says which setting to look at',
      async run() {
        const begun = performance.now();
        const options = await unreachable();
        const deliver = (sink: Driven) => sink.deliver([makeEvent({ name: 'name' })], never());
        await unreachableBy(() => withSink(connector, { options }, deliver));
        assert.ok(performance.now() - begun < UNREACHABLE_MS, `it took longer than ${UNREACHABLE_MS} ms`);
      },
    },
    {
      name: 'a poison event is dead with the destination’s reason, its neighbours are delivered',
      async run() {
        if (typeof poison === 'string') return poison;
        return atNewPlace({ connector, place: () => poison.place() }, async (sink, place) => {
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
          const found = new Set((await place.readBack()).map(({ id }) => id));
          const lost = healthy.filter(({ id }) => !found.has(id));
          assert.deepEqual(lost, [], 'its neighbours are found');
          assert.ok(!found.has(bad.id), 'the poison event is not');
        });
      },
    },
  ];
}

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
        const named = issuesOf(rest).map(({ path }) => path.join('.'));
        assert.deepEqual(named, [key]);
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
        assert.deepEqual(undescribed, []);
      },
    },
  ];
}
