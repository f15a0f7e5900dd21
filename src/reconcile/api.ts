/** The part of the vendor's REST API that reads groups. */
import { randomInt } from 'node:crypto';
import { z } from 'zod';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../model/clock.ts';
import { type ProfileField, wireType } from '../model/event.ts';
import { BridgeError, type Fault, messageOf } from '../model/fault.ts';
import { createServiceClock, MAX_SKEW_MS, type ServiceClock } from '../model/service-clock.ts';
import { createPace, type Pace } from './pace.ts';
import { createUserSigs } from './usersig.ts';

export type ReconcileSettings = NonNullable<Config['reconcile']> & { readonly sdkAppId: string };
type GroupApiSettings = Pick<ReconcileSettings, 'sdkAppId'> & ReconcileSettings['api'];

/** A group as the service describes it. */
export type RemoteGroup = { readonly [Field in ProfileField | 'owner']?: string | undefined } & {
  readonly groupId: string;
  readonly groupType: string;
  readonly customFields?: Readonly<Record<string, string>> | undefined;
};

export interface GroupsRead {
  /**
   * Milliseconds since 1970 by the service's clock, at or before the moment when it looked at its data, so that a callback
   * that is newer than the read always wins over it: the Date header, which is cut to whole seconds, less the time that the
   * whole call took. Without a Date header that can be right it is this machine's clock less a minute.
   */
  readonly readAt: number;
  readonly groups: readonly RemoteGroup[];
  /** The service says that there are no such groups. */
  readonly gone: readonly string[];
  readonly failed: readonly { readonly groupId: string; readonly fault: Fault }[];
}

export const MAX_IDS = 50;
const PAGE = 10_000;
/** The service gives up after 3 s. */
const TIMEOUT_MS = 5_000;
const ATTEMPTS = 8;
const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 10_000;
const NO_DATE_MARGIN_MS = 60_000;

const TOO_FAST = new Set([60_007, 60_011, 60_018, 60_019]);
const SERVER_TIMEOUT = 60_008;
const SIG_EXPIRED = 70_001;
const TOO_LARGE = 10_018;
const GONE = 10_010;

const verdict = { ErrorCode: z.int().default(0), ErrorInfo: z.string().default('') };
const top = z.looseObject(verdict);
/** `Next` is kept as its digits: it may be larger than 32 bits, and is only handed back. */
const listed = z.looseObject({
  TotalCount: z.int().default(0),
  GroupIdList: z.array(z.looseObject({ GroupId: z.string().min(1) })).default([]),
  Next: z.string().regex(/^\d+$/).default('0'),
});
const described = z.looseObject({ GroupInfo: z.array(z.looseObject({ GroupId: z.string() })) });
const text = z.string().optional();
const asked = { Type: text, Name: text, Introduction: text, Notification: text, FaceUrl: text, Owner_Account: text };
const item = z.looseObject({
  GroupId: z.string().min(1),
  ...verdict,
  ...asked,
  AppDefinedData: z.array(z.object({ Key: z.string(), Value: z.string() })).optional(),
});

const HINTS = {
  'service-credentials': [
    'secretKey',
    'compare identifier (an admin of the app) and secretKey with the console, and app.sdkAppId, too',
  ],
  'service-overloaded': ['callsPerSecond', 'lower it: the limit is the whole app’s, others call as well'],
  'service-refused': ['baseUrl', 'is this the domain of your app’s region?'],
  'service-unreachable': ['baseUrl', 'see that it can be reached from here; reconcile goes on where it stopped'],
} as const;

/** Why a call has no answer, and what may help: a call like it later, or one with a new signature. */
interface Trouble {
  readonly fault: Fault;
  readonly again: 'no' | 'later' | 'renewed';
}

export type GroupApi = ReturnType<typeof createGroupApi>;

