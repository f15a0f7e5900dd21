/** The cases of a connector that keeps merged groups: filters, reading back, comparing and mending. */
import assert from 'node:assert/strict';
import type { GroupSink, Outcomes } from '../../connectors/contract.ts';
import { type Group, merge, newGroup } from '../model/group.ts';
import { type Driven, type DrivenSettings, makeEvent, never, withSink } from './doubles.ts';
import type { Case, Place, Target } from './target.ts';

export function groupCases<Options>(target: Target<Options>): Case[] {
  const three = (name: string, work: (groups: ThreeGroups) => Promise<void>): Case => ({
    name,
    run: () => onThreeGroups(target, work),
  });
  return [
    {
      name: 'what is written of a group is what the filter leaves',
      run: () => atCopies(target, filters, { filter: { changedFields: ['name'] } }),
    },
    three('read tells copies in step, that differ and that are missing, and writes nothing', reads),
    three('compare tells which copies are not in step, and writes nothing', compares),
    three('repair mends a copy that was changed by hand, and so may join, which says so', repairs),
  ];
}

type GroupPlace = Place & Required<Pick<Place, 'copies'>>;

/** Runs `work` at a new place, provided that it holds merged groups. */
async function atCopies<Options>(
  { connector, place: newPlace }: Target<Options>,
  work: (driven: Driven, place: GroupPlace) => Promise<unknown>,
  settings?: DrivenSettings,
): Promise<unknown> {
  const place = await newPlace();
  const { copies } = place;
  if (copies === undefined) {
    await place.dispose?.();
    return 'it holds events';
  }
  return withSink(connector, place, (driven) => work(driven, { ...place, copies }), settings);
}

async function filters({ deliver }: Driven, { copies }: GroupPlace): Promise<void> {
  const groupId = '@TGS#filtered';
  const batch = [{ name: 'wanted', introduction: 'beside it' }, { introduction: 'alone' }].map((changed) =>
    makeEvent(changed, { groupId }),
  );
  await deliver(batch, never());
  const state = await copies.state(groupId);
  assert.equal(state?.name, 'wanted');
  assert.equal(state.introduction, undefined);
  assert.equal(state.versions.introduction, undefined);
}

interface ThreeGroups {
  readonly sink: GroupSink & Required<Pick<GroupSink, 'read'>>;
  readonly inStep: Group;
  readonly changed: Group;
  readonly missing: Group;
  readonly place: GroupPlace;
}

/** Runs `work` with a sink that reads back, and three copies: in step, changed by hand, and missing. */
function onThreeGroups<Options>(
  target: Target<Options>,
  work: (groups: ThreeGroups) => Promise<void>,
): Promise<unknown> {
  return atCopies(target, async ({ sink }, place) => {
    if (!target.connector.readsBack) return 'it is not read back';
    if (sink.holds !== 'groups' || sink.read === undefined) assert.fail('it cannot be read back');
    const made = (groupId: string) =>
      merge(newGroup(groupId), makeEvent({ name: 'right', customFields: { k: 'right' } }, { groupId }));
    const states = { inStep: made('in-step'), changed: made('changed'), missing: made('missing') };
    await sink.put(Object.values(states), 'join', never());
    await place.copies.overwrite('changed', { ...states.changed, name: 'wrong', customFields: { k: 'wrong' } });
    await place.copies.overwrite('missing', undefined);
    return work({ sink: { ...sink, read: sink.read }, ...states, place });
  });
}

/** Asserts that `work` writes nothing. */
async function writingNothing<T>({ readBack }: Place, work: () => Promise<T>): Promise<T> {
  const before = await readBack();
  const result = await work();
  // This compares the receipts, too, which a write would change.
  assert.deepEqual(await readBack(), before);
  return result;
}

async function reads({ sink, inStep, changed, missing, place }: ThreeGroups): Promise<void> {
  const { where } = place.copies;
  const found = await writingNothing(place, () => sink.read([inStep, changed, missing], never()));
  assert.deepEqual(plain(Object.fromEntries(found)), {
    'in-step': { status: 'in-step', where: where('in-step') },
    changed: { status: 'differs', where: where('changed'), differs: ['name', 'customFields.k'] },
    missing: { status: 'missing', where: where('missing') },
  });
}

const WRITTEN = { 'in-step': 'superseded', changed: 'delivered', missing: 'delivered' };

async function compares({ sink, inStep, changed, missing, place }: ThreeGroups): Promise<void> {
  const outcomes = await writingNothing(place, () => sink.put([inStep, changed, missing], 'compare', never()));
  assert.deepEqual(kindsById(outcomes), WRITTEN);
}

async function repairs({ sink, inStep, changed, missing, place: { copies } }: ThreeGroups): Promise<void> {
  const held = await copies.state('changed');
  const kind = (await sink.put([changed], 'join', never())).get('changed')?.kind;
  assert.equal((await copies.state('changed'))?.name, kind === 'superseded' ? 'wrong' : 'right');
  await copies.overwrite('changed', held);
  const outcomes = await sink.put([inStep, changed, missing], 'repair', never());
  assert.deepEqual(kindsById(outcomes), WRITTEN);
  for (const state of [inStep, changed, missing])
    assert.deepEqual(plain(await copies.state(state.groupId)), plain(state));
}

const kindsById = (outcomes: Outcomes) => Object.fromEntries(Array.from(outcomes, ([id, { kind }]) => [id, kind]));

/** Drops what JSON cannot express: keys without a value, and prototypes. */
const plain = (value: unknown): unknown => value && JSON.parse(JSON.stringify(value));
