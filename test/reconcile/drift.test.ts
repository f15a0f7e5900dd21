import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CanonicalEvent, groupEvent } from '../../src/model/event.ts';
import { type Group, join, merge, newGroup, repair } from '../../src/model/group.ts';
import type { RemoteGroup } from '../../src/reconcile/api.ts';
import { driftOf, fieldsAhead, goneEvent, isNewlyGone, readEvent } from '../../src/reconcile/drift.ts';

const APP = '1400701118';
const FIELDS = ['name', 'introduction', 'notification', 'faceUrl'] as const;
type Field = (typeof FIELDS)[number];

let made = 0;
function changed(
  at: number,
  change: Partial<Record<Field, string>>,
  type: CanonicalEvent['type'] = 'chat.group.info.changed',
) {
  return groupEvent(type, APP, `${String(at).padStart(10, '0')}e${String(made++).padStart(8, '0')}`, {
    groupId: 'g',
    groupType: 'Public',
    operator: 'somebody',
    changed: change,
    occurredAt: at,
    occurredAtFrom: 'callback',
    receivedAt: at,
    origin: {},
    extra: {},
  });
}
const state = (...events: CanonicalEvent[]): Group => events.reduce(merge, newGroup('g'));
const remote = (more: Partial<RemoteGroup> = {}): RemoteGroup => ({
  groupId: 'g',
  groupType: 'Public',
  name: 'n',
  introduction: '',
  notification: '',
  faceUrl: '',
  ...more,
});
const context = (readAt: number) => ({ sdkAppId: APP, readAt, now: readAt + 5_000 });
const mended = (before: Group | undefined, there: RemoteGroup, readAt: number): Group => {
  const drift = driftOf(before, there, readAt);
  const from = before ?? newGroup('g');
  return drift === undefined ? from : merge(from, readEvent(there, drift, context(readAt)));
};

describe('what differs', () => {
  test('a group that was not known is taken whole, the empty fields, too', () => {
    expect(driftOf(undefined, remote({ owner: 'o' }), 100)).toEqual({
      changed: { name: 'n', introduction: '', notification: '', faceUrl: '' },
      groupType: 'Public',
      owner: 'o',
      fields: ['new'],
    });
    expect(mended(undefined, remote({ owner: 'o' }), 100)).toMatchObject({
      name: 'n',
      introduction: '',
      owner: 'o',
      groupType: 'Public',
      destroyed: false,
    });
  });

  test('only what differs, and only where no newer change is known', () => {
    const known = state(
      changed(50, { name: 'old', introduction: '', notification: '', faceUrl: '' }),
      changed(200, { notification: 'newer' }),
    );
    const there = remote({ name: 'n', notification: 'older' });
    expect(driftOf(known, there, 100)).toEqual({ changed: { name: 'n' }, fields: ['name'] });
    // At the very same millisecond the callback is taken to be the newer one.
    expect(driftOf(known, there, 200)?.changed).toEqual({ name: 'n' });
    expect(driftOf(known, there, 201)?.changed).toEqual({ name: 'n', notification: 'older' });
  });

  test('nothing, once it was mended', () => {
    const there = remote({ owner: 'o', customFields: { k: 'v' } });
    const after = mended(state(changed(50, { name: 'old' })), there, 100);
    expect(driftOf(after, there, 101)).toBeUndefined();
    expect(driftOf(after, there, 100)).toBeUndefined();
  });

  test('what the service does not tell is left alone', () => {
    const known = state(changed(50, { name: 'n', introduction: 'kept', notification: '', faceUrl: '' }));
    const { introduction: _, ...there } = remote();
    expect(driftOf(known, there, 100)).toBeUndefined();
  });
});

describe('groups that end and begin', () => {
  test('gone: destroyed, unless something newer is known', () => {
    const known = state(changed(50, { name: 'n' }));
    expect(isNewlyGone(known, 100)).toBe(true);
    const event = goneEvent(known.groupId, '', context(100));
    expect(event.type).toBe('chat.group.destroyed');
    expect(merge(known, event).destroyed).toBe(true);
    expect(isNewlyGone(known, 50)).toBe(false);
    expect(isNewlyGone(undefined, 100)).toBe(false);
    expect(isNewlyGone(state(changed(50, {}, 'chat.group.destroyed')), 100)).toBe(false);
  });

  test('destroyed here and alive there: taken whole, and alive again in every copy', () => {
    const known = state(
      changed(50, { name: 'n', introduction: 'of the first' }),
      changed(60, {}, 'chat.group.destroyed'),
    );
    const there = remote({ introduction: 'of the first' });
    expect(driftOf(known, there, 60)).toBeUndefined();
    const drift = driftOf(known, there, 100);
    expect(drift).toMatchObject({ changed: { name: 'n', introduction: 'of the first' }, fields: ['destroyed'] });
    expect(mended(known, there, 100)).toMatchObject({ destroyed: false, name: 'n' });
    // The late callback of the destruction that was known already does not end it again.
    expect(merge(mended(known, there, 100), changed(61, {}, 'chat.group.destroyed')).destroyed).toBe(false);
    expect(merge(mended(known, there, 100), changed(101, {}, 'chat.group.destroyed')).destroyed).toBe(true);
  });
});

