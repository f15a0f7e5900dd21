import type { Registry } from 'prom-client';
import { z } from 'zod';

interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
}

/** The options of a connector as a Markdown table, from the only place where they are written: its schema. */
export function optionTable(options: z.ZodType): string {
  const schema = z.toJSONSchema(options, { io: 'input', unrepresentable: 'any' }) as Schema;
  return ['| key | type | default | |', '|---|---|---|---|', ...rows(schema, '')].join('\n');
}

function rows(schema: Schema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, property]) => {
    const required = schema.required?.includes(key) ?? false;
    const inner = [property, ...(property.anyOf ?? [])].find(({ properties }) => properties !== undefined);
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

function isEmpty(value: unknown): boolean {
  return value === undefined || JSON.stringify(value) === '{}';
}

function typeOf(schema: Schema): string {
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeOf))].join(' or ');
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.enum) return schema.enum.map((one) => `\`${String(one)}\``).join(', ');
  if (schema.type === 'array') return `list of ${schema.items ? typeOf(schema.items) : 'anything'}`;
  return schema.type ?? 'text, number or boolean';
}

/** The bridge's own metrics as a Markdown table, from the registry that serves them. */
export function metricTable(registry: Registry): string {
  const own = registry.getMetricsAsArray().filter(({ name }) => name.startsWith('bridge_'));
  const rows = own
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((metric) => {
      const labels = 'labelNames' in metric ? (metric.labelNames as string[]) : [];
      const kind = metric.constructor.name.toLowerCase();
      const cells = [`\`${metric.name}\``, kind, labels.map((label) => `\`${label}\``).join(', '), metric.help];
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
    });
  return ['| metric | type | labels | |', '|---|---|---|---|', ...rows].join('\n');
}
