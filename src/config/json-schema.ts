import { z } from 'zod';
import { isMapping, type Path, valueAt } from './problems.ts';
import { configSchema } from './schema.ts';

export type JsonSchema = z.core.JSONSchema.JSONSchema;

/** The configuration as JSON Schema (draft 7, which editors speak), for the text as written: with `${…}` where a scalar stands. */
export function configJsonSchema(): JsonSchema {
  const { $schema, ...schema } = z.toJSONSchema(configSchema, { io: 'input', target: 'draft-7' });
  return { ...($schema !== undefined && { $schema }), $id: 'urn:group-sync-bridge:config', ...admitVariables(schema) };
}

const VARIABLE: JsonSchema = { type: 'string', pattern: '\\$\\{' };

/** What describes the value, not what it may be: it stays outside of the choice. */
const NOTES = ['title', 'description', 'default', 'examples'];

/** Lets a text with `${` stand for each scalar that would not take one as it is. */
export function admitVariables(schema: JsonSchema): JsonSchema {
  if (isClosedScalar(schema)) {
    const entries = Object.entries(schema);
    const notes = Object.fromEntries(entries.filter(([key]) => NOTES.includes(key)));
    return { ...notes, anyOf: [Object.fromEntries(entries.filter(([key]) => !NOTES.includes(key))), VARIABLE] };
  }
  const inner: JsonSchema = { ...schema };
  const { properties, definitions, additionalProperties, items, anyOf, oneOf, allOf } = schema;
  if (properties) inner.properties = each(properties);
  if (definitions) inner.definitions = each(definitions as Record<string, unknown>);
  if (isSchema(additionalProperties)) inner.additionalProperties = admitVariables(additionalProperties);
  if (isSchema(items)) inner.items = admitVariables(items);
  if (oneOf) inner.oneOf = oneOf.map(branch);
  if (allOf) inner.allOf = allOf.map(branch);
  if (anyOf) {
    const closed = (one: unknown) => isSchema(one) && isClosedScalar(one);
    // Once for all branches, and not again in each.
    inner.anyOf = [...anyOf.map((one) => (closed(one) ? one : branch(one))), ...(anyOf.some(closed) ? [VARIABLE] : [])];
  }
  return inner;
}

function isClosedScalar(schema: JsonSchema): boolean {
  const { type, pattern, format, maxLength } = schema;
  if (type === 'number' || type === 'integer' || type === 'boolean') return true;
  // Not `const`: it tells connectors apart (`kind: kafka`), and open, it would make every branch fit.
  return type === 'string' && [pattern, format, maxLength, schema.enum].some((limit) => limit !== undefined);
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function branch<Branch>(one: Branch): Branch | JsonSchema {
  return isSchema(one) ? admitVariables(one) : one;
}

function each<Schemas extends Record<string, unknown>>(schemas: Schemas): Schemas {
  return Object.fromEntries(Object.entries(schemas).map(([key, schema]) => [key, branch(schema)])) as Schemas;
}

/** Any schema as JSON Schema, to look up what it says about a path. */
export function guideOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', target: 'draft-7' });
}

/** The keys a mapping at this path may have. */
export function knownKeys(guide: JsonSchema, data: unknown, path: Path): string[] {
  const { nodes, value } = nodesAt(guide, data, path);
  return [
    ...new Set(
      nodes.flatMap((node) => alternatives(guide, node, value)).flatMap((node) => Object.keys(node.properties ?? {})),
    ),
  ];
}

export function descriptionAt(guide: JsonSchema, data: unknown, path: Path): string | undefined {
  return nodesAt(guide, data, path).nodes.find((node) => node.description !== undefined)?.description;
}

function nodesAt(guide: JsonSchema, data: unknown, path: Path): { nodes: JsonSchema[]; value: unknown } {
  let nodes = [guide];
  let value = data;
  for (const key of path) {
    nodes = nodes
      .flatMap((node) => alternatives(guide, node, value))
      .flatMap((node) => {
        const inside =
          typeof key === 'number' ? node.items : (node.properties?.[String(key)] ?? node.additionalProperties);
        return typeof inside === 'object' && !Array.isArray(inside) ? [inside] : [];
      });
    value = valueAt(value, [key]).value;
  }
  return { nodes, value };
}

/** The branches of a schema that this value can have meant: those whose constants (`kind: kafka`) it holds. */
function alternatives(guide: JsonSchema, node: JsonSchema, value: unknown): JsonSchema[] {
  const definitions = (guide.definitions ?? {}) as Readonly<Record<string, JsonSchema>>;
  const target = definitions[node.$ref?.replace('#/definitions/', '') ?? ''];
  const branches = [...(node.anyOf ?? []), ...(node.oneOf ?? []), ...(node.allOf ?? []), ...(target ? [target] : [])];
  const inner = branches.flatMap((branch) => (typeof branch === 'object' ? alternatives(guide, branch, value) : []));
  const contradicted = node.required?.some((key) => {
    const property = node.properties?.[key];
    const constant = typeof property === 'object' ? property.const : undefined;
    return constant !== undefined && isMapping(value) && value[key] !== constant;
  });
  return contradicted ? [] : [node, ...inner];
}
