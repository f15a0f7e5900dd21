/** The part of the vendor's REST API that reads groups. */
import { z } from 'zod';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../model/clock.ts';
import { isGroupId, NO_GROUP_ID, type ProfileField, wireType } from '../model/event.ts';
import { BridgeError, type Fault } from '../model/fault.ts';
import { CUSTOM, CUSTOM_BOUNDS, fits } from '../model/group.ts';
import { isObject } from '../model/json.ts';
import { createServiceClock } from '../model/service-clock.ts';
import { type ApiSettings, createCaller, FIRST_DELAY_MS, text, verdict } from './call.ts';
import { CODE_CLASSES, type CodeClass, classOf, UNKNOWN } from './codes.ts';
import { createPace } from './pace.ts';

export type ReconcileSettings = NonNullable<Config['reconcile']> & { readonly sdkAppId: string };

export type RemoteGroup = { readonly [Field in ProfileField | 'owner']?: string | undefined } & {
  readonly groupId: string;
  readonly groupType?: string | undefined;
  readonly customFields?: Readonly<Record<string, string>> | undefined;
};

export interface GroupsRead {
  /**
   * Milliseconds since 1970 by the service's clock, at or before the moment when it read its data, so that a callback newer
   * than the read always wins: the Date header, which is cut to whole seconds, minus the duration of the call. Without a
   * plausible Date header, this machine's clock minus a minute.
   */
  readonly readAt: number;
  readonly groups: readonly RemoteGroup[];
  readonly gone: readonly string[];
  readonly failed: readonly GroupFailure[];
}

export interface GroupFailure {
  readonly groupId: string;
  readonly fault: Fault;
  /** Whether a later call may succeed. */
  readonly passes: boolean;
}

type KeysOf = (ids: readonly string[]) => readonly string[];

export const MAX_IDS = 50;
const GROUPS = 'group_open_http_svc/';
const PAGE = 10_000;
/** How often a group is asked for if its description is a transient error. */
const ITEM_ATTEMPTS = 4;
/** After this many single groups were refused in a row, the call itself may be what is refused. */
const MAX_SINGLE_REFUSALS = 20;
/** The id of no group. */
const NOWHERE = '@TGS#NOWHERE';

const named = z.looseObject({ GroupId: z.string().min(1) });
/** `Next` is kept as digits: it may exceed 32 bits, and is only handed back. */
const list = z.looseObject({
  TotalCount: z.int().catch(0),
  GroupIdList: z
    .array(z.unknown())
    .nullish()
    .transform((list) => list?.map((one) => named.safeParse(one).data) ?? [])
    // A few odd entries are ignored; if all are odd, this is not a list of groups, rather than an empty one.
    .refine((list) => list.length === 0 || list.some((one) => one !== undefined))
    .transform((list) => list.filter((one) => one !== undefined)),
  Next: z
    .union([z.string().regex(/^(0|[1-9]\d*)?$/), z.int().nonnegative()])
    .nullish()
    .transform((next) => String(next || 0)),
});
/** An empty list may be omitted beside its count; an answer with neither is refused. */
const listed = z.custom((given) => isObject(given) && ('TotalCount' in given || 'GroupIdList' in given)).pipe(list);
const addressList = z.looseObject({
  IPList: z
    .array(z.unknown())
    .nullish()
    .transform((list) => (list ?? []).filter((one) => typeof one === 'string').map((one) => one.trim())),
});
const described = z.looseObject({ GroupInfo: z.array(z.unknown()) });
const asked = { Type: text, Name: text, Introduction: text, Notification: text, FaceUrl: text, Owner_Account: text };
const customField = z.object({ Key: z.string(), Value: z.string() });
const item = z.looseObject({
  GroupId: z.string(),
  ...verdict,
  ...asked,
  AppDefinedData: z.array(z.unknown()).optional().catch(undefined),
});

