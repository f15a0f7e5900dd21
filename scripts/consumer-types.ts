/** The types that readers see in their editor, from the schemas, with what these say of each field. */
import { z } from 'zod';
import { receivedEvent, receivedEvents } from '../src/client/event.ts';
import { group } from '../src/model/group.ts';
import type { Schema } from './option-table.ts';

/** Objects that have a name of their own, by where they stand in their schema. */
const NAMED: Readonly<Record<string, string>> = {
  data: 'EventData',
  'data.changed': 'ChangedFields',
  'data.origin': 'Origin',
  'versions.*': 'Version',
};

/** Returns src/client/types.ts. */
export function consumerTypes(): string {
  const event = z.toJSONSchema(receivedEvent) as Schema;
  const { data, type: _, ...envelope } = event.properties ?? {};
  const changes = Object.entries(receivedEvents).map(([type, schema]) =>
    member(type, z.toJSONSchema(schema) as Schema),
  );
  return [
    "/** Made by `npm run docs` from the schemas in src/model: change it there. */\nimport type { Version } from '../model/group.ts';",
    declared('ChangedFields', data?.properties?.changed, 'data.changed.'),
    declared('Origin', data?.properties?.origin, 'data.origin.'),
    declared('EventData', data, 'data.'),
    declared(
      'EventEnvelope',
      { ...event, properties: envelope, description: 'What every event has beside its data.' },
      '',
    ),
    [
      'type Of<Type extends string, Always extends keyof EventData = never> = EventEnvelope & {',
      '  /** What happened; it narrows `data`. */',
      '  readonly type: Type;',
      `  /** ${data?.description} */`,
      '  readonly data: EventData & Required<Pick<EventData, Always>>;',
      '};\n',
      '/** Something happened to a group; `type` says what, and narrows `data`. Fields that this version does not know are kept. */',
      `export type GroupEvent =\n${changes.join('\n')};`,
    ].join('\n'),
    declared('Group', z.toJSONSchema(group) as Schema, ''),
  ]
    .join('\n\n')
    .concat('\n');
}

/** One type of event, with those of its fields that are always there. */
function member(type: string, { properties }: Schema): string {
  const common = (z.toJSONSchema(receivedEvent) as Schema).properties?.data?.required ?? [];
  const always = (properties?.data?.required ?? []).filter((field) => !common.includes(field));
  const fields = always.map((field) => `'${field}'`).join(' | ');
  return `  | Of<'${type}'${fields === '' ? '' : `, ${fields}`}>`;
}

function declared(name: string, { description, properties = {}, required = [] }: Schema = {}, path: string): string {
  const lines = Object.entries(properties).flatMap(([field, property]) => {
    const mark = required.includes(field) ? '' : '?';
    const comment = property.description === undefined ? [] : [`  /** ${property.description} */`];
    return [...comment, `  readonly ${field}${mark}: ${typeOf(property, path + field)};`];
  });
  return [`/** ${description} */`, `export interface ${name} {`, ...lines, '}'].join('\n');
}

function typeOf(schema: Schema, path: string): string {
  const { [path]: named } = NAMED;
  if (named !== undefined) return named;
  if (schema.const !== undefined) return `'${schema.const}'`;
  if (schema.enum !== undefined) return schema.enum.map((value) => `'${value}'`).join(' | ');
  if (schema.type === 'array' && schema.items !== undefined) return `${typeOf(schema.items, `${path}.*`)}[]`;
  if (schema.type === 'object' && typeof schema.additionalProperties === 'object')
    return `Record<string, ${typeOf(schema.additionalProperties, `${path}.*`)}>`;
  if (schema.type === 'integer') return 'number';
  if (schema.type === 'string' || schema.type === 'boolean') return schema.type;
  return 'unknown';
}
