import type { CanonicalEvent } from '../model/event.ts';
import type { Group } from '../model/group.ts';

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
  // Only a change of fields can be left out for its fields; that a group was created or destroyed, or who owns it,
  // concerns every copy.
  const tellsFieldsOnly = ({ type, data }: CanonicalEvent): boolean =>
    type === 'chat.group.info.changed' || (type === 'chat.group.info.read' && data.owner === undefined);
  return (event) =>
    (types?.includes(event.type) ?? true) &&
    (groupTypes?.includes(event.data.groupType) ?? true) &&
    (globs?.some((glob) => glob.test(event.subject)) ?? true) &&
    (changedFields === undefined ||
      !tellsFieldsOnly(event) ||
      changedFields.some((field) => field in event.data.changed));
}

/** Whether any event of this group may be for this connector: what can be told when its events are gone. */
export function concernsGroup({ groupTypes, groupIds }: FilterSettings, { groupId, groupType }: Group): boolean {
  return (
    (groupType === undefined || (groupTypes?.includes(groupType) ?? true)) &&
    (groupIds?.some((glob) => toPattern(glob).test(groupId)) ?? true)
  );
}

/** `*` stands for any characters, `?` for one; all others, also those of a path or a set, for themselves. */
function toPattern(glob: string): RegExp {
  const source = glob
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '[\\s\\S]*')
    .replaceAll('?', '[\\s\\S]');
  return new RegExp(`^${source}$`, 'u');
}
