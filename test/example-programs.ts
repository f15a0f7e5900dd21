/** The examples as programs that can be run, or why they cannot be run here. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { onTestFinished } from 'vitest';
import { projectWithPackage } from './package.ts';
import { type Ran, runProgram } from './program.ts';
import { artifactsArePresent, fetchArtifacts } from './servers/index.ts';

export type Example = { run(args: readonly string[]): Promise<Ran> } | { readonly missing: string };

export async function typescriptExample(): Promise<Example> {
  const project = await projectWithPackage(['kafkajs', '@types/node']);
  onTestFinished(() => project.remove());
  for (const file of ['groups.ts', 'package.json', 'tsconfig.json'])
    cpSync(`examples/typescript/${file}`, join(project.folder, file));
  const tsc = resolve('node_modules/typescript/bin/tsc');
  const { code, stdout } = await runProgram(process.execPath, [tsc, '-p', project.folder, '--pretty', 'false']);
  if (code !== 0) throw new Error(`examples/typescript:\n${stdout}`);
  return {
    run: (args) =>
      runProgram(process.execPath, ['--disable-warning=TimeoutNegativeWarning', 'groups.ts', ...args], {
        cwd: project.folder,
      }),
  };
}

const REQUIREMENTS = 'examples/python/requirements.txt';

export async function pythonExample(): Promise<Example> {
  const { code, stdout: version } = await runProgram('python3', ['--version']);
  if (code !== 0) return { missing: 'python3 is missing; this would help: apt-get install -y python3-pip' };
  const store = resolve('test/.python');
  const stamp = createHash('sha256').update(version).update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 16);
  const folder = join(store, stamp);
  if (!existsSync(folder)) {
    mkdirSync(store, { recursive: true });
    const temporary = mkdtempSync(join(store, 'fetching-'));
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--target', temporary];
    const { code, stderr } = await runProgram('python3', [...pip, '-r', REQUIREMENTS]);
    // Fetched beside and then renamed: another run sees all of it or nothing, and one that was faster has as good a copy.
    if (code === 0 && !existsSync(folder)) renameSync(temporary, folder);
    else rmSync(temporary, { recursive: true });
    if (code !== 0) return { missing: `pip could not install what ${REQUIREMENTS} names: ${stderr.trim()}` };
  }
  return {
    run: (args) => runProgram('python3', ['examples/python/groups.py', ...args], { env: { PYTHONPATH: folder } }),
  };
}

export async function javaExample(): Promise<Example> {
  const home = process.env.JAVA_HOME;
  const bin = (name: string) => (home ? join(home, 'bin', name) : name);
  if ((await runProgram(bin('javac'), ['-version'])).code !== 0)
    return { missing: 'javac is missing; this would help: apt-get install -y openjdk-17-jdk-headless' };
  if (!(await artifactsArePresent()) && (await runProgram('mvn', ['--version'])).code !== 0)
    return { missing: 'mvn is missing; this would help: apt-get install -y maven' };
  // The jars of the tests' Kafka hold kafka-clients and Jackson.
  const jars = join((await fetchArtifacts()).kafka, '*');
  const classes = mkdtempSync(join(tmpdir(), 'classes-'));
  onTestFinished(() => rmSync(classes, { recursive: true }));
  const small = ['-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
  const compiled = await runProgram(bin('javac'), [
    ...small.map((option) => `-J${option}`),
    ...['-Xlint:all', '-Werror', '-encoding', 'UTF-8', '-d', classes, '-cp', jars],
    'examples/java/src/main/java/Groups.java',
  ]);
  if (compiled.code !== 0) throw new Error(`examples/java:\n${compiled.stdout}${compiled.stderr}`);
  return { run: (args) => runProgram(bin('java'), [...small, '-cp', `${classes}:${jars}`, 'Groups', ...args]) };
}
