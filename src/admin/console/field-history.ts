import type { JournalEntry } from '../../journal/reads.ts';
import { type CanonicalEvent, PROFILE_FIELDS } from '../../model/event.ts';
import { CUSTOM, fieldsOf, fieldText, type Group, merge, onlyFields, type Version } from '../../model/group.ts';

export interface FieldChange {
  readonly seq: number;
  readonly event: CanonicalEvent;
  /** Undefined if nothing earlier is known. */
  readonly before: string | undefined;
  readonly after: string;
  /** The later version that was already recorded when this change came, which therefore had no effect. */
  readonly supersededBy?: Version;
}

export interface FieldHistory {
  readonly field: string;
  readonly value: string | undefined;
  /** By the order of recording, newest first. */
  readonly changes: readonly FieldChange[];
}

/** Fields that events carry even if they did not change. */
const CARRIED = new Set(['groupType', 'destroyed', 'owner']);

/**
 * Returns each field with its changes, by merging the group's events (given newest first) from the oldest on. A field whose
 * version is of none of these events was set before them, and is taken from the merged state `group`.
 */
export function fieldHistories(group: Group, entries: readonly JournalEntry[]): FieldHistory[] {
  let state = stateBefore(group, new Set(entries.map(({ event }) => event.id)));
  const changes = new Map<string, FieldChange[]>();
  for (const { seq, event } of entries.toReversed()) {
    const merged = merge(state, event);
    for (const [field, after] of fieldsOf(event)) {
      const before = fieldText(state, field);
      const version = merged.versions[field];
      const won = version?.[1] === event.id;
      if (CARRIED.has(field) && (!won || before === after)) continue;
      const later = won ? undefined : (version ?? merged.versions.created);
      const list = changes.get(field) ?? [];
      list.unshift({ seq, event, before, after, ...(later !== undefined && { supersededBy: later }) });
      changes.set(field, list);
    }
    state = merged;
  }
  const fields = new Set<string>([
    ...PROFILE_FIELDS,
    ...Object.keys(group.customFields).map((key) => CUSTOM + key),
    ...[...changes.keys()].filter((field) => field.startsWith(CUSTOM)),
    ...['owner', 'groupType', 'destroyed'],
  ]);
  return [...fields].map((field) => ({ field, value: fieldText(group, field), changes: changes.get(field) ?? [] }));
}

/** Returns the part of the group that events other than these have set. */
function stateBefore(group: Group, ids: ReadonlySet<string>): Group {
  const isEarlier = (field: string): boolean => {
    const version = group.versions[field];
    return version !== undefined && !ids.has(version[1]);
  };
  return { ...onlyFields(group, isEarlier), destroyed: group.destroyed && isEarlier('destroyed') };
}
