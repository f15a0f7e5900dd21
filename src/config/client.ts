import { z } from 'zod';
import type { Environment } from './environment.ts';
import { type ConfigResult, readConfig } from './file.ts';
import { admin } from './listeners.ts';

/** What a client of a running bridge or worker needs, without the connectors' options, which take long to load. */
const clientSettings = z.looseObject({ admin: admin.prefault({}), source: z.unknown().optional() });
export type ClientSettings = z.output<typeof clientSettings>;

/** Reads the settings of a client, without needing the secrets that the bridge was started with. */
export function loadClientConfig(file: string, env: Environment): ConfigResult<ClientSettings> {
  return readConfig(file, { env, schema: clientSettings, only: ['admin'] });
}
