/** The canonical event. The project's terms are defined in CONTRIBUTING.md, Glossary. */
import { z } from 'zod';

/** In UTF-8; the longest `_id` that Elasticsearch accepts. */
export const MAX_GROUP_ID_BYTES = 512;
/** Completes "it is …". */
export const NO_GROUP_ID = `longer than ${MAX_GROUP_ID_BYTES} bytes or not well-formed Unicode`;
export const isGroupId = (text: string): boolean =>
  text.isWellFormed() && Buffer.byteLength(text) <= MAX_GROUP_ID_BYTES;

/** Each type with the schema of its data: what a name promises changes only with a new number. */
export const DATA_SCHEMAS = {
  'chat.group.info.changed': 'urn:group-sync-bridge:event:group-info-changed:1',
  'chat.group.created': 'urn:group-sync-bridge:event:group-created:1',
  'chat.group.destroyed': 'urn:group-sync-bridge:event:group-destroyed:1',
  'chat.group.owner.changed': 'urn:group-sync-bridge:event:group-owner-changed:1',
  'chat.group.info.read': 'urn:group-sync-bridge:event:group-info-read:1',
} as const;

export type EventType = keyof typeof DATA_SCHEMAS;
export const EVENT_TYPES = Object.keys(DATA_SCHEMAS) as EventType[];

/** The vendor's pages have two names for each group type; the wire carries the older one. */
const WIRE_TYPES = new Map(
  ['Public', 'Private', 'ChatRoom', 'AVChatRoom', 'Community', 'BChatRoom'].map((type) => [type.toLowerCase(), type]),
)
  .set('work', 'Private')
  .set('meeting', 'ChatRoom');

/** Returns a group type by its name on the wire, whatever its case; an unknown one unchanged. */
export function wireType(type: string): string {
  return WIRE_TYPES.get(type.trim().toLowerCase()) ?? type;
}

/** Events and groups share these fields. */
function said(what: string): string {
  return `${what}; "" where it was cleared. Absent in an event: unchanged; in a group: not known.`;
}

/** The profile fields, in the order in which they are shown. */
export const profile = {
  name: z.string().exactOptional().describe(said('The name')),
  introduction: z.string().exactOptional().describe(said('The introduction')),
  notification: z.string().exactOptional().describe(said('The notice to the members')),
  faceUrl: z.string().exactOptional().describe(said('The URL of the picture')),
};
export type ProfileField = keyof typeof profile;
export const PROFILE_FIELDS = Object.keys(profile) as ProfileField[];

const changedFields = z
  .strictObject({
    ...profile,
    customFields: z
      .record(z.string(), z.string())
      .exactOptional()
      .describe('The custom fields that changed, by key; "" where one was cleared. Others are unchanged.'),
  })
  .describe(
    'Exactly the fields the callback held, or that differed when the group was read: "" is a cleared field, an absent key is unchanged.',
  );

/** The canonical event as Kafka, Elasticsearch (`content: events`) and NDJSON files hold it. */
export const canonicalEvent = z
  .strictObject({
    specversion: z.literal('1.0').describe('The version of CloudEvents.'),
    id: z
      .string()
      .min(1)
      .describe('Deterministic: a redelivered callback has the same id. Ids of later events sort later.'),
    source: z.string().describe('urn:tencent-chat:app:<SDKAppID>: groups of another app are other groups.'),
    type: z.enum(EVENT_TYPES).describe('What happened.'),
    subject: z.string().min(1).describe('The group id.'),
    time: z.iso.datetime().describe('occurredAt in RFC 3339.'),
    datacontenttype: z.literal('application/json').describe('The form of data.'),
    dataschema: z.string().describe('The version of data: urn:group-sync-bridge:event:<what>:<version>.'),
    traceparent: z
      .string()
      .min(1)
      .exactOptional()
      .describe('Of the span of the callback, where it was traced: the CloudEvents extension for distributed tracing.'),
    tracestate: z.string().min(1).exactOptional().describe('Beside traceparent, what tracing systems add to it.'),
    data: z
      .strictObject({
        groupId: z.string().min(1).describe('The group id, as in subject.'),
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
        previousOwner: z.string().exactOptional().describe('Of owner.changed: the owner before.'),
        changed: changedFields,
        occurredAt: z.int().nonnegative().describe('Milliseconds since 1970. Later wins; the id breaks ties.'),
        occurredAtFrom: z
          .enum(['callback', 'receipt', 'read'])
          .describe(
            'Whether occurredAt is the callback’s EventTime, lacking a usable one the time of receipt, or, of what reconcile found, when the service was asked.',
          ),
        receivedAt: z.int().nonnegative().describe('When the bridge received it, in milliseconds since 1970.'),
        origin: z
          .strictObject({
            platform: z.string().exactOptional().describe('Where it was done from: RESTAPI, Web, Android, iOS, …'),
            clientIp: z.string().exactOptional().describe('The address of who did it, as the service tells it.'),
            requestId: z.string().exactOptional().describe('The service’s number of the callback.'),
          })
          .describe('What the service said about where it came from.'),
        extra: z
          .record(z.string(), z.unknown())
          .describe(
            'Fields of the callback that the bridge does not know, as they came; a number that no double holds as text.',
          ),
        omitted: z
          .array(z.string())
          .exactOptional()
          .describe(
            'Names of unknown fields that were left out of `extra`: too large, too deep, or in receiver.extra.drop.',
          ),
      })
      .describe('What is told of the group.'),
  })
  .meta({
    title: 'group event',
    description: 'Something happened to a chat group. CloudEvents 1.0, structured mode.',
  });

export type CanonicalEvent = Readonly<z.output<typeof canonicalEvent>>;
export type EventId = string;

const PREFIX = 'chat.group.';
/** Returns a type's name as lists show it: `info.changed`. */
export const shortType = (type: EventType): string => type.slice(PREFIX.length);
export type EventData = Readonly<CanonicalEvent['data']>;
export type ChangedFields = EventData['changed'];
export type Origin = EventData['origin'];
/** The CloudEvents extension for distributed tracing, in the terms of W3C Trace Context. */
export type TraceContext = Pick<CanonicalEvent, 'traceparent' | 'tracestate'>;

/** Returns who did it: a person, or the bridge's own reconcile; undefined if the service does not say. */
export function actorOf({ data: { operator, occurredAtFrom } }: CanonicalEvent): string | undefined {
  return occurredAtFrom === 'read' ? 'reconcile' : operator;
}

/** Returns the `source` of all events and groups of an app. */
export const sourceOf = (sdkAppId: string): string => `urn:tencent-chat:app:${sdkAppId}`;

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

/** Returns the attributes of an event sent in a shape of its own, which its data schema does not describe. */
export function withoutSchema({ dataschema: _, ...event }: CanonicalEvent): Omit<CanonicalEvent, 'dataschema'> {
  return event;
}