/** The service refuses one list while it gives others; `off` if the feature is not switched on for the app. */
export class ListRefused extends BridgeError {
  override readonly name = 'ListRefused';
  readonly off: boolean;
  constructor(fault: Fault, off: boolean) {
    super(fault);
    this.off = off;
  }
}

export type GroupApi = ReturnType<typeof createGroupApi>;

/** `service` learns the service's time from the answers. */
export function createGroupApi(settings: ApiSettings, clock: Clock, service = createServiceClock(clock)) {
  const { list, groups: perSecond } = settings.callsPerSecond;
  const pace = { list: createPace(list, clock), groups: createPace(perSecond, clock) };
  const { call, once, faultOf } = createCaller(settings, clock, service);
  /** How many single groups were refused since the last answer. */
  let refusedInRow = 0;

  /** Asks for at most MAX_IDS groups with the custom fields `keys`. Throws a BridgeError if the service cannot be asked. */
  async function ask(ids: readonly string[], keys: readonly string[], signal: AbortSignal) {
    const custom = keys.length > 0 && { AppDefinedDataFilter_Group: keys };
    const filter = { GroupBaseInfoFilter: Object.keys(asked), ...custom };
    const body = JSON.stringify({ GroupIdList: ids, ResponseFilter: filter });
    const answer = await call(pace.groups, `${GROUPS}get_group_info`, body, signal);
    const info = described.safeParse('body' in answer ? answer.body : undefined);
    if (info.success && 'readAt' in answer) {
      refusedInRow = 0;
      const { tooLarge, ...found } = classify(ids, info.data.GroupInfo, faultOf);
      // Said of one group, it is a matter of what the call asks for, too.
      if (tooLarge !== undefined) return { fault: tooLarge, about: 'group', again: 'less' } as const;
      return { readAt: answer.readAt, ...found };
    }
    // The whole call asked for one group only.
    if ('goneAt' in answer && answer.goneAt !== undefined && ids.length === 1) {
      refusedInRow = 0;
      return { readAt: answer.goneAt, groups: [], gone: ids, failed: [] };
    }
    const refusal = 'fault' in answer ? answer : unusable(faultOf('its answer holds no GroupInfo'));
    if (refusal.about === 'caller') throw new BridgeError(refusal.fault);
    return refusal;
  }

  /** Whether the service refuses these keys for any group, rather than for what one group holds. */
  const refuses = async (keys: readonly string[], signal: AbortSignal): Promise<boolean> =>
    keys.length > 0 && 'fault' in (await ask([NOWHERE], keys, signal));

  /** Like `ask`, but halves a call that is refused, or whose answer is too long, down to the group that is the reason. */
  async function groups(ids: readonly string[], keysOf: KeysOf, signal: AbortSignal): Promise<GroupsRead> {
    const keys = keysOf(ids);
    const answer = await ask(ids, keys, signal);
    if (!('fault' in answer)) return answer;
    const { fault, about } = answer;
    const isOne = ids.length === 1;
    // The refused key may come from a stranger's callback, which must not cost the group. A configured one fails for all groups.
    const mayBeKeys = keys.length > 0 && about !== 'moment';
    const isForKeys = mayBeKeys && (isOne || (answer.again !== 'less' && (await refuses(keysOf([]), signal))));
    const plain = isForKeys ? await ask(ids, [], signal) : answer;
    if (!('fault' in plain)) {
      const unread = plain.groups.map(({ groupId }) => ({ groupId, fault: aboutKeys(fault), passes: false }));
      return { ...plain, failed: [...plain.failed, ...unread] };
    }
    if (!isOne) {
      const middle = ids.length >> 1;
      return joined(
        await groups(ids.slice(0, middle), keysOf, signal),
        await groups(ids.slice(middle), keysOf, signal),
      );
    }
    // That many ids may really be bad: if so, the service still answers for a group that does not exist.
    const isCall = ++refusedInRow >= MAX_SINGLE_REFUSALS && 'fault' in (await ask([NOWHERE], keys, signal));
    if (isCall) throw new BridgeError(fault);
    const failed = ids.map((groupId) => ({ groupId, fault, passes: about === 'moment' }));
    // Nothing was read, so this must not date anything when joined.
    return { readAt: Number.POSITIVE_INFINITY, groups: [], gone: [], failed };
  }

  /** Like `groups`, but asks a few more times for those whose description is a transient error. */
  async function read(ids: readonly string[], keysOf: KeysOf, signal: AbortSignal): Promise<GroupsRead> {
    let found = await groups(ids, keysOf, signal);
    for (let attempt = 1; attempt < ITEM_ATTEMPTS; attempt++) {
      const again = found.failed.filter(({ passes }) => passes).map(({ groupId }) => groupId);
      if (again.length === 0) break;
      await clock.sleep(FIRST_DELAY_MS * 2 ** attempt, signal);
      const rest = { ...found, failed: found.failed.filter(({ passes }) => !passes) };
      found = joined(rest, await groups(again, keysOf, signal));
    }
    return found;
  }

  /** Yields all group ids of a type, page by page. Throws ListRefused for this list, a BridgeError for any. */
  async function* groupIds(groupType: string, signal: AbortSignal) {
    let limit = PAGE;
    const seen = new Set<string>();
    for (let next: string | undefined = '0'; next !== undefined; ) {
      // JSON.stringify would round a large Next.
      const body = `{"Limit":${limit},"Next":${next},"GroupType":${JSON.stringify(groupType)}}`;
      const answer = await call(pace.list, `${GROUPS}get_appid_group_list`, body, signal);
      if ('fault' in answer && answer.again === 'less' && limit > 1) {
        limit >>= 1;
        continue;
      }
      const page = listed.safeParse('body' in answer ? answer.body : undefined);
      if (!page.success) {
        const refusal = 'fault' in answer ? answer : unusable(faultOf('its answer is not that of this API'));
        if (refusal.about === 'caller') throw new BridgeError(refusal.fault);
        const isOff = refusal.fault.path === 'reconcile.groupTypes';
        throw new ListRefused(aboutList(refusal), isOff);
      }
      const { GroupIdList, TotalCount, Next } = page.data;
      yield { ids: GroupIdList.map(({ GroupId }) => GroupId), total: TotalCount };
      if (seen.has(Next)) {
        // Asking for it again would never end.
        const fault = { ...faultOf(`its Next ${Next} was repeated`), suggestion: 'reconcile again later' };
        throw new ListRefused(aboutList(unusable(fault)), false);
      }
      seen.add(Next);
      next = Next === '0' ? undefined : Next;
    }
  }

  /** Resolves with the addresses that callbacks come from, inside and outside China. Throws a BridgeError. */
  async function addresses(signal: AbortSignal): Promise<string[]> {
    const found: string[] = [];
    for (const nettype of ['5', '6']) {
      const answer = await call(pace.groups, 'ConfigSvc/GetIPList', '{}', signal, { nettype });
      if ('fault' in answer) throw new BridgeError(answer.fault);
      found.push(...addressList.parse(answer.body).IPList);
    }
    return [...new Set(found)];
  }

  /** Makes one cheap, signed call. Resolves with the number of the app's groups; throws a BridgeError if it fails. */
  async function examine(signal: AbortSignal): Promise<number> {
    const answer = await once(`${GROUPS}get_appid_group_list`, '{"Limit":1,"Next":0}', signal);
    const page = listed.safeParse('body' in answer ? answer.body : undefined);
    if (page.success) return page.data.TotalCount;
    throw new BridgeError('fault' in answer ? answer.fault : faultOf('its answer is not that of this API'));
  }

  return { groups: read, groupIds, addresses, examine };
}