/** `service` is told the service's time whenever an answer says it. */
export function createGroupApi(settings: GroupApiSettings, clock: Clock, service = createServiceClock(clock)) {
  const { list, groups: perSecond } = settings.callsPerSecond;
  const pace = { list: createPace(list, clock), groups: createPace(perSecond, clock) };
  const { call, refusal } = createCaller(settings, clock, service);

  /** Reads at most MAX_IDS groups. Throws a BridgeError when the service cannot be asked. */
  async function groups(ids: readonly string[], signal: AbortSignal): Promise<GroupsRead> {
    const body = JSON.stringify({ GroupIdList: ids, ResponseFilter: { GroupBaseInfoFilter: Object.keys(asked) } });
    const answer = await call(pace.groups, 'get_group_info', body, signal);
    if (answer.code === TOO_LARGE && ids.length > 1) {
      const middle = ids.length >> 1;
      const halves = [await groups(ids.slice(0, middle), signal), await groups(ids.slice(middle), signal)];
      return {
        // The older moment is right for both halves.
        readAt: Math.min(...halves.map(({ readAt }) => readAt)),
        groups: halves.flatMap((half) => half.groups),
        gone: halves.flatMap((half) => half.gone),
        failed: halves.flatMap((half) => half.failed),
      };
    }
    const info = described.safeParse(answer.body);
    if (!info.success) {
      const what = answer.code === 0 ? 'its answer holds no GroupInfo' : `${answer.code} ${answer.info}`;
      throw new BridgeError(refusal('service-refused', what));
    }
    return { readAt: answer.readAt, ...classify(ids, info.data.GroupInfo) };
  }

  /** Yields all group ids of a type, in pages of up to 10,000. Throws a BridgeError when the service cannot be asked. */
  async function* groupIds(groupType: string, signal: AbortSignal) {
    let next = '0';
    do {
      // JSON.stringify would change the digits of Next.
      const body = `{"Limit":${PAGE},"Next":${next},"GroupType":${JSON.stringify(groupType)}}`;
      const answer = await call(pace.list, 'get_appid_group_list', body, signal);
      const page = listed.safeParse(answer.body);
      if (answer.code !== 0 || !page.success) {
        const what = answer.code === 0 ? 'its answer is not that of this API' : `${answer.code} ${answer.info}`;
        throw new BridgeError(refusal('service-refused', `no list of the groups of type ${groupType}: ${what}`));
      }
      yield { ids: page.data.GroupIdList.map(({ GroupId }) => GroupId), total: page.data.TotalCount };
      next = page.data.Next;
    } while (next !== '0');
  }

  return { groups, groupIds };
}

