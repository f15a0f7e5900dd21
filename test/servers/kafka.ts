import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { fetchArtifacts, fetchKafka, isBefore } from './artifacts.ts';
import { javaEnvironment, javaOptions, requireJava } from './java.ts';
import { freePort } from './port.ts';
import { logFile, type ServerHandle, type ServerOptions, startServer } from './process.ts';
import type { Command } from './watchdog.ts';
import { log4j, startZooKeeper } from './zookeeper.ts';

/** A running Kafka: one process, broker and controller; before 3.3 with a ZooKeeper of its own. */
export interface KafkaServer extends ServerHandle {
  /** 'host:port' */
  readonly brokers: string;
}

const protocols = 'listener.security.protocol.map';

/** The user that Kafka asks for when started with `kafkaSecurity`. */
export const kafkaUser = { mechanism: 'plain', username: 'bridge', password: 'bridge-test' } as const;

/** Settings for a Kafka that asks its clients for name and password (SASL PLAIN). */
export const kafkaSecurity: Readonly<Record<string, string>> = {
  [protocols]: 'CLIENT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT',
  'sasl.enabled.mechanisms': 'PLAIN',
  'sasl.mechanism.inter.broker.protocol': 'PLAIN',
  'listener.name.client.plain.sasl.jaas.config':
    'org.apache.kafka.common.security.plain.PlainLoginModule required' +
    ` username="${kafkaUser.username}" password="${kafkaUser.password}" user_${kafkaUser.username}="${kafkaUser.password}";`,
};

export interface KafkaOptions extends ServerOptions {
  /** Another version than that of pom.xml. */
  readonly version?: string;
  /** Listeners beside the plain one, by name in capitals: their protocol (SASL_SSL, SSL, …) and port. */
  readonly listeners?: Readonly<Record<string, { readonly protocol: string; readonly port: number }>>;
  /** Users that SCRAM knows from the beginning, with both of its mechanisms. */
  readonly scramUsers?: readonly { readonly username: string; readonly password: string }[];
  /** Files that settings may name, relative to the working directory of the server. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Starts a Kafka of our own. */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaServer> {
  const { version, onProgress } = options;
  const fetched =
    version === undefined ? fetchArtifacts(onProgress).then(({ kafka }) => kafka) : fetchKafka(version, onProgress);
  const [jars, java] = await Promise.all([fetched, requireJava()]);
  const zooKeeper = version !== undefined && isBefore(version, '3.3') ? await startZooKeeper(jars, java) : undefined;
  const [port, controllerPort] = options.ports ?? [await freePort(), await freePort()];
  const { heapMb = 512, lasts } = options;
  const brokers = `127.0.0.1:${port}`;

  const definition = {
    name: 'Kafka',
    async prepare(folder: string, runToEnd: (command: Command) => Promise<void>): Promise<Command> {
      const properties = join(folder, 'server.properties');
      const settings: Record<string, string> = {
        ...(zooKeeper ? withZooKeeper(zooKeeper.port, port) : withController(port, controllerPort)),
        ...defaults(folder),
        ...options.settings,
      };
      for (const [name, { protocol, port }] of Object.entries(options.listeners ?? {})) {
        const listener = `,${name}://127.0.0.1:${port}`;
        settings.listeners += listener;
        settings['advertised.listeners'] += listener;
        settings[protocols] += `,${name}:${protocol}`;
      }
      for (const [name, content] of Object.entries(options.files ?? {})) await writeFile(join(folder, name), content);
      const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
      await writeFile(properties, `${lines.join('\n')}\n`);
      const command = (jvm: string[], ...rest: string[]): Command => ({
        file: java,
        args: [...jvm, '-Dlog4j2.level=INFO', log4j, '-cp', join(jars, '*'), ...rest],
        env: javaEnvironment(),
        cwd: folder,
        log: logFile(folder),
      });
      const run = command([...javaOptions(heapMb, lasts), '-Djava.awt.headless=true'], 'kafka.Kafka', properties);
      if (zooKeeper !== undefined) return run;
      const clusterId = 'Z3JvdXAtc3luYy1icmlkZw';
      const format = ['kafka.tools.StorageTool', 'format', '--cluster-id', clusterId, '--config', properties];
      const scram = (options.scramUsers ?? []).flatMap(({ username, password }) =>
        ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
          '--add-scram',
          `${mechanism}=[name=${username},password=${password}]`,
        ]),
      );
      await runToEnd(command(['-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'], ...format, ...scram));
      return run;
    },
    // Only a plain listener can be asked; what others need in credentials is in the settings' own words.
    answers: async (folder: string) =>
      /Kafka ?Server.* started/.test(await readFile(logFile(folder), 'utf8')) &&
      (options.settings?.[protocols] !== undefined || (await hasBroker(brokers))),
  };
  try {
    const server = await startServer(definition, onProgress);
    const end = server.stop.bind(server);
    return Object.assign(server, { brokers }, zooKeeper && { stop: () => end().then(() => zooKeeper.stop()) });
  } catch (error) {
    await zooKeeper?.stop();
    throw error;
  }
}

/** Broker and controller in one process. */
function withController(port: number, controllerPort: number): Record<string, string> {
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `CLIENT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${port}`,
    [protocols]: 'CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    // A killed broker is let in again only when its session has run out; 9 s by default.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
  };
}

function withZooKeeper(zooKeeperPort: number, port: number): Record<string, string> {
  return {
    'broker.id': '1',
    'zookeeper.connect': `127.0.0.1:${zooKeeperPort}`,
    'zookeeper.session.timeout.ms': '3000',
    listeners: `CLIENT://127.0.0.1:${port}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${port}`,
    [protocols]: 'CLIENT:PLAINTEXT',
  };
}

function defaults(folder: string): Record<string, string> {
  return {
    'inter.broker.listener.name': 'CLIENT',
    'log.dirs': join(folder, 'data'),
    'auto.create.topics.enable': 'false',
    'group.initial.rebalance.delay.ms': '0',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'share.coordinator.state.topic.num.partitions': '1',
  };
}

async function hasBroker(brokers: string): Promise<boolean> {
  const admin = new Kafka({
    clientId: 'started',
    brokers: [brokers],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    requestTimeout: 2_000,
    retry: { retries: 0 },
  }).admin();
  try {
    await admin.connect();
    const cluster = await admin.describeCluster();
    return cluster.brokers.length > 0 && cluster.controller !== null;
  } finally {
    await admin.disconnect();
  }
}
