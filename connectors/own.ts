/** Users' connectors: modules that the configuration names by path or by package. */
import { existsSync } from 'node:fs';
import { createRequire, registerHooks } from 'node:module';
import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { types } from 'node:util';
import { issuesOf } from '../src/model/complaint.ts';
import { messageOf } from '../src/model/fault.ts';
import { isObject } from '../src/model/json.ts';
import type { ConnectorContract } from './contract.ts';
import { contract, guarded, unusable } from './guard.ts';
import { inputSchemaOf } from './options.ts';

export type Own =
  | { readonly ok: true; readonly file: string; readonly connector: ConnectorContract<unknown> }
  | { readonly ok: false; readonly message: string; readonly suggestion: string };

/** What a connector's module imports; it resolves to this very package, wherever the module lies. */
const KIT = 'group-sync-bridge/connector';
const KIT_URL = new URL(
  import.meta.url.endsWith('.ts') ? '../src/kit/index.ts' : '../src/kit/index.js',
  import.meta.url,
);
const GUIDE = 'docs/how-to/own-connector.md shows one';

/** By file. A module runs once in each thread; a change takes effect at the next start. */
const loaded = new Map<string, ConnectorContract<unknown>>();
/** The package being resolved, and from where. */
let sought: { readonly from: string; found?: string } | undefined;
let hooked = false;

const isPath = (kind: string): boolean => /^\.{1,2}\//.test(kind) || isAbsolute(kind);

/** Loads what a kind names, relative to the configuration's folder. Undefined if there is no such package. */
export function findOwn(kind: string, folder: string): Own | undefined {
  if (isPath(kind)) {
    const file = resolve(folder, kind);
    if (existsSync(file)) return load(file, file, () => file);
    return refused('there is no such file', 'its path is relative to the folder of the configuration');
  }
  const from = join(resolve(folder), 'configuration');
  const asked: typeof sought = { from: pathToFileURL(from).href };
  sought = asked;
  try {
    return load(kind, from, () => asked.found);
  } finally {
    sought = undefined;
  }
}

/** Returns the connector of a module that was found before, in this thread or in another. */
export function ownAt(file: string): ConnectorContract<unknown> {
  const known = loaded.get(file);
  if (known !== undefined) return known;
  const own = load(file, file, () => file);
  return own?.ok ? own.connector : unusable(file, own?.message);
}

function load(specifier: string, from: string, found: () => string | undefined): Own | undefined {
  hook();
  let given: unknown;
  try {
    given = createRequire(from)(specifier);
  } catch (thrown) {
    return found() === undefined ? undefined : refused(...whyNotLoaded(thrown));
  }
  const file = found();
  // Node's own modules have no file.
  if (file === undefined) return undefined;
  const known = loaded.get(file);
  if (known !== undefined) return { ok: true, file, connector: known };
  const exported = defaultOf(given);
  if (exported === undefined) {
    return refused('its module has no default export', `export the connector as its default: ${GUIDE}`);
  }
  const why = whyNoConnector(exported);
  if (why !== undefined) return refused(`its default export is no connector: ${why}`, GUIDE);
  const connector = guarded(exported as ConnectorContract<unknown>);
  loaded.set(file, connector);
  return { ok: true, file, connector };
}

/** For CommonJS, what is exported. */
function defaultOf(given: unknown): unknown {
  if (isObject(given) && 'default' in given) return given.default;
  return types.isModuleNamespaceObject(given) ? undefined : given;
}

const refused = (message: string, suggestion: string): Own => ({ ok: false, message, suggestion });

function whyNotLoaded(thrown: unknown): [message: string, suggestion: string] {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  if (code === 'ERR_REQUIRE_ASYNC_MODULE') {
    return ['its module awaits something at its top level', 'await in open, where the bridge waits and tries again'];
  }
  const [message = ''] = messageOf(thrown).split('\n');
  return [`its module cannot be loaded: ${message}`, 'run it with node alone to see where'];
}

/** Says why a default export violates the contract, as far as can be checked before it is used. */
function whyNoConnector(exported: unknown): string | undefined {
  const { success, error } = contract.safeParse(exported);
  if (!success) return issuesOf(error);
  const { options } = exported as ConnectorContract<unknown>;
  if (!isObject(options) || !('_zod' in options)) return 'options: a z.strictObject of zod 4 is expected';
  try {
    const { type, additionalProperties } = inputSchemaOf(options);
    return type === 'object' && additionalProperties === false ? undefined : 'options: a z.strictObject is expected';
  } catch (thrown) {
    return `options: ${messageOf(thrown)}`;
  }
}

/** Resolves names of packages as `import` does, and the kit to this package. */
function hook(): void {
  if (hooked) return;
  hooked = true;
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier === KIT) return { url: KIT_URL.href, shortCircuit: true };
      const asked = sought;
      if (asked === undefined || context.parentURL !== asked.from) return next(specifier, context);
      const resolved = next(specifier, { ...context, conditions: [...context.conditions, 'import'] });
      if (resolved.url.startsWith('file:')) asked.found = fileURLToPath(resolved.url);
      return resolved;
    },
  });
}
