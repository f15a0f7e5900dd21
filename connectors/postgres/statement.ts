/** Writes many rows with one statement; if it is refused because of one, the others go without it. */
import type { Outcome } from '../../src/model/outcome.ts';
import type { Outcomes } from '../contract.ts';
import { portions } from '../portions.ts';
import { type Destination, Failure } from './client.ts';
import { conflictFault, eventFault, isOfARow, isOfTheMoment, isOfTime } from './fault.ts';
import { storableText } from './stored-text.ts';

/** The size of a statement, unless a single row is larger. */
const MAX_BYTES = 8 * 1024 * 1024;

/** By how much a statement may have more rows after a completed delivery. */
const GROWTH = 1.25;

export interface Row {
  /** The id of its event or its group. */
  readonly id: string;
  /** The row for the statement, as JSON. */
  readonly json: string;
}

/** Runs a statement that takes a JSON array as `$1` and returns the `id` of each row written; the others existed. */
export async function writeRows(destination: Destination, text: string, rows: readonly Row[], signal: AbortSignal) {
  const outcomes = new Map<string, Outcome>();
  const share = MAX_BYTES / destination.maxRows;
  for (const portion of portions(rows, ({ json }) => Math.max(json.length, share), MAX_BYTES)) {
    for (const [id, outcome] of await write(destination, text, portion, signal)) outcomes.set(id, outcome);
  }
  // What took too long may have been a lock that is gone.
  destination.maxRows = Math.ceil(destination.maxRows * GROWTH);
  return outcomes;
}

async function write(
  destination: Destination,
  text: string,
  rows: readonly Row[],
  signal: AbortSignal,
): Promise<Outcomes> {
  const { table } = destination.options;
  try {
    const parameter = `[${rows.map(({ json }) => json).join()}]`;
    const written = await destination.query<{ id: string }>(text, [parameter], signal);
    const ids = new Set(written.map(({ id }) => id));
    const kindOf = (id: string) => (ids.has(storableText(id)) ? 'delivered' : 'superseded');
    return new Map(rows.map(({ id }) => [id, { kind: kindOf(id), receipt: `${table}/${id}` }]));
  } catch (thrown) {
    const refusal = thrown instanceof Failure ? thrown.refusal : undefined;
    const settled = (outcome: Outcome): Outcomes => new Map(rows.map(({ id }) => [id, outcome]));
    if (refusal !== undefined && isOfTheMoment(refusal)) {
      return settled({ kind: 'retry', fault: conflictFault(refusal, destination) });
    }
    // The next attempt would take as long: a trigger may have a cost per row.
    if (refusal !== undefined && isOfTime(refusal)) destination.maxRows = Math.ceil(rows.length / 2);
    if (refusal === undefined || !isOfARow(refusal)) throw thrown;
    if (rows.length === 1) return settled({ kind: 'dead', fault: eventFault(refusal, destination) });
    // Nothing was written: a statement succeeds or fails as a whole.
    const middle = rows.length >> 1;
    const first = await write(destination, text, rows.slice(0, middle), signal);
    return new Map([...first, ...(await write(destination, text, rows.slice(middle), signal))]);
  }
}

/** A trigger may silently skip a row, which then looks as if it existed. */
export async function refuseAbsent(
  destination: Destination,
  outcomes: Map<string, Outcome>,
  find: (ids: readonly string[]) => Promise<{ has(id: string): boolean }>,
): Promise<Outcomes> {
  const ids = [...outcomes].flatMap(([id, { kind }]) => (kind === 'superseded' ? id : []));
  const found = ids.length === 0 ? outcomes : await find(ids);
  const refusal = { sqlState: '', message: 'it was not written, and does not lie there' };
  for (const id of ids) if (!found.has(id)) outcomes.set(id, { kind: 'dead', fault: eventFault(refusal, destination) });
  return outcomes;
}
