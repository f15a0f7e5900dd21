import type { CanonicalEvent } from '../canon/event.ts';

export interface FilterSettings {
  readonly types?: readonly string[] | undefined;
  readonly groupTypes?: readonly string[] | undefined;
  readonly groupIds?: readonly string[] | undefined;
  readonly changedFields?: readonly string[] | undefined;
}

/** Whether an event is for this connector: all criteria that are given must hold, each for one of its values. */
export function compileFilter({
  types,
  groupTypes,
  groupIds,
  changedFields,
}: FilterSettings): (event: CanonicalEvent) => boolean {
  const globs = groupIds?.map(toPattern);
  return ({ type, data }) =>
    (types?.includes(type) ?? true) &&
    (groupTypes?.includes(data.groupType) ?? true) &&
    (globs?.some((glob) => glob.test(data.groupId)) ?? true) &&
    // Only a change of fields can be left out for its fields; that a group was created or destroyed concerns every copy.
    (type !== 'chat.group.info.changed' || (changedFields?.some((field) => field in data.changed) ?? true));
}

/** `*` stands for any characters, `?` for one; all others, also those of a path or a set, for themselves. */
function toPattern(glob: string): RegExp {
  const source = glob
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '[\\s\\S]*')
    .replaceAll('?', '[\\s\\S]');
  return new RegExp(`^${source}$`, 'u');
}
