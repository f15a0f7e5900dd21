import { dirname, resolve } from 'node:path';
import type { Environment } from './environment.ts';
import { type ConfigResult, type FilesRead, readConfig } from './file.ts';
import { schemaOf } from './own.ts';
import type { Config } from './schema.ts';

/** Reads the configuration of the bridge. Never throws; tells all problems at once. */
export function loadConfig(file: string, env: Environment): ConfigResult<Config> {
  const schema = (data: unknown, files: FilesRead) => schemaOf(data, file, files);
  // What all connectors have in common is lost in the inferred type, not in the schema.
  const result = readConfig(file, { env, schema }) as ConfigResult<Config>;
  return result.ok ? { ok: true, config: withModules(result.config, dirname(file)) } : result;
}

function withModules(config: Config, folder: string): Config {
  const connectors = Object.entries(config.connectors).map(([name, connector]) => {
    const { shape } = connector;
    if (shape?.transform === undefined) return [name, connector];
    return [name, { ...connector, shape: { ...shape, transform: resolve(folder, shape.transform) } }];
  });
  return { ...config, connectors: Object.fromEntries(connectors) };
}
