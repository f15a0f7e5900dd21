import { type CanonicalEvent, type EventData, type EventType, eventId, groupEvent } from '../model/event.ts';

type Fields = Pick<EventData, 'changed'> & Partial<Pick<EventData, 'operator' | 'owner' | 'previousOwner'>>;

const SDK_APP_ID = '1400701118';
const GROUP_ID = '@TGS#2J4SZEAEL';

/** The life of a group; the first is the sample of the vendor's documentation. */
const EVENTS: readonly (readonly [EventType, occurredAt: number, Fields])[] = [
  [
    'chat.group.info.changed',
    1_670_574_414_123,
    {
      operator: 'leckie',
      changed: {
        name: 'MyFirstGroup',
        introduction: 'TestIntroduction',
        notification: 'TestNotification',
        faceUrl: 'http://this.is.face.url',
      },
    },
  ],
  ['chat.group.created', 1_670_574_400_000, { operator: 'leckie', owner: 'leckie', changed: { name: 'MyGroup' } }],
  ['chat.group.destroyed', 1_670_660_000_000, { owner: 'jared', changed: {} }],
  [
    'chat.group.owner.changed',
    1_670_574_500_000,
    { operator: 'leckie', owner: 'jared', previousOwner: 'leckie', changed: {} },
  ],
  ['chat.group.info.read', 1_670_574_600_000, { changed: { notification: '' } }],
];

/** Returns one event of each type, by type. */
export function exampleEvents(): Readonly<Record<EventType, CanonicalEvent>> {
  return Object.fromEntries(
    EVENTS.map(([type, occurredAt, fields]) => [type, exampleEvent(type, occurredAt, fields)]),
  ) as Record<EventType, CanonicalEvent>;
}

function exampleEvent(type: EventType, occurredAt: number, fields: Fields): CanonicalEvent {
  const { operator, changed } = fields;
  const identity = { sdkAppId: SDK_APP_ID, command: type, groupId: GROUP_ID, operator, changed, extra: {} };
  const read = type === 'chat.group.info.read';
  return groupEvent(type, SDK_APP_ID, eventId({ ...identity, moment: { eventTime: occurredAt } }), {
    groupId: GROUP_ID,
    groupType: 'Public',
    ...fields,
    occurredAt,
    occurredAtFrom: read ? 'read' : 'callback',
    receivedAt: occurredAt + 222,
    origin: read ? {} : { platform: 'RESTAPI', clientIp: '113.118.225.178' },
    extra: {},
  });
}
