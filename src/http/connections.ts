import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Signals } from '../model/signal.ts';
import { endsOf } from './proxy-protocol.ts';

interface Connection {
  readonly socket: Socket;
  /** The latest request's; cleared when it closes, so that requests do not survive into the old generation of the heap. */
  response: ServerResponse | undefined;
}

/**
 * Bounds the number of connections to `most`, so that clients that open many and send nothing, or slowly, lock nobody
 * out: a new connection replaces the one that has been idle longest. A connection is busy while a complete request waits
 * for its answer, and idle otherwise: before its TLS handshake, half-open, sending headers or body byte by byte, or kept
 * alive between requests. Only if all are busy is the new one turned away.
 */
export function limitConnections(
  server: Server,
  most: number,
  tell: (limit: Omit<Signals['connection.limit'], 'section'>) => void,
): void {
  // By the addresses of both ends, since TLS requests come on a socket of their own on top of the connected one. Ordered
  // by their last request, oldest first.
  const connections = new Map<string, Connection>();

  const makeRoom = (): boolean => {
    for (const [addresses, { socket, response }] of connections) {
      const busy = response?.req.complete === true && !response.writableFinished && !response.destroyed;
      if (busy) continue;
      connections.delete(addresses);
      socket.destroy();
      return true;
    }
    return false;
  };

  server.on('connection', (socket: Socket) => {
    if (connections.size >= most) {
      const evicted = makeRoom();
      tell({ most, evicted });
      if (!evicted) {
        socket.destroy();
        return;
      }
    }
    const addresses = endsOf(socket);
    const connection: Connection = { socket, response: undefined };
    connections.set(addresses, connection);
    socket.once('close', () => {
      if (connections.get(addresses) === connection) connections.delete(addresses);
    });
  });
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const addresses = endsOf(socket);
    const connection = connections.get(addresses);
    // It was evicted meanwhile.
    if (connection === undefined) return;
    connections.delete(addresses);
    connections.set(addresses, connection);
    connection.response = response;
    response.once('close', () => {
      if (connection.response === response) connection.response = undefined;
    });
  });
}
