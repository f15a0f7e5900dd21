import { z } from 'zod';
import type { CanonicalEvent, EventData, EventId } from './event.ts';
import { PROFILE_FIELDS } from './event.ts';

/** The last change of a field: its time in milliseconds since 1970, and its event. */
export type Version = readonly [occurredAt: number, eventId: EventId];

/**
 * The merged state of one group: the Elasticsearch document of `content: groups`.
 * A field that no event has set is absent. Keys of other owners may stand beside these and are kept.
 */
export const group = z
  .looseObject({
    groupId: z.string(),
    groupType: z.string().optional(),
    name: z.string().optional(),
    introduction: z.string().optional(),
    notification: z.string().optional(),
    faceUrl: z.string().optional(),
    customFields: z.record(z.string(), z.string()),
    owner: z.string().optional(),
    lastOperator: z.string().optional(),
    updatedAt: z.iso.datetime().optional().describe('When the latest change known of this group occurred.'),
    destroyed: z.boolean(),
    versions: z
      .record(z.string(), z.tuple([z.int(), z.string()]))
      .describe(
        'For each field the [occurredAt, event id] of its last change; custom fields as customFields.<Key>, ' +
          'and `created` for the creation, before which everything is forgotten.',
      ),
  })
  .meta({ title: 'group', description: 'The merged state of one chat group.' });

export interface Group {
  readonly groupId: string;
  readonly groupType?: string;
  readonly name?: string;
  readonly introduction?: string;
  readonly notification?: string;
  readonly faceUrl?: string;
  readonly customFields: Readonly<Record<string, string>>;
  readonly owner?: string;
  readonly lastOperator?: string;
  readonly updatedAt?: string;
  readonly destroyed: boolean;
  readonly versions: Readonly<Record<string, Version>>;
}

/** The parts of an event that a group is made of. */
export interface GroupChange extends Pick<CanonicalEvent, 'id' | 'type' | 'time'> {
  readonly data: Pick<EventData, 'groupType' | 'operator' | 'owner' | 'changed' | 'occurredAt'>;
}

export function newGroup(groupId: string): Group {
  return { groupId, customFields: {}, destroyed: false, versions: {} };
}

/** Tells whether `a` is a later version than `b`; the id breaks ties. */
export function isLater(a: Version, b: Version | undefined): boolean {
  return b === undefined || a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]);
}

/**
 * Invariant 3: each field is a last-writer-wins register on (occurredAt, event id), so that any order, duplicates and
 * several writers end in the same group. A creation writes all of them: older changes belong to an earlier group of the same
 * id. `destroyed` is such a register, too. A destruction sets it, and only a creation clears it, or the service saying that the
 * group is there, so that a late change does not bring a group back. Returns the same object when the event changes nothing.
 */
export function merge(current: Group, event: GroupChange): Group {
  const version: Version = [event.data.occurredAt, event.id];
  const { created } = current.versions;
  if (created !== undefined && isLater(created, version)) return current;
  const base = event.type === 'chat.group.created' && isLater(version, created) ? bornAt(current, version) : current;

  const versions: Record<string, Version> = {};
  const fields: Record<string, unknown> = {};
  const customFields: [string, string][] = [];
  const wins = (field: string): boolean => {
    if (!isLater(version, base.versions[field])) return false;
    versions[field] = version;
    return true;
  };
  const set = (field: string, value: unknown): void => {
    if (value !== undefined && wins(field)) fields[field] = value;
  };

  const { changed, groupType, owner, operator } = event.data;
  for (const field of PROFILE_FIELDS) set(field, changed[field]);
  for (const [key, value] of Object.entries(changed.customFields ?? {})) {
    if (wins(CUSTOM + key)) customFields.push([key, value]);
  }
  set('groupType', groupType);
  if (event.type === 'chat.group.destroyed') set('destroyed', true);
  else if (event.type === 'chat.group.created' || event.type === 'chat.group.info.read') set('destroyed', false);
  // A destruction names the former owner, which is no change.
  if (event.type !== 'chat.group.destroyed') set('owner', owner);
  set('lastOperator', operator);
  set('updatedAt', event.time);

  if (base === current && Object.keys(versions).length === 0) return current;
  return {
    ...base,
    ...fields,
    ...(customFields.length > 0 && { customFields: { ...base.customFields, ...Object.fromEntries(customFields) } }),
    versions: { ...base.versions, ...versions },
  };
}

/**
 * Merges two states of one group, each made from some of its events, into the state made from all of them: the later version
 * of each field wins. Returns `current` itself when `other` adds nothing. Fields without a version stay `current`'s.
 */
