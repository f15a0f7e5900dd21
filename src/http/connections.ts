import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { SignalBus } from '../model/signal.ts';

interface Connection {
  readonly socket: Socket;
  /** The latest request's; cleared when it closes, so that requests do not survive into the old generation of the heap. */
  response: ServerResponse | undefined;
}

/**
 * Bounds the number of connections to `most`, so that clients that open many and send nothing, or slowly, shut nobody out:
 * a new connection takes the place of the one that has been idle longest. A connection is busy while a whole request waits
 * for its answer, and idle otherwise: before its TLS handshake, half-open, sending headers or body byte by byte, or kept
 * alive between two requests. Only when all are busy is the new one turned away.
 */
export function limitConnections(server: Server, most: number, signals: SignalBus): void {
  // Kept in the order of their last request, the oldest first.
  const connections = new Set<Connection>();
  const connectionOf = new WeakMap<Socket, Connection>();
  const byAddress = new Map<string, Connection>();

  const makeRoom = (): boolean => {
    for (const connection of connections) {
      const { socket, response } = connection;
      const busy = response?.req.complete === true && !response.writableFinished && !response.destroyed;
      if (busy) continue;
      connections.delete(connection);
      socket.destroy();
      return true;
    }
    return false;
  };

  server.on('connection', (socket: Socket) => {
    if (connections.size >= most) {
      const evicted = makeRoom();
      signals.emit('connection.limit', { most, evicted });
      if (!evicted) {
        socket.destroy();
        return;
      }
    }
    const connection: Connection = { socket, response: undefined };
    connections.add(connection);
    connectionOf.set(socket, connection);
    const address = addressOf(socket);
    byAddress.set(address, connection);
    socket.once('close', () => {
      connections.delete(connection);
      if (byAddress.get(address) === connection) byAddress.delete(address);
    });
  });
  // TLS requests come on a socket of their own on top of the connected one; both have the same addresses.
  server.on('secureConnection', (secured: Socket) => {
    const connection = byAddress.get(addressOf(secured));
    if (connection !== undefined) connectionOf.set(secured, connection);
  });
  const onClose = function (this: ServerResponse): void {
    const connection = connectionOf.get(this.req.socket);
    if (connection?.response === this) connection.response = undefined;
  };
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const connection = connectionOf.get(socket);
    // It is missing if it was evicted meanwhile.
    if (connection === undefined || !connections.delete(connection)) return;
    connection.response = response;
    connections.add(connection);
    response.on('close', onClose);
  });
}

function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}|${remotePort}`;
}
