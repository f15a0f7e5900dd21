import { type Fault, type FaultCode, messageOf, Unreachable } from '../../src/model/fault.ts';
import { isTlsError, named, tlsFault } from '../tls.ts';
import { addressOf, type PostgresOptions } from './options.ts';

/** What a fault needs to name the settings concerned. */
export interface Place {
  /** The name that the user gave this connector in the YAML. */
  readonly name: string;
  readonly options: PostgresOptions;
}

export type Setting = 'kind' | 'url' | 'auth' | 'tls' | 'table' | 'createTable' | 'statementTimeoutMs';

function faultAt({ name }: Place, code: FaultCode, key: Setting, message: string, suggestion: string): Fault {
  return { code, message, path: `connectors.${name}.${key}`, suggestion };
}

export const misconfigured = (place: Place, key: Setting, message: string, suggestion: string): Unreachable =>
  new Unreachable(faultAt(place, 'destination-misconfigured', key, message, suggestion));

const CREATE_IT = 'create it, correct its name, or let createTable create it';
export const NAME_THE_PRIMARY = 'name the primary server: this one is a standby, or set to be read only';

export function missingTable(place: Place): Unreachable {
  const message = `There is no table ${place.options.table}`;
  return new Unreachable(faultAt(place, 'destination-missing', 'table', message, CREATE_IT));
}

/** PostgreSQL's account of a failure. */
export interface Refusal {
  /** https://www.postgresql.org/docs/current/errcodes-appendix.html */
  readonly sqlState: string;
  readonly message: string;
}

/** Returns PostgreSQL's own error; undefined if the connection failed. */
export function refusalOf(thrown: unknown): Refusal | undefined {
  const { code, message, detail, severity, routine } = thrown as Readonly<Record<string, unknown>>;
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code) || typeof severity !== 'string') return undefined;
  const said = `${message}${typeof detail === 'string' ? ` (${detail})` : ''}`;
  // For a row, a row-level policy or a view's check uses codes that otherwise concern a table, and RAISE in a trigger any
  // code; except for those of a server that is busy or temporarily closed.
  const isOfCheck = routine === 'ExecWithCheckOptions' || routine === 'exec_stmt_raise';
  const sqlState = isOfCheck && !/^(08|40|53|57P)/.test(code) ? '44000' : code;
  return { sqlState, message: `${said.slice(0, MAX_SAID).toWellFormed()} [${code}]` };
}

const MAX_SAID = 1_000;

/**
 * Whether the failure concerns a row, and others may pass: its data (22), a constraint (23), a check of a view or a
 * policy (44), a size (54), or what a user's trigger raised (P0).
 */
export const isOfARow = ({ sqlState }: Refusal): boolean => /^(22|23|44|54|P0)/.test(sqlState);

/** Whether the same statement may succeed a moment later: another writer interfered. */
export const isOfTheMoment = ({ sqlState }: Refusal): boolean => sqlState.startsWith('40');

/** Whether the statement timed out, as fewer rows might not. */
export const isOfTime = ({ sqlState }: Refusal): boolean => sqlState === '57014';

export const NOT_DEFERRABLE =
  'make the primary key, or the unique constraint, of the column of the id NOT DEFERRABLE, as ON CONFLICT needs it; a view must be one that takes writes';

type Verdict = readonly [state: RegExp, code: FaultCode, key: Setting, what: string, suggestion: string];

/** What concerns the destination as a whole, by SQLSTATE; the first match counts. */
const VERDICTS: readonly Verdict[] = [
  [
    /^28/,
    'destination-credentials',
    'auth',
    'does not let this user in',
    'correct auth, or pg_hba.conf of the server; does it ask for tls?',
  ],
  [
    /^42501/,
    'destination-credentials',
    'table',
    'does not permit it',
    'grant this user SELECT, INSERT and UPDATE on the table (for events SELECT and INSERT), USAGE on its schema, and CREATE there where it is to create the table',
  ],
  [/^42P01/, 'destination-missing', 'table', 'has no such table', CREATE_IT],
  [/^3D000/, 'destination-misconfigured', 'url', 'has no such database', 'create it, or correct the name in url'],
  [
    /^3F000/,
    'destination-misconfigured',
    'table',
    'has no such schema',
    'create the schema, or correct its name in table',
  ],
  [
    /^42P10/,
    'destination-misconfigured',
    'table',
    'has no unique index to tell rows apart by',
    'make the column of the group id, or of the event id, the primary key',
  ],
  [/^25006/, 'destination-misconfigured', 'url', 'takes no writes', NAME_THE_PRIMARY],
  [
    /^55P03/,
    'destination-overloaded',
    'table',
    'waited too long for a lock',
    'see what holds the table locked, or raise lock_timeout of the role',
  ],
  [
    /^57014/,
    'destination-overloaded',
    'statementTimeoutMs',
    'did not come to an end in time',
    'see what holds the table locked, or raise statementTimeoutMs',
  ],
  [/^55000/, 'destination-misconfigured', 'table', 'cannot write to the table as it is', NOT_DEFERRABLE],
  [
    /^(53|55)/,
    'destination-overloaded',
    'url',
    'takes no more for now',
    'look at its connections, memory and disk space',
  ],
  [/^(08|57|58|XX)/, 'destination-unreachable', 'url', 'cannot be had', 'look at its log; the lane goes on by itself'],
];

const OTHERWISE: Verdict = [
  /^/,
  'destination-misconfigured',
  'table',
  'refuses the statement',
  'compare the columns of the table with those in the README of this connector',
];

/** Judges a failed connection or statement as a failure of the whole destination. */
export function destinationFault(thrown: unknown, place: Place): Fault {
  const refusal = refusalOf(thrown);
  if (refusal !== undefined) {
    const [, code, key, what, suggestion] = VERDICTS.find(([state]) => state.test(refusal.sqlState)) ?? OTHERWISE;
    return faultAt(place, code, key, `PostgreSQL ${what}: ${refusal.message}`, suggestion);
  }
  const endpoint = addressOf(place.options);
  if (isTlsError(thrown)) return tlsFault(thrown, `connectors.${place.name}`, endpoint);
  const message = messageOf(thrown);
  const server = named(endpoint);
  if (/^SASL|password/i.test(message)) {
    const says = `${server} asks for another password: ${message}`;
    return faultAt(place, 'destination-credentials', 'auth', says, 'set auth.password, or correct it');
  }
  if (/SSL/.test(message)) {
    const suggestion = 'turn ssl on in postgresql.conf, or leave tls out';
    return faultAt(place, 'destination-misconfigured', 'tls', `TLS with ${server} fails: ${message}`, suggestion);
  }
  const suggestion = 'see that it runs, and that it can be reached from here';
  const says = `PostgreSQL at ${server} cannot be had: ${message}`;
  return faultAt(place, 'destination-unreachable', 'url', says, suggestion);
}

export const eventFault = (refusal: Refusal, place: Place): Fault =>
  faultAt(
    place,
    'event-refused',
    'table',
    `PostgreSQL refuses the row: ${refusal.message}`,
    'change the constraint, the policy, the trigger or the column that it breaks, then: dead-letters retry',
  );

export const conflictFault = (refusal: Refusal, place: Place): Fault =>
  faultAt(
    place,
    'event-conflict',
    'table',
    `Others wrote to ${place.options.table} at the same time: ${refusal.message}`,
    'see who else writes to the table; the next attempt is on its way',
  );
