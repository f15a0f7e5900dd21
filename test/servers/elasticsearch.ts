import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Distribution, fetchArtifacts, fetchDistribution } from './artifacts.ts';
import { javaEnvironment, javaOptions, requireJava } from './java.ts';
import { freePort } from './port.ts';
import { logFile, type ServerHandle, type ServerOptions, startServer } from './process.ts';
import type { Command, Owner } from './watchdog.ts';

/** A running Elasticsearch of one node. */
export interface ElasticsearchServer extends ServerHandle {
  readonly url: string;
}

/** The superuser that Elasticsearch asks for when started with `elasticsearchSecurity`. */
export const elasticsearchUser = { username: 'bridge', password: 'bridge-test' } as const;
/** A user who may read and not write, but for indices that begin with `theirs-`. */
export const elasticsearchReader = { username: 'reader', password: elasticsearchUser.password } as const;
const passwordHash = '$2a$10$4XF3UKvApno8ngL.C3fuV.PI7e5ckvKOyypYTw6QoqO612TGcY9AK';

/** The OpenSearch of the tests. */
export const OPENSEARCH: Distribution = { product: 'opensearch', version: '2.19.6' };

/** Settings for an Elasticsearch that asks its clients for name and password. */
export const elasticsearchSecurity: Readonly<Record<string, string>> = { 'xpack.security.enabled': 'true' };

