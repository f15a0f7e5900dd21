import { group as groupSchema } from '../model/group.ts';
import { isObject, jsonIn } from '../model/json.ts';
import { headersOf, type IncomingMessage, invalid, jsonOf, textOf, type Unreadable, unreadable } from './message.ts';
import type { Group } from './types.ts';

/** A state of one group, read from a topic; `group` is null when the group is destroyed. */
export interface GroupState {
  /** The group id. */
  readonly groupId: string;
  /** The merged state; null where the group is destroyed. */
  readonly group: Group | null;
  /** Of a group that is destroyed, the state that it had then: by its versions it is told what comes late. */
  readonly lastState?: Group;
}

/** On a tombstone: the group as it was destroyed, with its versions, without which what comes late could not be told. */
export const STATE_HEADER = 'group_state';

export type ParsedGroup = ({ readonly ok: true } & GroupState) | Unreadable;

/** Reads the state of a message from a topic with `content: groups`: the key is the group's id, and no value means destroyed. */
export function parseGroup(message: IncomingMessage): ParsedGroup {
  if (message.value === null) {
    const json = jsonIn(headersOf(message).get(STATE_HEADER) ?? '');
    const lastState = groupSchema.safeParse(json).success ? (json as Group) : undefined;
    // With `shape.key` the key is not the group id.
    const groupId = lastState?.groupId ?? textOf(message.key ?? '');
    if (groupId) return { ok: true, groupId, group: null, ...(lastState && { lastState }) };
    return unreadable({ code: 'message-empty', message: 'a message with neither key nor value', path: 'key' });
  }
  const json = jsonOf(message.value);
  if (!json.ok) return json;
  const checked = groupSchema.safeParse(json.value);
  if (checked.success) return { ok: true, groupId: checked.data.groupId, group: json.value as Group };
  const isEvent = isObject(json.value) && 'specversion' in json.value;
  return invalid('a group', checked.error, isEvent ? 'this looks like an event: read it with parseEvent' : undefined);
}
