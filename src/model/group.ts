import { z } from 'zod';
import {
  type CanonicalEvent,
  type EventData,
  type EventId,
  type EventType,
  PROFILE_FIELDS,
  type ProfileField,
  profile,
} from './event.ts';
import { isObject } from './json.ts';

/** The last change of a field: its time in milliseconds since 1970, and its event. */
export type Version = [occurredAt: number, eventId: EventId];

const fields = {
  groupId: z.string().describe('The group id.'),
  source: z
    .string()
    .exactOptional()
    .describe('urn:tencent-chat:app:<SDKAppID>: groups of another app are other groups, whatever their ids.'),
  groupType: z.string().exactOptional().describe('Public, Private, ChatRoom, AVChatRoom, Community, …: an open set.'),
  ...profile,
  customFields: z.record(z.string(), z.string()).describe('The custom fields, by key; "" where one was cleared.'),
  owner: z.string().exactOptional().describe('The owner, where it is known.'),
  lastOperator: z.string().exactOptional().describe('Who made the latest change whose author is known.'),
  updatedAt: z.iso.datetime().exactOptional().describe('When the latest change known of this group occurred.'),
  destroyed: z.boolean().describe('Whether the group is gone; its last state is kept.'),
  versions: z
    .record(z.string(), z.tuple([z.int(), z.string()]))
    .describe(
      'For each field the [occurredAt, event id] of its last change; custom fields as customFields.<Key>, ' +
        'and `created` for the creation, before which everything is forgotten.',
    ),
};

/** The Elasticsearch document of `content: groups`. A field that no event has set is absent; foreign keys stay. */
export const group = z.looseObject(fields).meta({ title: 'group', description: 'The merged state of one chat group.' });
export type Group = Readonly<z.output<z.ZodObject<typeof fields>>>;

/** The parts of an event that a group is made of. */
type GroupChange = Pick<CanonicalEvent, 'id' | 'source' | 'type' | 'time'> & {
  readonly data: Pick<EventData, 'groupType' | 'operator' | 'owner' | 'changed' | 'occurredAt'>;
};

export function newGroup(groupId: string): Group {
  return { groupId, customFields: {}, destroyed: false, versions: {} };
}

export const latestEvent = ({ versions }: Group): EventId | undefined => versions.updatedAt?.[1];

/** Returns who made the latest change; undefined if that change does not say, even if an earlier one did. */
export function operatorOf(group: Group): string | undefined {
  return group.versions.lastOperator?.[1] === latestEvent(group) ? group.lastOperator : undefined;
}

/** Whether both are known to be of different apps: the same id then does not mean the same group. */
export function isForeign(group: Pick<Group, 'source'>, source: string | undefined): boolean {
  return group.source !== undefined && source !== undefined && group.source !== source;
}

/** Whether `a` is a later version than `b`; the id breaks ties. */
export function isLater(a: Version, b: Version | undefined): boolean {
  return b === undefined || a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]);
}

/**
 * Invariant 3: each field is a last-writer-wins register on (occurredAt, event id), so that any order, duplicates and
 * several writers end in the same group. A creation writes all of them: older changes belong to an earlier group of the
 * same id. `destroyed` is a register, too: a destruction sets it, and only a creation, or the service saying that the
 * group exists, clears it, so that a late change does not bring a group back. Returns the same object if the event
 * changes nothing, or is of another app.
 */
export function merge(current: Group, event: GroupChange): Group {
  const version: Version = [event.data.occurredAt, event.id];
  const told: Field[] = [...fieldsTold(event), ['lastOperator', event.data.operator], ['updatedAt', event.time]];
  const news = told.filter(([, value]) => value !== undefined).map(([field, value]): Field => [field, value, version]);
  return withNewer(current, event.source, event.type === 'chat.group.created' ? version : undefined, news);
}

/** Returns the group with those fields that are newer than its own, born anew if the creation is newer. */
function withNewer(
  current: Group,
  source: string | undefined,
  birth: Version | undefined,
  told: readonly Field[],
): Group {
  if (isForeign(current, source)) return current;
  const base = birth && isLater(birth, current.versions.created) ? bornAt(current, birth) : current;
  const { created } = base.versions;
  const isNews = ([field, value, version]: Field): boolean =>
    version !== undefined &&
    fits([field, value]) &&
    isLater(version, base.versions[field]) &&
    !(created && isLater(created, version));
  const news = told.filter(isNews);
  if (base === current && news.length === 0) return current;
  return withFields(base, source === undefined ? news : [['source', source], ...news]);
}

