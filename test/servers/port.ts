import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

const given = new Set<number>();

/** A loopback port that nothing listens on and that was not given before. */
export async function freePort(): Promise<number> {
  for (;;) {
    // Below the ports that systems use for outgoing connections (from 32768): a client that keeps trying a dead
    // server's port up there is at some time given that same port as its own, and connects to itself.
    const port = randomInt(16_000, 32_000);
    if (given.has(port)) continue;
    given.add(port);
    if (await canListen(port)) return port;
  }
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
