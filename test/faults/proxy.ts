/** A TCP proxy that cuts connections in the middle of what is being said on them. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/**
 * - answer-lost: the request came through, nothing of the answer does.
 * - answer-torn: half of what has come of the answer does.
 * - request-torn: half of the request does.
 */
export type Cut = 'answer-lost' | 'answer-torn' | 'request-torn';
export const CUTS = ['answer-lost', 'answer-torn', 'request-torn'] as const;

export interface TcpProxy {
  readonly port: number;
  /** Cuts the next connection on which something is said, in this way; resolves when it is cut. */
  cutNext(cut: Cut, withinMs?: number): Promise<void>;
  /** Refuses connections and cuts those that are open, until `accept`. */
  refuse(): Promise<void>;
  accept(): Promise<void>;
  close(): Promise<void>;
}

export async function startProxy(port: number, targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let armed: { cut: Cut; done: () => void } | undefined;

  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      // Whatever happens to one side happens to the other.
      socket.on('error', () => other.destroy());
      socket.on('end', () => other.end());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    const carry = (from: Socket, to: Socket, kinds: readonly Cut[]): void => {
      from.on('data', (chunk: Buffer) => {
        if (armed !== undefined && kinds.includes(armed.cut)) {
          const { cut, done } = armed;
          armed = undefined;
          done();
          from.pause();
          if (cut !== 'answer-lost') to.end(chunk.subarray(0, chunk.length >> 1));
          from.resetAndDestroy();
          return;
        }
        if (to.writable && !to.write(chunk)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      });
    };
    carry(client, upstream, ['request-torn']);
    carry(upstream, client, ['answer-lost', 'answer-torn']);
  });

  const accept = async (): Promise<void> => {
    if (server.listening) return;
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const refuse = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await accept();
  return {
    port,
    cutNext: (cut, withinMs = 60_000) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          armed = undefined;
          reject(new Error(`nothing was said through the proxy ${port} within ${withinMs} ms`));
        }, withinMs);
        armed = {
          cut,
          done() {
            clearTimeout(timer);
            resolve();
          },
        };
      }),
    refuse,
    accept,
    close: refuse,
  };
}
