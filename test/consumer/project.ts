/** The recipes of examples/stores in a folder of their own, with the packed consumer kit and what their package.json names. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { blocksOf } from '../docs/documents.ts';
import { runProgram } from '../support/program.ts';

export interface Project {
  readonly folder: string;
  remove(): void;
}

export async function installStores(): Promise<Project> {
  const folder = mkdtempSync(join(tmpdir(), 'stores-'));
  const remove = (): void => rmSync(folder, { recursive: true });
  try {
    cpSync('examples/stores', folder, { recursive: true });
    const [block] = blocksOf('docs/how-to/read.md').filter(({ text }) => text.includes('group-table.ts'));
    if (block === undefined) throw new Error('docs/how-to/read.md shows no table');
    writeFileSync(join(folder, 'documented.ts'), block.text);
    const packed = await succeed(process.execPath, ['scripts/pack-consumer.ts', '--pack-destination', folder]);
    const file = join(folder, 'package.json');
    const given = readFileSync(file, 'utf8').replace(/file:[^"]+/, `file:${packed.trim()}`);
    writeFileSync(file, given);
    await succeed('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], folder);
    await succeed(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', folder, '--pretty', 'false']);
  } catch (thrown) {
    remove();
    throw thrown;
  }
  return { folder, remove };
}

/** Runs a program to its end; returns what it printed, and throws it where it failed. */
export async function succeed(file: string, args: readonly string[], cwd?: string): Promise<string> {
  const { code, stdout, stderr } = await runProgram(file, args, cwd === undefined ? {} : { cwd });
  if (code !== 0) throw new Error(`${file} ${args.join(' ')}: exit code ${code}\n${stdout}${stderr}`);
  return stdout;
}
