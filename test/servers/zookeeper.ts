import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { javaEnvironment } from './java.ts';
import { freePort } from './port.ts';
import { logFile, type ServerHandle, startServer } from './process.ts';

/** How log4j 1 is told to log; log4j 2 does not look at it. */
export const log4j = `-Dlog4j.configuration=file:${fileURLToPath(new URL('log4j.properties', import.meta.url))}`;

export interface ZooKeeperServer extends ServerHandle {
  readonly port: number;
}

/** Starts the ZooKeeper among the jars of a Kafka that cannot do without. */
export async function startZooKeeper(jars: string, java: string): Promise<ZooKeeperServer> {
  const port = await freePort();
  const definition = {
    name: 'ZooKeeper',
    async prepare(folder: string) {
      const file = join(folder, 'zoo.cfg');
      await mkdir(join(folder, 'data'));
      // A session lasts at least two ticks; the killed broker's stands in the way of its restart.
      const lines = [
        `dataDir=${join(folder, 'data')}`,
        `clientPort=${port}`,
        'clientPortAddress=127.0.0.1',
        'tickTime=1000',
      ];
      await writeFile(file, `${lines.join('\n')}\nadmin.enableServer=false\n`);
      const main = 'org.apache.zookeeper.server.quorum.QuorumPeerMain';
      const args = ['-Xmx128m', '-XX:+UseSerialGC', log4j, '-cp', join(jars, '*'), main, file];
      return { file: java, args, env: javaEnvironment(), cwd: folder, log: logFile(folder) };
    },
    answers: async (folder: string) => (await readFile(logFile(folder), 'utf8')).includes('binding to port'),
  };
  return Object.assign(await startServer(definition), { port });
}
