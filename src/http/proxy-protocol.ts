/** The PROXY protocol, versions 1 and 2: a load balancer announces whose connection it passes on, before the first byte. */
import type { Server } from 'node:http';
import { isIP, type Socket } from 'node:net';

/** A header is one packet; whoever takes longer is cut off. */
const HEADER_MS = 10_000;
const V1 = Buffer.from('PROXY ', 'latin1');
/** The maximum of version 1, line end included (the protocol, 2.1). */
const V1_BYTES = 107;
export const V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_HEAD = 16;
/** Addresses and what load balancers add to them take some hundred bytes. */
const V2_BYTES = 4_096;

/** A parsed header: the caller (undefined: the proxy speaks for itself), and the header's length. */
interface ProxyHeader {
  readonly caller: string | undefined;
  readonly bytes: number;
}

/** Reads the header at the beginning of a connection; undefined while incomplete, 'none' for anything else. */
export function readProxyHeader(begun: Buffer): ProxyHeader | 'none' | undefined {
  const beginsWith = (text: Buffer): boolean =>
    begun.subarray(0, text.length).equals(text.subarray(0, Math.min(text.length, begun.length)));
  if (begun.length > 0 && beginsWith(V1)) return readVersion1(begun);
  return beginsWith(V2) ? readVersion2(begun) : 'none';
}

function readVersion1(begun: Buffer): ProxyHeader | 'none' | undefined {
  const end = begun.subarray(0, V1_BYTES).indexOf('\r\n');
  if (end < 0) return begun.length >= V1_BYTES ? 'none' : undefined;
  const [, family, from = ''] = begun.toString('latin1', 0, end).split(' ');
  const bytes = end + 2;
  if (family === 'UNKNOWN') return { caller: undefined, bytes };
  return isIP(from) === (family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : -1) ? { caller: from, bytes } : 'none';
}

function readVersion2(begun: Buffer): ProxyHeader | 'none' | undefined {
  if (begun.length < V2_HEAD) return undefined;
  const [command, family, length] = [begun.readUInt8(12), begun.readUInt8(13) >> 4, begun.readUInt16BE(14)];
  if (command >> 4 !== 2 || length > V2_BYTES) return 'none';
  const bytes = V2_HEAD + length;
  if (begun.length < bytes) return undefined;
  const from = begun.subarray(V2_HEAD, bytes);
  // LOCAL: a health check by the load balancer itself.
  if ((command & 0xf) === 0) return { caller: undefined, bytes };
  if ((command & 0xf) !== 1) return 'none';
  if (family === 1 && length >= 12) return { caller: from.subarray(0, 4).join('.'), bytes };
  if (family === 2 && length >= 36) {
    const groups = Array.from({ length: 8 }, (_, n) => from.readUInt16BE(n * 2).toString(16));
    return { caller: groups.join(':'), bytes };
  }
  return { caller: undefined, bytes };
}

/**
 * Has the server first read a header on each connection from a proxy, which `isProxy` recognizes by its address; on
 * others none is expected. A connection that lacks one is reported to `onMissing` and closed, since its caller is
 * unknown. Returns a function that gives the address of a connection's caller, as announced by the load balancer if there
 * is one.
 */
export function expectProxyHeaders(
  server: Server,
  isProxy: (address: string | undefined) => boolean,
  onMissing: (socket: Socket) => void,
): (socket: Socket) => string | undefined {
  // By the addresses of both ends, since TLS requests come on a socket of their own on top of the connected one.
  const callers = new Map<string, string>();
  const begin = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  const goOn = (socket: Socket): void => {
    for (const listener of begin) listener.call(server, socket);
  };
  server.on('connection', (socket: Socket) => {
    if (!isProxy(socket.remoteAddress)) return goOn(socket);
    let begun: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => socket.destroy(), HEADER_MS);
    const end = (): void => {
      clearTimeout(timer);
      socket.off('readable', read).off('error', end).off('close', end);
    };
    const read = (): void => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read())
        begun = Buffer.concat([begun, chunk as Buffer]);
      const header = readProxyHeader(begun);
      if (header === undefined) return;
      end();
      if (header === 'none') {
        onMissing(socket);
        socket.destroy();
        return;
      }
      if (header.caller !== undefined) {
        const key = endsOf(socket);
        callers.set(key, header.caller);
        socket.once('close', () => callers.delete(key));
      }
      if (begun.length > header.bytes) socket.unshift(begun.subarray(header.bytes));
      goOn(socket);
    };
    socket.on('readable', read).on('error', end).on('close', end);
  });
  return (socket) => callers.get(endsOf(socket)) ?? socket.remoteAddress;
}

/** Identifies a connection by the addresses of both ends. */
export function endsOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress}|${remotePort}|${localAddress}`;
}
