import { type ChangedField, changedFields, isForeign, join } from '../model/group.ts';
import type { GroupState } from './group.ts';
import { merge } from './merge.ts';
import type { Group, GroupEvent } from './types.ts';

export interface GroupViewOptions {
  /**
   * Called after each change of a held group: `before` is undefined for a new group, `event` if a state brought it.
   * `changedFields` names what differs, and is empty if only author and time are new. Not called for known or older
   * changes.
   */
  readonly onChange?: (
    before: Group | undefined,
    after: Group,
    event: GroupEvent | undefined,
    changedFields: readonly ChangedField[],
  ) => void;
}

/** A merged copy of the groups. Destroyed groups stay, with `destroyed: true`, so that late changes cannot revive them. */
export interface GroupView {
  /** Merges one event, in any order and any number of times. Returns the resulting group. */
  apply(event: GroupEvent): Group;
  /** Merges one state of a topic with `content: groups`. Returns the resulting group; undefined for an unknown, destroyed one without a last state. */
  applyState(state: GroupState): Group | undefined;
  /** Returns the group of the app with this `source`; by default, of the app first seen with a group of this id. */
  get(groupId: string, source?: string): Group | undefined;
  /** Yields each group with its id, in the order first seen; an id may come once for each app. */
  entries(): IterableIterator<[string, Group]>;
  /** The number of groups, destroyed ones included. */
  readonly size: number;
}

export function createGroupView(options: GroupViewOptions = {}): GroupView {
  /** By id, then by app: groups of two apps may have the same id, and are never merged. */
  const groups = new Map<string, Group[]>();
  let size = 0;

  const find = (groupId: string, source: string | undefined): Group | undefined =>
    groups.get(groupId)?.find((group) => !isForeign(group, source));

  const hold = (groupId: string, before: Group | undefined, after: Group, event?: GroupEvent): Group => {
    if (after === before) return after;
    const held = groups.get(groupId) ?? [];
    groups.set(
      groupId,
      before === undefined ? [...held, after] : held.map((group) => (group === before ? after : group)),
    );
    if (before === undefined) size++;
    options.onChange?.(before, after, event, changedFields(before, after));
    return after;
  };

  return {
    apply(event) {
      const groupId = event.subject;
      const before = find(groupId, event.source);
      return hold(groupId, before, merge(before, event), event);
    },
    applyState({ groupId, group, lastState }) {
      const state = group ?? lastState;
      const before = find(groupId, state?.source);
      if (state !== undefined) return hold(groupId, before, before === undefined ? state : join(before, state));
      if (before === undefined || before.destroyed) return before;
      // Such a tombstone has no version, so the earlier versions stay: an older change still changes nothing, and only a
      // newer one, such as a creation, brings the group back.
      return hold(groupId, before, { ...before, destroyed: true });
    },
    get: find,
    *entries() {
      for (const [groupId, held] of groups) for (const group of held) yield [groupId, group];
    },
    get size() {
      return size;
    },
  };
}
