import { type CanonicalEvent, eventId, groupEvent, type Origin } from '../model/event.ts';
import type { Callback, CallbackQuery } from './callback.ts';
import { COMMANDS, extraOf } from './commands.ts';

/** An EventTime further ahead of its receipt than this would win over every later change. */
export const MAX_AHEAD_MS = 600_000;

export interface Receipt {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Differs for each receipt: the identity of a callback that has neither EventTime nor RequestID. */
  readonly nonce: string;
}

/** Callback → event. Pure: the same callback and receipt give the same event. */
export function mapCallback(
  sdkAppId: string,
  query: CallbackQuery,
  { command, body }: Callback,
  receipt: Receipt,
): CanonicalEvent {
  const known = COMMANDS.get(command);
  if (known === undefined) throw new TypeError(`${command} does not become an event`);
  const told = known.tell(body);
  const { operator, owner, previousOwner, changed } = told;
  const extra = extraOf(known, body, told);

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
  const tellsOwner = owner !== undefined || previousOwner !== undefined;
  const id = eventId({
    sdkAppId,
    command,
    groupId: body.GroupId,
    operator,
    changed,
    ...(tellsOwner && { owners: [owner, previousOwner] }),
    extra,
    moment,
  });
  return groupEvent(known.type, sdkAppId, id, {
    groupId: body.GroupId,
    groupType: body.Type,
    ...(operator !== undefined && { operator }),
    ...(owner !== undefined && { owner }),
    ...(previousOwner !== undefined && { previousOwner }),
    changed,
    occurredAt: usable ? eventTime : receipt.at,
    occurredAtFrom: usable ? 'callback' : 'receipt',
    receivedAt: receipt.at,
    origin,
    extra,
  });
}
