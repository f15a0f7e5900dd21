/** The table that everything is written to: whether it exists, which one it is, and how it is created. */
import { type Destination, Failure } from './client.ts';
import { addition, type Column, columnsOf, creation, nameOf, type TableOptions, tableName } from './columns.ts';
import { misconfigured, missingTable, NOT_DEFERRABLE } from './fault.ts';

/** Tables and their equivalents: a partitioned or foreign table, or a view that takes writes. */
const KINDS = 'rpfv';

export async function findTable(destination: Destination, signal: AbortSignal): Promise<string | undefined> {
  const { table } = destination.options;
  const text = 'SELECT oid::text, relkind::text AS kind FROM pg_class WHERE oid = to_regclass($1)';
  const [found] = await destination.query<{ oid: string; kind: string }>(
    text,
    [tableName(destination.options)],
    signal,
  );
  if (found !== undefined && !KINDS.includes(found.kind)) {
    throw misconfigured(destination, 'table', `${table} is no table`, 'name a table, or a name that is free');
  }
  return found?.oid;
}

/** Ensures that there is a table. Throws Unreachable if there is none. */
export async function ensureTable(destination: Destination, signal: AbortSignal): Promise<void> {
  const { options, created } = destination;
  const oid = await findTable(destination, signal);
  if (oid !== undefined) {
    const present = await presentColumns(destination, oid, signal);
    refuseLossy(destination, present);
    const lacking = addsColumns(options) ? lackingColumns(options, present) : [];
    if (lacking.length > 0) await destination.query(addition(options, lacking), [], signal);
    return;
  }
  if (!options.createTable) throw missingTable(destination);
  try {
    await destination.query(creation(options), [], signal);
  } catch (thrown) {
    // If it exists now, another bridge was faster: PostgreSQL says so in several ways, and also of a type of that name.
    if ((await findTable(destination, signal)) !== undefined) return;
    throw thrown;
  }
  created(`created the table ${options.table} for ${options.content}`);
}

export interface Present {
  readonly name: string;
  readonly type: string;
  /** It has no default and may not be null: only its owner can fill it in. */
  readonly needed: boolean;
}

export async function presentColumns(destination: Destination, oid: string, signal: AbortSignal) {
  const text = `SELECT attname AS name, concat_ws(' COLLATE ', format_type(atttypid, atttypmod), folding.collname) AS type,
    attnotnull AND NOT atthasdef AND attidentity = '' AS needed
    FROM pg_attribute LEFT JOIN pg_collation folding ON folding.oid = attcollation
      AND to_jsonb(folding)->>'collisdeterministic' = 'false'
    WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped`;
  return destination.query<Present>(text, [oid], signal);
}

/**
 * Throws Unreachable if a column returns another value than it was given, so that no copy would ever be in step, or if
 * two groups would be merged into one row.
 */
export function refuseLossy(destination: Destination, present: readonly Present[]): void {
  const { options } = destination;
  if (options.content !== 'groups') return;
  for (const { field, name, type } of columnsOf(options)) {
    const there = present.find((one) => one.name === name)?.type;
    if (field === 'groupId' && there !== undefined && FOLDS.test(there)) {
      const message = `The column ${name} of ${options.table} is ${there}, to which two group ids may be equal`;
      throw misconfigured(destination, 'table', message, 'make it text with a deterministic collation');
    }
    const isKept = type === 'timestamptz' ? KEEPS_MILLIS : /^(?!character\()/;
    if (there === undefined || isKept.test(there)) continue;
    const message = `The column ${name} of ${options.table} is ${there}, which does not give back what is written`;
    throw misconfigured(destination, 'table', message, `make it ${type}, or let shape name another column`);
  }
}

/** Throws Unreachable if the key's constraint is deferrable, which otherwise only running a statement reveals. */
export async function refuseDeferrable(destination: Destination, oid: string, signal: AbortSignal): Promise<void> {
  const { options } = destination;
  const key = options.content === 'groups' ? 'groupId' : 'id';
  const column = columnsOf(options).find(({ field }) => field === key)?.name;
  const text = `SELECT indexrelid::regclass::text AS name FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
    WHERE indrelid = $1::oid AND indisunique AND indnkeyatts = 1 AND NOT indimmediate AND attname = $2`;
  const [found] = await destination.query<{ name: string }>(text, [oid, column], signal);
  if (found === undefined) return;
  throw misconfigured(destination, 'table', `The constraint ${found.name} is DEFERRABLE`, NOT_DEFERRABLE);
}

const FOLDS = /citext$| COLLATE /;
const KEEPS_MILLIS = /^timestamp(\([3-6]\))? with/;

/** A foreign table is given the columns of a shape that it lacks, such as the versions. */
export const addsColumns = (options: TableOptions): boolean => options.columns !== undefined && options.createTable;

export function lackingColumns(options: TableOptions, present: readonly Present[]): Column[] {
  return columnsOf(options).filter(({ name }) => !present.some((one) => one.name === name));
}

/**
 * Identifies the table by its oid and its server by the number assigned at its initialization, which standbys share and a
 * dump does not.
 */
export async function identifyTable(destination: Destination, before: string | undefined, signal: AbortSignal) {
  const { table } = destination.options;
  await ensureTable(destination, signal);
  const oid = await findTable(destination, signal);
  const database = 'SELECT oid::text FROM pg_database WHERE datname = current_database()';
  const [{ oid: home } = { oid: '' }] = await destination.query<{ oid: string }>(database, [], signal);
  const identity = `${table} ${await systemOf(destination, signal)}/${home}/${oid}`;
  const name = before?.slice(0, before.lastIndexOf(' '));
  if (before === undefined || before === identity) return { identity };
  if (name !== table) return { identity, moved: true, lost: `the table is ${table} now, and was ${name} before` };
  const lost = `the table ${table} is not the one that was written to before: it was dropped, replaced or restored from a dump`;
  return { identity, lost };
}

/** Returns the server's number; some servers with PostgreSQL's protocol have none, or conceal it. */
async function systemOf(destination: Destination, signal: AbortSignal): Promise<string> {
  try {
    const text = 'SELECT system_identifier::text AS id FROM pg_control_system()';
    const [found] = await destination.query<{ id: string }>(text, [], signal);
    return found?.id ?? '';
  } catch (thrown) {
    if (thrown instanceof Failure && /^(42|0A)/.test(thrown.refusal?.sqlState ?? '')) return '';
    throw thrown;
  }
}

/** How many rows are checked for another app's groups: all of a table are of one app. */
const SAMPLE = 10;

/** Throws Unreachable if the table is known to hold groups of another app: groups of one id would be merged. */
export async function refuseForeign(destination: Destination, signal: AbortSignal): Promise<void> {
  const { options, source } = destination;
  const column = nameOf(columnsOf(options), 'source');
  const sample = `SELECT ${column} AS source FROM ${tableName(options)} LIMIT ${SAMPLE}`;
  const text = `SELECT source FROM (${sample}) sample WHERE source <> $1 LIMIT 1`;
  const [foreign] = await destination.query<{ source: string }>(text, [source], signal);
  if (foreign !== undefined) throw ofAnotherApp(destination, foreign.source);
}

export function ofAnotherApp(destination: Destination, source: string | undefined) {
  const { options, source: own } = destination;
  const message = `The table ${options.table} holds groups of ${source}, and this bridge is that of ${own}`;
  return misconfigured(destination, 'table', message, 'give each app a table of its own, or correct app.sdkAppId');
}
