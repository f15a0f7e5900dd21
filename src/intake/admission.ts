import type { BlockList } from 'node:net';
import { isIPv6 } from 'node:net';
import { accepted, type Checked, type HttpFault, refused } from '../canon/fault.ts';

/** How long a body may take to arrive. The service itself gives up after 2 s. */
export const BODY_TIMEOUT_MS = 5_000;

/** Undefined when the peer may call. */
export function checkAddress(peer: string | undefined, allowed: BlockList | undefined): HttpFault | undefined {
  if (allowed === undefined) return undefined;
  // BlockList knows IPv4 addresses in their IPv6 form (::ffff:1.2.3.4) too.
  if (peer !== undefined && allowed.check(peer, isIPv6(peer) ? 'ipv6' : 'ipv4')) return undefined;
  return {
    code: 'address-refused',
    message: `${peer ?? 'this address'} may not call`,
    suggestion: 'add it to receiver.allowFrom if it belongs to the service',
  };
}

/**
 * Reads a request's body whole: at most `maxBytes`, within BODY_TIMEOUT_MS. What Content-Length promises is believed
 * only when it is too much.
 */
export async function readBytes(request: Request, maxBytes: number): Promise<Checked<Uint8Array>> {
  const tooLarge = refused({
    code: 'body-too-large',
    message: `the body is larger than ${maxBytes} bytes`,
    suggestion: 'raise receiver.maxBodyBytes if the service really sends such',
  });
  const length = request.headers.get('content-length');
  if (length !== null && Number(length) > maxBytes) return tooLarge;

  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<Checked<never>>((resolve) => {
    timer = setTimeout(
      () =>
        resolve(
          refused({ code: 'body-incomplete', message: `the body did not arrive within ${BODY_TIMEOUT_MS / 1000} s` }),
        ),
      BODY_TIMEOUT_MS,
    );
  });
  try {
    // A length that fits is enforced by HTTP framing; a chunked body is counted as it comes.
    const whole =
      length !== null
        ? request.arrayBuffer().then((whole) => accepted(new Uint8Array(whole)))
        : readChunked(request, maxBytes, tooLarge);
    return await Promise.race([whole, timeout]);
  } catch (thrown) {
    return refused({ code: 'body-incomplete', message: `the body broke off: ${(thrown as Error).message}` });
  } finally {
    clearTimeout(timer);
  }
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
