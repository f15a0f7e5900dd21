/** Python with the packages that a requirements file names, kept for later runs. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Ran, runProgram } from '../support/program.ts';

export type Python = { run(args: readonly string[]): Promise<Ran> } | { readonly missing: string };

export async function pythonWith(requirements: string): Promise<Python> {
  const { code, stdout: version } = await runProgram('python3', ['--version']);
  if (code !== 0) return { missing: 'python3 is missing; this would help: apt-get install -y python3-pip' };
  const store = resolve('test/.python');
  const stamp = createHash('sha256').update(version).update(readFileSync(requirements)).digest('hex').slice(0, 16);
  const folder = join(store, stamp);
  if (!existsSync(folder)) {
    mkdirSync(store, { recursive: true });
    const temporary = mkdtempSync(join(store, 'fetching-'));
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--target', temporary];
    const { code, stderr } = await runProgram('python3', [...pip, '-r', requirements]);
    // Fetched beside and then renamed: another run sees all of it or nothing, and one that was faster has as good a copy.
    if (code === 0 && !existsSync(folder)) renameSync(temporary, folder);
    else rmSync(temporary, { recursive: true });
    if (code !== 0) return { missing: `pip could not install what ${requirements} names: ${stderr.trim()}` };
  }
  return { run: (args) => runProgram('python3', args, { env: { PYTHONPATH: folder } }) };
}
