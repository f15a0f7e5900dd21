import { existsSync } from 'node:fs';
import { isLoopback } from '../config/listeners.ts';
import { formatProblem, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { urlHost } from '../http/server.ts';
import { BridgeError } from '../model/fault.ts';
import { plural } from '../model/text.ts';
import { packageFile } from './installation.ts';

export const DEFAULT_FILE = 'config/bridge.yaml';

/** Returns the file to read: the one named, else the one in the working directory, else the one the bridge brings along. */
function configFile(named: string | undefined): string {
  return named ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : packageFile(DEFAULT_FILE));
}

/** Throws a fault that holds every problem, a line each. */
export function requireConfig(named: string | undefined): { file: string; config: Config } {
  const file = configFile(named);
  const result = loadConfig(file, process.env);
  if (result.ok) return { file, config: result.config };
  const lines = result.problems.map(formatProblem).join('\n');
  throw new BridgeError({
    code: 'config-invalid',
    message: `${lines}\n${plural(result.problems.length, 'problem')} in ${file}`,
  });
}

/** Describes who may use the admin server. */
export function openTo({ host, token }: Config['admin']): string {
  if (token === undefined) return 'open to everybody on this machine';
  return `open to ${isLoopback(host) ? 'this machine' : 'other machines, too,'} with admin.token`;
}

/** Returns the host of a URL by which this machine reaches what listens on `host`: loopback for every address. */
export function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return urlHost(host === '::' ? '::1' : host);
}