/** Makes calls to the service, at the pace it allows. */
function createCaller(settings: GroupApiSettings, clock: Clock, service: ServiceClock) {
  const { sdkAppId, baseUrl, identifier, secretKey } = settings;
  const sigs = createUserSigs(sdkAppId, identifier, secretKey, clock);
  const { origin } = new URL(baseUrl);

  function refusal(code: keyof typeof HINTS, what: string): Fault {
    const [setting, suggestion] = HINTS[code];
    return { code, message: `${origin}: ${what}`, path: `reconcile.api.${setting}`, suggestion };
  }
  const trouble = (code: keyof typeof HINTS, what: string, again: Trouble['again'] = 'later'): Trouble => {
    return { fault: refusal(code, what), again };
  };

  /** Makes one call, and others like it while that may help. The answer's own code is the caller's, unless it concerns the call. */
  async function call(pace: Pace, command: string, body: string, signal: AbortSignal) {
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      await pace.turn(signal);
      const answer = await ask(command, body, signal);
      if (!('fault' in answer)) return answer;
      const { fault, again } = answer;
      const delayMs = Math.min(FIRST_DELAY_MS * 2 ** (attempt - 1), MAX_DELAY_MS);
      if (fault.code === 'service-overloaded') pace.pause(delayMs);
      if (again === 'no' || (again === 'renewed' && renewed) || attempt === ATTEMPTS) throw new BridgeError(fault);
      if (again === 'renewed') {
        renewed = true;
        sigs.renew();
      } else {
        await clock.sleep(delayMs, signal);
        signal.throwIfAborted();
      }
    }
  }

  async function ask(command: string, body: string, signal: AbortSignal) {
    const query = new URLSearchParams({
      sdkappid: sdkAppId,
      identifier,
      usersig: sigs.current(),
      random: String(randomInt(2 ** 32)),
      contenttype: 'json',
    });
    const sentAt = service.now();
    const start = performance.now();
    let response: Response;
    let json: string;
    try {
      response = await fetch(new URL(`/v4/group_open_http_svc/${command}?${query}`, baseUrl), {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      json = await response.text();
    } catch (thrown) {
      signal.throwIfAborted();
      const timedOut = thrown instanceof Error && thrown.name === 'TimeoutError';
      return trouble('service-unreachable', timedOut ? `no answer within ${TIMEOUT_MS / 1_000} s` : messageOf(thrown));
    }
    const tookMs = performance.now() - start;
    const date = Date.parse(response.headers.get('date') ?? '');
    if (!Number.isNaN(date)) service.observe(date + 500);
    const { status, headers } = response;
    if (status >= 500 || status === 429) return trouble('service-unreachable', `it answers HTTP ${status}`);
    if (status !== 200) return trouble('service-refused', `it answers HTTP ${status}`, 'no');
    const parsed = top.safeParse(parseJson(json));
    if (!parsed.success) return trouble('service-refused', 'its answer is not that of this API');
    const { ErrorCode: code, ErrorInfo: info } = parsed.data;
    if (TOO_FAST.has(code)) return trouble('service-overloaded', `it is asked too often (${code})`);
    if (code === SERVER_TIMEOUT) return trouble('service-unreachable', `it timed out itself (${code} ${info})`);
    if (code >= 70_000 && code < 80_000) {
      const again = code === SIG_EXPIRED ? 'renewed' : 'no';
      return trouble('service-credentials', `it refuses the signature: ${code} ${info}`, again);
    }
    return { code, info, body: parsed.data, readAt: readAtOf(headers.get('date'), tookMs, sentAt) };
  }

  return { call, refusal };
}

/** See GroupsRead.readAt. */
export function readAtOf(date: string | null, tookMs: number, sentAt: number): number {
  const served = date === null ? Number.NaN : Date.parse(date);
  // A Date that is far off was written by another machine on the way, or lay in a cache.
  const believed = Math.abs(served - sentAt) <= MAX_SKEW_MS;
  return believed ? Math.floor(served - tookMs) : sentAt - NO_DATE_MARGIN_MS;
}

function parseJson(json: string): unknown {
  try {
    // JSON.parse would round a large Next. Within a string its quotes are escaped, so only the key is found.
    return JSON.parse(json.replace(/"Next"\s*:\s*(\d+)/, '"Next":"$1"'));
  } catch {
    return undefined;
  }
}

/** Tells apart the groups that the service describes, those that it does not have, and those that it fails to describe. */
function classify(ids: readonly string[], items: readonly { readonly GroupId: string }[]): Omit<GroupsRead, 'readAt'> {
  const groups: RemoteGroup[] = [];
  const gone: string[] = [];
  const failed: { groupId: string; fault: Fault }[] = [];
  const itemOf = new Map(items.map((one) => [one.GroupId, one]));
  for (const groupId of new Set(ids)) {
    const fail = (message: string) => failed.push({ groupId, fault: { code: 'service-refused', message } });
    const one = itemOf.get(groupId);
    const parsed = item.safeParse(one);
    if (one === undefined) fail('the answer leaves it out');
    else if (!parsed.success) fail(`its description is odd: ${z.prettifyError(parsed.error)}`);
    else if (parsed.data.ErrorCode === GONE) gone.push(groupId);
    else if (parsed.data.ErrorCode !== 0) fail(`${parsed.data.ErrorCode} ${parsed.data.ErrorInfo}`);
    else if (parsed.data.Type === undefined) fail('its description has no Type');
    else groups.push(toGroup(groupId, parsed.data.Type, parsed.data));
  }
  return { groups, gone, failed };
}

function toGroup(groupId: string, groupType: string, read: z.output<typeof item>): RemoteGroup {
  return {
    groupId,
    groupType: wireType(groupType),
    name: read.Name,
    introduction: read.Introduction,
    notification: read.Notification,
    faceUrl: read.FaceUrl,
    owner: read.Owner_Account,
    customFields: read.AppDefinedData && Object.fromEntries(read.AppDefinedData.map(({ Key, Value }) => [Key, Value])),
  };
}
