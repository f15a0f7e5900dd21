import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folders of the servers' unpacked software. */
export interface Artifacts {
  /** The folder of Kafka's jars. */
  readonly kafka: string;
  /** Elasticsearch's home. */
  readonly elasticsearch: string;
}

/** A version of Elasticsearch or OpenSearch. */
export interface Distribution {
  readonly product: 'elasticsearch' | 'opensearch';
  readonly version: string;
}

const pom = fileURLToPath(new URL('pom.xml', import.meta.url));
const kafkaPom = fileURLToPath(new URL('kafka.pom.xml', import.meta.url));
const store = fileURLToPath(new URL('.artifacts', import.meta.url));
const fetching = 'fetching-';

let found: Promise<Artifacts> | undefined;

/** Fetches the servers' software by mvn, once for each content of pom.xml. */
export function fetchArtifacts(onProgress: (line: string) => void = () => {}): Promise<Artifacts> {
  found ??= findOrFetch(onProgress).catch((error) => {
    found = undefined;
    throw error;
  });
  return found;
}

/** Tells whether there is no need of mvn. */
export async function artifactsArePresent(distribution?: Distribution): Promise<boolean> {
  return exists(distribution === undefined ? await stampedFolder() : folderOf(distribution));
}

/** Fetches one version by mvn, once. Returns its home. */
export async function fetchDistribution(
  distribution: Distribution,
  onProgress: (line: string) => void = () => {},
): Promise<string> {
  const { product, version } = distribution;
  const folder = folderOf(distribution);
  if (!(await exists(folder))) {
    onProgress(`Fetching ${product} ${version} with mvn, this first time only`);
    const artifact = `org.${product}.distribution.integ-test-zip:${product}:${version}:zip`;
    await fetch(folder, (temporary) => [
      'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack',
      `-Dartifact=${artifact}`,
      `-DoutputDirectory=${temporary}`,
    ]);
  }
  return join(folder, `${product}-${version}`);
}

/** Fetches one version of Kafka by mvn, once. Returns the folder of its jars. */
export async function fetchKafka(version: string, onProgress: (line: string) => void = () => {}): Promise<string> {
  const folder = join(store, `kafka-${version}`);
  if (!(await exists(folder))) {
    onProgress(`Fetching Kafka ${version} with mvn, this first time only`);
    // Kafka's own dependencies bind no log: before 4.0 it wants log4j 1, since then log4j 2.
    const [scala, binding] = isBefore(version, '2.4')
      ? ['2.12', 'org.slf4j:slf4j-log4j12:1.7.21']
      : [
          '2.13',
          isBefore(version, '4.0')
            ? 'org.slf4j:slf4j-log4j12:1.7.21'
            : 'org.apache.logging.log4j:log4j-slf4j-impl:2.24.3',
        ];
    const [group, artifact, bindingVersion] = binding.split(':');
    await fetch(folder, (temporary) => [
      ...['--file', kafkaPom, `-DoutputDirectory=${temporary}`, `-Dscala=${scala}`, `-Dkafka=${version}`],
      ...[`-Dbinding.group=${group}`, `-Dbinding.artifact=${artifact}`, `-Dbinding.version=${bindingVersion}`],
      'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies',
    ]);
  }
  return folder;
}

/** The jar that holds a Redis for each system, and which of them are for Linux. */
const REDIS = 'com.github.codemonstur:embedded-redis:1.4.3:jar';
const REDIS_BUILDS: Readonly<Record<string, string>> = { x64: '6.2.6-v5-linux-amd64', arm64: '6.2.7-linux-arm64' };

/** Fetches a Redis by mvn, once. Returns its program. */
export async function fetchRedis(): Promise<string> {
  const folder = join(store, 'redis');
  if (!(await exists(folder))) {
    await fetch(folder, (temporary) => [
      'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack',
      ...[`-Dartifact=${REDIS}`, `-DoutputDirectory=${temporary}`, '-Dmdep.unpack.includes=redis-server-*-linux-*'],
    ]);
  }
  const program = join(folder, `redis-server-${REDIS_BUILDS[process.arch]}`);
  await chmod(program, 0o755);
  return program;
}

/** Tells which of two versions is the older one, number by number. */
export function isBefore(version: string, other: string): boolean {
  return version.localeCompare(other, 'en', { numeric: true }) < 0;
}

function folderOf({ product, version }: Distribution): string {
  return join(store, `${product}-${version}`);
}

async function findOrFetch(onProgress: (line: string) => void): Promise<Artifacts> {
  const folder = await stampedFolder();
  if (!(await exists(folder))) {
    onProgress('Fetching Kafka and Elasticsearch with mvn, this first time only');
    await fetch(folder, (temporary) => ['--file', pom, `-Dartifacts.directory=${temporary}`, 'generate-resources']);
  }
  const [home] = await readdir(join(folder, 'elasticsearch'));
  return { kafka: join(folder, 'kafka'), elasticsearch: join(folder, 'elasticsearch', home ?? '') };
}

async function stampedFolder(): Promise<string> {
  const stamp = createHash('sha256')
    .update(await readFile(pom))
    .digest('hex')
    .slice(0, 16);
  return join(store, stamp);
}

async function fetch(folder: string, goals: (temporary: string) => readonly string[]): Promise<void> {
  await mkdir(store, { recursive: true });
  await removeAbandoned();
  // Fetched beside and then renamed: another run sees all of it or nothing.
  const temporary = await mkdtemp(join(store, `${fetching}${process.pid}-`));
  try {
    await runMaven(temporary, goals(temporary));
    await openToAll(temporary);
    await rename(temporary, folder).catch(async (error) => {
      // Another run was faster; its copy is as good.
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

function runMaven(cwd: string, goals: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('mvn', ['--batch-mode', '--no-transfer-progress', ...goals], {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (chunk: Buffer) => {
      output = (output + chunk).slice(-4_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (error) => reject(new Error(`mvn cannot be run: ${error.message}`)));
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`mvn could not fetch the servers (${signal ?? `exit code ${code}`})\n${output.trimEnd()}`));
    });
  });
}

/** Elasticsearch may have to run as another user, whatever our umask was. */
async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true })) {
    const path = join(folder, entry);
    const { mode } = await stat(path);
    await chmod(path, mode | (mode & 0o100 ? 0o555 : 0o444));
  }
}

/** Removes the unfinished folders of runs that were killed in the middle of a fetch. */
async function removeAbandoned(): Promise<void> {
  for (const path of await readdir(store)) {
    const pid = Number(path.slice(fetching.length).split('-')[0]);
    if (path.startsWith(fetching) && !isAlive(pid))
      await rm(join(store, basename(path)), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