function fieldsTold({ type, data: { changed, groupType, owner } }: GroupChange): Field[] {
  const told: Field[] = [
    ...PROFILE_FIELDS.map((field): Field => [field, changed[field]]),
    ...Object.entries(changed.customFields ?? {}).map(([key, value]): Field => [CUSTOM + key, value]),
    ['groupType', groupType === '' ? undefined : groupType],
    // A destruction names the former owner, which is no change.
    ['owner', type === 'chat.group.destroyed' ? undefined : owner],
    ['destroyed', DESTROYED.get(type)],
  ];
  return told.filter(([, value]) => value !== undefined);
}

/**
 * Merges two states of one group, each made from some of its events, into the state made from all of them: the later
 * version of each field wins. Returns `current` itself if `other` adds nothing, or is of another app. Fields without a
 * version stay `current`'s.
 */
export function join(current: Group, other: Group): Group {
  const { created, ...versions } = other.versions;
  const told = Object.entries(versions).map(([field, version]): Field => [field, fieldOf(other, field), version]);
  return withNewer(current, other.source, created, told);
}

/**
 * Joins two states, but takes `other`'s value if both have a field in the same version: somebody who edited the copy by
 * hand did not change the version. Returns `current` itself if nothing differs.
 */
export function repair(current: Group, other: Group): Group {
  const joined = join(current, other);
  const values = Object.entries(other.versions)
    .filter(([field, version]) => {
      const own = joined.versions[field];
      return field !== 'created' && own !== undefined && !isLater(own, version);
    })
    .map(([field]): Field => [field, fieldOf(other, field)])
    .filter(([field, value]) => value !== fieldOf(joined, field) && (value !== undefined || !field.startsWith(CUSTOM)));
  return values.length === 0 ? joined : withFields(joined, values);
}

/**
 * Returns the fields whose values in a copy are not this state's. A field with a later version in the copy was changed by
 * another writer: the copy is ahead there, which is no difference. Nor is a field that no event has set, which nobody
 * writes, unless the group was created anew.
 */
export function differences(copy: Group, state: Group): string[] {
  const { created } = state.versions;
  return unlike(copy, state).filter((field) => {
    const own = state.versions[field];
    const there = copy.versions[field] ?? copy.versions.created;
    if (own === undefined) return created !== undefined && isLater(created, there);
    return there === undefined || !isLater(there, own);
  });
}

/** Returns the fields, spelt as in `versions`, whose values differ. */
function unlike(one: Group, other: Group): string[] {
  const custom = new Set([...Object.keys(other.customFields), ...Object.keys(one.customFields)]);
  return [...REGISTERS, 'destroyed', ...[...custom].map((key) => CUSTOM + key)].filter(
    (field) => (fieldOf(one, field) ?? undefined) !== (fieldOf(other, field) ?? undefined),
  );
}

export type ChangedField = ProfileField | 'groupType' | 'owner' | 'destroyed' | `customFields.${string}`;

/** Returns what a change altered, apart from its author and time, which every change sets. */
export function changedFields(before: Group | undefined, after: Group): ChangedField[] {
  const fields = unlike(before ?? newGroup(after.groupId), after);
  return fields.filter((field) => field !== 'lastOperator' && field !== 'updatedAt') as ChangedField[];
}

/** Returns the group as if these fields had never been set, versions included; `customFields` means all of them. */
export function withoutFields(group: Group, fields: readonly string[]): Group {
  const customGo = fields.includes('customFields');
  return onlyFields(group, (field) => !(fields.includes(field) || (customGo && field.startsWith(CUSTOM))));
}

/** Returns the group after a creation at `version`: only newer fields stay. `destroyed` and foreign fields are kept. */
function bornAt(current: Group, version: Version): Group {
  const newer = onlyFields(current, (field) => {
    const own = current.versions[field];
    return own !== undefined && isLater(own, version);
  });
  return { ...newer, versions: { ...newer.versions, created: version } };
}

const REGISTERS = [...PROFILE_FIELDS, 'groupType', 'owner', 'lastOperator', 'updatedAt'];
const DESTROYED = new Map<EventType, boolean>([
  ['chat.group.destroyed', true],
  ['chat.group.created', false],
  ['chat.group.info.read', false],
]);

/** A field with its value and version, spelt as in `versions`: a custom field is `customFields.<Key>`. */
type Field = [field: string, value: unknown, version?: Version];
export const CUSTOM = 'customFields.';

/*
 * Bounds what outsiders can store in one group. Each value has a limit; of the custom fields, the ones changed last stay.
 * Their number is limited, not their total size: once a field shrank, a limit of the size would readmit others that it
 * had dropped, but only in one order of the changes. The service allows 10, of 16 and 512 bytes.
 */
export const CUSTOM_BOUNDS = { keyBytes: 128, valueBytes: 4_096, most: 50 } as const;
const MOST_PROFILE_BYTES = 65_536;

