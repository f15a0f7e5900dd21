import { type BlockList, isIP, isIPv6 } from 'node:net';
import { contains } from '../model/address.ts';
import type { HttpFault } from '../model/fault.ts';

/**
 * Returns the caller: the peer of the connection or, if that is one of our own proxies, the right-most address in
 * X-Forwarded-For that is not; anybody could have written what is left of it. Undefined if the proxy names something that
 * is no address.
 */
export function callerOf(peer: string | undefined, forwardedFor: string | undefined, proxies: BlockList | undefined) {
  if (proxies === undefined || forwardedFor === undefined || !contains(proxies, peer)) return peer;
  // Elements of a list may be empty (RFC 9110, 5.6.1).
  const given = forwardedFor.split(',').filter((hop) => hop.trim() !== '');
  const hops = given.map((hop) => addressIn(hop.trim()));
  const nearest = hops.findLastIndex((hop) => !contains(proxies, hop));
  return hops[Math.max(nearest, 0)];
}

/** Drops the port that some proxies add: `192.0.2.1:443`, `[2001:db8::1]:443`. */
function addressIn(hop: string): string | undefined {
  const [, bare = hop] = /^\[(.+)\](?::\d+)?$/.exec(hop) ?? /^([\d.]+):\d+$/.exec(hop) ?? [];
  return isIP(bare) === 0 ? undefined : bare;
}

/** Returns the sender that a caller counts as, however its address is written: an IPv6 /64 is one sender. */
export function senderOf(caller = 'unknown'): string {
  const plain = caller.replace(/%.*/, '');
  if (!isIPv6(plain)) return plain;
  const { hostname } = new URL(`http://[${plain}]`);
  const [, ...mapped] = /^\[::ffff:(\w+):(\w+)\]$/.exec(hostname) ?? [];
  if (mapped.length > 0) return mapped.flatMap((group) => [...Buffer.from(group.padStart(4, '0'), 'hex')]).join('.');
  const [head = [], tail = []] = hostname
    .slice(1, -1)
    .split('::')
    .map((part) => part.split(':').filter((group) => group !== ''));
  return [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail].slice(0, 4).join(':');
}

/** Returns undefined if the caller may call. */
export function checkAddress(
  caller: string | undefined,
  allowed: BlockList | undefined,
  service?: BlockList,
): HttpFault | undefined {
  if (allowed === undefined || contains(allowed, caller)) return undefined;
  if (service !== undefined && contains(service, caller)) return undefined;
  return {
    code: 'address-refused',
    message: `${caller ?? 'this address'} may not call`,
    suggestion: 'add it to receiver.allowFrom if it belongs to the service, to receiver.trustProxy if it is your proxy',
  };
}
