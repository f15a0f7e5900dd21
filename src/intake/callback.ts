import { accepted, type Checked, refused } from '../model/fault.ts';
import { COMMANDS, type CommonBody } from './commands.ts';

/** What the query of a callback says; names are matched whatever their case. */
export interface CallbackQuery {
  readonly sdkAppId?: string;
  readonly command?: string;
  readonly clientIp?: string;
  readonly platform?: string;
  readonly requestId?: string;
  readonly sign?: string;
  readonly requestTime?: string;
}

const QUERY_NAMES: ReadonlyMap<string, keyof CallbackQuery> = new Map([
  ['sdkappid', 'sdkAppId'],
  ['callbackcommand', 'command'],
  ['clientip', 'clientIp'],
  ['optplatform', 'platform'],
  ['requestid', 'requestId'],
  ['sign', 'sign'],
  ['requesttime', 'requestTime'],
]);

/** `search` is the part of the URL behind `?`. A name given twice with different values is refused: which one counts? */
export function readQuery(search: string): Checked<CallbackQuery> {
  const query: { -readonly [Name in keyof CallbackQuery]: string } = {};
  for (const [name, value] of parametersOf(search)) {
    const known = QUERY_NAMES.get(name.toLowerCase());
    if (known === undefined) continue;
    if (query[known] !== undefined && query[known] !== value) {
      return refused({
        code: 'query-invalid',
        path: name,
        message: `${name} stands in the query twice with different values`,
      });
    }
    query[known] = value;
  }
  return accepted(query);
}

/** Where nothing is encoded, as in what the service sends but for rare values, there is nothing to decode. */
const PLAIN = /^[\w.~:/@&=-]*$/;

function parametersOf(search: string): Iterable<readonly [name: string, value: string]> {
  if (!PLAIN.test(search)) return new URLSearchParams(search);
  return search.split('&').map((parameter) => {
    const end = parameter.indexOf('=');
    return end < 0 ? [parameter, ''] : [parameter.slice(0, end), parameter.slice(end + 1)];
  });
}

const utf8 = new TextDecoder();

/** The body as a JSON object, or why it is none. */
export function readBody(bytes: Uint8Array): Checked<Record<string, unknown>> {
  if (bytes.byteLength === 0)
    return refused({ code: 'not-json', message: 'the body is empty, a JSON object is expected' });
  let body: unknown;
  try {
    // Not fatal: a name cut inside a character must not cost the whole change.
    body = JSON.parse(utf8.decode(bytes));
  } catch (thrown) {
    return refused({ code: 'not-json', message: `the body is not JSON: ${(thrown as Error).message}` });
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return refused({ code: 'not-json', message: 'the body is JSON, but not an object' });
  }
  if (bytes.byteLength > MAX_DEPTH && isDeeperThan(MAX_DEPTH, body)) {
    return refused({ code: 'callback-invalid', message: `the body is nested deeper than ${MAX_DEPTH} levels` });
  }
  return accepted(body as Record<string, unknown>);
}

/** What is nested deeper could not be hashed, written and read by everybody on its way: stacks are finite. */
const MAX_DEPTH = 500;

function isDeeperThan(most: number, value: object): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > most) return true;
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []));
  }
  return false;
}

/** A body that its command's schema accepts. */
export interface Callback {
  readonly command: string;
  readonly body: CommonBody;
}

/** Checks the body of a command that becomes an event; every field that is wrong is named. */
export function readCallback(command: string, body: Record<string, unknown>): Checked<Callback> {
  const parsed = COMMANDS.get(command)?.schema.safeParse(body);
  // The schemas transform nothing; the body itself still has a `__proto__` key, which zod leaves out.
  if (parsed?.success !== false) return accepted({ command, body: body as CommonBody });
  const complaints = parsed.error.issues.map((issue) => {
    const field = issue.path.join('.');
    return !(field in body) ? `${field} is missing` : `${field}: ${issue.message}`;
  });
  const path = parsed.error.issues[0]?.path.join('.');
  return refused({
    code: 'callback-invalid',
    message: complaints.join('; '),
    ...(path !== undefined && { path }),
  });
}

/** Commands the vendor documents, so that a metric's label stays bounded whatever is sent. */
const DOCUMENTED = new Set([
  ...COMMANDS.keys(),
  'Group.CallbackAfterTopicInfoChanged',
  'Group.CallbackAfterNewMemberJoin',
  'Group.CallbackAfterMemberExit',
  'Group.CallbackAfterSendMsg',
  'Group.CallbackAfterGroupFull',
  'Group.CallbackOnDailyGroupQuotaAlarm',
  'Group.CallbackBeforeCreateGroup',
  'Group.CallbackBeforeApplyJoinGroup',
  'Group.CallbackBeforeInviteJoinGroup',
  'Group.CallbackBeforeSendMsg',
  'Group.CallbackBeforeCreateTopic',
  'C2C.CallbackBeforeSendMsg',
  'C2C.CallbackAfterSendMsg',
  'Sns.CallbackPrevFriendAdd',
  'Sns.CallbackPrevFriendResponse',
  'State.StateChange',
  'Alert.RequestOverLimit',
]);

export function commandLabel(command: string | undefined): string {
  if (command === undefined) return 'none';
  return DOCUMENTED.has(command) ? command : 'other';
}