/** The service's own history of one group: at each time one field gets a value. */
const history = fc.uniqueArray(
  fc.record({
    at: fc.integer({ min: 1, max: 60 }),
    field: fc.constantFrom(...FIELDS),
    value: fc.constantFrom('', 'a', 'b', 'c'),
  }),
  { selector: ({ at }) => at, maxLength: 12 },
);
/** What the service would say at that moment. */
function told(all: readonly { at: number; field: Field; value: string }[], at: number): RemoteGroup {
  const fields = Object.fromEntries(FIELDS.map((field) => [field, '']));
  for (const change of [...all].sort((a, b) => a.at - b.at)) if (change.at <= at) fields[change.field] = change.value;
  return { groupId: 'g', groupType: 'Public', ...fields };
}

describe('properties', () => {
  test('a callback never loses to an older read, whatever is missed and in whatever order all comes', () => {
    fc.assert(
      fc.property(
        history,
        fc.integer({ min: 0, max: 61 }),
        fc.integer({ min: 0, max: 5 }),
        fc.infiniteStream(fc.nat({ max: 3 })),
        fc.infiniteStream(fc.nat()),
        (all, looked, earlier, missed, random) => {
          // The read is dated at or before the moment when the data was looked at.
          const readAt = looked - earlier;
          const draw = missed[Symbol.iterator]();
          const seen = all
            .filter(() => draw.next().value !== 0)
            .map(({ at, field, value }) => changed(at, { [field]: value }));
          const known = state(...seen.filter((event) => event.data.occurredAt <= looked));
          const there = told(all, looked);
          const drift = driftOf(known, there, readAt);
          const events = [...seen, ...(drift === undefined ? [] : [readEvent(there, drift, context(readAt))])];
          const shuffle = random[Symbol.iterator]();
          const order = events.map((event) => ({ event, key: shuffle.next().value })).sort((a, b) => a.key - b.key);
          const merged = state(...order.map(({ event }) => event));

          for (const field of FIELDS) {
            const last = seen
              .filter(({ data }) => field in data.changed)
              .sort((a, b) => b.data.occurredAt - a.data.occurredAt)[0];
            if (last !== undefined && last.data.occurredAt >= readAt) {
              expect(merged[field]).toBe(last.data.changed[field]);
            } else if (drift !== undefined || known[field] === there[field]) {
              // Nothing newer is known: it is what the service said.
              expect(merged[field]).toBe(there[field]);
            }
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('after a read that nothing disturbed, the group is what the service said, and a second read finds nothing', () => {
    fc.assert(
      fc.property(history, fc.infiniteStream(fc.boolean()), (all, missed) => {
        const draw = missed[Symbol.iterator]();
        const seen = all.filter(() => draw.next().value).map(({ at, field, value }) => changed(at, { [field]: value }));
        const there = told(all, 60);
        const after = mended(seen.length === 0 ? undefined : state(...seen), there, 61);
        for (const field of FIELDS) expect(after[field]).toBe(there[field]);
        expect(driftOf(after, there, 62)).toBeUndefined();
      }),
    );
  });

  test('repair: the value of the same version is the journal’s, a later version is the copy’s, and nothing is nothing', () => {
    fc.assert(
      fc.property(history, history, fc.constantFrom(...FIELDS), (ours, theirs, spoilt) => {
        const ourEvents = ours.map(({ at, field, value }) => changed(at, { [field]: value }));
        const journal = state(...ourEvents);
        const copy = state(
          ...ourEvents,
          ...theirs.map(({ at, field, value }) => changed(at + 100, { [field]: value })),
        );
        expect(repair(copy, journal)).toBe(copy);
        fc.pre(copy.versions[spoilt] !== undefined);
        const tampered = { ...copy, [spoilt]: 'tampered' };
        const result = repair(tampered, journal);
        const newer = theirs.some(({ field }) => field === spoilt);
        expect(result[spoilt]).toBe(newer ? 'tampered' : journal[spoilt]);
        expect(join(tampered, journal)).toBe(tampered);
        const { [spoilt]: _, ...lost } = copy;
        if (!newer) expect(repair(lost as Group, journal)[spoilt]).toBe(journal[spoilt]);
      }),
    );
  });
});

describe('a change that lies ahead of the service’s clock', () => {
  const LATER = 594_000;
  const CREATED = 'chat.group.created';

  test('is named where it differs; what it says as the service does is in step', () => {
    const ahead = state(changed(LATER, { name: 'forged', introduction: '' }));
    expect(fieldsAhead(ahead, remote({ notification: 'x' }), 100)).toEqual(['name']);
    expect(fieldsAhead(ahead, remote({ name: 'forged' }), 100)).toEqual([]);
    // A callback that came while the service was asked is none.
    expect(fieldsAhead(state(changed(105, { name: 'new' })), remote(), 100)).toEqual([]);
  });

  test('a creation holds back all of it, a destruction the group, a change that it is gone', () => {
    const created = state(changed(LATER, {}, CREATED));
    expect(fieldsAhead(created, remote(), 100)).toEqual(expect.arrayContaining(['name', 'introduction']));
    expect(fieldsAhead(state(changed(LATER, {}, 'chat.group.destroyed')), remote(), 100)).toEqual(['destroyed']);
    expect(fieldsAhead(state(changed(LATER, { name: 'n' })), undefined, 100)).toContain('name');
    expect(fieldsAhead(state(changed(50, { name: 'n' })), undefined, 100)).toEqual([]);
  });
});
