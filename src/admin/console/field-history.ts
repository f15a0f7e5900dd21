import type { JournalEntry } from '../../journal/deliveries.ts';
import { type CanonicalEvent, PROFILE_FIELDS } from '../../model/event.ts';
import { type Group, merge, newGroup, type Version } from '../../model/group.ts';

/** What one event did to one field. */
export interface Change {
  readonly seq: number;
  readonly event: CanonicalEvent;
  /** Undefined where nothing earlier is known. */
  readonly before: string | undefined;
  readonly after: string;
  /** The value did not take effect: a change with a later version had been recorded before this one came. */
  readonly late?: { readonly than: Version };
}

export interface FieldStory {
  /** name, introduction, …, customFields.<Key>, owner, groupType, destroyed. */
  readonly field: string;
  readonly value: string | undefined;
  /** Newest first, in the order in which they were recorded. */
  readonly changes: readonly Change[];
}

const CUSTOM = 'customFields.';

/**
 * Each field with its changes, worked out by merging the group's events (newest first, as they are read) from the oldest on.
 * Where older events are pruned, what they left behind is taken from the merged state `group`: a field whose version is of none
 * of these events was set before all of them.
 */
export function storyOf(group: Group, entries: readonly JournalEntry[]): FieldStory[] {
  const ids = new Set(entries.map(({ event }) => event.id));
  let state = seedOf(group, ids);
  const changes = new Map<string, Change[]>();
  for (const { seq, event } of entries.toReversed()) {
    const merged = merge(state, event);
    for (const [field, after] of toldBy(event)) {
      const before = textOf(state, field);
      const own = merged.versions[field];
      const won = own?.[1] === event.id;
      // The group type comes with each event: only a change of it says something.
      if (QUIET.has(field) && (!won || before === after)) continue;
      const than = own ?? merged.versions.created;
      const list = changes.get(field) ?? [];
      list.unshift({ seq, event, before, after, ...(!won && than !== undefined && { late: { than } }) });
      changes.set(field, list);
    }
    state = merged;
  }
  const fields = new Set<string>([
    ...PROFILE_FIELDS,
    ...Object.keys(group.customFields).map((key) => CUSTOM + key),
    ...[...changes.keys()].filter((field) => field.startsWith(CUSTOM)),
    'owner',
    'groupType',
    'destroyed',
  ]);
  return [...fields].map((field) => ({ field, value: textOf(group, field), changes: changes.get(field) ?? [] }));
}

/** Fields that events carry along whether they changed or not. */
const QUIET = new Set(['groupType', 'destroyed', 'owner']);

/** The part of the group that is of earlier events than those at hand. */
function seedOf(group: Group, ids: ReadonlySet<string>): Group {
  const versions = Object.fromEntries(Object.entries(group.versions).filter(([, [, id]]) => !ids.has(id)));
  const earlier = (field: string): boolean => versions[field] !== undefined;
  const { groupId, name, introduction, notification, faceUrl, owner, groupType } = group;
  const fields = { name, introduction, notification, faceUrl, owner, groupType };
  return {
    ...newGroup(groupId),
    ...Object.fromEntries(Object.entries(fields).filter(([field, text]) => text !== undefined && earlier(field))),
    destroyed: group.destroyed && earlier('destroyed'),
    customFields: Object.fromEntries(Object.entries(group.customFields).filter(([key]) => earlier(CUSTOM + key))),
    versions,
  };
}

/** The fields that an event speaks of, as texts. */
function toldBy({ type, data }: CanonicalEvent): [string, string][] {
  const told: [string, string | undefined][] = PROFILE_FIELDS.map((field) => [field, data.changed[field]]);
  for (const [key, text] of Object.entries(data.changed.customFields ?? {})) told.push([CUSTOM + key, text]);
  if (type !== 'chat.group.destroyed') told.push(['owner', data.owner]);
  told.push(['groupType', data.groupType]);
  if (type === 'chat.group.destroyed') told.push(['destroyed', 'true']);
  if (type === 'chat.group.created' || type === 'chat.group.info.read') told.push(['destroyed', 'false']);
  return told.filter((entry): entry is [string, string] => entry[1] !== undefined);
}

function textOf(group: Group, field: string): string | undefined {
  if (field.startsWith(CUSTOM)) return group.customFields[field.slice(CUSTOM.length)];
  if (field === 'destroyed') return group.versions.destroyed === undefined ? undefined : String(group.destroyed);
  const found = group[field as keyof Group];
  return typeof found === 'string' ? found : undefined;
}
