/** What an event says of a group, field by field, in the words of `versions`. */
import type { CanonicalEvent } from './event.ts';
import { fieldOf, fieldsTold, type Group } from './group.ts';

export const fieldsOf = (event: CanonicalEvent): [field: string, text: string][] =>
  fieldsTold(event).map(([field, value]) => [field, String(value)]);

export function fieldText(state: Group, field: string): string | undefined {
  if (field === 'destroyed') return state.versions.destroyed === undefined ? undefined : String(state.destroyed);
  const found = fieldOf(state, field);
  return typeof found === 'string' ? found : undefined;
}
