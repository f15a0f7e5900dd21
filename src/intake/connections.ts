import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { SignalBus } from '../canon/signal.ts';

interface Connection {
  readonly socket: Socket;
  request?: IncomingMessage;
  response?: ServerResponse;
}

/**
 * At most `most` connections, so that those who open many and send nothing, or slowly, shut nobody out: a new one takes
 * the place of the one that has been idle longest. Idle is a connection without a whole request that waits for its
 * answer: before its TLS handshake, half-open, sending its headers or body byte by byte, or kept alive between two. Only
 * when every one is busy is the new one turned away.
 */
export function limitConnections(server: Server, most: number, signals: SignalBus): void {
  // In the order of their last request, the oldest first.
  const connections = new Map<string, Connection>();

  const makeRoom = (): boolean => {
    for (const [key, { socket, request, response }] of connections) {
      const busy = request?.complete === true && response?.writableFinished === false && !response.destroyed;
      if (busy) continue;
      connections.delete(key);
      socket.destroy();
      return true;
    }
    return false;
  };

  server.on('connection', (socket: Socket) => {
    const key = keyOf(socket);
    if (connections.size >= most) {
      const evicted = makeRoom();
      signals.emit('connection.crowded', { most, evicted });
      if (!evicted) {
        socket.destroy();
        return;
      }
    }
    connections.set(key, { socket });
    socket.once('close', () => {
      if (connections.get(key)?.socket === socket) connections.delete(key);
    });
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    // Under TLS the request has a socket of its own, upon the one that was connected; the addresses are the same.
    const key = keyOf(request.socket);
    const known = connections.get(key);
    if (known === undefined) return;
    connections.delete(key);
    connections.set(key, { socket: known.socket, request, response });
  });
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}|${remotePort}`;
}
