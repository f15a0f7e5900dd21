/** A PostgreSQL and a Redis of our own, from the system's packages. */
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../support/program.ts';
import { freePort } from './port.ts';
import { logFile, type ServerHandle, startServer } from './process.ts';
import type { Command } from './watchdog.ts';

export type StoreServer = { readonly server: ServerHandle; readonly env: Readonly<Record<string, string>> };

export async function startPostgresql(): Promise<StoreServer> {
  // Debian keeps each version in a folder of its own, not on the path.
  const [bin = ''] = globSync('/usr/lib/postgresql/*/bin').sort().reverse();
  await requireProgram(join(bin, 'postgres'), 'postgresql');
  const port = String(await freePort());
  // PostgreSQL refuses to run as root.
  const owner = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;
  const env = { PGHOST: '127.0.0.1', PGPORT: port, PGUSER: 'postgres', PGDATABASE: 'postgres' };
  const definition = {
    name: 'PostgreSQL',
    owner,
    within: '/tmp',
    async prepare(folder: string, runToEnd: (command: Command) => Promise<void>): Promise<Command> {
      const data = join(folder, 'data');
      const run = (name: string, ...args: string[]): Command => {
        const inherited = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== undefined));
        return {
          file: join(bin, name),
          args: ['-D', data, ...args],
          env: { ...(inherited as Record<string, string>), LC_ALL: 'C.UTF-8' },
          cwd: folder,
          owner,
          log: logFile(folder),
        };
      };
      await runToEnd(run('initdb', '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'));
      return run('postgres', '-h', '127.0.0.1', '-p', port, '-k', folder);
    },
    answers: async () => (await runProgram(join(bin, 'pg_isready'), ['-q'], { env })).code === 0,
  };
  return { server: await startServer(definition, print), env };
}

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

async function requireProgram(file: string, debianPackage: string): Promise<void> {
  if ((await runProgram(file, ['--version'])).code !== 0)
    throw new Error(`${file} is missing; this would help: apt-get install -y ${debianPackage}`);
}
