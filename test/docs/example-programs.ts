/** The examples as programs that can be run, or why they cannot be run here. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { onTestFinished } from 'vitest';
import { artifactsArePresent, fetchArtifacts } from '../servers/index.ts';
import { type Ran, runProgram } from '../support/program.ts';
import { projectWithPackage } from './package.ts';
import { pythonWith } from './python.ts';

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

export async function pythonExample(): Promise<Example> {
  const python = await pythonWith('examples/python/requirements.txt');
  if ('missing' in python) return python;
  return { run: (args) => python.run(['examples/python/groups.py', ...args]) };
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

export async function goExample(): Promise<Example> {
  if ((await runProgram('go', ['version'])).code !== 0)
    return { missing: 'go is missing; this would help: apt-get install -y golang' };
  const folder = mkdtempSync(join(tmpdir(), 'go-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'groups');
  const built = await runProgram('go', ['build', '-o', program, '.'], { cwd: 'examples/go' });
  if (built.code !== 0) throw new Error(`examples/go:\n${built.stdout}${built.stderr}`);
  return { run: (args) => runProgram(program, args) };
}
