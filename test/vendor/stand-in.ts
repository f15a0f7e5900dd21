/**
 * A stand-in of the vendor's REST API, which cannot be had in tests. Documented, and kept here: both calls with their
 * shapes, HTTP 200 also for errors, paging by Next (beyond 32 bits, 0 at the end), at most 10,000 ids a page and 50 groups
 * a call, 1 and 200 calls a second, answers of at most 1 MB (10018), an ErrorCode for each group (10010 gone, 10015 bad
 * id), UserSig, LastInfoTime in seconds, "" for empty fields. Guessed: the codes of bad requests (60012, 10004), what Next
 * is made of, which rate code comes, and that the limits are counted in sliding seconds.
 */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { inflateSync } from 'node:zlib';
import { CODE_CLASSES } from '../../src/reconcile/codes.ts';
import { type Callback, COMMAND, SDK_APP_ID, search } from '../support/callbacks.ts';

export const SECRET_KEY = '5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e';
export const IDENTIFIER = 'administrator';

export interface VendorGroup {
  readonly GroupId: string;
  readonly Type: string;
  Name: string;
  Introduction: string;
  Notification: string;
  FaceUrl: string;
  Owner_Account: string;
  /** Milliseconds since 1970; told in seconds. */
  changedAt: number;
}
export type Profile = Partial<Pick<VendorGroup, 'Name' | 'Introduction' | 'Notification' | 'FaceUrl'>>;

/** Something that goes wrong; `times` calls long, or for a share of them. */
export interface Trouble {
  readonly kind: 'code' | 'http' | 'reset' | 'garbage' | 'delay' | 'item';
  /** An ErrorCode, an HTTP status, milliseconds, by kind. */
  readonly value?: number;
  /** Of `item`: the group whose description is an error. */
  readonly groupId?: string;
  readonly command?: 'get_group_info' | 'get_appid_group_list';
  times: number;
}

export interface VendorOptions {
  readonly groups?: number;
  /** Calls a second. */
  readonly limits?: { readonly list: number; readonly groups: number };
  /** How far the service's clock is ahead of this one. */
  readonly skewMs?: number;
  /** This share of the calls is answered with a code that passes, each of the table in turn. */
  readonly transient?: number;
  /** How long each call takes, until the data is read and from then on. */
  readonly latency?: () => { readonly beforeMs: number; readonly afterMs: number };
}

export interface Vendor {
  readonly url: string;
  /** By id. */
  readonly groups: Map<string, VendorGroup>;
  readonly calls: { list: number; groups: number; refusedForRate: number; connections: number };
  now(): number;
  /** Changes a group and returns the callback that tells of it. */
  change(groupId: string, profile: Profile): Callback;
  destroy(groupId: string): Callback;
  create(group: Partial<VendorGroup> & { GroupId: string }): void;
  trouble(trouble: Trouble): void;
  /** Calls of get_group_info are answered only after the returned function was called. */
  hold(): () => void;
  stop(): Promise<void>;
}

const TYPES = ['Public', 'Private', 'ChatRoom', 'Community'];
const PASSING = [...CODE_CLASSES.internal.codes, ...CODE_CLASSES.rate.codes];
/** Beyond 32 bits. */
const NEXT_BASE = 4_454_685_361;
const MAX_ANSWER = 1_000_000;

