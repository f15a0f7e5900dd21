import { type BlockList, isIP, isIPv6 } from 'node:net';
import { accepted, type Checked, type HttpFault, refused } from '../canon/fault.ts';

/** How long a body may take to arrive. The service itself gives up after 2 s. */
export const BODY_TIMEOUT_MS = 5_000;

/**
 * Who calls: the peer of the connection or, where that is one of our own proxies, the right-most address in
 * X-Forwarded-For that is not. What stands further left could have been written by anybody. Undefined when the proxy
 * names something that is no address.
 */
export function callerOf(
  peer: string | undefined,
  forwardedFor: string | undefined,
  proxies: BlockList | undefined,
): string | undefined {
  if (proxies === undefined || forwardedFor === undefined || !contains(proxies, peer)) return peer;
  let caller = peer;
  for (const hop of forwardedFor.split(',').reverse()) {
    caller = addressIn(hop.trim());
    if (!contains(proxies, caller)) return caller;
  }
  return caller;
}

/** Some proxies add the port: `192.0.2.1:443`, `[2001:db8::1]:443`. */
function addressIn(hop: string): string | undefined {
  const [, bare = hop] = /^\[(.+)\](?::\d+)?$/.exec(hop) ?? /^([\d.]+):\d+$/.exec(hop) ?? [];
  return isIP(bare) === 0 ? undefined : bare;
}

/** BlockList knows IPv4 addresses in their IPv6 form (::ffff:1.2.3.4) too. */
function contains(list: BlockList, address: string | undefined): boolean {
  // A zone (fe80::1%eth0) says through which interface, which is no part of the address.
  const [plain = ''] = address?.split('%') ?? [];
  return isIP(plain) !== 0 && list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
}

/** Undefined when the caller may call. */
export function checkAddress(caller: string | undefined, allowed: BlockList | undefined): HttpFault | undefined {
  if (allowed === undefined || contains(allowed, caller)) return undefined;
  return {
    code: 'address-refused',
    message: `${caller ?? 'this address'} may not call`,
    suggestion: 'add it to receiver.allowFrom if it belongs to the service, to receiver.trustProxy if it is your proxy',
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
