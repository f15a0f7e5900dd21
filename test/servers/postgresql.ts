/** A PostgreSQL of our own, from the system's packages. */
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../support/program.ts';
import { freePort } from './port.ts';
import { logFile, type ServerHandle, startServer } from './process.ts';
import type { Command } from './watchdog.ts';

/** A server, and by which variables its own programs and clients find it. */
export type StoreServer = { readonly server: ServerHandle; readonly env: Readonly<Record<string, string>> };

// Debian keeps each version in a folder of its own, not on the path.
const [bin = ''] = globSync('/usr/lib/postgresql/*/bin').sort().reverse();

/** Why none can be started here; undefined when one can. */
export const missingPostgresql = existsSync(join(bin, 'initdb'))
  ? undefined
  : 'there is no PostgreSQL; this would help: apt-get install -y postgresql';

export async function startPostgresql(onProgress: (line: string) => void = () => {}): Promise<StoreServer> {
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
      const fast = ['fsync', 'synchronous_commit', 'full_page_writes'].flatMap((one) => ['-c', `${one}=off`]);
      return run('postgres', '-h', '127.0.0.1', '-p', port, '-k', folder, ...fast);
    },
    answers: async () => (await runProgram(join(bin, 'pg_isready'), ['-q'], { env })).code === 0,
  };
  return { server: await startServer(definition, onProgress), env };
}

async function requireProgram(file: string, debianPackage: string): Promise<void> {
  if ((await runProgram(file, ['--version'])).code !== 0)
    throw new Error(`${file} is missing; this would help: apt-get install -y ${debianPackage}`);
}
