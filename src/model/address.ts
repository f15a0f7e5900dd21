/** IP addresses and ranges of them, of both families. */
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

export const isAddressRange = (text: string): boolean => parseRange(text) !== undefined;

function parseRange(text: string): { address: string; prefix?: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined;
  if (family === undefined || rest.length > 0) return undefined;
  if (prefix === undefined) return { address, family };
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > (family === 'ipv4' ? 32 : 128)) return undefined;
  return { address, prefix: Number(prefix), family };
}

export function toAddressList(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of ranges) {
    const range = parseRange(text);
    if (range === undefined) continue;
    if (range.prefix === undefined) list.addAddress(range.address, range.family);
    else list.addSubnet(range.address, range.prefix, range.family);
  }
  return list;
}

/** Knows IPv4 addresses in their IPv6 form (::ffff:1.2.3.4), too. */
export function contains(list: BlockList, address: string | undefined): boolean {
  // A zone (fe80::1%eth0) names the interface and is no part of the address.
  const [plain = ''] = address?.split('%') ?? [];
  return isIP(plain) !== 0 && list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
}

const LOOPBACK = toAddressList(['127.0.0.0/8', '::1']);

/** Says whether an address is one by which only this machine reaches itself. */
export const isLocal = (address: string | undefined): boolean => contains(LOOPBACK, address);

/** Returns the address or name in a URL in the form that sockets take. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** Returns an address or name in the form that URLs use. */
export function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
