import type { Group, Version } from '../../src/canon/group.ts';

/**
 * A document as the group it stands for. It may be another's work, without versions or with odd ones: what `merge`
 * relies on is put right, every other field stays as it is.
 */
export function toGroup(groupId: string, source: Readonly<Record<string, unknown>>): Group {
  return {
    ...source,
    groupId,
    customFields: (isObject(source.customFields) ? source.customFields : {}) as Group['customFields'],
    destroyed: source.destroyed === true,
    versions: toVersions(source.versions),
  };
}

/** A field without a usable version loses to any event. */
function toVersions(stored: unknown): Record<string, Version> {
  if (!isObject(stored)) return {};
  const entries = Object.entries(stored);
  const usable = entries.filter((entry): entry is [string, Version] => isVersion(entry[1]));
  return usable.length === entries.length ? (stored as Record<string, Version>) : Object.fromEntries(usable);
}

function isVersion(value: unknown): value is Version {
  return Array.isArray(value) && value.length === 2 && Number.isSafeInteger(value[0]) && typeof value[1] === 'string';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
