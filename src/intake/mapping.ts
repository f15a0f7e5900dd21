import { type CanonicalEvent, groupEvent, wireType } from '../model/event.ts';
import { eventId } from '../model/event-id.ts';
import type { ServiceClock } from '../model/service-clock.ts';
import type { Callback } from './commands.ts';
import type { CallbackQuery } from './request.ts';

/** An EventTime further ahead of its receipt would win over later changes, so it is not believed. */
export const MAX_AHEAD_MS = 2_000;
/** The service waits 2 s for an answer before it may repeat the callback; its clock is known to half a second. */
const ON_ITS_WAY_MS = 2_500;
/** Before 2014 there was no such service: an EventTime from then would lose against everything. */
export const EARLIEST = Date.UTC(2014, 0, 1);
/** Believed from many callbacks, an EventTime from this time on would move the service's clock there. */
const LATEST = Date.UTC(2100, 0, 1);
/** Numbers of this size are seconds since 1970: taken as milliseconds they would lie in the seventies. */
const SECONDS = { from: EARLIEST / 1_000, to: 100_000_000_000 };

interface Receipt {
  /** Milliseconds since 1970, by this machine's clock. */
  readonly at: number;
  /** The same moment by the service's clock; by default this machine's. */
  readonly serviceAt?: number;
  /** Unique to each receipt: identifies a callback that has neither EventTime nor RequestID. */
  readonly nonce: string;
}

/** Maps a callback to its event. Pure: the same callback and receipt give the same event. */
export function mapCallback(sdkAppId: string, query: CallbackQuery, callback: Callback, receipt: Receipt) {
  const { command, type, groupId, groupType, operator, owner, previousOwner, changed } = callback;
  const { platform, clientIp, requestId } = query;
  const given = callback.eventTime === undefined ? undefined : Number(callback.eventTime);
  const eventTime = given === undefined || inSeconds(given) ? given : Math.trunc(given);
  const serviceAt = receipt.serviceAt ?? receipt.at;
  const told = readEventTime(eventTime, serviceAt);
  const occurred = told !== undefined && told <= serviceAt + MAX_AHEAD_MS ? told : undefined;
  // Keeps the original of what was not taken over.
  const extra = occurred === eventTime ? callback.extra : { ...callback.extra, EventTime: callback.eventTime };

  const received = requestId === undefined ? { receipt: `${receipt.at}/${receipt.nonce}` } : { requestId };
  const moment = eventTime === undefined ? received : { eventTime };
  const namesOwner = owner !== undefined || previousOwner !== undefined;
  // Includes a disbelieved EventTime: disbelief depends on the receipt, but a repeated callback is the same event.
  const identity = { sdkAppId, command, groupId, operator, changed, extra: callback.extra, moment };
  const id = eventId(namesOwner ? { ...identity, owners: [owner, previousOwner] } : identity);
  return groupEvent(type, sdkAppId, id, {
    groupId,
    groupType: wireType(groupType),
    ...present({ operator, owner, previousOwner }),
    changed,
    occurredAt: occurred ?? Math.round(serviceAt),
    occurredAtFrom: occurred === undefined ? 'receipt' : 'callback',
    receivedAt: receipt.at,
    origin: present({ platform, clientIp, requestId }),
    extra,
    ...(callback.omitted !== undefined && { omitted: callback.omitted }),
  });
}

/** Returns a number, or the one in a text; NaN for anything else, whose conversion may throw. */
export const numberIn = (value: unknown): number => (typeof value === 'object' ? Number.NaN : Number(value));

const inSeconds = (time: number): boolean => time >= SECONDS.from && time < SECONDS.to;

/**
 * Returns an EventTime in ms; undefined if no callback of the service can have it. Whole seconds do not order the changes
 * within one second. `near`, the time of receipt, does, as far as it lies in that second, or so shortly after it that the
 * callback was on its way. What comes later may be a repetition, which must not win over what followed the first one.
 */
export function readEventTime(eventTime: unknown, near = 0): number | undefined {
  const given = numberIn(eventTime);
  const inMs = Math.trunc(inSeconds(given) ? given * 1_000 : given);
  if (!(inMs >= EARLIEST && inMs < LATEST)) return undefined;
  const isOrdered = inSeconds(given) && Number.isInteger(given) && near <= inMs + ON_ITS_WAY_MS;
  return isOrdered ? Math.min(Math.max(inMs, Math.round(near)), inMs + 999) : inMs;
}

/** Returns how far the EventTime of a recorded event was ahead of its receipt, in ms; undefined if it has none. */
function eventTimeDistance({ data }: CanonicalEvent): number | undefined {
  if (data.occurredAtFrom === 'read') return undefined;
  const told = readEventTime(data.occurredAtFrom === 'callback' ? data.occurredAt : data.extra.EventTime);
  return told === undefined ? undefined : told - data.receivedAt;
}

/** Feeds the EventTimes of recorded callbacks to the service's clock, as if they had just arrived. */
export function hearAgain(events: Iterable<CanonicalEvent>, service: ServiceClock): void {
  for (const event of events) {
    const distance = eventTimeDistance(event);
    if (distance !== undefined) service.hear(event.data.groupId, distance);
  }
}

function present<Key extends string>(values: Record<Key, string | undefined>) {
  const there = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(there) as { [Each in Key]?: string };
}
