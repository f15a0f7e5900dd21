/** Looks up what a schema says about the values of a document, in its JSON Schema. */
import { z } from 'zod';
import { isObject } from '../model/json.ts';
import type { JsonSchema } from './json-schema.ts';
import type { Path } from './problems.ts';

export function guideOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', target: 'draft-7' });
}

/**
 * Turns texts into the types that the schema expects, such as the content of `${PORT}` into 8080: only the schema knows
 * whether 0123 is text or a number. A bare `receiver:`, whose settings are all commented out, becomes an empty mapping.
 */
export function coerce(value: unknown, schemas: readonly JsonSchema[]): unknown {
  const branches = schemas.flatMap((schema) => branchesFor(schema, value));
  const takes = (type: string): boolean => branches.some((branch) => [branch.type].flat().includes(type as 'string'));
  if (typeof value === 'string')
    return branches.some((branch) => takesText(branch, value)) ? value : typed(value, takes);
  if (value === null) return takes('object') && !takes('null') ? {} : null;
  if (Array.isArray(value)) return value.map((item, index) => coerce(item, inside(branches, index)));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, coerce(inner, inside(branches, key))]));
}

function typed(text: string, takes: (type: string) => boolean): unknown {
  const trimmed = text.trim();
  if (takes('boolean') && /^(true|false)$/i.test(trimmed)) return trimmed.toLowerCase() === 'true';
  const number = trimmed === '' ? Number.NaN : Number(trimmed);
  return (takes('number') || takes('integer')) && Number.isFinite(number) ? number : text;
}

function takesText({ type, pattern, const: constant, enum: choices }: JsonSchema, text: string): boolean {
  if (![type].flat().includes('string') || constant !== undefined || choices !== undefined) return false;
  return pattern === undefined || new RegExp(pattern).test(text);
}

export function branchesAt(guide: JsonSchema, data: unknown, path: Path): JsonSchema[] {
  let [branches, value] = [branchesFor(guide, data), data];
  for (const key of path) {
    value = valueAt(value, key);
    const here = value;
    branches = inside(branches, key).flatMap((schema) => branchesFor(schema, here));
  }
  return branches;
}

export function valueAt(data: unknown, key: PropertyKey): unknown {
  return typeof data === 'object' && data !== null && Object.hasOwn(data, key)
    ? (data as Record<PropertyKey, unknown>)[key]
    : undefined;
}

function inside(branches: readonly JsonSchema[], key: PropertyKey): JsonSchema[] {
  return branches.flatMap(({ items, properties = {}, additionalProperties }) => {
    const own = Object.hasOwn(properties, key) ? properties[String(key)] : additionalProperties;
    const schema = typeof key === 'number' ? items : own;
    return isObject(schema) ? [schema as JsonSchema] : [];
  });
}

/** Returns the alternatives that this value may be meant as: those whose constants (`kind: kafka`) it holds. */
function branchesFor(schema: JsonSchema, value: unknown): JsonSchema[] {
  const contradicted = schema.required?.some((key) => {
    const property = schema.properties?.[key];
    const constant = typeof property === 'object' ? property.const : undefined;
    return constant !== undefined && isObject(value) && value[key] !== constant;
  });
  if (contradicted) return [];
  const inner = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  return [schema, ...inner.flatMap((branch) => (typeof branch === 'object' ? branchesFor(branch, value) : []))];
}
