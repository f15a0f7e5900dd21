import { execFile } from 'node:child_process';
import { constants, globSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { artifactsArePresent, type Distribution } from './artifacts.ts';

const oldestJava = 17;

/** Returns why servers cannot be started here, with the one command that would help; undefined when they can. */
export async function missingPrerequisite(distribution?: Distribution): Promise<string | undefined> {
  const java = await findJava();
  const mvn = (await artifactsArePresent(distribution)) || (await onPath('mvn')) !== undefined;
  if (java && mvn) return undefined;
  const missing = [java ? undefined : `Java ${oldestJava} or newer`, mvn ? undefined : 'mvn (Apache Maven)'];
  const named = missing.filter((name) => name !== undefined);
  return `${named.join(' and ')} ${named.length > 1 ? 'are' : 'is'} missing; this would help: ${await remedy(!java, !mvn)}`;
}

/** Returns the Java to run servers with: JAVA_HOME's, else the PATH's, else one where Linux keeps them. */
export async function findJava(oldest = oldestJava): Promise<string | undefined> {
  const home = process.env.JAVA_HOME;
  const others = oldest > oldestJava ? globSync('/usr/lib/jvm/*/bin/java') : [];
  for (const candidate of [home ? join(home, 'bin', 'java') : undefined, await onPath('java'), ...others]) {
    if (candidate !== undefined && (await javaVersion(candidate)) >= oldest) return candidate;
  }
  return undefined;
}

/** Returns the Java to run servers with, and throws when there is none. */
export async function requireJava(oldest = oldestJava): Promise<string> {
  const java = await findJava(oldest);
  if (java === undefined) throw new Error((await missingPrerequisite()) ?? `Java ${oldest} or newer is missing`);
  return java;
}

/**
 * Returns how Java runs a server. One of the tests lives for minutes: compiled quickly, not best, and with the simplest
 * collector it starts with a third less of the processor. One that is measured `lasts`.
 */
export function javaOptions(heapMb: number, lasts = false): string[] {
  return [`-Xms${heapMb}m`, `-Xmx${heapMb}m`, ...(lasts ? ['-XX:+UseG1GC'] : QUICK)];
}
const QUICK = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

/** Returns the environment for the servers, without the variables that would change how Java or Elasticsearch runs. */
export function javaEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  const dropped =
    /^(JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|NODE_.*|ES_.*|OPENSEARCH_.*|CLI_JAVA_OPTS|KAFKA_.*)$/;
  const kept = Object.entries(process.env).filter((entry): entry is [string, string] => {
    return entry[1] !== undefined && !dropped.test(entry[0]);
  });
  return { ...Object.fromEntries(kept), ...extra };
}

/** Returns the major version, 0 when it cannot be run. */
function javaVersion(java: string): Promise<number> {
  return new Promise((resolve) => {
    execFile(java, ['-version'], { timeout: 30_000 }, (error, _, stderr) => {
      resolve(error ? 0 : Number(/version "(\d+)/.exec(stderr)?.[1] ?? 0));
    });
  });
}

async function onPath(name: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const file = join(folder, name);
    const runs = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return file;
  }
  return undefined;
}

async function remedy(java: boolean, mvn: boolean): Promise<string> {
  const brew = process.platform === 'darwin' || (!(await onPath('apt-get')) && (await onPath('brew')) !== undefined);
  const packages = [
    java ? (brew ? `openjdk@${oldestJava}` : `openjdk-${oldestJava}-jre-headless`) : undefined,
    mvn ? 'maven' : undefined,
  ];
  return `${brew ? 'brew install' : 'apt-get install -y'} ${packages.filter(Boolean).join(' ')}`;
}
