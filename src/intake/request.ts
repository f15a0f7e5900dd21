/** The target of a callback's request, and its query. */
import { accepted, type Checked, type HttpFault, refused } from '../model/fault.ts';

/** Splits a request target at its first `?`; `search` is what follows. */
export function splitTarget(target: string): { path: string; search: string } {
  const end = target.indexOf('?');
  return end < 0 ? { path: target, search: '' } : { path: target.slice(0, end), search: target.slice(end + 1) };
}

/** The service's names of the query parameters, matched regardless of case. */
const NAMES = {
  sdkAppId: 'SdkAppid',
  command: 'CallbackCommand',
  clientIp: 'ClientIP',
  platform: 'OptPlatform',
  requestId: 'RequestID',
  sign: 'Sign',
  requestTime: 'RequestTime',
} as const;

/** The parameters of a callback's query that the bridge knows. */
export type CallbackQuery = { readonly [Key in keyof typeof NAMES]?: string };

const KEYS = new Map(Object.entries(NAMES).map(([key, name]) => [name.toLowerCase(), key as keyof CallbackQuery]));

/** These decide about admission and meaning. Of the others the first value counts: what a proxy adds comes after it. */
const DECISIVE = new Set<keyof CallbackQuery>(['sdkAppId', 'command', 'sign', 'requestTime']);

/** Parses a query. Refuses a decisive parameter given twice with different values: neither can be trusted. */
export function readQuery(search: string): Checked<CallbackQuery> {
  const query: { -readonly [Key in keyof CallbackQuery]: string } = {};
  for (const [name, value] of new URLSearchParams(search)) {
    const key = KEYS.get(name.toLowerCase());
    if (key === undefined) continue;
    if (query[key] !== undefined && !DECISIVE.has(key)) continue;
    if (query[key] !== undefined && query[key] !== value) {
      const message = `${name} stands in the query twice with different values`;
      return refused({ code: 'query-invalid', path: name, message });
    }
    query[key] = value;
  }
  return accepted(query);
}

export const NO_COMMAND: HttpFault = {
  code: 'query-invalid',
  path: 'CallbackCommand',
  message: 'CallbackCommand is missing in the query',
};

/** Writes the query again, without Sign and RequestTime: kept, they would only be a secret to guard. */
export function withoutSign({ sign: _, requestTime: __, ...query }: CallbackQuery): string {
  const kept = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) kept.append(NAMES[key as keyof typeof query], value);
  return kept.toString();
}
