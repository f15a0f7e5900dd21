import { z } from 'zod';
import type { CanonicalEvent, EventId } from './event.ts';
import { PROFILE_FIELDS } from './event.ts';

/** When a field was last changed: milliseconds since 1970 and the event that did it. */
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
    lastOperator: z.string().optional(),
    updatedAt: z.iso.datetime().optional().describe('When the latest change known of this group occurred.'),
    destroyed: z.boolean(),
    versions: z
      .record(z.string(), z.tuple([z.int(), z.string()]))
      .describe('For each field the [occurredAt, event id] of its last change; custom fields as customFields.<Key>.'),
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
  readonly lastOperator?: string;
  readonly updatedAt?: string;
  readonly destroyed: boolean;
  readonly versions: Readonly<Record<string, Version>>;
}

export function newGroup(groupId: string): Group {
  return { groupId, customFields: {}, destroyed: false, versions: {} };
}

/** Whether `a` is a later version than `b`; the id breaks ties. */
export function isLater(a: Version, b: Version | undefined): boolean {
  return b === undefined || a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]);
}

/**
 * Invariant 3: each field is a last-writer-wins register on (occurredAt, event id), so that any order, duplicates and
 * several writers end in the same group. Returns the very same object when the event changes nothing.
 */
export function merge(current: Group, event: CanonicalEvent): Group {
  const version: Version = [event.data.occurredAt, event.id];
  const versions: Record<string, Version> = {};
  const fields: Record<string, unknown> = {};
  const customFields: [string, string][] = [];

  const wins = (field: string): boolean => {
    if (!isLater(version, current.versions[field])) return false;
    versions[field] = version;
    return true;
  };

  for (const field of PROFILE_FIELDS) {
    const value = event.data.changed[field];
    if (value !== undefined && wins(field)) fields[field] = value;
  }
  for (const [key, value] of Object.entries(event.data.changed.customFields ?? {})) {
    if (wins(`customFields.${key}`)) customFields.push([key, value]);
  }
  if (wins('groupType')) fields.groupType = event.data.groupType;
  // Every event sets the operator, so its version is that of the latest event: updatedAt follows it.
  if (wins('lastOperator')) {
    fields.lastOperator = event.data.operator;
    fields.updatedAt = event.time;
  }

  if (Object.keys(versions).length === 0) return current;
  return {
    ...current,
    ...fields,
    ...(customFields.length > 0 && { customFields: { ...current.customFields, ...Object.fromEntries(customFields) } }),
    versions: { ...current.versions, ...versions },
  };
}
