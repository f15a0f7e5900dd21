import { z } from 'zod';

/** The parts of a JSON Schema that are used here. */
export interface Schema {
  readonly type?: string;
  readonly pattern?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly Schema[];
  /** One of several, told apart by a property. */
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
}

/** The settings of a section as a Markdown table, from the only place where they are written: its schema. */
export function optionTable(options: z.ZodType): string {
  return settingTable(schemaOf(options));
}

export function schemaOf(settings: z.ZodType): Schema {
  return z.toJSONSchema(settings, { io: 'input', unrepresentable: 'any' }) as Schema;
}

/** `prefix` stands before each key. */
export function settingTable(schema: Schema, prefix = ''): string {
  return ['| key | type | default | |', '|---|---|---|---|', ...rows(schema, prefix)].join('\n');
}

function rows(schema: Schema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, property]) => {
    const required = schema.required?.includes(key) ?? false;
    const inner = merged(variantsOf(property).filter(({ properties }) => properties !== undefined));
    const fallback = required
      ? '**required**'
      : isEmpty(property.default)
        ? ''
        : `\`${JSON.stringify(property.default)}\``;
    const cells = [`\`${prefix}${key}\``, typeOf(property), fallback, property.description ?? ''];
    return [
      `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`,
      ...(inner ? rows(inner, `${prefix}${key}.`) : []),
    ];
  });
}

const variantsOf = (schema: Schema): Schema[] => [schema, ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];

/** Returns what several objects may hold, as one; undefined for none. */
function merged([first, ...others]: readonly Schema[]): Schema | undefined {
  return others.reduce<Schema | undefined>((all, { properties = {}, required = [] }) => {
    const both = { ...all?.properties };
    for (const [key, property] of Object.entries(properties)) {
      const { [key]: known = property } = both;
      const either = typeOf(known) === typeOf(property) ? known : { ...known, anyOf: [known, property] };
      both[key] = either;
    }
    return { properties: both, required: [...(all?.required ?? []), ...required] };
  }, first);
}

function isEmpty(value: unknown): boolean {
  return value === undefined || JSON.stringify(value) === '{}';
}

/** Recognises durations and sizes by the pattern that only they have. */
const MEASURES: Readonly<Record<string, string>> = {
  '^\\d+(\\.\\d+)?(ms|s|m|h|d)$': 'duration',
  '^\\d+(KiB|MiB|GiB)$': 'size',
};

function typeOf(schema: Schema): string {
  const measure = schema.anyOf?.map(({ pattern = '' }) => MEASURES[pattern]).find((name) => name !== undefined);
  if (measure) return measure;
  const either = schema.anyOf ?? schema.oneOf;
  if (either) return [...new Set(either.map(typeOf))].join(' or ');
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.enum) return schema.enum.map((one) => `\`${String(one)}\``).join(', ');
  if (schema.type === 'array') return `list of ${schema.items ? typeOf(schema.items) : 'anything'}`;
  return schema.type ?? 'text, number or boolean';
}
