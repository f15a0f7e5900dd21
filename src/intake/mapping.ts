import { type CanonicalEvent, eventId, groupEvent } from '../model/event.ts';
import type { Callback } from './commands.ts';
import type { CallbackQuery } from './query.ts';

/** An EventTime further ahead of its receipt than this would win over every later change, so it is not believed. */
export const MAX_AHEAD_MS = 600_000;

interface Receipt {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Differs for each receipt: the identity of a callback that has neither EventTime nor RequestID. */
  readonly nonce: string;
}

/** Maps a callback to its event. Pure: the same callback and receipt give the same event. */
export function mapCallback(
  sdkAppId: string,
  query: CallbackQuery,
  callback: Callback,
  receipt: Receipt,
): CanonicalEvent {
  const { command, type, groupId, groupType, operator, owner, previousOwner, changed } = callback;
  const { platform, clientIp, requestId } = query;
  const eventTime = callback.eventTime === undefined ? undefined : Math.trunc(Number(callback.eventTime));
  const believed = eventTime !== undefined && eventTime <= receipt.at + MAX_AHEAD_MS;
  const extra =
    eventTime === undefined || believed ? callback.extra : { ...callback.extra, EventTime: callback.eventTime };

  const moment =
    eventTime !== undefined
      ? { eventTime }
      : requestId !== undefined
        ? { requestId }
        : { receipt: `${receipt.at}/${receipt.nonce}` };
  const namesOwner = owner !== undefined || previousOwner !== undefined;
  const identity = { sdkAppId, command, groupId, operator, changed, extra, moment };
  const id = eventId(namesOwner ? { ...identity, owners: [owner, previousOwner] } : identity);
  return groupEvent(type, sdkAppId, id, {
    groupId,
    groupType,
    ...present({ operator, owner, previousOwner }),
    changed,
    occurredAt: believed ? eventTime : receipt.at,
    occurredAtFrom: believed ? 'callback' : 'receipt',
    receivedAt: receipt.at,
    origin: present({ platform, clientIp, requestId }),
    extra,
  });
}

/** Returns those that are there. */
function present<Key extends string>(values: Record<Key, string | undefined>): { [Each in Key]?: string } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Each in Key]?: string;
  };
}
