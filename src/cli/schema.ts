import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import type { Holds } from '../../connectors/contract.ts';
import { asyncApi, holdsOf } from '../../connectors/index.ts';
import { receivedEvent } from '../client/event.ts';
import { configJsonSchema } from '../config/json-schema.ts';
import { type CanonicalEvent, EVENT_TYPES, type EventData, type EventType, groupEvent } from '../model/event.ts';
import { eventId } from '../model/event-id.ts';
import { group } from '../model/group.ts';
import { compileShape } from '../model/shape.ts';
import { shapedSchema } from '../model/shape-schema.ts';
import { didYouMean } from '../model/text.ts';
import { version } from './installation.ts';
import { addCommand, connectorOf, misused, requireConfig } from './options.ts';
import { print } from './terminal.ts';

const SCHEMAS: Readonly<Record<string, (configName: string | undefined, connector: string | undefined) => unknown>> = {
  event: (...named) => inShape(z.toJSONSchema(receivedEvent), 'events', ...named),
  group: (...named) => inShape(z.toJSONSchema(group), 'groups', ...named),
  config: () => configJsonSchema(),
  asyncapi: async (name) =>
    asyncApi(version(), examples(), name === undefined ? undefined : (await requireConfig(name)).config.connectors),
};
const NAMES = Object.keys(SCHEMAS);

export function addSchema(program: Command): void {
  addCommand(
    program,
    'schema',
    'print the JSON Schema of the event, the group or the configuration, or the AsyncAPI document of the topics',
    'schema config > bridge.schema.json',
    'schema asyncapi --config config/kafka-elasticsearch.yaml',
    'schema event --config bridge.yaml --connector group-events',
  )
    .argument('<name>', NAMES.join(', '), parseName)
    .option('--config <file>', 'for asyncapi: describe the topics of this configuration instead of the default ones')
    .option('--connector <name>', 'for event and group: in the shape that this connector of the configuration writes')
    .action(async (name: string, { config, connector }: { config?: string; connector?: string }) => {
      if (connector !== undefined && name !== 'event' && name !== 'group')
        throw misused(`--connector does not apply to ${name}: leave it out`);
      print(JSON.stringify(await SCHEMAS[name]?.(config, connector), null, 2));
    });
}

async function inShape(
  schema: object,
  content: Holds,
  configName: string | undefined,
  connector: string | undefined,
): Promise<object> {
  if (connector === undefined) return schema;
  const configured = connectorOf((await requireConfig(configName)).config.connectors, connector);
  if (holdsOf(configured) !== content) {
    const other = content === 'groups' ? 'an event' : 'a group';
    throw misused(`${connector} holds ${holdsOf(configured)}: ask for the schema of ${other}`);
  }
  const { shape } = configured;
  return shape === undefined ? schema : shapedSchema(schema as Json, compileShape(shape, content));
}

type Json = Readonly<Record<string, unknown>>;

function parseName(name: string): string {
  if (NAMES.includes(name)) return name;
  const meant = didYouMean(name, NAMES);
  throw new InvalidArgumentError(`one of ${NAMES.join(', ')} is expected${meant === undefined ? '' : `; ${meant}`}`);
}

const SDK_APP_ID = '1400701118';
const GROUP_ID = '@TGS#2J4SZEAEL';
const PROFILE = {
  name: 'MyFirstGroup',
  introduction: 'TestIntroduction',
  notification: 'TestNotification',
  faceUrl: 'http://this.is.face.url',
};

/** The life of a group; the first event is the sample in the vendor's documentation. */
const EXAMPLES: Readonly<Record<EventType, Partial<EventData> & { readonly at: number }>> = {
  'chat.group.info.changed': { at: 1_670_574_414_123, operator: 'leckie', changed: PROFILE },
  'chat.group.created': { at: 1_670_574_400_000, operator: 'leckie', owner: 'leckie', changed: { name: 'MyGroup' } },
  'chat.group.destroyed': { at: 1_670_660_000_000, owner: 'jared' },
  'chat.group.owner.changed': { at: 1_670_574_500_000, operator: 'leckie', owner: 'jared', previousOwner: 'leckie' },
  'chat.group.info.read': { at: 1_670_574_600_000, changed: { notification: '' }, occurredAtFrom: 'read', origin: {} },
};

export function examples(): Readonly<Record<EventType, CanonicalEvent>> {
  return Object.fromEntries(EVENT_TYPES.map((type) => [type, exampleEvent(type)])) as Record<EventType, CanonicalEvent>;
}

function exampleEvent(type: EventType): CanonicalEvent {
  const { at, ...given } = EXAMPLES[type];
  const { operator, changed = {} } = given;
  const moment = { eventTime: at };
  const identity = { sdkAppId: SDK_APP_ID, command: type, groupId: GROUP_ID, operator, changed, extra: {}, moment };
  return groupEvent(type, SDK_APP_ID, eventId(identity), {
    groupId: GROUP_ID,
    groupType: 'Public',
    changed,
    occurredAt: at,
    occurredAtFrom: 'callback',
    receivedAt: at + 222,
    origin: { platform: 'RESTAPI', clientIp: '113.118.225.178' },
    extra: {},
    ...given,
  });
}
