import { connectors, findOwn } from '../../connectors/index.ts';
import { isObject } from '../model/json.ts';
import { nearest } from '../model/text.ts';
import { clashesOf, type OwnKind } from './connectors.ts';
import type { Finding } from './document.ts';
import { configSchemaWith } from './schema.ts';

type Said = Pick<Finding, 'message' | 'suggestion'>;

const BUILT_IN: readonly string[] = connectors.map(({ kind }) => kind);

/**
 * Returns the schema for these settings. What `kind` names beside the connectors that the bridge brings along is loaded: a file,
 * seen from the folder of the configuration, or a package that is installed there. What stands in the way is said of `kind`.
 */
export function schemaOf(data: unknown, folder: string) {
  const named = isObject(data) && isObject(data.connectors) ? Object.entries(data.connectors) : [];
  const kinds = named.flatMap(([connector, settings]): [connector: string, kind: string][] =>
    isObject(settings) && typeof settings.kind === 'string' ? [[connector, settings.kind]] : [],
  );
  const own = [...new Set(kinds.map(([, kind]) => kind))]
    .filter((kind) => !BUILT_IN.includes(kind))
    .map((kind) => ownKind(kind, folder));
  const problems = kinds.flatMap(([connector, kind]) => {
    const said = own.find((one) => one.kind === kind)?.said;
    return said === undefined ? [] : [{ ...said, path: ['connectors', connector, 'kind'] }];
  });
  const unusable = own.filter(({ loaded }) => loaded === undefined).map(({ kind }) => kind);
  return { schema: configSchemaWith(own), problems, unusable };
}

function ownKind(kind: string, folder: string): OwnKind & { readonly said?: Said } {
  const found = findOwn(kind, folder);
  if (found === undefined) return { kind, loaded: undefined, said: unknownKind(kind) };
  if (!found.ok) return { kind, loaded: undefined, said: found };
  const clashes = clashesOf(found.connector);
  if (clashes.length === 0) return { kind, loaded: found };
  const message = `its module has options that are called as settings of every connector: ${clashes.join(', ')}`;
  return { kind, loaded: undefined, said: { message, suggestion: 'call them otherwise' } };
}

function unknownKind(kind: string): Said {
  const near = nearest(kind, BUILT_IN);
  const own =
    'or the path of a module of your own, such as ./connector.mjs, or a package that is installed beside this file';
  return {
    message: `unknown kind, one of ${BUILT_IN.join(', ')} is expected`,
    suggestion: near === undefined ? own : `did you mean "${near}"?`,
  };
}
