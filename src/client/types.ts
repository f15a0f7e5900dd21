/** Made by `npm run docs` from the schemas in src/model: change it there. */
import type { Version } from '../model/group.ts';

/** Exactly the fields the callback held, or that differed when the group was read: "" is a cleared field, an absent key is unchanged. */
export interface ChangedFields {
  /** The name; "" where it was cleared. Absent in an event: unchanged; in a group: not known. */
  readonly name?: string;
  /** The introduction; "" where it was cleared. Absent in an event: unchanged; in a group: not known. */
  readonly introduction?: string;
  /** The notice to the members; "" where it was cleared. Absent in an event: unchanged; in a group: not known. */
  readonly notification?: string;
  /** The URL of the picture; "" where it was cleared. Absent in an event: unchanged; in a group: not known. */
  readonly faceUrl?: string;
  /** The custom fields that changed, by key; "" where one was cleared. Others are unchanged. */
  readonly customFields?: Record<string, string>;
}

/** Where it came from, as the service reports it. */
export interface Origin {
  /** Where it was done from: RESTAPI, Web, Android, iOS, … */
  readonly platform?: string;
  /** The address of who did it, as the service reports it. */
  readonly clientIp?: string;
  /** The service’s id of the callback. */
  readonly requestId?: string;
}

/** What happened to the group. */
export interface EventData {
  /** The group id, as in subject. */
  readonly groupId: string;
  /** Public, Private, ChatRoom, AVChatRoom, Community, …: an open set; "" where the callback did not say. */
  readonly groupType: string;
  /** Who did it; the service does not say who destroyed a group. */
  readonly operator?: string;
  /** In created, destroyed, owner.changed and, if it differed, info.read: the owner, after a change the new one. */
  readonly owner?: string;
  /** In owner.changed: the previous owner. */
  readonly previousOwner?: string;
  /** Exactly the fields the callback held, or that differed when the group was read: "" is a cleared field, an absent key is unchanged. */
  readonly changed: ChangedFields;
  /** Milliseconds since 1970. Later wins; the id breaks ties. */
  readonly occurredAt: number;
  /** callback, receipt, read. Whether occurredAt is the callback’s EventTime, the time of receipt if that was unusable, or, for what reconcile found, when the service was asked. */
  readonly occurredAtFrom: string;
  /** When the bridge received it, in milliseconds since 1970. */
  readonly receivedAt: number;
  /** Where it came from, as the service reports it. */
  readonly origin: Origin;
  /** Unknown fields of the callback, unchanged; numbers that do not fit a double as text. */
  readonly extra: Record<string, unknown>;
  /** Names of unknown fields that were left out of `extra`: too large, too deep, or in receiver.extra.drop. */
  readonly omitted?: string[];
}

/** What every event has beside its data. */
export interface EventEnvelope {
  /** The version of CloudEvents. */
  readonly specversion: '1.0';
  /** Deterministic: a redelivered callback has the same id. Ids of later events sort later. */
  readonly id: string;
  /** urn:tencent-chat:app:<SDKAppID>: groups of another app are other groups. */
  readonly source: string;
  /** The group id. */
  readonly subject: string;
  /** occurredAt in RFC 3339. */
  readonly time: string;
  /** The form of data. */
  readonly datacontenttype: 'application/json';
  /** The version of data: urn:group-sync-bridge:event:<what>:<version>. */
  readonly dataschema: string;
  /** Trace context of the callback, if it was traced: the CloudEvents extension for distributed tracing. */
  readonly traceparent?: string;
  /** What tracing systems add to traceparent. */
  readonly tracestate?: string;
}

type Of<Type extends string, Always extends keyof EventData = never> = EventEnvelope & {
  /** What happened; it narrows `data`. */
  readonly type: Type;
  /** What happened to the group. */
  readonly data: EventData & Required<Pick<EventData, Always>>;
};

/** Something happened to a group; `type` says what, and narrows `data`. Fields that this version does not know are kept. */
export type GroupEvent =
  | Of<'chat.group.info.changed'>
  | Of<'chat.group.created'>
  | Of<'chat.group.destroyed'>
  | Of<'chat.group.owner.changed', 'owner'>
  | Of<'chat.group.info.read'>;

/** The merged state of one chat group. */
export interface Group {
  /** The group id. */
  readonly groupId: string;
  /** urn:tencent-chat:app:<SDKAppID>: groups of another app are other groups, whatever their ids. */
  readonly source?: string;
  /** Public, Private, ChatRoom, AVChatRoom, Community, …: an open set. */
  readonly groupType?: string;
  /** The name; "" where it was cleared. Absent in an event: unchanged; in a group: not known. */
  readonly name?: string;
  /** The introduction; "" where it was cleared. Absent in an event: unchanged; in a group: not known. */
  readonly introduction?: string;
  /** The notice to the members; "" where it was cleared. Absent in an event: unchanged; in a group: not known. */
  readonly notification?: string;
  /** The URL of the picture; "" where it was cleared. Absent in an event: unchanged; in a group: not known. */
  readonly faceUrl?: string;
  /** The custom fields, by key; "" where one was cleared. */
  readonly customFields: Record<string, string>;
  /** The owner, where it is known. */
  readonly owner?: string;
  /** Who made the latest change with a known author. */
  readonly lastOperator?: string;
  /** When the latest change known of this group occurred. */
  readonly updatedAt?: string;
  /** Whether the group is gone; its last state is kept. */
  readonly destroyed: boolean;
  /** For each field the [occurredAt, event id] of its last change; custom fields as customFields.<Key>, and `created` for the creation, before which everything is forgotten. */
  readonly versions: Record<string, Version>;
}
