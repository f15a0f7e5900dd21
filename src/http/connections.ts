import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { SignalBus } from '../model/signal.ts';

interface Connection {
  readonly socket: Socket;
  /** Of the latest request, until it is through: were it kept, the garbage collector would take each request for one that lasts. */
  response: ServerResponse | undefined;
}

/**
 * At most `most` connections, so that those who open many and send nothing, or slowly, shut nobody out: a new one takes
 * the place of the one that has been idle longest. Idle is a connection without a whole request that waits for its
 * answer: before its TLS handshake, half-open, sending its headers or body byte by byte, or kept alive between two. Only
 * when every one is busy is the new one turned away.
 */
export function limitConnections(server: Server, most: number, signals: SignalBus): void {
  // In the order of their last request, the oldest first.
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
      signals.emit('connection.crowded', { most, evicted });
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
  // Requests then have a socket of their own, upon the one that was connected; the addresses are the same.
  server.on('secureConnection', (secured: Socket) => {
    const connection = byAddress.get(addressOf(secured));
    if (connection !== undefined) connectionOf.set(secured, connection);
  });
  const through = function (this: ServerResponse): void {
    const connection = connectionOf.get(this.req.socket);
    if (connection?.response === this) connection.response = undefined;
  };
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const connection = connectionOf.get(socket);
    // One that was evicted meanwhile is no more.
    if (connection === undefined || !connections.delete(connection)) return;
    connection.response = response;
    connections.add(connection);
    response.on('close', through);
  });
}

function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}|${remotePort}`;
}