/** The fault of a group that was read without its custom fields. */
const aboutKeys = (fault: Fault): Fault => ({
  ...fault,
  path: 'reconcile.customFields',
  suggestion:
    'its custom fields were not read, all else was: check their values, and the keys, which may come from a callback',
});

const unusable = (fault: Fault) => ({ fault, about: 'list', again: 'no' }) as const;

/** Rewords, for a list, a fault about a group or about a call that could ask for less. */
function aboutList({ fault, about, again }: Pick<CodeClass, 'about' | 'again'> & { fault: Fault }): Fault {
  if (again === 'less') return { ...fault, suggestion: 'a smaller list cannot be requested: ask the vendor' };
  if (about !== 'group') return fault;
  const suggestion = 'check that the service knows this type: the name comes from there';
  return { ...fault, path: 'reconcile.groupTypes', suggestion };
}

function joined(one: GroupsRead, other: GroupsRead): GroupsRead {
  return {
    // The earlier moment is safe for both.
    readAt: Math.min(one.readAt, other.readAt),
    groups: [...one.groups, ...other.groups],
    gone: [...one.gone, ...other.gone],
    failed: [...one.failed, ...other.failed],
  };
}

const LEFT_OUT: CodeClass = {
  ...UNKNOWN,
  advice: 'reconcile it again; if that does not help, check it in the console',
};

