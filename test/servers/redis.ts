import { once } from 'node:events';
import { connect } from 'node:net';
import { fetchRedis } from './artifacts.ts';
import { freePort } from './port.ts';
import { logFile, type ServerHandle, startServer } from './process.ts';
import type { Command } from './watchdog.ts';

/** Starts a Redis that keeps nothing on disk. */
export async function startRedis(): Promise<{ readonly server: ServerHandle; readonly url: string }> {
  const file = await fetchRedis();
  const port = await freePort();
  const definition = {
    name: 'Redis',
    prepare: async (folder: string): Promise<Command> => ({
      file,
      args: ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, '--save', ''],
      env: { PATH: process.env.PATH ?? '' },
      cwd: folder,
      log: logFile(folder),
    }),
    answers: () => answersPing(port),
  };
  return { server: await startServer(definition, () => {}), url: `redis://127.0.0.1:${port}` };
}

async function answersPing(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    socket.write('PING\r\n');
    const [answer] = await once(socket, 'data');
    return String(answer) === '+PONG\r\n';
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
