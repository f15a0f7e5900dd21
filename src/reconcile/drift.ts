import {
  type CanonicalEvent,
  type ChangedFields,
  type EventData,
  type EventType,
  groupEvent,
  PROFILE_FIELDS,
} from '../model/event.ts';
import { eventId, type Identity } from '../model/event-id.ts';
import { fieldOf, type Group, type Version } from '../model/group.ts';
import type { RemoteGroup } from './api.ts';

type Drift = NonNullable<ReturnType<typeof driftOf>>;

/**
 * Invariant 4: compares the merged state with what the service says, field by field; returns undefined if nothing differs.
 * A field changed after `readAt` is newer than the read, and stays. A field that no event has set differs from an empty
 * one, so that copies end up with every field. Of a group destroyed here but alive there, all fields differ: it is new.
 */
export function driftOf(state: Group | undefined, remote: RemoteGroup, readAt: number) {
  const versions = state?.versions ?? {};
  if (isNewer(versions.created, readAt)) return undefined;
  const revived = state?.destroyed === true;
  if (revived && isNewer(versions.destroyed, readAt)) return undefined;

  const fields: string[] = [];
  const differs = (field: string, here: unknown, there: unknown): boolean => {
    if (there === undefined || isNewer(versions[field], readAt) || (!revived && here === there)) return false;
    fields.push(field);
    return true;
  };
  const changed: ChangedFields = {};
  for (const field of PROFILE_FIELDS) {
    const there = remote[field];
    if (differs(field, state?.[field], there) && there !== undefined) changed[field] = there;
  }
  const custom = Object.entries(remote.customFields ?? {}).filter(([key, value]) =>
    differs(`customFields.${key}`, state && fieldOf(state, `customFields.${key}`), value),
  );
  if (custom.length > 0) changed.customFields = Object.fromEntries(custom);
  const groupType = differs('groupType', state?.groupType, remote.groupType);
  const owner = differs('owner', state?.owner, remote.owner);
  if (fields.length === 0) return undefined;
  return {
    changed,
    ...(groupType && { groupType: remote.groupType }),
    ...(owner && remote.owner !== undefined && { owner: remote.owner }),
    /** The names of the differing fields, for the report. */
    fields: state === undefined ? ['new'] : revived ? ['destroyed'] : fields,
  };
}

/** A callback counts as newer than a read in the same millisecond. */
function isNewer(version: Version | undefined, readAt: number): boolean {
  return version !== undefined && version[0] >= readAt;
}

/** Longer than a call takes, and further than an EventTime may be ahead of the service's clock. */
const AHEAD_MS = 10_000;

/**
 * Returns the differing fields whose last change is ahead of the service's clock: what was read cannot win over them, so
 * the group is not in step. `remote` is undefined for a group that the service no longer has.
 */
export function fieldsAhead(state: Group, remote: RemoteGroup | undefined, readAt: number): string[] {
  const isAhead = (field: string): boolean => isNewer(state.versions[field], readAt + AHEAD_MS);
  const fields = remote === undefined ? Object.keys(state.versions) : driftOf(state, remote, Infinity)?.fields;
  return (fields ?? []).filter((field) => isAhead(field) || isAhead('created'));
}

interface ReadContext {
  readonly sdkAppId: string;
  /** The time of the read by the service's clock, which becomes the version of its fields. */
  readonly readAt: number;
  /** Milliseconds since 1970, by this clock. */
  readonly now: number;
}

/** Returns the event that repairs every copy. */
export function readEvent(remote: RemoteGroup, { changed, owner, groupType }: Drift, context: ReadContext) {
  const { groupId, groupType: type = '' } = remote;
  const data = { groupId, groupType: type, ...(owner !== undefined && { owner }), changed };
  return eventOf('chat.group.info.read', data, { command: 'reconcile', owners: [owner, groupType] }, context);
}

/** Whether a group that the service no longer has is still alive here, and nothing newer than the read is known. */
export function isNewlyGone(state: Group | undefined, readAt: number): state is Group {
  if (state === undefined || state.destroyed) return false;
  return !Object.values(state.versions).some((version) => isNewer(version, readAt));
}

export function goneEvent(groupId: string, groupType: string, context: ReadContext): CanonicalEvent {
  return eventOf('chat.group.destroyed', { groupId, groupType, changed: {} }, { command: 'reconcile gone' }, context);
}

function eventOf(
  type: EventType,
  data: Pick<EventData, 'groupId' | 'groupType' | 'owner' | 'changed'>,
  identity: Pick<Identity, 'command' | 'owners'>,
  { sdkAppId, readAt, now }: ReadContext,
): CanonicalEvent {
  const { groupId, changed } = data;
  const moment = { eventTime: readAt };
  const id = eventId({ ...identity, sdkAppId, groupId, operator: undefined, changed, extra: {}, moment });
  return groupEvent(type, sdkAppId, id, {
    ...data,
    occurredAt: readAt,
    occurredAtFrom: 'read',
    receivedAt: now,
    origin: {},
    extra: {},
  });
}
