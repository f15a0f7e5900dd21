import { z } from 'zod';
import { receivedEvent } from '../../src/client/event.ts';
import { STATE_HEADER } from '../../src/client/group.ts';
import { entryOf } from '../../src/model/entry.ts';
import { type CanonicalEvent, canonicalEvent, type EventType } from '../../src/model/event.ts';
import { group, merge, newGroup } from '../../src/model/group.ts';
import { compileShape, type ShapeSettings } from '../../src/model/shape.ts';
import { shapedSchema } from '../../src/model/shape-schema.ts';
import { wordsOf } from '../../src/model/template.ts';
import { FORMATS, type Format, toGroupMessage, toMessage } from './message.ts';
import type { KafkaOptions, SaslOptions } from './options.ts';

type Examples = Readonly<Record<EventType, CanonicalEvent>>;

/** What readers of a kafka connector's topic see of it. */
type Topic = Pick<KafkaOptions, 'topic' | 'content'> & {
  readonly formats: readonly Format[];
  /** The message of a topic with a configured shape. */
  readonly shaped?: Json & { readonly name: string };
  readonly brokers: readonly string[];
  readonly protocol: 'kafka' | 'kafka-secure';
  readonly sasl?: SaslOptions | undefined;
};

type Json = Readonly<Record<string, unknown>>;

/** The topics if no configuration names them. */
const ANYWHERE = { brokers: [], protocol: 'kafka' } as const;
const DEFAULT_TOPICS: Readonly<Record<string, Topic>> = {
  'group-events': { topic: 'chat.group-info.events', content: 'events', formats: FORMATS, ...ANYWHERE },
  'group-states': { topic: 'chat.group-info.groups', content: 'groups', formats: [], ...ANYWHERE },
};

const SECURITY = { plain: 'plain', 'scram-sha-256': 'scramSha256', 'scram-sha-512': 'scramSha512' } as const;

function schemeOf(sasl: SaslOptions): Json {
  if ('username' in sasl) return { type: SECURITY[sasl.mechanism] };
  if ('region' in sasl) return { type: 'http', scheme: 'AWS4-HMAC-SHA256' };
  const { tokenEndpoint: tokenUrl, scope = '' } = sasl;
  const scopes = scope.split(' ').filter(Boolean);
  const availableScopes = Object.fromEntries(scopes.map((one) => [one, 'asked for by the bridge']));
  return { type: 'oauth2', flows: { clientCredentials: { tokenUrl, availableScopes } } };
}

type Configured = Readonly<Record<string, { readonly kind: string; readonly enabled: boolean }>>;

/**
 * Returns the AsyncAPI 3.0 document of the enabled kafka connectors' topics; without a configuration, of the default
 * ones.
 */
export function asyncApi(version: string, examples: Examples, connectors?: Configured): Json {
  const topics = connectors === undefined ? DEFAULT_TOPICS : topicsOf(connectors);
  const servers = serversOf(Object.values(topics));
  const schemes = Object.values(topics).flatMap(({ sasl }) => (sasl ? [[sasl.mechanism, schemeOf(sasl)]] : []));
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'group-sync-bridge',
      version,
      description:
        'What group-sync-bridge writes to Kafka: changes of Tencent Cloud Chat groups, at least once, keyed by group id. ' +
        'To keep a copy, merge by field: the change with the higher (occurredAt, id) wins. ' +
        'Fields that are not described here may be added at any time and are to be ignored, and so are types of events.',
      license: { name: 'Apache-2.0' },
    },
    defaultContentType: 'application/json',
    ...(servers.size > 0 && {
      servers: Object.fromEntries([...servers.values()].map(({ name, server }) => [name, server])),
    }),
    channels: Object.fromEntries(Object.entries(topics).map(([name, topic]) => [name, channelOf(topic, servers)])),
    operations: Object.fromEntries(
      Object.entries(topics).map(([name, topic]) => [`send-${name}`, sending(name, topic)]),
    ),
    components: {
      messages: {
        ...eventMessages(examples),
        ...groupMessages(examples),
        ...Object.fromEntries(
          Object.values(topics).flatMap(({ shaped }) => (shaped === undefined ? [] : [[shaped.name, shaped]])),
        ),
      },
      schemas: schemas(),
      ...(schemes.length > 0 && { securitySchemes: Object.fromEntries(schemes) }),
    },
  };
}

const sending = (name: string, topic: Topic): Json => ({
  action: 'send',
  channel: { $ref: `#/channels/${name}` },
  messages: messagesOf(topic).map((message) => ({ $ref: `#/channels/${name}/messages/${message}` })),
});

function topicsOf(connectors: Configured): Record<string, Topic> {
  const enabled = Object.entries(connectors).filter(([, { kind, enabled }]) => kind === 'kafka' && enabled);
  const described = enabled.map(([name, connector]): [string, Topic] => {
    const { topic, content, format, brokers, tls, sasl, shape } = connector as unknown as KafkaOptions & {
      shape?: ShapeSettings;
    };
    const formats = content === 'events' ? [format] : [];
    const protocol = tls === false ? 'kafka' : 'kafka-secure';
    const shaped = shape && { shaped: shapedMessage(`shaped-${name}`, content, shape) };
    return [name, { topic, content, formats, ...shaped, brokers, protocol, sasl }];
  });
  return Object.fromEntries(described);
}

type Servers = ReadonlyMap<string, { readonly name: string; readonly server: Json }>;

