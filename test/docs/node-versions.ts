/** Other Nodes than that of this checkout: those that the published package must run on, and the one that `npm ci` begins with. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { runProgram } from '../support/program.ts';

/** Returns the oldest Node that `engines` promises. */
export function oldestNode(): string {
  const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } };
  const [, version] = /^>=(\d+\.\d+)$/.exec(engines.node) ?? [];
  if (version === undefined) throw new Error(`engines.node is ${engines.node}, where >=MAJOR.MINOR is expected`);
  return version;
}

/** Returns a Node of this version from npm, kept for later runs, or why it cannot be had. */
export async function nodeOf(version: string): Promise<{ readonly file: string } | { readonly missing: string }> {
  const store = resolve('test/.node');
  const folder = join(store, version);
  const [system, prefix] = {
    darwin: ['darwin', process.arch === 'arm64' ? 'node-bin' : 'node'],
    win32: ['win', 'node'],
  }[process.platform as string] ?? [process.platform, 'node'];
  // The package that `node` itself installs by a script.
  const name = `${prefix}-${system}-${process.arch}`;
  if (!existsSync(folder)) {
    mkdirSync(store, { recursive: true });
    const temporary = mkdtempSync(join(store, 'fetching-'));
    const { code, stderr } = await runProgram('npm', [
      ...['install', '--prefix', temporary, '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'],
      `${name}@~${version}.0`,
    ]);
    if (code === 0 && !existsSync(folder)) renameSync(temporary, folder);
    else rmSync(temporary, { recursive: true });
    if (code !== 0) return { missing: `npm could not install ${name}@${version}: ${stderr.trim()}` };
  }
  return { file: join(folder, 'node_modules', name, process.platform === 'win32' ? 'bin/node.exe' : 'bin/node') };
}

/** Returns the first Node on the path, from 20 on, that is older than this one, which npm scripts put there. */
export async function olderNode(): Promise<string | undefined> {
  const own = Number(process.versions.node.split('.')[0]);
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const file = join(folder, 'node');
    const { stdout } = await runProgram(file, ['--version']);
    const [major = '0'] = /\d+/.exec(stdout) ?? [];
    if (Number(major) >= 20 && Number(major) < own) return file;
  }
  return undefined;
}
