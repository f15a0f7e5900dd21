/** What an event says of a group, field by field, in the words of `versions`. */
import { type CanonicalEvent, PROFILE_FIELDS } from './event.ts';
import { CUSTOM, fieldOf, type Group } from './group.ts';

/** Returns the fields that an event names, as texts. */
export function fieldsOf({ type, data }: CanonicalEvent): [field: string, text: string][] {
  const custom = Object.entries(data.changed.customFields ?? {});
  const fields: [string, string | undefined][] = [
    ...PROFILE_FIELDS.map((field): [string, string | undefined] => [field, data.changed[field]]),
    ...custom.map(([key, text]): [string, string] => [CUSTOM + key, text]),
    ['groupType', data.groupType],
  ];
  if (type === 'chat.group.destroyed') fields.push(['destroyed', 'true']);
  else fields.push(['owner', data.owner]);
  if (type === 'chat.group.created' || type === 'chat.group.info.read') fields.push(['destroyed', 'false']);
  return fields.filter((entry): entry is [string, string] => entry[1] !== undefined);
}

export function fieldText(state: Group, field: string): string | undefined {
  if (field === 'destroyed') return state.versions.destroyed === undefined ? undefined : String(state.destroyed);
  const found = fieldOf(state, field);
  return typeof found === 'string' ? found : undefined;
}
