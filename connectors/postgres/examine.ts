/** Checks what deliveries rely on, without writing anything. */
import type { Unreachable } from '../../src/model/fault.ts';
import type { Finding, Host } from '../contract.ts';
import { type Destination, openDestination } from './client.ts';
import { type Column, columnsOf, tableName } from './columns.ts';
import { misconfigured, missingTable, NAME_THE_PRIMARY } from './fault.ts';
import { upsert } from './merge.ts';
import { addressOf, type PostgresOptions } from './options.ts';
import { insertion } from './sink.ts';
import {
  addsColumns,
  findTable,
  lackingColumns,
  presentColumns,
  refuseDeferrable,
  refuseForeign,
  refuseLossy,
} from './table.ts';

/** Reports for `check --connect` what is there. Creates nothing. */
export async function* examineTable(
  options: PostgresOptions,
  host: Host,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const destination = await openDestination(options, host);
  try {
    yield* lookAtServer(destination, signal);
    const oid = await findTable(destination, signal);
    if (oid === undefined) {
      yield await missing(destination, signal);
      return;
    }
    const columns = await lookAtColumns(destination, oid, signal);
    yield columns;
    // A statement with columns that only the start adds cannot be planned yet.
    if (columns.state !== 'well') return;
    await refuseDeferrable(destination, oid, signal);
    // Plans a delivery, which requires its permissions, without running it.
    const { options: shaped } = destination;
    const statement = shaped.content === 'groups' ? upsert(shaped, 'repair') : insertion(shaped);
    await destination.query(`EXPLAIN ${statement}`, ['[]'], signal);
    yield { step: 'write permission', state: 'well', says: 'yes (a delivery was planned, and not run)' };
  } finally {
    await destination.close();
  }
}

interface Server {
  readonly version: string;
  readonly encoding: string;
  readonly readonly: string;
}

const SERVER = `SELECT current_setting('server_version') AS version, current_setting('server_encoding') AS encoding,
  current_setting('transaction_read_only') AS readonly`;

async function* lookAtServer(destination: Destination, signal: AbortSignal): AsyncGenerator<Finding> {
  const { user, database } = addressOf(destination.options);
  const [server] = await destination.query<Server>(SERVER, [], signal);
  const { version = '?', encoding = '?', readonly = 'off' } = server ?? {};
  yield { step: 'server', state: 'well', says: `reached as ${user}: PostgreSQL ${version}, database ${database}` };
  if (readonly === 'on') {
    throw misconfigured(destination, 'url', 'PostgreSQL takes no writes here', NAME_THE_PRIMARY);
  }
  if (encoding === 'UTF8') return;
  const says = `the database is encoded in ${encoding}: texts that it cannot hold become dead letters`;
  yield { step: 'encoding', state: 'note', says };
}

const wrong = ({ fault }: Unreachable): Finding => ({ step: 'table', state: 'wrong', says: fault.message, fault });

async function missing(destination: Destination, signal: AbortSignal): Promise<Finding> {
  const { table, createTable } = destination.options;
  if (!createTable) return wrong(missingTable(destination));
  const schema = table.includes('.') ? table.slice(0, table.indexOf('.')) : null;
  const text = `SELECT name, has_schema_privilege(name, 'CREATE') AS may FROM (SELECT coalesce($1::name, current_schema())) s(name)`;
  const [found] = await destination.query<{ name: string | null; may: boolean }>(text, [schema], signal);
  if (found?.name === null || found?.may === false) {
    const message = `${table} does not exist, and this user may not create it`;
    const suggestion = 'grant this user CREATE on the schema, or create the table';
    return wrong(misconfigured(destination, 'table', message, suggestion));
  }
  return { step: 'table', state: 'note', says: `${table} does not exist: start creates it` };
}

const typed = ({ name, type }: Column): string => `${name} (${type})`;

async function lookAtColumns(destination: Destination, oid: string, signal: AbortSignal): Promise<Finding> {
  const { options } = destination;
  const { table, content } = options;
  const present = await presentColumns(destination, oid, signal);
  refuseLossy(destination, present);
  const columns = columnsOf(options);
  const absent = lackingColumns(options, present);
  const isAdded = addsColumns(options) && (await mayAlter(destination, oid, signal));
  const lacking = isAdded ? [] : absent;
  const foreign = present.filter(({ name }) => !columns.some((one) => one.name === name));
  const needed = foreign.filter(({ needed }) => needed).map(({ name }) => name);
  if (lacking.length > 0) {
    const message = `The table ${table} lacks ${lacking.map(typed).join(', ')}`;
    const suggestion = `add the columns, or name a table that is to be created for content: ${content}`;
    return wrong(misconfigured(destination, 'table', message, suggestion));
  }
  if (needed.length > 0) {
    const message = `The table ${table} asks for a value of ${needed.join(', ')}, which a bridge does not know`;
    return wrong(misconfigured(destination, 'table', message, 'give these columns a default, or let them be null'));
  }
  if (content === 'groups' && !absent.some(({ field }) => field === 'source')) await refuseForeign(destination, signal);
  if (absent.length > 0) {
    const says = `start adds to ${table}: ${absent.map(typed).join(', ')}`;
    return { step: 'table', state: 'note', says };
  }
  const others = foreign.length === 0 ? '' : `; ${foreign.length} more of its own, which stay as they are`;
  return {
    step: 'table',
    state: 'well',
    says: `${tableName(options)} has every column of content: ${content}${others}`,
  };
}

/** Only the owner of a table adds columns to it. */
async function mayAlter(destination: Destination, oid: string, signal: AbortSignal): Promise<boolean> {
  const text = "SELECT pg_has_role(relowner, 'USAGE') AND relkind <> 'v' AS may FROM pg_class WHERE oid = $1::oid";
  const [found] = await destination.query<{ may: boolean }>(text, [oid], signal);
  return found?.may === true;
}