export interface ElasticsearchOptions extends ServerOptions {
  /** Another version, or OpenSearch, instead of the Elasticsearch of pom.xml. */
  readonly distribution?: Distribution;
  /** Files beside elasticsearch.yml, which may name them. */
  readonly files?: Readonly<Record<string, string>>;
  /** With TLS in the settings: what to reach it with, to see that it answers. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

/** Starts an Elasticsearch of our own. */
export async function startElasticsearch(options: ElasticsearchOptions = {}): Promise<ElasticsearchServer> {
  const { distribution, onProgress } = options;
  const [software, java] = await Promise.all([
    distribution
      ? fetchDistribution(distribution, onProgress)
      : fetchArtifacts(onProgress).then(({ elasticsearch }) => elasticsearch),
    requireJava(distribution && oldestJavaOf(distribution)),
  ]);
  const [port, transportPort] = options.ports ?? [await freePort(), await freePort()];
  const url = `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  // Elasticsearch refuses to run as root.
  const owner = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;

  const definition = {
    name: distribution?.product === 'opensearch' ? 'OpenSearch' : 'Elasticsearch',
    owner,
    within: canRead(owner, tmpdir()) ? tmpdir() : '/tmp',
    async prepare(folder: string): Promise<Command> {
      const secure = existsSync(join(software, 'modules', 'x-pack-security'));
      const settings = { ...defaults(folder, port, transportPort, secure), ...options.settings };
      await writeConfiguration(folder, settings, options);
      let home = software;
      if (!canRead(owner, join(home, 'lib'))) {
        home = join(folder, 'home');
        await cp(software, home, { recursive: true });
      }
      if (owner) await give(folder, owner);
      const launch = existsSync(join(home, 'lib', 'cli-launcher')) ? launcher : directly;
      return { ...launch(java, home, folder, options), cwd: home, owner, log: logFile(folder) };
    },
    async answers(): Promise<boolean> {
      const { username, password } = elasticsearchUser;
      const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
      const secured = options.settings?.['xpack.security.enabled'] === 'true';
      const headers = secured ? { authorization } : {};
      const path = '/_cluster/health?wait_for_status=yellow&timeout=2s';
      return (await statusOf(`${url}${path}`, headers, options.tls)) === 200;
    },
  };
  return Object.assign(await startServer(definition, onProgress), { url });
}

/** Asks by node:https, since fetch knows no other authorities than the system's. */
function statusOf(url: string, headers: Record<string, string>, tls: ElasticsearchOptions['tls']): Promise<number> {
  return new Promise((resolve, reject) => {
    const settings = { headers, timeout: 5_000, agent: false };
    const call = (tls ? tlsRequest : request)(url, { ...settings, ...tls }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
    });
    call.once('timeout', () => call.destroy(new Error('no answer')));
    call.once('error', reject);
    call.end();
  });
}

/** The newest of each need Java 21. */
function oldestJavaOf({ product, version }: Distribution): number {
  return Number.parseInt(version, 10) >= (product === 'opensearch' ? 3 : 9) ? 21 : 17;
}

function defaults(folder: string, port: number, transportPort: number, secure: boolean): Record<string, string> {
  return {
    'network.host': '127.0.0.1',
    'http.port': String(port),
    'transport.port': String(transportPort),
    'discovery.type': 'single-node',
    'path.data': join(folder, 'data'),
    'path.logs': join(folder, 'logs'),
    ...(secure && { 'xpack.security.enabled': 'false' }),
    // A fuller disk than the watermarks allow would make every index read-only.
    'cluster.routing.allocation.disk.threshold_enabled': 'false',
  };
}

async function writeConfiguration(
  folder: string,
  settings: Record<string, string>,
  { distribution, files: more = {}, heapMb = 768, lasts }: ElasticsearchOptions,
): Promise<void> {
  for (const name of ['config', 'data', 'logs', 'tmp']) await mkdir(join(folder, name));
  const files = {
    [`${distribution?.product ?? 'elasticsearch'}.yml`]: Object.entries(settings).map(
      ([key, value]) => `${key}: ${value}`,
    ),
    'jvm.options': [
      ...javaOptions(heapMb, lasts),
      '-XX:+ExitOnOutOfMemoryError',
      `-Djava.io.tmpdir=${join(folder, 'tmp')}`,
    ],
    'log4j2.properties': [
      'appender.console.type = Console',
      'appender.console.name = console',
      'appender.console.layout.type = PatternLayout',
      'appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %m%n',
      'rootLogger.level = info',
      'rootLogger.appenderRef.console.ref = console',
    ],
    users: [elasticsearchUser, elasticsearchReader].map(({ username }) => `${username}:${passwordHash}`),
    users_roles: [`superuser:${elasticsearchUser.username}`, `looker:${elasticsearchReader.username}`],
    'roles.yml': [
      'looker:',
      '  cluster: [monitor]',
      '  indices:',
      "    - { names: ['*'], privileges: [read, view_index_metadata, monitor] }",
      "    - { names: ['theirs-*'], privileges: [all] }",
    ],
  };
  for (const [name, lines] of Object.entries(files))
    await writeFile(join(folder, 'config', name), `${lines.join('\n')}\n`);
  for (const [name, content] of Object.entries(more)) await writeFile(join(folder, 'config', name), content);
}

type Launch = Pick<Command, 'file' | 'args' | 'env' | 'pidFile'>;

/** Returns the command that bin/elasticsearch of 8 and later runs, without the shell and with the Java that was found. */
function launcher(java: string, home: string, folder: string): Launch {
  const pidFile = join(folder, 'pid');
  const properties = {
    'cli.name': 'server',
    'cli.script': join(home, 'bin', 'elasticsearch'),
    'cli.libs': 'lib/tools/server-cli',
    'es.path.home': home,
    'es.path.conf': join(folder, 'config'),
    'es.distribution.type': 'zip',
  };
  return {
    file: java,
    args: [
      ...['-Xms4m', '-Xmx64m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'],
      ...Object.entries(properties).map(([key, value]) => `-D${key}=${value}`),
      ...['-cp', `${join(home, 'lib', '*')}:${join(home, 'lib', 'cli-launcher', '*')}`],
      ...['org.elasticsearch.launcher.CliToolLauncher', '--pidfile', pidFile],
    ],
    env: javaEnvironment({ ES_TMPDIR: join(folder, 'tmp') }),
    pidFile,
  };
}

/** As `launcher`, of OpenSearch and of Elasticsearch 7: the server itself, which has no launcher between. */
function directly(
  java: string,
  home: string,
  folder: string,
  { distribution, heapMb = 768, lasts }: ElasticsearchOptions,
): Launch {
  const opensearch = distribution?.product === 'opensearch';
  const prefix = opensearch ? 'opensearch' : 'es';
  const agent = join(home, 'agent', 'opensearch-agent.jar');
  return {
    file: java,
    args: [
      ...[...javaOptions(heapMb, lasts), '-XX:+ExitOnOutOfMemoryError'],
      `-Djava.io.tmpdir=${join(folder, 'tmp')}`,
      // OpenSearch 3 has an agent instead of Java's security manager.
      existsSync(agent) ? `-javaagent:${agent}` : '-Djava.security.manager=allow',
      ...['-Dlog4j2.disable.jmx=true', '-Dlog4j.shutdownHookEnabled=false'],
      ...[`-D${prefix}.path.home=${home}`, `-D${prefix}.path.conf=${join(folder, 'config')}`],
      ...[`-D${prefix}.distribution.type=zip`, `-D${prefix}.distribution.flavor=oss`, `-D${prefix}.bundled_jdk=false`],
      ...['-cp', join(home, 'lib', '*')],
      opensearch ? 'org.opensearch.bootstrap.OpenSearch' : 'org.elasticsearch.bootstrap.Elasticsearch',
    ],
    env: javaEnvironment({ LIBFFI_TMPDIR: join(folder, 'tmp') }),
  };
}

/** Asked of the system itself: modes, parents, mounts and access lists all have a say. */
function canRead(owner: Owner | undefined, folder: string): boolean {
  return spawnSync('/bin/sh', ['-c', 'ls "$0" > /dev/null 2>&1', folder], { cwd: '/', ...owner }).status === 0;
}

async function give(folder: string, owner: Owner): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true }))
    await chown(join(folder, entry), owner.uid, owner.gid);
}
