/** Which column holds what. A mapping of another kind only has to return other columns from `columnsOf`. */
import type { PostgresOptions } from './connector.ts';

export interface Column {
  /** The field, in the words of a group or of an event. */
  readonly field: string;
  readonly name: string;
  readonly type: 'text' | 'boolean' | 'timestamptz' | 'jsonb';
  /** What stands after the type where the table is created here. */
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

/** Returns the columns that are written; all others of the table are somebody else's and never touched. */
export const columnsOf = ({ content }: PostgresOptions): readonly Column[] => COLUMNS[content];

/** Returns a name as SQL takes it, whatever it is made of. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Returns the name of the table as SQL takes it. */
export const tableName = ({ table }: PostgresOptions): string => table.split('.').map(quoted).join('.');

/** Returns the column of a field as SQL takes it. */
export function nameOf(columns: readonly Column[], field: string): string {
  const column = columns.find((one) => one.field === field);
  if (column === undefined) throw new TypeError(`no column holds ${field}`);
  return quoted(column.name);
}

export function creation(options: PostgresOptions): string {
  const columns = columnsOf(options).map(({ name, type, made = '' }) => `${quoted(name)} ${type} ${made}`.trim());
  return `CREATE TABLE ${tableName(options)} (${columns.join(', ')})`;
}
