/** IP addresses and ranges of them, of both families. */
import { BlockList, isIP, isIPv6 } from 'node:net';

export const isAddressRange = (text: string): boolean => parseRange(text) !== undefined;

function parseRange(text: string) {
  const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  const most = family === 'ipv4' ? 32 : 128;
  const bits = Number(prefix ?? most);
  return isIP(address) === 0 || bits > most ? undefined : ({ address, bits, family } as const);
}

/** Leaves out what is no address and no range. */
export function toAddressList(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges.map(parseRange)) if (range) list.addSubnet(range.address, range.bits, range.family);
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

/** Returns the one spelling of an address or a name, in the form that URLs use. */
export function oneHost(host: string): string {
  const plain = host.toLowerCase().replace(/\.$/, '');
  return urlHost(plain === 'localhost' ? '127.0.0.1' : plain);
}

/** Returns an address or name in the form that URLs use. */
export function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
