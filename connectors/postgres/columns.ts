/** Which column holds what. */
import type { Shape, ShapeProblem, ShapeSettings } from '../../src/model/shape.ts';
import type { PostgresOptions } from './options.ts';

export interface Column {
  /** The field's name in a group or an event. */
  readonly field: string;
  readonly name: string;
  readonly type: 'text' | 'boolean' | 'timestamptz' | 'jsonb';
  /** What follows the type when the table is created here. */
  readonly made?: string;
}

const KEY = 'PRIMARY KEY';
const OBJECT = "NOT NULL DEFAULT '{}'";

const COLUMNS = {
  groups: [
    { field: 'groupId', name: 'group_id', type: 'text', made: KEY },
    { field: 'source', name: 'source', type: 'text' },
    { field: 'groupType', name: 'group_type', type: 'text' },
    { field: 'name', name: 'name', type: 'text' },
    { field: 'introduction', name: 'introduction', type: 'text' },
    { field: 'notification', name: 'notification', type: 'text' },
    { field: 'faceUrl', name: 'face_url', type: 'text' },
    { field: 'customFields', name: 'custom_fields', type: 'jsonb', made: OBJECT },
    { field: 'owner', name: 'owner', type: 'text' },
    { field: 'lastOperator', name: 'last_operator', type: 'text' },
    { field: 'updatedAt', name: 'updated_at', type: 'timestamptz' },
    { field: 'destroyed', name: 'destroyed', type: 'boolean', made: 'NOT NULL DEFAULT false' },
    { field: 'versions', name: 'versions', type: 'jsonb', made: OBJECT },
  ],
  events: [
    { field: 'id', name: 'id', type: 'text', made: KEY },
    { field: 'subject', name: 'group_id', type: 'text', made: 'NOT NULL' },
    { field: 'source', name: 'source', type: 'text', made: 'NOT NULL' },
    { field: 'type', name: 'type', type: 'text', made: 'NOT NULL' },
    { field: 'time', name: 'occurred_at', type: 'timestamptz', made: 'NOT NULL' },
    { field: 'event', name: 'event', type: 'jsonb', made: 'NOT NULL' },
  ],
} as const satisfies Record<PostgresOptions['content'], readonly Column[]>;

/** The options, with the columns if they are not the default ones. */
export interface TableOptions extends PostgresOptions {
  readonly columns?: readonly Column[];
}

/** Returns the columns that are written; the table's others belong to somebody else and are never touched. */
export const columnsOf = ({ content, columns }: TableOptions): readonly Column[] => columns ?? COLUMNS[content];

/** Names the columns of groups after a shape, without those that it omits. An event already has its shape. */
export function shaped(options: PostgresOptions, shape: Shape | undefined): TableOptions {
  if (shape === undefined || options.content === 'events') return options;
  const columns = COLUMNS.groups.flatMap((column): Column[] => {
    const [to] = shape.fields.find(({ name }) => name === column.field)?.to ?? [];
    if (to === undefined) return [];
    return [to === column.field ? column : { ...column, name: to }];
  });
  return { ...options, columns };
}

/** What the merging statement cannot do without. */
const MERGED_BY = ['groupId', 'source', 'customFields'];

/** Returns which parts of a shape columns cannot support. */
export function columnProblems({ fields, omit, constants, times, versions }: ShapeSettings): ShapeProblem[] {
  const named = [
    ...Object.entries(fields).map(([field, to]) => ({ field, to, path: ['fields', field] })),
    ...(versions === undefined ? [] : [{ field: 'versions', to: versions, path: ['versions'] }]),
  ];
  return [
    ...named.flatMap(({ field, to, path }) => {
      if (field.startsWith('customFields.')) return [{ path, message: 'custom fields lie in one column' }];
      if (to.includes('.') || Buffer.byteLength(to) > 63)
        return [{ path, message: 'the name of a column is expected, of at most 63 bytes and without full stops' }];
      return [];
    }),
    ...omit.flatMap((field, index) =>
      MERGED_BY.includes(field)
        ? [{ path: ['omit', index], message: 'rows are merged by it, so that it cannot be left out' }]
        : [],
    ),
    ...(Object.keys(constants).length === 0 ? [] : [{ path: ['constants'], message: 'give the column a default' }]),
    ...(times === undefined ? [] : [{ path: ['times'], message: 'columns have types of their own' }]),
  ];
}

/** Quotes any name for SQL. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const tableName = ({ table }: PostgresOptions): string => table.split('.').map(quoted).join('.');

export function nameOf(columns: readonly Column[], field: string): string {
  const column = columns.find((one) => one.field === field);
  if (column === undefined) throw new TypeError(`no column holds ${field}`);
  return quoted(column.name);
}

export function creation(options: TableOptions): string {
  const columns = columnsOf(options).map(definition);
  return `CREATE TABLE ${tableName(options)} (${columns.join(', ')})`;
}

/** Returns the statement that adds the columns lacking in a foreign table. */
export const addition = (options: TableOptions, lacking: readonly Column[]): string =>
  `ALTER TABLE ${tableName(options)} ${lacking.map((column) => `ADD COLUMN IF NOT EXISTS ${definition(column)}`).join(', ')}`;

const definition = ({ name, type, made = '' }: Column): string => `${quoted(name)} ${type} ${made}`.trim();
