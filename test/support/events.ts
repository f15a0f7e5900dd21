import { type CanonicalEvent, type ChangedFields, groupEvent } from '../../src/model/event.ts';

/** Returns the `n`-th event of a sequence: ids and times rise with n. */
export function madeEvent(
  n: number,
  changed: ChangedFields = { name: `name ${n}` },
  groupId = '@TGS#TEST',
): CanonicalEvent {
  return groupEvent('chat.group.info.changed', '1400701118', `event${String(n).padStart(9, '0')}`, {
    groupId,
    groupType: 'Public',
    operator: 'administrator',
    changed,
    occurredAt: 1_700_000_000_000 + n,
    occurredAtFrom: 'callback',
    receivedAt: 1_700_000_000_000 + n,
    origin: {},
    extra: {},
  });
}
