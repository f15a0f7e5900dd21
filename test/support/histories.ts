/** Made-up histories of a few groups, of every type of event. */
import fc from 'fast-check';
import {
  type CanonicalEvent,
  type ChangedFields,
  EVENT_TYPES,
  type EventType,
  groupEvent,
} from '../../src/model/event.ts';
import { type Group, merge, newGroup } from '../../src/model/group.ts';

const value = fc.constantFrom('', 'a', 'b', '群 🎉');

/** There are few times, so that ties are common; a tie of time and id is the same event. */
const made = fc.record({
  groupId: fc.constantFrom('@TGS#ONE', '@TGS#TWO', '@TGS#群'),
  at: fc.integer({ min: 0, max: 6 }),
  // Changes are the most common type in practice, too.
  type: fc.constantFrom<EventType>('chat.group.info.changed', 'chat.group.info.changed', ...EVENT_TYPES),
  operator: fc.option(fc.constantFrom('x', 'y'), { nil: undefined }),
  groupType: fc.constantFrom('Public', 'Community'),
  owner: fc.constantFrom('tom', 'ann'),
  changed: fc.record(
    {
      name: value,
      introduction: value,
      notification: value,
      faceUrl: value,
      customFields: fc.dictionary(fc.constantFrom('k', 'two words', '__proto__'), value),
    },
    { requiredKeys: [] },
  ),
});

/** Events in an order of their own; ids do not rise with the times. */
export const history: fc.Arbitrary<CanonicalEvent[]> = fc.array(made, { minLength: 1, maxLength: 40 }).map((all) =>
  all.map(({ groupId, at, type, operator, groupType, owner, changed }, index) => {
    const tellsChanges = !['chat.group.destroyed', 'chat.group.owner.changed'].includes(type);
    const occurredAt = 1_700_000_000_000 + at;
    return groupEvent(type, '1400701118', `id${String((index * 37) % 101).padStart(3, '0')}`, {
      groupId,
      groupType,
      ...(operator !== undefined && { operator }),
      ...(type !== 'chat.group.info.changed' && { owner }),
      changed: tellsChanges ? (changed as ChangedFields) : {},
      occurredAt,
      occurredAtFrom: type === 'chat.group.info.read' ? 'read' : 'callback',
      receivedAt: occurredAt + 5,
      origin: {},
      extra: {},
    });
  }),
);

/** Pairs a history with its events in any order, some of them twice. */
export const redelivered = (
  histories: fc.Arbitrary<CanonicalEvent[]>,
): fc.Arbitrary<[events: CanonicalEvent[], shuffled: CanonicalEvent[]]> =>
  histories.chain((events) =>
    fc.array(fc.constantFrom(...events), { maxLength: 8 }).chain((again) => {
      const all = [...events, ...again];
      return fc.tuple(fc.constant(events), fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }));
    }),
  );

export const delivered = redelivered(history);

/** Returns the groups that the bridge merges from these events. */
export function mergedGroups(events: readonly CanonicalEvent[]): Map<string, Group> {
  const groups = new Map<string, Group>();
  for (const event of events)
    groups.set(event.subject, merge(groups.get(event.subject) ?? newGroup(event.subject), event));
  return groups;
}
