/** IP addresses and ranges, of both families. */
import { BlockList, isIP, isIPv6 } from 'node:net';

export const isAddressRange = (text: string): boolean => parseRange(text) !== undefined;

function parseRange(text: string) {
  const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  const most = family === 'ipv4' ? 32 : 128;
  const bits = Number(prefix ?? most);
  return isIP(address) === 0 || bits > most ? undefined : ({ address, bits, family } as const);
}

/** Ignores what is neither an address nor a range. */
export function toAddressList(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges.map(parseRange)) if (range) list.addSubnet(range.address, range.bits, range.family);
  return list;
}

/** Also recognizes IPv4 addresses in their IPv6 form (::ffff:1.2.3.4). */
export function contains(list: BlockList, address: string | undefined): boolean {
  // A zone (fe80::1%eth0) names the interface and is no part of the address.
  const [plain = ''] = address?.split('%') ?? [];
  return isIP(plain) !== 0 && list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
}

const LOOPBACK = toAddressList(['127.0.0.0/8', '::1']);

/** Whether only this machine reaches itself by the address. */
export const isLocal = (address: string | undefined): boolean => contains(LOOPBACK, address);

/** Returns the host of a URL in the form that sockets take. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** Returns a host in the one spelling by which places are compared, in the form that URLs use. */
export function oneHost(host: string): string {
  const plain = host.toLowerCase().replace(/\.$/, '');
  return urlHost(plain === 'localhost' ? '127.0.0.1' : plain);
}

/** Returns a host in the form that URLs use. */
export function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
