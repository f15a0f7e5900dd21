/** A Redis of our own, from the system's packages, beside the PostgreSQL. */
import { runProgram } from '../support/program.ts';
import { freePort } from './port.ts';
import { requireProgram, type StoreServer } from './postgresql.ts';
import { logFile, startServer } from './process.ts';
import type { Command } from './watchdog.ts';

export async function startRedis(): Promise<StoreServer> {
  await requireProgram('redis-server', 'redis-server');
  const port = String(await freePort());
  const definition = {
    name: 'Redis',
    prepare: async (folder: string): Promise<Command> => ({
      file: 'redis-server',
      args: ['--bind', '127.0.0.1', '--port', port, '--dir', folder, '--save', ''],
      env: { PATH: process.env.PATH ?? '' },
      cwd: folder,
      log: logFile(folder),
    }),
    answers: async () => (await runProgram('redis-cli', ['-p', port, 'ping'])).stdout === 'PONG\n',
  };
  return { server: await startServer(definition, print), env: { REDIS_URL: `redis://127.0.0.1:${port}` } };
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);
