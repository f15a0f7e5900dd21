import type { Entry } from '../model/entry.ts';
import { PROFILE_FIELDS, wireType } from '../model/event.ts';
import { type Group, withoutFields } from '../model/group.ts';
import { compileShape, type ShapeSettings } from '../model/shape.ts';

/** Not the schema's type, since the connector suite is compiled without src/config. */
export interface FilterSettings {
  readonly types?: readonly string[] | undefined;
  readonly groupTypes?: readonly string[] | undefined;
  readonly groupIds?: readonly string[] | undefined;
  readonly changedFields?: readonly string[] | undefined;
}

export type Filter = ReturnType<typeof compileFilter>;

/** Compiles what one connector receives. The engine applies it once on every path to a sink; see decision 0012. */
export function compileFilter({ types, groupTypes, groupIds, changedFields }: FilterSettings, shape?: ShapeSettings) {
  // What the shape leaves out of a copy is neither compared nor merged.
  const { project } = shape === undefined ? { project: undefined } : compileShape(shape, 'groups');
  const globs = groupIds?.map((glob) => [...glob]);
  const named = (groupId: string): boolean => globs?.some((glob) => matchesGlob(glob, [...groupId])) ?? true;
  const omitted =
    changedFields && [...PROFILE_FIELDS, 'customFields'].filter((field) => !changedFields.includes(field));
  // `changedFields` excludes only changes of fields: creation, destruction and ownership concern every copy.
  const hasWantedField = ({ event: { type, data } }: Pick<Entry, 'event'>): boolean =>
    !(type === 'chat.group.info.changed' || (type === 'chat.group.info.read' && data.owner === undefined)) ||
    (changedFields?.some((field) => Object.hasOwn(data.changed, field)) ?? true);
  return {
    /** Whether an event is for this connector: every given criterion must match one of its values. */
    matches: (entry: Pick<Entry, 'groupId' | 'event'>): boolean =>
      named(entry.groupId) &&
      (types?.includes(entry.event.type) ?? true) &&
      (groupTypes?.includes(wireType(entry.event.data.groupType)) ?? true) &&
      (changedFields === undefined || hasWantedField(entry)),
    /** Whether any event of this group may be for this connector, as far as its state can tell. */
    concerns: ({ groupId, groupType }: Group): boolean =>
      (groupType === undefined || (groupTypes?.includes(wireType(groupType)) ?? true)) && named(groupId),
    /** Whether the state alone proves that the copy must hold this group: some event of it was for this connector. */
    requires: ({ groupId, groupType, versions }: Group): boolean =>
      types === undefined &&
      named(groupId) &&
      (groupTypes === undefined || (groupType !== undefined && groupTypes.includes(wireType(groupType)))) &&
      (changedFields?.some((field) => Object.keys(versions).some((one) => one.split('.')[0] === field)) ?? true),
    /**
     * Returns the state without the fields that `changedFields` or the shape leaves out; the same object if there are
     * none.
     */
    project(group: Group): Group {
      const filtered = omitted === undefined ? group : withoutFields(group, omitted);
      return project?.(filtered) ?? filtered;
    },
  };
}

/**
 * `*` matches any characters, `?` exactly one; every other character matches itself. Only the latest star is retried, one
 * character further on: at most pattern × text steps, where a regular expression would try each star against each.
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
