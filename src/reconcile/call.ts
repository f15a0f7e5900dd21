/** Calls of the vendor's REST API, with retries. */
import { isUtf8 } from 'node:buffer';
import { randomInt } from 'node:crypto';
import { z } from 'zod';
import type { Config } from '../config/schema.ts';
import { readAtMost } from '../model/bounded.ts';
import type { Clock } from '../model/clock.ts';
import { BridgeError, type Fault, messageOf } from '../model/fault.ts';
import { isObject, parseJson } from '../model/json.ts';
import { MAX_SKEW_MS, type ServiceClock } from '../model/service-clock.ts';
import { truncate } from '../model/text.ts';
import { CODE_CLASSES, type CodeClass, classOf, UNKNOWN } from './codes.ts';
import type { Pace } from './pace.ts';
import { createUserSigs } from './usersig.ts';

export type ApiSettings = NonNullable<Config['reconcile']>['api'] & { readonly sdkAppId: string };

/** The service gives up after 3 s. */
const TIMEOUT_MS = 5_000;
const ATTEMPTS = 8;
/** How often a call with an unknown error code is made. */
const UNKNOWN_ATTEMPTS = 3;
export const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 10_000;
/** The service's own answers have at most 1 MB. */
const MAX_ANSWER_BYTES = 8 * 1_048_576;
const NO_DATE_MARGIN_MS = 60_000;

/** A value of an unexpected type, or null, counts as absent, so that it does not cost the rest of the answer. */
export const text = z.string().optional().catch(undefined);
/** In characters, since a thousand such sentences may be kept and shown. */
const MOST_INFO = 300;
export const verdict = {
  ErrorCode: z.coerce.number().int().catch(0),
  ErrorInfo: z
    .string()
    .transform((info) => truncate(info, MOST_INFO))
    .catch(''),
};
/** Other JSON is not an answer of this API, and must not pass for a list without groups. */
const top = z
  .custom<object>((answer) => isObject(answer) && ('ActionStatus' in answer || 'ErrorCode' in answer))
  .pipe(z.looseObject({ ...verdict, ActionStatus: text }));

interface Trouble {
  readonly fault: Fault;
  readonly about: CodeClass['about'];
  readonly again: CodeClass['again'];
  readonly attempts: number;
  /** Set if the answer is that there is no such group; see GroupsRead.readAt. */
  readonly goneAt?: number;
}

