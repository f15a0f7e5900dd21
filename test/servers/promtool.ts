/** Prometheus' own checker of rules: PROMTOOL names it, or it is on the path, or Debian's package brings it. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const store = fileURLToPath(new URL('.artifacts', import.meta.url));
/** Apart from the other artifacts, whose folders are named by the content of pom.xml. */
const kept = join(store, 'promtool');
const TIMEOUT_MS = 60_000;

export type Promtool = { readonly path: string } | { readonly missing: string };

let found: Promise<Promtool> | undefined;

/** Looked for once; fetched without being installed, which needs neither root nor a service. Never throws. */
export function findPromtool(): Promise<Promtool> {
  found ??= find();
  return found;
}

async function find(): Promise<Promtool> {
  const named = process.env.PROMTOOL;
  if (named !== undefined && named !== '') {
    return (await runs(named)) ? { path: named } : { missing: `PROMTOOL names ${named}, which cannot be run` };
  }
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    if (await runs(join(folder, 'promtool'))) return { path: join(folder, 'promtool') };
  }
  if (await runs(kept)) return { path: kept };
  try {
    await fetchByApt();
    return { path: kept };
  } catch (thrown) {
    const [reason] = (thrown as Error).message.split('\n');
    const remedy = process.platform === 'darwin' ? 'brew install prometheus' : 'apt-get install -y prometheus';
    return { missing: `promtool is not there and could not be fetched (${reason}); this would help: ${remedy}` };
  }
}

async function fetchByApt(): Promise<void> {
  await mkdir(store, { recursive: true });
  // Fetched beside and then renamed: another run sees all of it or nothing. (artifacts.ts removes what is abandoned.)
  const folder = await mkdtemp(join(store, `fetching-${process.pid}-`));
  try {
    await download(folder);
    const [archive] = (await readdir(folder)).filter((name) => name.endsWith('.deb'));
    if (archive === undefined) throw new Error('apt-get brought nothing');
    await run('dpkg-deb', ['--extract', join(folder, archive), folder], { timeout: TIMEOUT_MS });
    await rename(join(folder, 'usr', 'bin', 'promtool'), kept);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** With the lists of packages that the machine has, or else with new ones of our own. */
async function download(folder: string): Promise<void> {
  // Run by root, apt works as a user who may not write here.
  const asMyself = ['-o', 'APT::Sandbox::User=root'];
  const get = (...args: string[]) => run('apt-get', [...asMyself, ...args], { cwd: folder, timeout: TIMEOUT_MS });
  try {
    await get('download', 'prometheus');
  } catch {
    const lists = ['-o', `Dir::State::Lists=${folder}/lists`, '-o', `Dir::Cache=${folder}/cache`];
    for (const needed of ['lists', 'cache/archives']) await mkdir(join(folder, needed, 'partial'), { recursive: true });
    await get(...lists, 'update');
    await get(...lists, 'download', 'prometheus');
  }
}

async function runs(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    await run(file, ['--version'], { timeout: TIMEOUT_MS });
    return true;
  } catch {
    return false;
  }
}