const NO_ID: Fault = {
  code: 'service-refused',
  message: `the id is ${NO_GROUP_ID}`,
  suggestion: 'no event and no copy can name this group',
};

/** Sorts the groups into those described, those that do not exist, and those that the service fails to describe. */
function classify(
  ids: readonly string[],
  items: readonly unknown[],
  faultOf: (what: string, kind: CodeClass) => Fault,
): Omit<GroupsRead, 'readAt'> & { readonly tooLarge: Fault | undefined } {
  let tooLarge: Fault | undefined;
  const groups: RemoteGroup[] = [];
  const gone: string[] = [];
  const failed: GroupFailure[] = [];
  const read = items.flatMap((one) => item.safeParse(one).data ?? []);
  // A description proves that the group exists, even if the answer also holds an error for it.
  const itemOf = new Map(
    [...read, ...read.filter(({ ErrorCode }) => ErrorCode === 0)].map((one) => [one.GroupId, one]),
  );
  for (const groupId of new Set(ids)) {
    const one = itemOf.get(groupId);
    const kind = one === undefined ? LEFT_OUT : classOf(one.ErrorCode);
    if (!isGroupId(groupId)) failed.push({ groupId, fault: NO_ID, passes: false });
    else if (one !== undefined && kind === undefined) groups.push(toGroup(groupId, one));
    else if (kind === CODE_CLASSES.gone) gone.push(groupId);
    else if (kind !== undefined) {
      const what = one === undefined ? 'the answer leaves it out' : `${one.ErrorCode} ${one.ErrorInfo}`;
      const fault = faultOf(what, kind);
      if (kind.again === 'less') tooLarge = fault;
      failed.push({ groupId, fault, passes: kind.about === 'moment' });
    }
  }
  return { groups, gone, failed, tooLarge };
}

function toGroup(groupId: string, read: z.output<typeof item>): RemoteGroup {
  const custom = read.AppDefinedData?.flatMap((one) => customField.safeParse(one).data ?? []);
  // Values that a group cannot hold would differ in each run.
  const held = (field: string, value: string | undefined) => (fits([field, value]) ? value : undefined);
  return {
    groupId,
    groupType: read.Type ? held('groupType', wireType(read.Type)) : undefined,
    name: held('name', read.Name),
    introduction: held('introduction', read.Introduction),
    notification: held('notification', read.Notification),
    faceUrl: held('faceUrl', read.FaceUrl),
    owner: held('owner', read.Owner_Account),
    customFields:
      custom &&
      Object.fromEntries(
        [...new Map(custom.map(({ Key, Value }) => [Key, Value]))]
          .filter(([key, value]) => fits([CUSTOM + key, value]))
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .slice(0, CUSTOM_BOUNDS.most),
      ),
  };
}
