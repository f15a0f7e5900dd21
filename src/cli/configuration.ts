import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isLoopback } from '../config/listeners.ts';
import { formatProblem, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { urlHost } from '../http/server.ts';
import { BridgeError } from '../model/fault.ts';

export const DEFAULT_FILE = 'config/bridge.yaml';

/** The file to read: the one named, else the one in the working directory, else the one the bridge brings along. */
export function configFile(named: string | undefined): string {
  if (named !== undefined) return named;
  if (existsSync(DEFAULT_FILE)) return DEFAULT_FILE;
  // From src/cli in a checkout, from dist/src/cli in the published package.
  const up = import.meta.url.endsWith('.ts') ? '../../' : '../../../';
  return fileURLToPath(new URL(up + DEFAULT_FILE, import.meta.url));
}

/** Throws a fault that holds every problem, a line each. */
export function requireConfig(named: string | undefined): { file: string; config: Config } {
  const file = configFile(named);
  const result = loadConfig(file, process.env);
  if (result.ok) return { file, config: result.config };
  const count = result.problems.length;
  const lines = result.problems.map(formatProblem).join('\n');
  throw new BridgeError({
    code: 'config-invalid',
    message: `${lines}\n${count} ${count === 1 ? 'problem' : 'problems'} in ${file}`,
  });
}

/** Whom the admin server lets in, as the end of a sentence. */
export function openTo({ host, token }: Config['admin']): string {
  if (token === undefined) return 'open to everybody on this machine';
  return `open to ${isLoopback(host) ? 'this machine' : 'other machines, too,'} with admin.token`;
}

/** How this machine reaches what listens on `host`, as it stands in a URL: what listens on every address, by loopback. */
export function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return urlHost(host === '::' ? '::1' : host);
}
