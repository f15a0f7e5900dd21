import { accepted, type Checked, refused } from '../model/fault.ts';

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
          ? readChunked(request, maxBytes, tooLarge)
          : request.arrayBuffer().then((bytes) => accepted(new Uint8Array(bytes)));
      return await Promise.race([whole, late]);
    } catch (thrown) {
      return refused({ code: 'body-incomplete', message: `the body broke off: ${(thrown as Error).message}` });
    } finally {
      clearTimeout(timer);
    }
  };
}

async function readChunked(request: Request, maxBytes: number, tooLarge: Checked<never>): Promise<Checked<Uint8Array>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > maxBytes) return tooLarge;
    chunks.push(chunk);
  }
  return accepted(Buffer.concat(chunks));
}

const utf8 = new TextDecoder();

/** Parses a body as a JSON object. */
export function parseBody(bytes: Uint8Array): Checked<Record<string, unknown>> {
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
