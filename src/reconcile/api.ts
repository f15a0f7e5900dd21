/** The part of the vendor's REST API that reads groups. */
import { randomInt } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../model/clock.ts';
import { BridgeError, type Fault, type FaultCode, messageOf } from '../model/fault.ts';
import { createPace, type Pace } from './pace.ts';
import { createUserSigs } from './usersig.ts';

export interface GroupApiSettings {
  readonly sdkAppId: string;
  readonly baseUrl: string;
  readonly identifier: string;
  readonly secretKey: string;
  /** The service's limits: 1 and 200. */
  readonly callsPerSecond: { readonly list: number; readonly groups: number };
}

/** A group as the service describes it. */
export interface RemoteGroup {
  readonly groupId: string;
  readonly groupType: string;
  readonly name?: string | undefined;
  readonly introduction?: string | undefined;
  readonly notification?: string | undefined;
  readonly faceUrl?: string | undefined;
  readonly owner?: string | undefined;
  readonly customFields?: Readonly<Record<string, string>> | undefined;
}

export interface GroupsRead {
  /**
   * Milliseconds since 1970 by the service's clock, at or before the moment when it looked at its data, so that a callback
   * that is newer than the read always wins over it: the Date header, which is cut to whole seconds, less the time that the
   * whole call took. Without a Date header it is this machine's clock less a minute.
   */
  readonly readAt: number;
  readonly groups: readonly RemoteGroup[];
  /** The service says that there are no such groups. */
  readonly gone: readonly string[];
  readonly failed: readonly { readonly groupId: string; readonly fault: Fault }[];
}

export interface GroupApi {
  /** Yields all group ids of a type, in pages of up to 10,000. Throws a BridgeError when the service cannot be asked. */
  groupIds(groupType: string, signal: AbortSignal): AsyncIterable<{ ids: readonly string[]; total: number }>;
  /** Reads at most MAX_IDS groups. Throws a BridgeError when the service cannot be asked. */
  groups(ids: readonly string[], signal: AbortSignal): Promise<GroupsRead>;
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
const SIG_EXPIRED = new Set([70_001]);
const TOO_LARGE = 10_018;
const GONE = 10_010;

const top = z.looseObject({ ErrorCode: z.int().default(0), ErrorInfo: z.string().default('') });
/** `Next` is kept as its digits: it may be larger than 32 bits, and is only handed back. */
const listed = z.looseObject({
  TotalCount: z.int().default(0),
  GroupIdList: z.array(z.looseObject({ GroupId: z.string().min(1) })).default([]),
  Next: z.string().regex(/^\d+$/).default('0'),
});
const described = z.looseObject({ GroupInfo: z.array(z.looseObject({ GroupId: z.string() })) });
const item = z.looseObject({
  GroupId: z.string().min(1),
  ErrorCode: z.int().default(0),
  ErrorInfo: z.string().default(''),
  Type: z.string().optional(),
  Name: z.string().optional(),
  Introduction: z.string().optional(),
  Notification: z.string().optional(),
  FaceUrl: z.string().optional(),
  Owner_Account: z.string().optional(),
  AppDefinedData: z.array(z.object({ Key: z.string(), Value: z.string() })).optional(),
});

const FILTER = ['Type', 'Name', 'Introduction', 'Notification', 'FaceUrl', 'Owner_Account'];

type Called = { readonly code: number; readonly info: string; readonly body: unknown; readonly readAt: number };

interface Caller {
  call(pace: Pace, command: string, body: string, signal: AbortSignal): Promise<Called>;
  refusal(code: FaultCode, what: string): Fault;
}

export function createGroupApi(settings: GroupApiSettings, clock: Clock): GroupApi {
  const { list, groups: perSecond } = settings.callsPerSecond;
  const pace = { list: createPace(list, clock), groups: createPace(perSecond, clock) };
  const { call, refusal } = createCaller(settings, clock);

  async function groups(ids: readonly string[], signal: AbortSignal): Promise<GroupsRead> {
    const body = JSON.stringify({ GroupIdList: ids, ResponseFilter: { GroupBaseInfoFilter: FILTER } });
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
    return { readAt: answer.readAt, ...sort(ids, info.data.GroupInfo) };
  }

  return {
    async *groupIds(groupType, signal) {
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
    },
    groups,
  };
}

/** Makes calls to the service, at the pace it allows. */
function createCaller(settings: GroupApiSettings, clock: Clock): Caller {
  const { sdkAppId, baseUrl, identifier, secretKey } = settings;
  const sigs = createUserSigs(sdkAppId, identifier, secretKey, clock);

  /**
   * Makes one call, and tries again while that may help (own code, since some answers are tried again and others renew the
   * signature first). The answer's own code is the caller's, unless it concerns the call.
   */
  async function call(pace: Pace, command: string, body: string, signal: AbortSignal): Promise<Called> {
    let fault: Fault = refusal('service-unreachable', 'nothing was answered');
    let renewed = false;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      await pace.turn(signal);
      const answer = await ask(command, body, signal);
      if ('fault' in answer) {
        fault = answer.fault;
        if (!answer.again) throw new BridgeError(fault);
      } else if (TOO_FAST.has(answer.code)) {
        fault = refusal('service-overloaded', `it is asked too often (${answer.code})`);
        pace.pause(delayOf(attempt));
      } else if (answer.code === SERVER_TIMEOUT) {
        fault = refusal('service-unreachable', `it timed out itself (${answer.code} ${answer.info})`);
      } else if (answer.code >= 70_000 && answer.code < 80_000) {
        fault = refusal('service-credentials', `it refuses the signature: ${answer.code} ${answer.info}`);
        if (renewed || !SIG_EXPIRED.has(answer.code)) throw new BridgeError(fault);
        renewed = true;
        sigs.renew();
        continue;
      } else {
        return answer;
      }
      if (attempt < ATTEMPTS) await clock.sleep(delayOf(attempt), signal);
      signal.throwIfAborted();
    }
    throw new BridgeError(fault);
  }

