/** The cases that every connector must pass, read back from its real destination, for any test runner. */
import assert from 'node:assert/strict';
import { types } from 'node:util';
import { z } from 'zod';
import { contract, guarded, isFunction } from '../../connectors/guard.ts';
import { issuesOf } from '../model/complaint.ts';
import { casesAt, expectFound, makeEvent, never } from './doubles.ts';
import { groupCases } from './group-cases.ts';
import { lifeCases, optionCases, outageCases } from './life-cases.ts';
import type { Case, Target } from './target.ts';

/** What a target in plain JavaScript may lack. */
const whole = z.object({
  connector: contract,
  keeps: z.enum(['every event', 'the latest of a group']),
  place: isFunction,
  unreachable: isFunction,
  poison: z.union([z.string(), z.object({ place: isFunction, event: isFunction, reason: z.custom(types.isRegExp) })], {
    error: 'an event that is refused is expected, or why none is',
  }),
});

/** Returns the cases of a connector, each at places of its own; they run one at a time, in any order. */
export function connectorCases<Options>(given: Target<Options>): Case[] {
  const { error } = whole.safeParse(given);
  if (error !== undefined) throw new TypeError(`the target of the suite lacks something: ${issuesOf(error)}`);
  // Its answers are checked, too, as in the bridge.
  const target = { ...given, connector: guarded(given.connector) };
  return [...destinationCases(target), ...optionCases(target)];
}

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

function deliveryCases<Options>(target: Target<Options>): Case[] {
  const at = casesAt(target);
  const { keeps } = target;
  return [
    at('a batch is settled by id, and every event is found where its receipt says', async (sink, place) => {
      const batch = Array.from({ length: 50 }, (_, i) => makeEvent({ name: `name ${i}`, customFields: { n: `${i}` } }));
      expectFound(batch, await sink.deliver(batch, never()), await place.readBack());
    }),
    at('an empty batch settles nothing and writes nothing', async (sink, place) => {
      assert.deepEqual([...(await sink.deliver([], never()))], []);
      assert.deepEqual(await place.readBack(), []);
    }),
    at('the same batch a second time changes nothing of what is found', async (sink, place) => {
      const batch = Array.from({ length: 5 }, (_, i) => makeEvent({ name: `name ${i}`, faceUrl: '' }));
      await sink.deliver(batch, never());
      const again = await sink.deliver(batch, never());
      const found = await place.readBack();
      expectFound(batch, again, found, ['delivered', 'superseded']);
      assert.equal(new Set(found.map((copy) => copy.id)).size, batch.length);
    }),
    at(
      `of many events of a group, ${keeps === 'every event' ? 'the order is kept' : 'the last one stands'}`,
      async (sink, place) => {
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
      },
    ),
  ];
}

function abortCases<Options>(target: Target<Options>): Case[] {
  const at = casesAt(target);
  return [
    at('an aborted signal is obeyed at once, and the sink works on', async (sink, place) => {
      const batch = [makeEvent({ name: 'name' })];
      const reason = new Error('told to stop');
      const isReason = (thrown: unknown): boolean => thrown === reason;
      await assert.rejects(async () => sink.deliver(batch, AbortSignal.abort(reason)), isReason);
      await assert.rejects(sink.check(AbortSignal.abort(reason)), isReason);
      assert.deepEqual(await place.readBack(), []);
      expectFound(batch, await sink.deliver(batch, never()), await place.readBack());
    }),
    at(
      'a signal that aborts in the middle ends the delivery, and the same batch can be delivered after it',
      async (sink, place) => {
        const batch = Array.from({ length: 200 }, () => makeEvent({ introduction: 'x'.repeat(2_000) }));
        const stop = new AbortController();
        const cut = sink.deliver(batch, stop.signal);
        stop.abort(new Error('told to stop'));
        await Promise.allSettled([cut]);
        const settled = await sink.deliver(batch, never());
        expectFound(batch, settled, await place.readBack(), ['delivered', 'superseded']);
      },
    ),
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

function oddCases<Options>(target: Target<Options>): Case[] {
  const at = casesAt(target);
  return [
    ...Object.entries(ODD_TEXTS).map(([what, text]) =>
      at(`texts come out as they went in: ${what}`, async (sink, place) => {
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
      }),
    ),
    at('group ids of 48 bytes may hold any character', async (sink, place) => {
      const ids = [...ODD_ID_CHARACTERS, ODD_ID_CHARACTERS.join('')].map((odd) => `@TGS#_${odd}${odd}`.padEnd(48, 'x'));
      const batch = ids.map((groupId) => makeEvent({ name: groupId }, { groupId }));
      expectFound(batch, await sink.deliver(batch, never()), await place.readBack());
    }),
    at('custom fields may be called __proto__ or constructor, also when delivered again', async (sink, place) => {
      const customFields = JSON.parse('{"__proto__": "p", "constructor": "c", "": "e", "a.b..c": "d"}');
      const groupId = '@TGS#proto';
      await sink.deliver(
        [makeEvent({ customFields: { ...customFields, constructor: 'before' } }, { groupId })],
        never(),
      );
      const batch = [makeEvent({ customFields }, { groupId })];
      const settled = await sink.deliver(batch, never());
      expectFound(batch, settled, await place.readBack());
    }),
  ];
}
