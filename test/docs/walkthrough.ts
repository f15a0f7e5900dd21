/** Follows a document from its beginning to its end: runs its blocks, with names made unique. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { type Ran, runProgram } from '../support/program.ts';
import { blocksOf } from './documents.ts';

export interface Walkthrough {
  /** An empty folder, in which everything is run. */
  readonly folder: string;
  /** Returns the next block of this language, and fails when it does not hold `words`. */
  next(language: string, words?: string): string;
  /** Runs commands in a shell to their end. */
  run(commands: string): Promise<Ran>;
  /** Starts a command that goes on running; it is killed when the test ends. */
  start(command: string): { readonly child: ChildProcess; stdout(): string; stderr(): string };
  /** Returns the number of blocks of this language that were not asked for yet. */
  left(language: string): number;
}

export function walkThrough(
  file: string,
  replacements: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Walkthrough {
  const folder = mkdtempSync(join(tmpdir(), 'walkthrough-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const blocks = blocksOf(file).map(({ language, text }) => ({
    language,
    text: Object.entries(replacements).reduce((replaced, [from, to]) => replaced.replaceAll(from, to), text),
  }));
  const environment = { ...process.env, NO_COLOR: '1', ...env };
  const program = `'${process.execPath}' '${resolve('src/cli.ts')}'`;
  const shell = (commands: string): string[] => [
    // With a socket for its input, bash would take itself for a remote shell and read a person's start-up file.
    ...['--norc', '-euo', 'pipefail', '-c'],
    commands
      .replaceAll(/npm run (?:-s )?bridge --/g, program)
      .replaceAll(/npm run demo(?: --)?/g, `${program} demo`)
      .replaceAll(/npm start(?: --)?/g, `exec ${program} start`)
      // The checkout is installed already.
      .replaceAll('npm ci && ', ''),
  ];
  return {
    folder,
    next(language, words = '') {
      const index = blocks.findIndex((block) => block.language === language);
      const [found] = index < 0 ? [] : blocks.splice(index, 1);
      expect(found?.text, `${file}: the next ${language} block`).toContain(words);
      return found?.text ?? '';
    },
    run: (commands) => runProgram('bash', shell(commands), { cwd: folder, env: environment as Record<string, string> }),
    start(command) {
      const child = spawn('bash', shell(command), { cwd: folder, env: environment });
      onTestFinished(() => void child.kill('SIGKILL'));
      const said = { stdout: '', stderr: '' };
      for (const name of ['stdout', 'stderr'] as const) {
        child[name].on('data', (text) => {
          said[name] += text;
        });
      }
      return { child, stdout: () => said.stdout, stderr: () => said.stderr };
    },
    left: (language) => blocks.filter((block) => block.language === language).length,
  };
}