  async function ask(
    command: string,
    body: string,
    signal: AbortSignal,
  ): Promise<Called | { readonly fault: Fault; readonly again: boolean }> {
    const query = new URLSearchParams({
      sdkappid: sdkAppId,
      identifier,
      usersig: sigs.current(),
      random: String(randomInt(2 ** 32)),
      contenttype: 'json',
    });
    const sentAt = clock.now();
    const start = performance.now();
    let status: number;
    let date: string | null;
    let text: string;
    try {
      const response = await fetch(new URL(`/v4/group_open_http_svc/${command}?${query}`, baseUrl), {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      status = response.status;
      date = response.headers.get('date');
      text = await response.text();
    } catch (thrown) {
      signal.throwIfAborted();
      const timedOut = thrown instanceof Error && thrown.name === 'TimeoutError';
      const message = timedOut ? `no answer within ${TIMEOUT_MS / 1_000} s` : messageOf(thrown);
      return { fault: refusal('service-unreachable', message), again: true };
    }
    const tookMs = performance.now() - start;
    if (status >= 500 || status === 429) {
      return { fault: refusal('service-unreachable', `it answers HTTP ${status}`), again: true };
    }
    const parsed = top.safeParse(parseJson(text));
    if (status !== 200 || !parsed.success) {
      const what = status === 200 ? 'its answer is not that of this API' : `it answers HTTP ${status}`;
      return { fault: refusal('service-refused', what), again: status === 200 };
    }
    const { ErrorCode: code, ErrorInfo: info } = parsed.data;
    return { code, info, body: parsed.data, readAt: readAtOf(date, tookMs, sentAt) };
  }

  return { call, refusal };

  function refusal(code: FaultCode, what: string): Fault {
    const { origin } = new URL(baseUrl);
    const hints: Partial<Record<FaultCode, [setting: string, suggestion: string]>> = {
      'service-credentials': [
        'secretKey',
        'compare identifier (an admin of the app) and secretKey with the console, and app.sdkAppId, too',
      ],
      'service-overloaded': ['callsPerSecond', 'lower it: the limit is the whole app’s, others call as well'],
      'service-refused': ['baseUrl', 'is this the domain of your app’s region?'],
      'service-unreachable': ['baseUrl', 'see that it can be reached from here; reconcile goes on where it stopped'],
    };
    const [setting, suggestion] = hints[code] ?? ['baseUrl', ''];
    return { code, message: `${origin}: ${what}`, path: `reconcile.api.${setting}`, suggestion };
  }
}

function delayOf(attempt: number): number {
  return Math.min(FIRST_DELAY_MS * 2 ** (attempt - 1), MAX_DELAY_MS);
}

/** See GroupsRead.readAt. */
export function readAtOf(date: string | null, tookMs: number, sentAt: number): number {
  const served = date === null ? Number.NaN : Date.parse(date);
  return Number.isNaN(served) ? sentAt - NO_DATE_MARGIN_MS : Math.floor(served - tookMs);
}

function parseJson(text: string): unknown {
  try {
    // A reviver is slow, and only lists have a Next.
    return text.includes('"Next"') ? JSON.parse(text, nextAsDigits as Reviver) : JSON.parse(text);
  } catch {
    return undefined;
  }
}

type Reviver = (key: string, value: unknown) => unknown;

/** Node 22 and later pass the third argument, which TypeScript's lib of ES2024 does not know yet. */
function nextAsDigits(key: string, value: unknown, context?: { source?: string }): unknown {
  return key === 'Next' && typeof value === 'number' ? (context?.source ?? String(value)) : value;
}

function sort(ids: readonly string[], items: readonly unknown[]): Omit<GroupsRead, 'readAt'> {
  const groups: RemoteGroup[] = [];
  const gone: string[] = [];
  const failed: { groupId: string; fault: Fault }[] = [];
  const open = new Set(ids);
  for (const one of items) {
    const groupId = String((one as { GroupId: unknown }).GroupId);
    // Takes each group once, and none that was not asked for.
    if (!open.delete(groupId)) continue;
    const parsed = item.safeParse(one);
    if (!parsed.success) {
      failed.push({ groupId, fault: unread(`its description is odd: ${z.prettifyError(parsed.error)}`) });
    } else if (parsed.data.ErrorCode === GONE) {
      gone.push(groupId);
    } else if (parsed.data.ErrorCode !== 0) {
      failed.push({ groupId, fault: unread(`${parsed.data.ErrorCode} ${parsed.data.ErrorInfo}`) });
    } else if (parsed.data.Type === undefined) {
      failed.push({ groupId, fault: unread('its description has no Type') });
    } else {
      const { Type, Name, Introduction, Notification, FaceUrl, Owner_Account, AppDefinedData } = parsed.data;
      groups.push({
        groupId,
        groupType: Type,
        name: Name,
        introduction: Introduction,
        notification: Notification,
        faceUrl: FaceUrl,
        owner: Owner_Account,
        customFields: AppDefinedData && Object.fromEntries(AppDefinedData.map(({ Key, Value }) => [Key, Value])),
      });
    }
  }
  for (const groupId of open) failed.push({ groupId, fault: unread('the answer leaves it out') });
  return { groups, gone, failed };
}

function unread(message: string): Fault {
  return { code: 'service-refused', message };
}
