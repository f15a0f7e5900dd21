import type { Entry } from '../../src/model/entry.ts';
import type { Host, Identify, Outcomes, Sink } from '../contract.ts';
import { createEnsuring } from '../ensuring.ts';
import { type Destination, openDestination } from './client.ts';
import { columnsOf, nameOf, quoted, type TableOptions, tableName } from './columns.ts';
import { putGroups, readCopies } from './groups.ts';
import type { PostgresOptions } from './options.ts';
import { refuseAbsent, writeRows } from './statement.ts';
import { storable, storableText } from './stored-text.ts';
import { ensureTable, identifyTable, refuseForeign } from './table.ts';

export async function openSink(options: PostgresOptions, host: Host, signal: AbortSignal): Promise<Sink> {
  const destination = await openDestination(options, host);
  const { close } = destination;
  try {
    await ensureTable(destination, signal);
    if (options.content === 'groups') await refuseForeign(destination, signal);
  } catch (thrown) {
    await close();
    throw thrown;
  }
  const ensuring = createEnsuring((signal) => ensureTable(destination, signal));

  const identify: Identify = (before, signal) => identifyTable(destination, before, signal);
  if (options.content === 'events') {
    return {
      holds: 'events',
      deliver: (batch, signal) => ensuring(batch, signal, () => insertEvents(destination, batch, signal)),
      identify,
      find: (ids, signal) => findEvents(destination, ids, signal),
      close,
    };
  }
  return {
    holds: 'groups',
    put: (states, how, signal) => ensuring(states, signal, () => putGroups(destination, states, how, signal)),
    read: (states, signal) => readCopies(destination, states, signal),
    identify,
    close,
  };
}

/** Returns the statement that inserts the rows of `$1`, a JSON array, and leaves existing ones. */
export function insertion(options: TableOptions): string {
  const columns = columnsOf(options);
  const names = columns.map(({ name }) => quoted(name)).join(', ');
  const values = columns.map(({ field, type }) =>
    type === 'jsonb' ? `given->'${field}'` : `(given->>'${field}')::${type}`,
  );
  const id = nameOf(columns, 'id');
  return `INSERT INTO ${tableName(options)} (${names})
SELECT ${values.join(', ')} FROM jsonb_array_elements($1::jsonb) given
ON CONFLICT (${id}) DO NOTHING RETURNING ${id} AS id`;
}

async function insertEvents(destination: Destination, batch: readonly Entry[], signal: AbortSignal): Promise<Outcomes> {
  const distinct = new Map(batch.map((entry) => [entry.id, entry]));
  const rows = Array.from(distinct, ([id, { text, event }]) => {
    const { subject, source, type, time } = event;
    // A shaped text may lack all of these.
    const head = JSON.stringify({ id, subject, source, type, time });
    return { id, json: storable(`${head.slice(0, -1)},"event":${text}}`) };
  });
  const outcomes = await writeRows(destination, insertion(destination.options), rows, signal);
  return refuseAbsent(destination, outcomes, (ids) => findEvents(destination, ids, signal));
}

async function findEvents(destination: Destination, ids: readonly string[], signal: AbortSignal) {
  const { options } = destination;
  const column = nameOf(columnsOf(options), 'id');
  const text = `SELECT ${column} AS id FROM ${tableName(options)} WHERE ${column} = ANY($1::text[])`;
  const found = await destination.query<{ id: string }>(text, [ids.map(storableText)], signal);
  const there = new Set(found.map(({ id }) => id));
  return new Map(ids.filter((id) => there.has(storableText(id))).map((id) => [id, `${options.table}/${id}`]));
}
