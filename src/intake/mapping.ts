import { type CanonicalEvent, type ChangedFields, eventId, infoChanged, type Origin } from '../canon/event.ts';
import { type CallbackQuery, GROUP_INFO_CHANGED, type GroupInfoChanged, userDefinedDataList } from './callback.ts';

/** An EventTime further ahead of its receipt than this would win over every later change. */
export const MAX_AHEAD_MS = 600_000;

const KNOWN = new Set([
  'CallbackCommand',
  'GroupId',
  'Type',
  'Operator_Account',
  'Name',
  'Introduction',
  'Notification',
  'FaceUrl',
  'EventTime',
]);

export interface Receipt {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Differs for each receipt: the identity of a callback that has neither EventTime nor RequestID. */
  readonly nonce: string;
}

/** Callback → event. Pure: the same callback and receipt give the same event. */
export function mapGroupInfoChanged(
  sdkAppId: string,
  query: CallbackQuery,
  body: GroupInfoChanged,
  receipt: Receipt,
): CanonicalEvent {
  const changed: ChangedFields = {};
  // "" is a cleared field and stays; only an absent key is unchanged.
  if (body.Name !== undefined) changed.name = body.Name;
  if (body.Introduction !== undefined) changed.introduction = body.Introduction;
  if (body.Notification !== undefined) changed.notification = body.Notification;
  if (body.FaceUrl !== undefined) changed.faceUrl = body.FaceUrl;

  const unknown = Object.entries(body).filter(([key]) => !KNOWN.has(key));
  const custom = userDefinedDataList.safeParse(body.UserDefinedDataList);
  if (custom.success) changed.customFields = Object.fromEntries(custom.data.map(({ Key, Value }) => [Key, Value]));
  const extra = Object.fromEntries(unknown.filter(([key]) => !(custom.success && key === 'UserDefinedDataList')));

  const eventTime = body.EventTime === undefined ? undefined : Math.trunc(Number(body.EventTime));
  const usable = eventTime !== undefined && eventTime <= receipt.at + MAX_AHEAD_MS;
  if (eventTime !== undefined && !usable) extra.EventTime = body.EventTime;

  const origin: Origin = {};
  if (query.platform !== undefined) origin.platform = query.platform;
  if (query.clientIp !== undefined) origin.clientIp = query.clientIp;
  if (query.requestId !== undefined) origin.requestId = query.requestId;

  const moment =
    eventTime !== undefined
      ? { eventTime }
      : query.requestId !== undefined
        ? { requestId: query.requestId }
        : { receipt: `${receipt.at}/${receipt.nonce}` };
  const id = eventId({
    sdkAppId,
    command: GROUP_INFO_CHANGED,
    groupId: body.GroupId,
    operator: body.Operator_Account,
    changed,
    extra,
    moment,
  });
  return infoChanged(sdkAppId, id, {
    groupId: body.GroupId,
    groupType: body.Type,
    operator: body.Operator_Account,
    changed,
    occurredAt: usable ? eventTime : receipt.at,
    occurredAtFrom: usable ? 'callback' : 'receipt',
    receivedAt: receipt.at,
    origin,
    extra,
  });
}
