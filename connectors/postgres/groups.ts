/** `content: groups`: PostgreSQL merges rows with new states, field by field. */
import { differences, type Group, isForeign, join, newGroup, putRight, repair } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import type { CopyStatus, Outcomes, PutMode } from '../contract.ts';
import type { Destination } from './client.ts';
import { type Column, columnsOf, nameOf, quoted, tableName } from './columns.ts';
import { upsert } from './merge.ts';
import { refuseAbsent, writeRows } from './statement.ts';
import { restored, storable, storableText } from './stored-text.ts';
import { ofAnotherApp } from './table.ts';

export async function putGroups(
  destination: Destination,
  states: readonly Group[],
  how: PutMode,
  signal: AbortSignal,
): Promise<Outcomes> {
  if (how === 'compare') return compareGroups(destination, states, signal);
  const columns = columnsOf(destination.options);
  const rows = states.map((state) => ({ id: state.groupId, json: storable(rowOf(state, columns)) }));
  const outcomes = await writeRows(destination, upsert(destination.options, how), rows, signal);
  return refuseAbsent(destination, outcomes, (ids) => findRows(destination, ids, signal));
}

async function compareGroups(
  destination: Destination,
  states: readonly Group[],
  signal: AbortSignal,
): Promise<Outcomes> {
  const { table } = destination.options;
  const copies = await readGroups(destination, states, signal);
  return new Map(
    states.map((state): [string, Outcome] => {
      const copy = copies.get(state.groupId);
      if (copy !== undefined && isForeign(copy, state.source)) throw ofAnotherApp(destination, copy.source);
      const inStep = copy !== undefined && repair(copy, asStored(state)) === copy;
      return [state.groupId, { kind: inStep ? 'superseded' : 'delivered', receipt: `${table}/${state.groupId}` }];
    }),
  );
}

/** Returns which of these groups have rows. The statement silently skips rows of another app. */
async function findRows(destination: Destination, ids: readonly string[], signal: AbortSignal) {
  const { options, source } = destination;
  const [id, of] = ['groupId', 'source'].map((field) => nameOf(columnsOf(options), field));
  const text = `SELECT ${id} AS id, ${of} AS source FROM ${tableName(options)} WHERE ${id} = ANY($1::text[])`;
  const rows = await destination.query<{ id: string; source: string | null }>(text, [ids.map(storableText)], signal);
  const foreign = rows.find((row) => row.source !== null && row.source !== source);
  if (foreign !== undefined) throw ofAnotherApp(destination, foreign.source ?? undefined);
  const there = new Set(rows.map((row) => row.id));
  return new Set(ids.filter((one) => there.has(storableText(one))));
}

/** Compares the rows with these states and returns where they are. */
export async function readCopies(
  destination: Destination,
  states: readonly Group[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, CopyStatus>> {
  const copies = await readGroups(destination, states, signal);
  const statusOf = (state: Group): CopyStatus => {
    const where = `${destination.options.table}/${state.groupId}`;
    const copy = copies.get(state.groupId);
    if (copy === undefined) return { status: 'missing', where };
    const differs = isForeign(copy, state.source) ? ['source'] : differences(copy, asStored(state));
    return differs.length === 0 ? { status: 'in-step', where } : { status: 'differs', where, differs };
  };
  return new Map(states.map((state) => [state.groupId, statusOf(state)]));
}

const idsOf = (states: readonly Group[]): string[] => states.map(({ groupId }) => storableText(groupId));

async function readGroups(destination: Destination, states: readonly Group[], signal: AbortSignal) {
  const columns = columnsOf(destination.options);
  const fields = columns.map(
    ({ field, name, type }) => `'${field}', ${type === 'timestamptz' ? millis(name) : quoted(name)}`,
  );
  const id = nameOf(columns, 'groupId');
  const text = `SELECT jsonb_build_object(${fields.join(', ')})::text AS json FROM ${tableName(destination.options)} WHERE ${id} = ANY($1::text[])`;
  const rows = await destination.query<{ json: string }>(text, [idsOf(states)], signal);
  const groups = rows.map(({ json }) => toGroup(JSON.parse(restored(json)) as Record<string, unknown>));
  return new Map(groups.map((group) => [group.groupId, group]));
}

const millis = (name: string): string => `round(extract(epoch FROM ${quoted(name)}) * 1000)::text`;

/** Returns the state as it is read back: times have milliseconds there, however they were spelt. */
function asStored(state: Group): Group {
  const at = Date.parse(state.updatedAt ?? '');
  return Number.isNaN(at) ? state : { ...state, updatedAt: new Date(at).toISOString() };
}

/** Returns a state's row as JSON: what has a version, and nothing else, as joining it with an empty group yields. */
function rowOf(state: Group, columns: readonly Column[]): string {
  const group = join(newGroup(state.groupId), state);
  return JSON.stringify(Object.fromEntries(columns.map(({ field, name }) => [name, group[field as keyof Group]])));
}

/** Makes a group of a row, which may be foreign: supplies the parts that `merge` relies on. */
function toGroup(row: Readonly<Record<string, unknown>>): Group {
  const { customFields, destroyed, versions, updatedAt, ...others } = row;
  const told = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== null));
  const at = new Date(Number(updatedAt ?? Number.NaN));
  return {
    ...(told as unknown as Group),
    ...(!Number.isNaN(at.getTime()) && { updatedAt: at.toISOString() }),
    ...putRight({ customFields, destroyed, versions }),
  };
}
