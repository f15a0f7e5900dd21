/** The canonical event. The words of this project and their meanings: CONTRIBUTING.md, Glossary. */
import { hash } from 'node:crypto';
import { z } from 'zod';

/** Up to 512 bytes of UTF-8: Elasticsearch takes no longer `_id`. */
export const MAX_GROUP_ID_BYTES = 512;

/** Each type with the schema of its data: what the names promise changes only with a new number. */
export const DATA_SCHEMAS = {
  'chat.group.info.changed': 'urn:group-sync-bridge:event:group-info-changed:1',
  'chat.group.created': 'urn:group-sync-bridge:event:group-created:1',
  'chat.group.destroyed': 'urn:group-sync-bridge:event:group-destroyed:1',
  'chat.group.owner.changed': 'urn:group-sync-bridge:event:group-owner-changed:1',
  'chat.group.info.read': 'urn:group-sync-bridge:event:group-info-read:1',
} as const;

export type EventType = keyof typeof DATA_SCHEMAS;
export const EVENT_TYPES = Object.keys(DATA_SCHEMAS) as EventType[];

/** Types of groups have two names in the vendor's pages, of which the wire carries the older one. */
const WIRE_TYPES = new Map(
  ['Public', 'Private', 'ChatRoom', 'AVChatRoom', 'Community', 'BChatRoom'].map((type) => [type.toLowerCase(), type]),
)
  .set('work', 'Private')
  .set('meeting', 'ChatRoom');

/** Returns the name of a group type that the wire carries, whatever its case; one that is not known as it is. */
export function wireType(type: string): string {
  return WIRE_TYPES.get(type.trim().toLowerCase()) ?? type;
}

/** The profile fields, in the order in which they are shown. */
export const profile = {
  name: z.string().exactOptional(),
  introduction: z.string().exactOptional(),
  notification: z.string().exactOptional(),
  faceUrl: z.string().exactOptional(),
};
export type ProfileField = keyof typeof profile;
export const PROFILE_FIELDS = Object.keys(profile) as ProfileField[];

const changedFields = z
  .strictObject({ ...profile, customFields: z.record(z.string(), z.string()).exactOptional() })
  .describe(
    'Exactly the fields the callback held, or that differed when the group was read: "" is a cleared field, an absent key is unchanged.',
  );

/** The canonical event in the form that Kafka, Elasticsearch (`content: events`) and NDJSON files hold. */
export const canonicalEvent = z
  .strictObject({
    specversion: z.literal('1.0'),
    id: z
      .string()
      .min(1)
      .describe('Deterministic: a redelivered callback has the same id. Ids of later events sort later.'),
    source: z.string().describe('urn:tencent-chat:app:<SDKAppID>'),
    type: z.enum(EVENT_TYPES),
    subject: z.string().min(1).describe('The group id.'),
    time: z.iso.datetime().describe('occurredAt in RFC 3339.'),
    datacontenttype: z.literal('application/json'),
    dataschema: z.string(),
    traceparent: z
      .string()
      .min(1)
      .exactOptional()
      .describe('Of the span of the callback, where it was traced: the CloudEvents extension for distributed tracing.'),
    tracestate: z.string().min(1).exactOptional().describe('Beside traceparent, what tracing systems add to it.'),
    data: z.strictObject({
      groupId: z.string().min(1),
      groupType: z
        .string()
        .describe(
          'Public, Private, ChatRoom, AVChatRoom, Community, …: an open set; "" where the callback did not say.',
        ),
      operator: z.string().exactOptional().describe('Who did it; the service does not say who destroyed a group.'),
      owner: z
        .string()
        .exactOptional()
        .describe(
          'Of created, destroyed, owner.changed and, where it differed, info.read: the owner, after a change the new one.',
        ),
      previousOwner: z.string().exactOptional().describe('Of owner.changed.'),
      changed: changedFields,
      occurredAt: z.int().nonnegative().describe('Milliseconds since 1970. Later wins; the id breaks ties.'),
      occurredAtFrom: z
        .enum(['callback', 'receipt', 'read'])
        .describe(
          'Whether occurredAt is the callback’s EventTime, lacking a usable one the time of receipt, or, of what reconcile found, when the service was asked.',
        ),
      receivedAt: z.int().nonnegative().describe('Milliseconds since 1970.'),
      origin: z.strictObject({
        platform: z.string().exactOptional(),
        clientIp: z.string().exactOptional(),
        requestId: z.string().exactOptional(),
      }),
      extra: z
        .record(z.string(), z.unknown())
        .describe('Fields of the callback that the bridge does not know, as they came.'),
      omitted: z
        .array(z.string())
        .exactOptional()
        .describe(
          'Names of unknown fields that were left out of `extra`: too large, too deep, or in receiver.extra.drop.',
        ),
    }),
  })
  .meta({
    title: 'group event',
    description: 'Something happened to a chat group. CloudEvents 1.0, structured mode.',
  });