/** Words the failures of the service at this address. */
function createWords(address: () => string) {
  function faultOf(
    what: string,
    { fault: code, setting, advice }: Pick<CodeClass, 'fault' | 'setting' | 'advice'> = HTTP,
  ): Fault {
    const path = setting && (setting.includes('.') ? setting : `reconcile.api.${setting}`);
    const message = `${new URL(address()).origin}: ${what}`;
    return { code, message, ...(path !== undefined && { path }), suggestion: advice };
  }
  const trouble = (what: string, kind: CodeClass, attempts = ATTEMPTS): Trouble => {
    const { about, again } = kind;
    return { fault: faultOf(what, kind), about, again, attempts };
  };

  function httpTrouble(status: number, location: string | null) {
    if (status >= 300 && status < 400 && location !== null) {
      const kind = { ...CODE_CLASSES.request, advice: 'use that address, or check the proxies in between' };
      // The query is omitted, since it may repeat the signature of the call.
      const [target] = location.split(/[?#]/);
      return trouble(`it redirects to ${target} (HTTP ${status})`, kind);
    }
    const passes = status >= 500 || status === 408 || status === 425;
    if (status === 429) return trouble('too many requests (HTTP 429)', CODE_CLASSES.rate);
    return trouble(`it answers HTTP ${status}`, passes ? UNREACHED : CODE_CLASSES.request);
  }
  return { faultOf, trouble, httpTrouble };
}

/** Makes calls to the service, at the pace it allows, to the first reachable one of its addresses. */
export function createCaller(settings: ApiSettings, clock: Clock, service: ServiceClock) {
  const { sdkAppId, identifier, secretKey } = settings;
  const sigs = createUserSigs(sdkAppId, identifier, secretKey, clock);
  const bases = [settings.baseUrl].flat();
  let base = 0;

  const { faultOf, trouble, httpTrouble } = createWords(() => bases[base] ?? '');

  /** Makes a call, and repeats it while that may help. Returns trouble with a list or a group; throws any other. */
  async function call(
    pace: Pace,
    command: string,
    body: string,
    signal: AbortSignal,
    more: Record<string, string> = {},
  ) {
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      const answered = await pace.turn(signal);
      const answer = await ask(command, body, signal, more).finally(answered);
      if (!('fault' in answer)) return answer;
      const { fault, again, about, attempts } = answer;
      if (again === 'renewed' && !renewed) {
        renewed = true;
        sigs.renew();
        continue;
      }
      const isLast = again !== 'later' || attempt >= attempts;
      if (isLast && (about === 'caller' || about === 'moment')) throw new BridgeError(fault);
      if (isLast) return answer;
      const delayMs = Math.min(FIRST_DELAY_MS * 2 ** (attempt - 1), MAX_DELAY_MS);
      if (fault.code === 'service-overloaded') pace.pause(delayMs);
      await clock.sleep(delayMs, signal);
      signal.throwIfAborted();
    }
  }

  async function ask(command: string, body: string, signal: AbortSignal, more: Record<string, string>) {
    const query = new URLSearchParams({
      sdkappid: sdkAppId,
      identifier,
      usersig: sigs.current(),
      random: String(randomInt(2 ** 32)),
      contenttype: 'json',
      ...more,
    });
    const sentAt = service.now();
    const start = performance.now();
    let response: Response;
    let bytes: Uint8Array | undefined;
    try {
      response = await fetch(`${bases[base]}/v4/${command}?${query}`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      bytes = await readAtMost(MAX_ANSWER_BYTES, response.body ?? []);
    } catch (thrown) {
      signal.throwIfAborted();
      const timedOut = thrown instanceof Error && thrown.name === 'TimeoutError';
      const found = trouble(timedOut ? `no answer within ${TIMEOUT_MS / 1_000} s` : messageOf(thrown), UNREACHED);
      base = (base + 1) % bases.length;
      return found;
    }
    const tookMs = performance.now() - start;
    const { status, headers } = response;
    if (status !== 200) return httpTrouble(status, headers.get('location'));
    const date = headers.get('date');
    // The Date of a cached answer is the time when it was cached.
    const isFresh = !(Number(headers.get('age') ?? 0) > 0);
    if (isFresh && !Number.isNaN(Date.parse(date ?? ''))) service.observe(Date.parse(date ?? '') + 500);
    if (bytes === undefined) return trouble(`its answer is larger than ${MAX_ANSWER_BYTES} bytes`, GARBAGE);
    if (!isUtf8(bytes)) return trouble('a text in its answer is not UTF-8', UNREADABLE);
    const parsed = top.safeParse(read(bytes));
    if (!parsed.success) return trouble('its answer is not that of this API', GARBAGE);
    const { ErrorCode: code, ErrorInfo: info, ActionStatus } = parsed.data;
    // If groups are described, each has its own code, and the one of the answer says nothing.
    const found = 'GroupInfo' in parsed.data && classOf(code)?.about !== 'caller' ? undefined : classOf(code);
    const kind = found ?? (code === 0 && ActionStatus === 'FAIL' ? UNKNOWN : undefined);
    const readAt = readAtOf(isFresh ? date : null, tookMs, sentAt);
    if (kind === undefined) return { body: parsed.data, readAt };
    const refusal = trouble(`${kind.says}: ${code} ${info}`, kind, kind === UNKNOWN ? UNKNOWN_ATTEMPTS : ATTEMPTS);
    return kind === CODE_CLASSES.gone ? { ...refusal, goneAt: readAt } : refusal;
  }

  /** Makes a call once, at each address until one can be reached, since a person waits for it. */
  async function once(command: string, body: string, signal: AbortSignal) {
    for (let left = bases.length; ; left--) {
      const answer = await ask(command, body, signal, {});
      if (!('fault' in answer) || answer.about !== 'moment' || left <= 1) return answer;
    }
  }

  return { call, once, faultOf };
}

const HTTP = CODE_CLASSES.request;
/** A page from something on the way may be temporary. */
const GARBAGE: CodeClass = { ...HTTP, again: 'later' };
/** Copies would get a wrong text; this class has the call halved, down to the group with the text. */
const UNREADABLE: CodeClass = { ...CODE_CLASSES.parameter, advice: 'set the texts of this group again' };
const UNREACHED: CodeClass = {
  ...CODE_CLASSES.internal,
  setting: 'baseUrl',
  advice: 'check that it is reachable from here; reconcile resumes where it stopped',
};

/** Parses an answer; returns undefined if it is not JSON. */
function read(bytes: Uint8Array): unknown {
  try {
    return parseJson(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

export function readAtOf(date: string | null, tookMs: number, sentAt: number): number {
  const served = date === null ? Number.NaN : Date.parse(date);
  // A Date that is far off comes from another machine or from a cache.
  const believed = Math.abs(served - sentAt) <= MAX_SKEW_MS;
  return believed ? Math.floor(served - tookMs) : sentAt - NO_DATE_MARGIN_MS;
}
