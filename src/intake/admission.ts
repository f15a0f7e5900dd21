import { type BlockList, isIP, isIPv6 } from 'node:net';
import { accepted, type Checked, type HttpFault, refused } from '../model/fault.ts';

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

interface Arriving {
  readonly since: number;
  giveUp(): void;
}
const LOOK_MS = 250;

/**
 * Reads a request's body whole: at most `maxBytes`, within BODY_TIMEOUT_MS. What Content-Length promises (`length`) is
 * believed only when it is too much.
 */
export function createBodyReader(
  maxBytes: number,
): (request: Request, length: string | undefined) => Promise<Checked<Uint8Array>> {
  const tooLarge = refused({
    code: 'body-too-large',
    message: `the body is larger than ${maxBytes} bytes`,
    suggestion: 'raise receiver.maxBodyBytes if the service really sends such',
  });
  const tooSlow = refused({
    code: 'body-incomplete',
    message: `the body did not arrive within ${BODY_TIMEOUT_MS / 1000} s`,
  });
  // The oldest first. One timer looks at all of them: most are there at once, and one for each would cost more than reading.
  const arriving = new Set<Arriving>();
  let looking: NodeJS.Timeout | undefined;
  const look = (): void => {
    const latest = performance.now() - BODY_TIMEOUT_MS;
    for (const one of arriving) {
      if (one.since > latest) break;
      arriving.delete(one);
      one.giveUp();
    }
    if (arriving.size > 0) return;
    clearInterval(looking);
    looking = undefined;
  };

  return (request, length) => {
    if (length !== undefined && Number(length) > maxBytes) return Promise.resolve(tooLarge);
    return new Promise((resolve) => {
      const one: Arriving = { since: performance.now(), giveUp: () => resolve(tooSlow) };
      arriving.add(one);
      looking ??= setInterval(look, LOOK_MS).unref();
      const settle = (read: Checked<Uint8Array>): void => {
        arriving.delete(one);
        resolve(read);
      };
      const broken = (thrown: unknown): void =>
        settle(refused({ code: 'body-incomplete', message: `the body broke off: ${(thrown as Error).message}` }));
      // A length that fits is enforced by HTTP framing; a chunked body is counted as it comes.
      if (length === undefined) readChunked(request, maxBytes, tooLarge).then(settle, broken);
      else request.arrayBuffer().then((whole) => settle(accepted(new Uint8Array(whole))), broken);
    });
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
