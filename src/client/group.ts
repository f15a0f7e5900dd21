import { group as groupSchema } from '../model/group.ts';
import { isObject, jsonIn } from '../model/json.ts';
import { headersOf, type IncomingMessage, invalid, jsonOf, textOf, type Unreadable, unreadable } from './message.ts';
import type { Group } from './types.ts';

/** A state of one group, read from a topic. */
export interface GroupState {
  /** The group id. */
  readonly groupId: string;
  /** The merged state; null if the group is destroyed. */
  readonly group: Group | null;
  /** The state of a destroyed group when it was destroyed; its versions tell which changes come late. */
  readonly lastState?: Group;
}

/** On a tombstone: the group when it was destroyed, whose versions tell which changes come late. */
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
