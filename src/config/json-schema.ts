import { z } from 'zod';
import { isObject } from '../model/json.ts';
import { laneOptions } from './connectors.ts';
import { configSchema } from './schema.ts';

export type JsonSchema = z.core.JSONSchema.JSONSchema;

/** Returns the JSON Schema (draft 7, for editors) of the file as written: any scalar may be a `${…}`. */
export function configJsonSchema(): JsonSchema {
  const { $schema, ...schema } = z.toJSONSchema(configSchema, {
    io: 'input',
    target: 'draft-7',
    override({ jsonSchema: { oneOf }, path }) {
      if (path.join('.') === 'properties.connectors.additionalProperties') oneOf?.push(ownConnector());
    },
  });
  return { ...($schema !== undefined && { $schema }), $id: 'urn:group-sync-bridge:config', ...admitVariables(schema) };
}

/** Describes a user's connector, whose options only its module knows. Its pattern excludes misspelt names of kinds. */
function ownConnector(): z.core.JSONSchema.BaseSchema {
  const lane = z.toJSONSchema(laneOptions, { io: 'input', target: 'draft-7' });
  const description = 'The path of a module, relative to this file, or the name of a package installed next to it.';
  return {
    type: 'object',
    properties: { ...lane.properties, kind: { type: 'string', pattern: '[./@-]', description } },
    required: ['kind'],
  };
}

const VARIABLE: JsonSchema = { type: 'string', pattern: '\\$\\{' };

/** Accepts a text with `${` for each scalar, too. */
export function admitVariables(schema: JsonSchema): JsonSchema {
  if (isClosedScalar(schema)) {
    const { title, default: value, description, examples, ...limits } = schema;
    // Descriptions apply to both the value and the text.
    const notes = Object.entries({ title, default: value, description, examples });
    return { ...Object.fromEntries(notes.filter(([, note]) => note !== undefined)), anyOf: [limits, VARIABLE] };
  }
  const { properties, additionalProperties, items, anyOf, oneOf } = schema;
  return {
    ...schema,
    ...(properties && {
      properties: Object.fromEntries(Object.entries(properties).map(([key, one]) => [key, inner(one)])),
    }),
    ...(additionalProperties && { additionalProperties: inner(additionalProperties) }),
    ...(items && { items: inner(items) }),
    ...(oneOf && { oneOf: oneOf.map(inner) }),
    // The variable is added once for all branches.
    ...(anyOf && {
      anyOf: [
        ...anyOf.map((one) => (isClosedScalar(one) ? one : inner(one))),
        ...(anyOf.some(isClosedScalar) ? [VARIABLE] : []),
      ],
    }),
  };
}

function inner<Inner>(schema: Inner): Inner | JsonSchema {
  return isObject(schema) ? admitVariables(schema) : schema;
}

function isClosedScalar(schema: unknown): boolean {
  if (!isObject(schema)) return false;
  const { type, pattern, format, maxLength, enum: choices } = schema;
  if (type === 'number' || type === 'integer' || type === 'boolean') return true;
  // A `const` stays closed: it tells connectors apart (`kind: kafka`), and a variable there would make every branch fit.
  return type === 'string' && [pattern, format, maxLength, choices].some((limit) => limit !== undefined);
}