/** Bytes as in JSON, where a control character takes six. */
const bytesOf = (text: string): number => Buffer.byteLength(JSON.stringify(text)) - 2;

/** Whether a field, spelt as in `versions`, is within a group's limits. */
export function fits([field, value]: readonly [field: string, value: unknown]): boolean {
  if (typeof value !== 'string') return true;
  const { keyBytes, valueBytes } = CUSTOM_BOUNDS;
  const most = PROFILE_FIELDS.some((one) => one === field) ? MOST_PROFILE_BYTES : valueBytes;
  const key = field.startsWith(CUSTOM) ? field.slice(CUSTOM.length) : '';
  return bytesOf(value) <= most && bytesOf(key) <= keyBytes;
}

function bounded(group: Group): Group {
  const fields = Object.entries(group.customFields);
  if (fields.length <= CUSTOM_BOUNDS.most) return group;
  const versionOf = (key: string): Version => group.versions[CUSTOM + key] ?? [0, ''];
  const latest = fields
    .filter(([key, value]) => fits([CUSTOM + key, value]))
    .sort(([a], [b]) => {
      const [one, other] = [versionOf(a), versionOf(b)];
      return isLater(one, other) || (a < b && !isLater(other, one)) ? -1 : 1;
    });
  const kept = new Set(latest.slice(0, CUSTOM_BOUNDS.most).map(([key]) => CUSTOM + key));
  if (kept.size === fields.length) return group;
  return onlyFields(group, (field) => !field.startsWith(CUSTOM) || kept.has(field));
}

/** Returns a field, spelt as in `versions`; undefined if the group lacks it, whatever its name. */
export function fieldOf(group: Group, field: string): unknown {
  if (!field.startsWith(CUSTOM)) return group[field as keyof Group];
  const key = field.slice(CUSTOM.length);
  return Object.hasOwn(group.customFields, key) ? group.customFields[key] : undefined;
}

/** Returns the fields that an event names, spelt as in `versions`, as texts. */
export const fieldsOf = (event: CanonicalEvent): [field: string, text: string][] =>
  fieldsTold(event).map(([field, value]) => [field, String(value)]);

export function fieldText(state: Group, field: string): string | undefined {
  if (field === 'destroyed') return state.versions.destroyed === undefined ? undefined : String(state.destroyed);
  const found = fieldOf(state, field);
  return typeof found === 'string' ? found : undefined;
}

function withFields(base: Group, fields: readonly Field[]): Group {
  const registers: Record<string, unknown> = {};
  const versions = { ...base.versions };
  const custom: [key: string, value: string][] = [];
  for (const [field, value, version] of fields) {
    if (version !== undefined) versions[field] = version;
    if (!field.startsWith(CUSTOM)) registers[field] = value;
    // A version without a value, as in a foreign document, means a cleared field.
    else custom.push([field.slice(CUSTOM.length), (value ?? '') as string]);
  }
  return bounded({
    ...base,
    ...registers,
    ...(custom.length > 0 && { customFields: { ...base.customFields, ...Object.fromEntries(custom) } }),
    versions,
  });
}

/** Returns the group with the registers, custom fields and versions that `stays` keeps, and all foreign fields. */
export function onlyFields(group: Group, stays: (field: string) => boolean): Group {
  const kept = Object.entries(group).filter(([field]) => !REGISTERS.includes(field) || stays(field));
  const custom = Object.entries(group.customFields).filter(([key]) => stays(CUSTOM + key));
  const versions = Object.entries(group.versions).filter(([field]) => stays(field));
  return {
    ...(Object.fromEntries(kept) as unknown as Group),
    customFields: Object.fromEntries(custom),
    versions: Object.fromEntries(versions),
  };
}

/** Returns the parts that merging relies on, of a copy that may be foreign: without versions, or with odd ones. */
export function putRight(
  held: {
    readonly [Part in 'customFields' | 'destroyed' | 'versions']?: unknown;
  },
): Pick<Group, 'customFields' | 'destroyed' | 'versions'> {
  const { customFields, destroyed, versions } = held;
  return {
    customFields: (isObject(customFields) ? customFields : {}) as Group['customFields'],
    destroyed: destroyed === true,
    // A field without a usable version loses to any event.
    versions: Object.fromEntries(isObject(versions) ? Object.entries(versions).filter(isVersioned) : []),
  };
}

function isVersioned(entry: [field: string, version: unknown]): entry is [string, Version] {
  const [, version] = entry;
  if (!Array.isArray(version) || version.length !== 2) return false;
  return Number.isSafeInteger(version[0]) && typeof version[1] === 'string';
}