export async function startVendor(options: VendorOptions = {}): Promise<Vendor> {
  const { limits = { list: 1, groups: 200 }, skewMs = 0, latency, transient = 0 } = options;
  let passed = 0;
  const groups = new Map<string, VendorGroup>();
  /** In the order of creation: a page goes on behind the place where the last one ended, whatever happened since. */
  const order: string[] = [];
  const calls = { list: 0, groups: 0, refusedForRate: 0, connections: 0 };
  const troubles: Trouble[] = [];
  let held: PromiseWithResolvers<void> | undefined;
  const now = (): number => Date.now() + skewMs;

  const create = (group: Partial<VendorGroup> & { GroupId: string }): void => {
    const { GroupId } = group;
    order.push(GroupId);
    const empty = {
      Type: 'Public',
      Name: '',
      Introduction: '',
      Notification: '',
      FaceUrl: '',
      Owner_Account: 'leckie',
    };
    groups.set(GroupId, { ...empty, changedAt: now() - 86_400_000, ...group });
  };
  for (let n = 0; n < (options.groups ?? 0); n++) {
    create({
      GroupId: `@TGS#G${n}`,
      Type: TYPES[n % TYPES.length] ?? 'Public',
      Name: `group ${n}`,
      Introduction: n % 3 === 0 ? '' : `about ${n} 群`,
      FaceUrl: n % 5 === 0 ? '' : `https://faces.example/${n}.png`,
      Owner_Account: `user${n % 1_000}`,
    });
  }

  const within = { list: slidingSecond(limits.list), groups: slidingSecond(limits.groups) };
  const take = (command: string, test: (trouble: Trouble) => boolean): Trouble | undefined => {
    const found = troubles.find((one) => one.times > 0 && (one.command ?? command) === command && test(one));
    if (found !== undefined) found.times--;
    return found;
  };

  const server = createServer(async (incoming, response) => {
    const url = new URL(incoming.url ?? '', 'http://x');
    const command = url.pathname.split('/').at(-1) ?? '';
    const isList = command === 'get_appid_group_list';
    if (isList) calls.list++;
    else calls.groups++;
    const body = await text(incoming);
    const trouble = take(command, ({ kind }) => kind !== 'item');
    const { beforeMs, afterMs } = latency?.() ?? { beforeMs: 0, afterMs: 0 };
    if (!isList) await held?.promise;
    await pause(beforeMs + (trouble?.kind === 'delay' ? (trouble.value ?? 0) : 0));
    if (trouble?.kind === 'reset') return void incoming.socket.destroy();
    if (trouble?.kind === 'http') return void response.writeHead(trouble.value ?? 500).end('<html>no</html>');
    if (trouble?.kind === 'garbage') return void answer(response, 'no JSON');
    const passing = Math.random() < transient ? PASSING[passed++ % PASSING.length] : undefined;
    const refused =
      passing !== undefined
        ? failure(passing, 'injected')
        : trouble?.kind === 'code'
          ? failure(trouble.value ?? 0, 'injected')
          : refuse(incoming, url, body);
    const result = refused ?? (isList ? list(body) : describe(command, body));
    // The data is read here; the answer is made, and dated, later.
    const json = JSON.stringify(result, (key, value) => (key === 'Next' ? JSON_RAW(String(value)) : value));
    await pause(afterMs);
    answer(
      response,
      json.length > MAX_ANSWER ? JSON.stringify(failure(10_018, 'the answer is larger than 1 MB')) : json,
    );

    function refuse(incoming: IncomingMessage, { searchParams, pathname }: URL, body: string): object | undefined {
      if (incoming.method !== 'POST' || !/^\/v4\/group_open_http_svc\//.test(pathname))
        return failure(60_002, 'bad HTTP');
      if (searchParams.get('contenttype') !== 'json' || !/^\d{1,10}$/.test(searchParams.get('random') ?? ''))
        return failure(60_012, 'bad query');
      if (searchParams.get('sdkappid') !== SDK_APP_ID) return failure(60_010, 'no such app');
      const wrong = sigFault(searchParams.get('usersig') ?? '', searchParams.get('identifier') ?? '', now());
      if (wrong !== undefined) return failure(wrong, 'the UserSig is refused');
      if (!isJson(body)) return failure(60_003, 'not JSON');
      if (within[isList ? 'list' : 'groups'](Date.now())) return undefined;
      calls.refusedForRate++;
      return failure(60_007, 'too many calls');
    }
  });

  function list(body: string): object {
    const {
      Limit = 10_000,
      Next = 0,
      GroupType,
    } = JSON.parse(body) as { Limit?: number; Next?: number; GroupType?: string };
    if (Limit > 10_000) return failure(10_004, 'Limit is at most 10000');
    const found: string[] = [];
    let at = Next === 0 ? 0 : Next - NEXT_BASE;
    for (; at < order.length && found.length < Limit; at++) {
      const group = groups.get(order[at] ?? '');
      if (group !== undefined && (GroupType === undefined || group.Type === GroupType)) found.push(group.GroupId);
    }
    const all =
      GroupType === undefined ? groups.size : [...groups.values()].filter(({ Type }) => Type === GroupType).length;
    return {
      ...success,
      TotalCount: all,
      GroupIdList: found.map((GroupId) => ({ GroupId })),
      Next: at < order.length ? NEXT_BASE + at : 0,
    };
  }

  function describe(command: string, body: string): object {
    const { GroupIdList, ResponseFilter } = JSON.parse(body) as {
      GroupIdList: string[];
      ResponseFilter?: { GroupBaseInfoFilter?: string[] };
    };
    if (GroupIdList.length > 50) return failure(10_004, 'at most 50 groups');
    const wanted = ResponseFilter?.GroupBaseInfoFilter;
    const GroupInfo = GroupIdList.map((GroupId) => {
      const injected = take(command, (one) => one.kind === 'item' && one.groupId === GroupId);
      if (injected !== undefined) return { GroupId, ErrorCode: injected.value, ErrorInfo: 'injected' };
      if (GroupId.length > 48) return { GroupId, ErrorCode: 10_015, ErrorInfo: 'the id is not valid' };
      const group = groups.get(GroupId);
      if (group === undefined) return { GroupId, ErrorCode: 10_010, ErrorInfo: 'no such group' };
      const { changedAt, ...fields } = group;
      const told = { ...fields, LastInfoTime: Math.floor(changedAt / 1_000), InfoSeq: 1 };
      const kept = Object.entries(told).filter(
        ([key]) => key === 'GroupId' || wanted === undefined || wanted.includes(key),
      );
      return { ...Object.fromEntries(kept), ErrorCode: 0, ErrorInfo: '' };
    });
    return { ...success, GroupInfo };
  }

  function answer(response: ServerResponse, json: string): void {
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(json),
      date: new Date(now()).toUTCString(),
    });
    response.end(json);
  }

  server.on('connection', () => {
    calls.connections++;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const told = (groupId: string, command: string, more: object): Callback => ({
    search: search({ CallbackCommand: command }),
    body: JSON.stringify({
      CallbackCommand: command,
      GroupId: groupId,
      Operator_Account: 'leckie',
      EventTime: now(),
      ...more,
    }),
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    groups,
    calls,
    now,
    change(groupId, profile) {
      const group = groups.get(groupId);
      if (group === undefined) throw new Error(`there is no ${groupId}`);
      Object.assign(group, profile, { changedAt: now() });
      return told(groupId, COMMAND, { Type: group.Type, ...profile });
    },
    destroy(groupId) {
      const Type = groups.get(groupId)?.Type;
      groups.delete(groupId);
      return told(groupId, 'Group.CallbackAfterGroupDestroyed', { Type });
    },
    create,
    trouble: (trouble) => void troubles.push(trouble),
    hold() {
      held = Promise.withResolvers<void>();
      const { promise, resolve } = held;
      promise.then(() => {
        held = undefined;
      });
      return resolve;
    },
    async stop() {
      held?.resolve();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const success = { ActionStatus: 'OK', ErrorInfo: '', ErrorCode: 0 };
const failure = (ErrorCode: number, ErrorInfo: string): object => ({ ActionStatus: 'FAIL', ErrorInfo, ErrorCode });
const JSON_RAW = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

function slidingSecond(most: number): (at: number) => boolean {
  const times: number[] = [];
  return (at) => {
    while (times[0] !== undefined && times[0] <= at - 1_000) times.shift();
    if (times.length >= most) return false;
    times.push(at);
    return true;
  };
}

/** By the documentation, not by the package that makes them. */
function sigFault(sig: string, identifier: string, now: number): number | undefined {
  let told: Record<string, unknown>;
  try {
    const base64 = sig.replaceAll('*', '+').replaceAll('-', '/').replaceAll('_', '=');
    told = JSON.parse(inflateSync(Buffer.from(base64, 'base64')).toString()) as Record<string, unknown>;
  } catch {
    return 70_003;
  }
  const lines = ['identifier', 'sdkappid', 'time', 'expire']
    .map((key) => `TLS.${key}:${told[`TLS.${key}`]}\n`)
    .join('');
  if (createHmac('sha256', SECRET_KEY).update(lines).digest('base64') !== told['TLS.sig']) return 70_009;
  if (told['TLS.identifier'] !== identifier || String(told['TLS.sdkappid']) !== SDK_APP_ID) return 70_013;
  const age = now / 1_000 - Number(told['TLS.time']);
  return age > Number(told['TLS.expire']) ? 70_001 : undefined;
}

function isJson(body: string): boolean {
  try {
    JSON.parse(body);
    return true;
  } catch {
    return false;
  }
}

function pause(ms: number): Promise<void> | undefined {
  return ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : undefined;
}
