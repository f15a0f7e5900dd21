import type { Entry } from '../model/entry.ts';
import { PROFILE_FIELDS, wireType } from '../model/event.ts';
import { type Group, withoutFields } from '../model/group.ts';
import { compileShape, type ShapeSettings } from '../model/shape.ts';

/** Not the type of the schema: the suite for connectors is compiled without the configuration. */
export interface FilterSettings {
  readonly types?: readonly string[] | undefined;
  readonly groupTypes?: readonly string[] | undefined;
  readonly groupIds?: readonly string[] | undefined;
  readonly changedFields?: readonly string[] | undefined;
}

export type Filter = ReturnType<typeof compileFilter>;

/** Returns what one connector is to have. It is applied by the engine, once, on every way to a sink; see decision 0012. */
export function compileFilter({ types, groupTypes, groupIds, changedFields }: FilterSettings, shape?: ShapeSettings) {
  // What a copy leaves out is no difference, and nothing to merge by.
  const { project } = shape === undefined ? { project: undefined } : compileShape(shape, 'groups');
  const globs = groupIds?.map((glob) => [...glob]);
  const named = (groupId: string): boolean => globs?.some((glob) => matchesGlob(glob, [...groupId])) ?? true;
  const left = changedFields && [...PROFILE_FIELDS, 'customFields'].filter((field) => !changedFields.includes(field));
  // Only a change of fields can be left out for its fields; that a group was created or destroyed, or who owns it,
  // concerns every copy.
  const hasWantedField = ({ event: { type, data } }: Pick<Entry, 'event'>): boolean =>
    !(type === 'chat.group.info.changed' || (type === 'chat.group.info.read' && data.owner === undefined)) ||
    (changedFields?.some((field) => Object.hasOwn(data.changed, field)) ?? true);
  return {
    /** Whether an event is for this connector: all criteria that are given must hold, each for one of its values. */
    matches: (entry: Pick<Entry, 'groupId' | 'event'>): boolean =>
      named(entry.groupId) &&
      (types?.includes(entry.event.type) ?? true) &&
      (groupTypes?.includes(wireType(entry.event.data.groupType)) ?? true) &&
      (changedFields === undefined || hasWantedField(entry)),
    /** Whether any event of this group may be for this connector, as far as its state can tell. */
    concerns: ({ groupId, groupType }: Group): boolean =>
      (groupType === undefined || (groupTypes?.includes(wireType(groupType)) ?? true)) && named(groupId),
    /** Whether the copy must hold this group, as its state alone tells: some event of it was for this connector. */
    requires: ({ groupId, groupType, versions }: Group): boolean =>
      types === undefined &&
      named(groupId) &&
      (groupTypes === undefined || (groupType !== undefined && groupTypes.includes(wireType(groupType)))) &&
      (changedFields?.some((field) => Object.keys(versions).some((one) => one.split('.')[0] === field)) ?? true),
    /** Returns the state without the fields that `changedFields` or the shape leaves out; the same object where none is. */
    project(group: Group): Group {
      const filtered = left === undefined ? group : withoutFields(group, left);
      return project?.(filtered) ?? filtered;
    },
  };
}

/**
 * `*` stands for any characters, `?` for one; all others, also those of a path or a set, for themselves. A star is tried
 * again one character further on, and only the latest one: at most pattern × text steps, where a regular expression would
 * try each star against each.
 */
function matchesGlob(pattern: readonly string[], text: readonly string[]): boolean {
  let [at, star, resume] = [0, -1, 0];
  for (let next = 0; next < text.length; ) {
    if (pattern[at] === '*') {
      star = at++;
      resume = next;
    } else if (pattern[at] === '?' || pattern[at] === text[next]) {
      at++;
      next++;
    } else if (star >= 0) {
      at = star + 1;
      next = ++resume;
    } else return false;
  }
  return pattern.slice(at).every((character) => character === '*');
}