export function join(current: Group, other: Group): Group {
  const { created } = other.versions;
  const base = created !== undefined && isLater(created, current.versions.created) ? bornAt(current, created) : current;
  const born = base.versions.created;
  const news = Object.entries(other.versions).filter(
    ([field, version]) =>
      field !== 'created' && isLater(version, base.versions[field]) && (born === undefined || !isLater(born, version)),
  );
  if (base === current && news.length === 0) return current;

  const fields: Record<string, unknown> = {};
  const customFields: [string, string][] = [];
  for (const [field] of news) {
    if (!field.startsWith(CUSTOM)) fields[field] = other[field as keyof Group];
    else customFields.push([field.slice(CUSTOM.length), other.customFields[field.slice(CUSTOM.length)] ?? '']);
  }
  return {
    ...base,
    ...fields,
    customFields: { ...base.customFields, ...Object.fromEntries(customFields) },
    versions: { ...base.versions, ...Object.fromEntries(news) },
  };
}

/**
 * Joins two states, but takes `other`'s value where both have a field in the same version: somebody who changed the copy by hand
 * did not change the version. Returns `current` itself when nothing differs.
 */
export function repair(current: Group, other: Group): Group {
  const joined = join(current, other);
  const fields: Record<string, unknown> = {};
  const customFields: [string, string][] = [];
  for (const [field, version] of Object.entries(other.versions)) {
    const own = joined.versions[field];
    if (field === 'created' || own === undefined || isLater(own, version)) continue;
    if (!field.startsWith(CUSTOM)) {
      const value = other[field as keyof Group];
      if (joined[field as keyof Group] !== value) fields[field] = value;
      continue;
    }
    const key = field.slice(CUSTOM.length);
    const value = other.customFields[key];
    if (value !== undefined && joined.customFields[key] !== value) customFields.push([key, value]);
  }
  if (Object.keys(fields).length === 0 && customFields.length === 0) return joined;
  return { ...joined, ...fields, customFields: { ...joined.customFields, ...Object.fromEntries(customFields) } };
}

/**
 * Returns the fields in which a copy does not hold this state, whatever their versions where the values are the same. A field
 * with a later version in the copy was changed by another writer: the copy is ahead there, and does not differ.
 */
export function differences(copy: Group, state: Group): string[] {
  const { created } = copy.versions;
  const isAhead = (field: string): boolean => {
    const own = state.versions[field];
    const there = copy.versions[field] ?? (own === undefined ? undefined : created);
    return there !== undefined && isLater(there, own);
  };
  const registers = [...REGISTERS, 'destroyed'].filter(
    (field) => (copy[field as keyof Group] ?? undefined) !== state[field as keyof Group] && !isAhead(field),
  );
  const keys = new Set([...Object.keys(state.customFields), ...Object.keys(copy.customFields)]);
  const custom = [...keys].filter(
    (key) => copy.customFields[key] !== state.customFields[key] && !isAhead(CUSTOM + key),
  );
  return [...registers, ...custom.map((key) => CUSTOM + key)];
}

/** Returns the group as if these fields had never been set, their versions included; `customFields` stands for all of them. */
export function withoutFields(group: Group, fields: readonly string[]): Group {
  const custom = fields.includes('customFields');
  const goes = (field: string): boolean => fields.includes(field) || (custom && field.startsWith(CUSTOM));
  const kept = Object.entries(group).filter(([field]) => field === 'customFields' || !fields.includes(field));
  const versions = Object.entries(group.versions).filter(([field]) => !goes(field));
  return {
    ...(Object.fromEntries(kept) as unknown as Group),
    customFields: custom ? {} : group.customFields,
    versions: Object.fromEntries(versions),
  };
}

const CUSTOM = 'customFields.';
const REGISTERS = [...PROFILE_FIELDS, 'groupType', 'owner', 'lastOperator', 'updatedAt'];

/** Returns the group after a creation at `version`: only newer fields stay. `destroyed` and fields of others are kept. */
function bornAt(current: Group, version: Version): Group {
  const stands = (field: string): boolean => {
    const own = current.versions[field];
    return own !== undefined && isLater(own, version);
  };
  const registers = new Set<string>(REGISTERS);
  const kept = Object.entries(current).filter(([field]) => !registers.has(field) || stands(field));
  const custom = Object.entries(current.customFields).filter(([key]) => stands(CUSTOM + key));
  const versions = Object.entries(current.versions).filter(([field]) => stands(field));
  return {
    ...(Object.fromEntries(kept) as unknown as Group),
    customFields: Object.fromEntries(custom),
    versions: { ...Object.fromEntries(versions), created: version },
  };
}
