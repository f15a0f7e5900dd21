/** The JSON Schema of what a shape makes of an event or a group. */
import { isObject } from './json.ts';
import { MOMENTS, type Shape } from './shape.ts';

type Json = Readonly<Record<string, unknown>>;

/** How a moment is written if the shape says so; else unchanged. */
const FORMS = {
  iso: { type: 'string', format: 'date-time' },
  epochMillis: { type: 'integer', description: 'Milliseconds since 1970.' },
  epochSeconds: { type: 'integer', description: 'Seconds since 1970.' },
} as const;

/** Derives the schema of what a shape makes from the schema of its input. A function may make anything. */
export function shapedSchema(schema: Json, { fields, constants, times }: Shape): Json {
  const { $schema } = schema;
  let shaped: Json = { ...($schema !== undefined && { $schema }), type: 'object' };
  for (const { name, from, to } of fields) {
    const found = to && schemaAt(schema, from);
    if (to === undefined || found === undefined) continue;
    const moment = times !== undefined && Object.hasOwn(MOMENTS, name);
    // If custom fields have places of their own, there may be none left in the common one.
    const isWhole = !fields.some((other) => other.name.startsWith(`${name}.`));
    shaped = place(shaped, to, moment ? FORMS[times] : found.schema, found.isRequired && isWhole);
  }
  for (const [path, value] of Object.entries(constants))
    shaped = place(shaped, path.split('.'), { const: value }, true);
  return shaped;
}

/** An object with arbitrary fields has one schema for all of them. */
function schemaAt(schema: Json, path: readonly string[]): { schema: Json; isRequired: boolean } | undefined {
  const [head, ...rest] = path;
  if (head === undefined) return { schema, isRequired: true };
  const { properties, additionalProperties, required } = schema;
  const inner = isObject(properties) && Object.hasOwn(properties, head) ? properties[head] : additionalProperties;
  const found = isObject(inner) ? schemaAt(inner, rest) : undefined;
  return found && { ...found, isRequired: found.isRequired && Array.isArray(required) && required.includes(head) };
}

function place(into: Json, path: readonly string[], schema: Json, isRequired: boolean): Json {
  const [head = '', ...rest] = path;
  const { properties = {}, required = [], ...others } = into as { properties?: Json; required?: readonly string[] };
  const held = isObject(properties[head]) ? properties[head] : { type: 'object' };
  const inner = rest.length === 0 ? schema : place(held, rest, schema, isRequired);
  const names = isRequired && !required.includes(head) ? [...required, head] : required;
  return { ...others, properties: { ...properties, [head]: inner }, ...(names.length > 0 && { required: names }) };
}
