/** Which addresses events may be sent to: names are checked at each connection, by what DNS says at that moment. */
import { type LookupAddress, type LookupOptions, lookup as system } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { contains, toAddressList } from '../../src/model/address.ts';

/** What IANA reserves for uses other than the public internet, and where clouds tell a machine its secrets. */
const NOT_PUBLIC = [
  // This network, private, shared by carriers, loopback, link-local (169.254.169.254: metadata).
  ...['0.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16'],
  // Protocols, documentation, relays, benchmarks, multicast, reserved, broadcast.
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4'],
  // Azure's metadata.
  '168.63.129.16/32',
];

const PRIVATE = toAddressList([
  ...NOT_PUBLIC,
  // Unspecified, loopback and IPv4 in IPv6; the list itself knows ::ffff:10.0.0.1 as 10.0.0.1.
  ...['::/96', ...NOT_PUBLIC.map(translated)],
  // Local translation, discard, protocols (Teredo among them), documentation, 6to4.
  ...['64:ff9b:1::/48', '100::/64', '2001::/23', '2001:db8::/32', '3fff::/20', '2002::/16'],
  // Unique local, link-local, site-local, multicast.
  ...['fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
]);

/** Returns the range as seen through a translator to IPv4 (NAT64). */
function translated(range: string): string {
  const [address, prefix] = range.split('/');
  return `64:ff9b::${address}/${96 + Number(prefix)}`;
}

export const isPrivate = (address: string): boolean => contains(PRIVATE, address);

/** All addresses of a name are private. */
export class PrivateAddress extends Error {
  override readonly name = 'PrivateAddress';
}

type Resolve = (
  hostname: string,
  options: LookupOptions & { all: true },
  found: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** Makes a `lookup` for sockets that returns public addresses only. A literal address never gets here. */
export function publicLookup(resolve: Resolve = system): LookupFunction {
  return (hostname, options, callback) =>
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, []);
      const open = found.filter(({ address }) => !isPrivate(address));
      const [first] = open;
      if (first === undefined) {
        const known = found.map(({ address }) => address).join(', ');
        return callback(new PrivateAddress(`${hostname} is a private address (${known})`), []);
      }
      return options.all ? callback(null, open) : callback(null, first.address, first.family);
    });
}
