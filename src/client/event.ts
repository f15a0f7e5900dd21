import { z } from 'zod';
import { canonicalEvent, DATA_SCHEMAS, EVENT_TYPES, type EventType } from '../model/event.ts';
import { isObject } from '../model/json.ts';
import { headersOf, type IncomingMessage, invalid, jsonOf, type Unreadable, unreadable } from './message.ts';
import type { GroupEvent } from './types.ts';

const { data } = canonicalEvent.shape;
const { changed, origin, occurredAtFrom } = data.shape;

/** The event for readers. It accepts what a later bridge may add without a new version (docs/compatibility.md). */
export const receivedEvent = canonicalEvent
  .extend({
    data: data
      .extend({
        changed: changed.loose().describe(changed.description ?? ''),
        origin: origin.loose().describe(origin.description ?? ''),
        occurredAtFrom: z.string().describe(`${occurredAtFrom.options.join(', ')}. ${occurredAtFrom.description}`),
      })
      .loose()
      .describe(data.description ?? ''),
  })
  .loose()
  .meta(canonicalEvent.meta() ?? {});

/** The schema of each type, which requires what its events always hold. */
export const receivedEvents = Object.fromEntries(
  EVENT_TYPES.map((type): [EventType, z.ZodType] => [
    type,
    receivedEvent.extend({ type: z.literal(type), data: dataOf(type) }),
  ]),
) as Record<EventType, z.ZodType>;

function dataOf(type: EventType): z.ZodType {
  const { data } = receivedEvent.shape;
  return type === 'chat.group.owner.changed' ? data.required({ owner: true }) : data;
}

export type ParsedEvent = { readonly ok: true; readonly event: GroupEvent } | Unreadable;

/**
 * Reads the event of a message from a topic with `content: events`, in either format. An event of an unknown type or version
 * has the fault `message-type-unknown` or `message-version-unknown`: a later bridge may write such, and a reader may skip them.
 */
export function parseEvent(message: IncomingMessage): ParsedEvent {
  if (message.value === null) {
    return unreadable({
      code: 'message-empty',
      message: 'a message without a value is not an event',
      suggestion: 'a topic with content: groups is read with parseGroup',
    });
  }
  const json = jsonOf(message.value);
  if (!json.ok) return json;
  const headers = headersOf(message);
  return readEvent(headers.has('ce_specversion') ? fromHeaders(headers, json.value) : json.value);
}

/** CloudEvents binary mode: each `ce_` header is an attribute, the value is the data. */
function fromHeaders(headers: ReadonlyMap<string, string>, data: unknown): unknown {
  const attributes = [...headers].filter(([name]) => name.startsWith('ce_'));
  const [mediaType] = (headers.get('content-type') ?? 'application/json').split(';');
  return {
    ...Object.fromEntries(attributes.map(([name, value]) => [name.slice('ce_'.length), value])),
    datacontenttype: mediaType?.trim(),
    data,
  };
}

function readEvent(value: unknown): ParsedEvent {
  let schema: z.ZodType = receivedEvent;
  if (isObject(value) && typeof value.type === 'string' && value.specversion !== undefined) {
    const known = Object.hasOwn(DATA_SCHEMAS, value.type) ? DATA_SCHEMAS[value.type as EventType] : undefined;
    if (known === undefined) {
      return unreadable({
        code: 'message-type-unknown',
        message: `unknown event type ${value.type}`,
        path: 'type',
        suggestion: 'skip it, or update group-sync-bridge',
      });
    }
    if (typeof value.dataschema === 'string' && value.dataschema !== known) {
      return unreadable({
        code: 'message-version-unknown',
        message: `unknown version ${value.dataschema}; ${known} is supported`,
        path: 'dataschema',
        suggestion: 'update group-sync-bridge',
      });
    }
    schema = receivedEvents[value.type as EventType];
  }
  const checked = schema.safeParse(value);
  // The schema's own output would lack what a later bridge added.
  if (checked.success) return { ok: true, event: value as GroupEvent };
  const isGroup = isObject(value) && 'versions' in value;
  return invalid('an event', checked.error, isGroup ? 'this looks like a group: read it with parseGroup' : undefined);
}
