import { z } from 'zod';
import type { Environment } from './environment.ts';
import { type ConfigResult, readConfig } from './file.ts';
import { admin } from './listeners.ts';

/** What a client of a running bridge or worker needs; connectors' options, which take long to load, are not. */
const clientSettings = z.looseObject({ admin: admin.prefault({}), source: z.unknown().optional() });
export type ClientSettings = z.output<typeof clientSettings>;

/** Reads what a client must know, so that it needs none of the secrets that the bridge itself was started with. */
export function loadClientConfig(file: string, env: Environment): ConfigResult<ClientSettings> {
  return readConfig(file, { env, schema: clientSettings, only: ['admin'] });
}
