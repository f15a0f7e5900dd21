/** The parts of a callback's request: its target, its query, its body. */
import { accepted, type Checked, refused } from '../model/fault.ts';
import { isObject } from '../model/json.ts';

/** Splits a request target at its first `?`; `search` is what follows. */
export function splitTarget(target: string): { path: string; search: string } {
  const end = target.indexOf('?');
  return end < 0 ? { path: target, search: '' } : { path: target.slice(0, end), search: target.slice(end + 1) };
}

/** The service's names of the query parameters; they are matched whatever their case. */
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

/** Reads the part of the URL after `?`. Refuses a name that is given twice with different values: neither can be trusted. */
export function readQuery(search: string): Checked<CallbackQuery> {
  const query: { -readonly [Key in keyof CallbackQuery]: string } = {};
  for (const [name, value] of new URLSearchParams(search)) {
    const key = KEYS.get(name.toLowerCase());
    if (key === undefined) continue;
    if (query[key] !== undefined && query[key] !== value) {
      const message = `${name} stands in the query twice with different values`;
      return refused({ code: 'query-invalid', path: name, message });
    }
    query[key] = value;
  }
  return accepted(query);
}

/** Writes the query again, without Sign and RequestTime: kept, they would only be a secret to guard. */
export function withoutSign({ sign: _, requestTime: __, ...query }: CallbackQuery): string {
  const kept = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) kept.append(NAMES[key as keyof typeof query], value);
  return kept.toString();
}

/** Bounds the arrival of a body. The service itself gives up after 2 s. */
const BODY_TIMEOUT_MS = 5_000;

/**
 * Creates a reader of whole bodies: at most `maxBytes`, within BODY_TIMEOUT_MS. It believes the Content-Length (`length`)
 * only when that is too much.
 */
export function createBodyReader(maxBytes: number) {
  const tooLarge = refused({
    code: 'body-too-large',
    message: `the body is larger than ${maxBytes} bytes`,
    suggestion: 'raise receiver.maxBodyBytes if the service really sends such',
  });
  const tooSlow = refused({
    code: 'body-incomplete',
    message: `the body did not arrive within ${BODY_TIMEOUT_MS / 1000} s`,
  });
  return async (request: Request, length: string | undefined): Promise<Checked<Uint8Array>> => {
    if (Number(length) > maxBytes) return tooLarge;
    const { promise: late, resolve } = Promise.withResolvers<Checked<never>>();
    const timer = setTimeout(resolve, BODY_TIMEOUT_MS, tooSlow);
    try {
      // HTTP framing enforces a length that fits; a chunked body is counted as it comes.
      const whole =
        length === undefined
          ? readAtMost(maxBytes, request.body ?? []).then((bytes) => (bytes === undefined ? tooLarge : accepted(bytes)))
          : request.arrayBuffer().then((bytes) => accepted(new Uint8Array(bytes)));
      return await Promise.race([whole, late]);
    } catch (thrown) {
      return refused({ code: 'body-incomplete', message: `the body broke off: ${(thrown as Error).message}` });
    } finally {
      clearTimeout(timer);
    }
  };
}

/** Resolves with undefined as soon as there are more than `most` bytes. */
export async function readAtMost(
  most: number,
  chunks: AsyncIterable<Uint8Array> | readonly Uint8Array[],
): Promise<Buffer<ArrayBuffer> | undefined> {
  const read: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > most) return undefined;
    read.push(chunk);
  }
  return Buffer.concat(read);
}

const utf8 = new TextDecoder();
const notJson = (message: string) => refused({ code: 'not-json', message });

/** Parses a body as a JSON object. */
export function parseBody(bytes: Uint8Array): Checked<Record<string, unknown>> {
  if (bytes.byteLength === 0) return notJson('the body is empty, a JSON object is expected');
  let body: unknown;
  try {
    // Not fatal: a name cut inside a character must not cost the whole change.
    body = JSON.parse(utf8.decode(bytes));
  } catch (thrown) {
    return notJson(`the body is not JSON: ${(thrown as Error).message}`);
  }
  if (!isObject(body)) return notJson('the body is JSON, but not an object');
  if (bytes.byteLength > MAX_DEPTH && isDeeperThan(MAX_DEPTH, body)) {
    return refused({ code: 'callback-invalid', message: `the body is nested deeper than ${MAX_DEPTH} levels` });
  }
  return accepted(body);
}

/** Deeper bodies could overflow the stack of somebody who hashes, writes or reads them later. */
const MAX_DEPTH = 500;

function isDeeperThan(most: number, value: object): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > most) return true;
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []));
  }
  return false;
}