export type CanonicalEvent = Readonly<z.output<typeof canonicalEvent>>;
export type EventId = string;
export type EventData = Readonly<CanonicalEvent['data']>;
export type ChangedFields = EventData['changed'];
export type Origin = EventData['origin'];
/** The CloudEvents extension for distributed tracing, in the words of W3C Trace Context. */
export type TraceContext = Pick<CanonicalEvent, 'traceparent' | 'tracestate'>;

/** Returns who did it: a person, or the bridge's own reconcile; undefined where the service does not say. */
export function actorOf({ data: { operator, occurredAtFrom } }: CanonicalEvent): string | undefined {
  return occurredAtFrom === 'read' ? 'reconcile' : operator;
}

/** Returns the `source` of all events and groups of an app. */
export const sourceOf = (sdkAppId: string): string => `urn:tencent-chat:app:${sdkAppId}`;

/** Wraps the data in its envelope. */
export function groupEvent(type: EventType, sdkAppId: string, id: EventId, data: EventData): CanonicalEvent {
  return {
    specversion: '1.0',
    id,
    source: sourceOf(sdkAppId),
    type,
    subject: data.groupId,
    time: new Date(data.occurredAt).toISOString(),
    datacontenttype: 'application/json',
    dataschema: DATA_SCHEMAS[type],
    data,
  };
}

/** Two callbacks with an equal identity are the same event. */
export interface Identity {
  readonly sdkAppId: string;
  readonly command: string;
  readonly groupId: string;
  readonly operator: string | undefined;
  readonly changed: ChangedFields;
  /** Present for events about an owner. */
  readonly owners?: readonly (string | undefined)[];
  readonly extra: Record<string, unknown>;
  /** EventTime in ms; else the service's RequestID; else something unique to this receipt. */
  readonly moment: { readonly eventTime: number } | { readonly requestId: string } | { readonly receipt: string };
}

/**
 * Returns 26 characters in the manner of a ULID: 10 of EventTime (zeros when there is none), 16 of a SHA-256 over the identity.
 * Ids of one period are close together, so that indexes stay cheap to write however many events they hold.
 */
export function eventId(identity: Identity): EventId {
  const { sdkAppId, command, groupId, operator, changed, owners, extra, moment } = identity;
  // JSON escapes lone surrogates, which UTF-8 would fold into one replacement character.
  const values = [sdkAppId, command, groupId, moment, operator, sorted(changed), sorted(extra)];
  const material = JSON.stringify(owners === undefined ? values : [...values, owners]);
  const digest = hash('sha256', material, 'buffer');
  const time = 'eventTime' in moment ? Math.min(Math.max(Math.trunc(moment.eventTime), 0), MAX_ID_TIME) : 0;
  const [high, low] = [digest.readUInt32BE(0), digest.readUInt32BE(4)];
  base32(Math.floor(time / 2 ** 25), 0, 5);
  base32(time % 2 ** 25, 5, 5);
  base32(high >>> 28, 10, 1);
  base32(((high & 0xf_ff_ff_ff) << 2) | (low >>> 30), 11, 6);
  base32(low, 17, 6);
  base32(digest.readUInt16BE(8), 23, 3);
  return idCharacters.toString('latin1');
}

const MAX_ID_TIME = 2 ** 48 - 1;
const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/** Scratch buffer. Yields one flat string; concatenation would give a V8 rope that SQLite has to flatten. */
const idCharacters = Buffer.alloc(26);

/** Writes the lowest `length` × 5 of 32 bits. */
function base32(value: number, from: number, length: number): void {
  for (let place = 0; place < length; place++) {
    idCharacters[from + place] = CROCKFORD.charCodeAt((value >>> ((length - 1 - place) * 5)) & 31);
  }
}

/** Sorts entries by key, at every depth: the order of keys on the wire has no meaning. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.keys(value)
    .sort()
    .map((key) => [key, sorted((value as Record<string, unknown>)[key])]);
}