const placeOf = (broker: string, { protocol, sasl }: Topic): string => `${protocol} ${sasl?.mechanism} ${broker}`;

/** Returns each broker once per way to reach it. */
function serversOf(topics: readonly Topic[]): Servers {
  const servers = new Map<string, { name: string; server: Json }>();
  for (const topic of topics) {
    for (const host of topic.brokers) {
      const place = placeOf(host, topic);
      if (servers.has(place)) continue;
      const { protocol, sasl } = topic;
      const security = sasl && { security: [{ $ref: `#/components/securitySchemes/${sasl.mechanism}` }] };
      servers.set(place, { name: `broker-${servers.size + 1}`, server: { host, protocol, ...security } });
    }
  }
  return servers;
}

function shapedMessage(name: string, content: KafkaOptions['content'], shape: ShapeSettings) {
  const payload = shapedSchema(schemaOf(content === 'events' ? receivedEvent : group), compileShape(shape, content));
  return { name, title: 'what the shape of the connector makes of it', payload };
}

function messagesOf({ content, formats, shaped }: Topic): string[] {
  if (content === 'groups') return [shaped?.name ?? 'group', 'group-destroyed'];
  return shaped !== undefined ? [shaped.name] : formats.map((format) => `event-${format}`);
}

function channelOf(topic: Topic, servers: Servers): Json {
  const compacted = { topicConfiguration: { 'cleanup.policy': ['compact'] } };
  const words = wordsOf(topic.topic);
  const names = topic.brokers.map((broker) => servers.get(placeOf(broker, topic))?.name);
  return {
    address: topic.topic,
    ...(words.length > 0 && {
      parameters: Object.fromEntries(words.map((word) => [word, { description: `The ${word} of the event.` }])),
    }),
    description:
      topic.content === 'events'
        ? 'Every event, those of one group in the order in which they were recorded.'
        : 'The merged state of each group; compacted.',
    ...(names.length > 0 && { servers: names.map((name) => ({ $ref: `#/servers/${name}` })) }),
    messages: Object.fromEntries(messagesOf(topic).map((name) => [name, { $ref: `#/components/messages/${name}` }])),
    bindings: { kafka: { bindingVersion: '0.5.0', ...(topic.content === 'groups' && compacted) } },
  };
}

/** Returns a JSON Schema of draft 7 without `$schema`, as AsyncAPI wants it. */
function schemaOf(schema: z.ZodType): z.core.JSONSchema.JSONSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-7' });
  return rest;
}

function schemas(): Json {
  const event = schemaOf(receivedEvent);
  return {
    event: { ...event, properties: { ...event.properties, data: { $ref: '#/components/schemas/event-data' } } },
    'event-data': event.properties?.data,
    group: schemaOf(group),
  };
}

const KEY = { kafka: { bindingVersion: '0.5.0', key: schemaOf(canonicalEvent.shape.subject) } };

function eventMessages(events: Examples): Json {
  const modes = {
    structured: { title: 'an event, CloudEvents structured mode', payload: 'event' },
    binary: { title: 'an event, CloudEvents binary mode', payload: 'event-data' },
  };
  const messages = FORMATS.map((format) => {
    const examples = Object.values(events).map((event) => {
      const { value, headers } = toMessage(entryOf(0, event), format);
      return { name: event.type, headers, payload: JSON.parse(String(value)) };
    });
    const { title, payload } = modes[format];
    const name = `event-${format}`;
    return [
      name,
      {
        name,
        title,
        contentType: examples[0]?.headers['content-type'],
        headers: headersOf(examples[0]?.headers ?? {}),
        payload: { $ref: `#/components/schemas/${payload}` },
        bindings: KEY,
        examples,
      },
    ];
  });
  return Object.fromEntries(messages);
}

/** Describes the headers that the writer sets: a `ce_` header by the attribute that it carries. */
function headersOf(headers: Readonly<Record<string, string>>): Json {
  const { properties = {} } = schemaOf(receivedEvent);
  const described = Object.entries(headers).map(([name, value]) => [
    name,
    name.startsWith('ce_') ? properties[name.slice('ce_'.length)] : { type: 'string', const: value },
  ]);
  return { type: 'object', required: Object.keys(headers), properties: Object.fromEntries(described) };
}

const LAST_STATE = 'The group as it was destroyed, as JSON: by its versions it is told what comes late.';

function groupMessages(events: Examples): Json {
  const messageAfter = (type: EventType) => {
    const event = events[type];
    return toGroupMessage(merge(newGroup(event.subject), event));
  };
  const [state, tombstone] = [messageAfter('chat.group.info.changed'), messageAfter('chat.group.destroyed')];
  return {
    group: {
      name: 'group',
      title: 'the merged state of a group',
      contentType: state.headers['content-type'],
      headers: headersOf(state.headers),
      payload: { $ref: '#/components/schemas/group' },
      bindings: KEY,
      examples: [{ name: 'group', headers: state.headers, payload: JSON.parse(String(state.value)) }],
    },
    'group-destroyed': {
      name: 'group-destroyed',
      title: 'no value: the group is destroyed',
      headers: { type: 'object', properties: { [STATE_HEADER]: { type: 'string', description: LAST_STATE } } },
      payload: { type: 'null' },
      bindings: KEY,
      examples: [{ name: 'group-destroyed', headers: tombstone.headers, payload: tombstone.value }],
    },
  };
}
