import { merge as mergeInto, newGroup } from '../model/group.ts';
import type { Group, GroupEvent } from './types.ts';

/**
 * Returns the group after an event, whatever the order of events and however often each comes; `group` is undefined for one
 * not seen before. Returns the same object if the event changes nothing, or belongs to another app.
 */
export function merge(group: Group | undefined, event: GroupEvent): Group {
  return mergeInto(group ?? newGroup(event.subject), event);
}
