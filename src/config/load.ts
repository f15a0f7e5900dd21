import { dirname, resolve } from 'node:path';
import { connectors, findOwn } from '../../connectors/index.ts';
import { isObject } from '../model/json.ts';
import { nearest } from '../model/text.ts';
import { clashesOf, type OwnKind } from './connectors.ts';
import type { Environment } from './environment.ts';
import { type ConfigResult, type FilesRead, readConfig } from './file.ts';
import { type Config, configSchemaWith } from './schema.ts';

/** Reads the configuration of the bridge. Never throws; reports all problems at once. */
export function loadConfig(file: string, env: Environment): ConfigResult<Config> {
  const schema = (data: unknown, files: FilesRead) => schemaOf(data, file, files);
  // The inferred type lacks the settings that all connectors share; the schema has them.
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

const BUILT_IN: readonly string[] = connectors.map(({ kind }) => kind);

/** Returns the schema for this data, including the users' kinds that it names. */
export function schemaOf(data: unknown, file: string, files: FilesRead = []) {
  const folder = dirname(file);
  const named = isObject(data) && isObject(data.connectors) ? Object.values(data.connectors) : [];
  const kinds = named.flatMap((one) => (isObject(one) && typeof one.kind === 'string' ? one.kind : []));
  const own = [...new Set(kinds)].filter((kind) => !BUILT_IN.includes(kind)).map((kind) => ownKind(kind, folder));
  const modules = own.flatMap((one) => ('file' in one ? [[one.file, `kind ${one.kind}`] as const] : []));
  const transforms = named.flatMap((one) => {
    const transform = isObject(one) && isObject(one.shape) && one.shape.transform;
    return typeof transform === 'string' ? [[resolve(folder, transform), 'shape.transform'] as const] : [];
  });
  return configSchemaWith(own, [[file, 'the configuration'], ...files, ...modules, ...transforms]);
}

function ownKind(kind: string, folder: string): OwnKind {
  const found = findOwn(kind, folder);
  if (found === undefined) return { kind, trouble: unknownKind(kind) };
  if (!found.ok) return { kind, trouble: `${found.message} — ${found.suggestion}` };
  const clashes = clashesOf(found.connector);
  if (clashes.length === 0) return { kind, ...found };
  const trouble = `its module has options named like settings of every connector: ${clashes.join(', ')}`;
  return { kind, trouble: `${trouble} — rename them` };
}

function unknownKind(kind: string): string {
  const own =
    'or the path of a module of your own, such as ./connector.mjs, or a package that is installed next to this file';
  const message = `unknown kind, one of ${BUILT_IN.join(', ')} is expected`;
  // The schema itself suggests a built-in kind that was probably meant.
  return nearest(kind, BUILT_IN) === undefined ? `${message} — ${own}` : message;
}
