import type { z } from 'zod';

export type JsonSchema = z.core.JSONSchema.JSONSchema;

/** Sets that may grow: readers pass over the members they do not know (docs/compatibility.md). */
const OPEN = new Set(['type']);

/** Keys for people, and keys that are compared in ways of their own. */
const NOTES = ['$schema', 'title', 'description', 'examples', 'default'];
const COMPARED = ['properties', 'required', 'additionalProperties', 'enum'];

/** The schema without what only people read. */
export function bare(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(bare);
  if (!isSchema(schema)) return schema;
  const isNote = ([key, value]: [string, unknown]) => NOTES.includes(key) && !isSchema(value);
  return Object.fromEntries(
    Object.entries(schema)
      .filter((entry) => !isNote(entry))
      .map(([key, value]) => [key, bare(value)]),
  );
}

/**
 * Returns the places where `after` breaks readers: a message that was valid may no longer be, or one that is valid now was not.
 * Only properties that may be absent, and members of the open sets, can be added.
 */
export function breaks(before: JsonSchema, after: JsonSchema, path = ''): string[] {
  const at = path === '' ? 'the whole' : path;
  const found: string[] = [];

  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (NOTES.includes(key) || COMPARED.includes(key)) continue;
    const [old, now] = [before[key], after[key]].map((value) => JSON.stringify(bare(value)));
    if (old !== now) found.push(`${at}: ${key} was ${old} and is ${now}`);
  }

  for (const name of before.required ?? []) {
    if (!after.required?.includes(name)) found.push(`${at}: ${name} need no longer be there`);
  }
  for (const name of after.required ?? []) {
    if (!before.required?.includes(name)) found.push(`${at}: ${name} must be there now`);
  }

  for (const [name, old] of Object.entries(before.properties ?? {})) {
    const now = after.properties?.[name];
    const inner = path === '' ? name : `${path}.${name}`;
    if (now === undefined) found.push(`${inner} is gone`);
    else if (isSchema(old) && isSchema(now)) found.push(...breaks(old, now, inner));
  }

  const [open, still] = [before.additionalProperties, after.additionalProperties];
  if (isSchema(open) && isSchema(still)) found.push(...breaks(open, still, path === '' ? '*' : `${path}.*`));
  else if (open !== still)
    found.push(`${at}: other properties were ${JSON.stringify(open)} and are ${JSON.stringify(still)}`);

  for (const member of before.enum ?? []) {
    if (!after.enum?.includes(member)) found.push(`${at}: ${JSON.stringify(member)} is gone`);
  }
  for (const member of after.enum ?? []) {
    if (!before.enum?.includes(member) && !OPEN.has(path))
      found.push(`${at}: ${JSON.stringify(member)} is new to readers`);
  }
  return found;
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
