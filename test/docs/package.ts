/** The package as others install it: built, in a folder of its own, with nothing else of this repository in reach. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { runProgram } from '../support/program.ts';

export interface Project {
  readonly folder: string;
  remove(): void;
}

/** A project that has installed the package, zod with it, and the other packages named. */
export async function projectWithPackage(others: readonly string[]): Promise<Project> {
  const folder = mkdtempSync(join(tmpdir(), 'reader-'));
  const modules = join(folder, 'node_modules');
  const home = join(modules, 'group-sync-bridge');
  mkdirSync(home, { recursive: true });
  cpSync('package.json', join(home, 'package.json'));
  const { code, stdout } = await runProgram(process.execPath, [
    // Its types are checked by `npm run types`.
    ...['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--noCheck', '--outDir', join(home, 'dist')],
  ]);
  if (code !== 0) throw new Error(`the package cannot be built:\n${stdout}`);
  for (const name of ['zod', ...others]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(resolve('node_modules', name), join(modules, name));
  }
  return { folder, remove: () => rmSync(folder, { recursive: true }) };
}
