import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A checkout runs the TypeScript itself; the published package, what was compiled from it. */
export const isCheckout = import.meta.url.endsWith('.ts');

/** The folder of package.json, two above src/cli in a checkout and three above dist/src/cli in the package. */
const packageFolder = fileURLToPath(new URL(isCheckout ? '../../' : '../../../', import.meta.url));

/** Returns the path of a file that comes with the checkout or the package. */
export function packageFile(path: string): string {
  return join(packageFolder, path);
}

export function version(): string {
  return (JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string }).version;
}

/** Quotes a value as one word of a shell: people paste what is printed, and others choose the names of files and groups. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Returns how to call this program from here. In a checkout, npm puts Node 24 on the path; `-s` silences npm itself. */
export function commandLine(args: string): string {
  if (!isCheckout) return `npx group-sync-bridge ${args}`;
  return `npm run ${/--json|[|>]/.test(args) ? '-s ' : ''}bridge -- ${args}`;
}
