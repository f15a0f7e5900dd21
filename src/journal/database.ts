import { closeSync, existsSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { causeOf } from '../model/cause.ts';
import { BridgeError, messageOf } from '../model/fault.ts';
import { APPLICATION_ID, FOREIGN, refuseForeign } from './foreign.ts';
import { lockJournal } from './lock.ts';
import { openLog, rewriteLog } from './log.ts';
import { MIGRATIONS } from './migrations.ts';
import { closeToOthers, createPlace, moveAside, preparePlace, sizeOf, syncFolder } from './place.ts';
import { inaccessible, isCorrupt, pragma, sqlite, unusable } from './sqlite.ts';

export type Database = ReturnType<typeof openDatabase>;

interface DatabaseOptions {
  /** The largest size of the file; SQLite itself refuses what would exceed it. */
  readonly maxBytes?: number;
  onDamaged?(damage: { file: string; setAside: string; reason: string }): void;
  onReindexed?(damage: { file: string; reason: string }): void;
}

/**
 * Opens (or creates) the journal for writing; refuses a file that another bridge has open. A damaged one is set aside
 * untouched, and the bridge continues with a new one: otherwise callbacks that come in meanwhile would be lost for good.
 */
export function openDatabase(path: string, options: DatabaseOptions = {}) {
  let lock: { close(): void } | undefined;
  try {
    const file = preparePlace(path);
    refuseForeign(file);
    closeToOthers(file);
    lock = lockJournal(file);
    return openLocked(path, file, options, lock);
  } catch (thrown) {
    lock?.close();
    throw thrown instanceof BridgeError ? thrown : inaccessible(path, thrown);
  }
}

function openLocked(path: string, file: string, options: DatabaseOptions, lock: { close(): void }) {
  const setAside = (reason: string): void => {
    const to = moveAside(file);
    options.onDamaged?.({ file, setAside: existsSync(to) ? to : `${to}-wal`, reason });
  };
  if (sizeOf(file) === 0 && sizeOf(`${file}-wal`) > 0) {
    // SQLite would delete the log, and with it everything in it.
    setAside('its log is there, but the file itself is missing');
  }
  if (existsSync(`${file}-wal`)) rewriteLog(file);
  let opened: ReturnType<typeof connect>;
  try {
    opened = connect(file, options);
  } catch (thrown) {
    if (!(thrown instanceof Damaged || isCorrupt(thrown))) throw thrown;
    // `connect` has left the files as they were.
    setAside(messageOf(thrown));
    opened = connect(file, options);
  }
  const { connection, guard } = opened;
  syncFolder(dirname(file));
  const statement = (name: string) => connection.prepare(`PRAGMA ${name}`);
  const [pages, free] = [statement('page_count'), statement('freelist_count')];
  const most = Number(pragma(connection, 'max_page_count'));
  const log = openLog(file);
  return {
    /** The real path of the file, symbolic links resolved. */
    file,
    connection,
    log,
    transact: createTransact(connection),
    /** Returns how much of `maxBytes` is in use, from 0 to 1; pruned space counts as free. */
    fill: (): number => (Number(pages.get()?.page_count) - Number(free.get()?.freelist_count)) / most,
    maxBytes: most * Number(pragma(connection, 'page_size')),
    place: createPlace(path, file, connection),
    /** Closes the file; moves the log into it unless `keepLog`. */
    close({ keepLog = false }: { readonly keepLog?: boolean } = {}): void {
      log.close();
      // SQLite checkpoints when the last connection is closed, if that one can write.
      for (const last of keepLog ? [connection, guard] : [guard, connection]) last.close();
      lock.close();
    },
  };
}

/** How long to wait for another connection's lock. */
const WAIT_MS = 5_000;
/** The writing thread answers callbacks and must not block: commit.ts tries again. */
const WRITER_WAIT_MS = 20;

/**
 * Opens the file for writing and prepares it; next to it, a guard that only reads. If that throws, file and log are as
 * they were: SQLite changes both when it closes a connection that can write, unless there is another one.
 */
function connect(file: string, options: DatabaseOptions): { connection: DatabaseSync; guard: DatabaseSync } {
  const fresh = sizeOf(file) === 0;
  closeSync(openSync(file, 'a', 0o600));
  if (existsSync(`${file}-journal`)) rollBack(file);
  const guard = new sqlite.DatabaseSync(file, { readOnly: true, timeout: WAIT_MS });
  let connection: DatabaseSync | undefined;
  try {
    const reindex = fresh ? undefined : examine(guard, file);
    connection = new sqlite.DatabaseSync(file, { timeout: WAIT_MS });
    prepare(connection, file);
    if (reindex !== undefined) {
      repairIndexes(connection);
      options.onReindexed?.({ file, reason: reindex });
    }
    if (options.maxBytes !== undefined) limit(connection, options.maxBytes);
    connection.exec(`PRAGMA busy_timeout = ${WRITER_WAIT_MS}`);
    // SQLite counts it as a connection from its first read on.
    guard.prepare('SELECT count(*) FROM lanes').get();
    return { connection, guard };
  } catch (thrown) {
    connection?.close();
    guard.close();
    throw thrown;
  }
}

/** This share of journal.maxBytes is reserved for merging, pruning and cursors, without which a full journal would stay full. */
export const RESERVE = 0.05;

/** After the setting was lowered, a journal may hold more than it allows. Even then it has a reserve. */
function limit(connection: DatabaseSync, maxBytes: number): void {
  const read = (name: string) => Number(pragma(connection, name));
  const used = read('page_count') - read('freelist_count');
  const most = Math.floor(maxBytes / read('page_size'));
  connection.exec(`PRAGMA max_page_count = ${used > most ? Math.ceil(used / (1 - RESERVE)) : most}`);
}

/** Rolls back what a power cut interrupted while the file was created, before it had a log. */
function rollBack(file: string): void {
  const connection = new sqlite.DatabaseSync(file);
  try {
    pragma(connection, 'schema_version');
  } finally {
    connection.close();
  }
}

export function openReader(file: string): DatabaseSync {
  const connection = new sqlite.DatabaseSync(file, { readOnly: true, timeout: WAIT_MS });
  connection.exec('PRAGMA query_only = ON');
  return connection;
}

/** Refuses what is not a journal; throws if it is damaged; returns why its indexes must be rebuilt, if they must. */
function examine(connection: DatabaseSync, file: string): string | undefined {
  const owner = pragma(connection, 'application_id');
  const tables = connection.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number };
  if (owner !== APPLICATION_ID && tables.n > 0) throw unusable(file, FOREIGN);
  const version = Number(pragma(connection, 'user_version'));
  if (version > MIGRATIONS.length) {
    const reason = `it was written by a newer version of the bridge (${version} > ${MIGRATIONS.length})`;
    throw unusable(file, reason, 'run that version again: only it can deliver the undelivered events');
  }
  return tables.n === 0 ? undefined : checkIntegrity(connection, statSync(file).size);
}

class Damaged extends Error {}

/** Of larger files only the parts that the bridge reads and writes first are checked: a start must not take minutes. */
const WHOLE_CHECK_BYTES = 256 * 1_048_576;

/** What SQLite reports about an index whose tree is intact. */
const OF_AN_INDEX =
  /^(row .* missing from|wrong # of entries in|non-unique entry in|rowid not at end-of-record for .* of) index /;

/**
 * Throws if the file is damaged. Returns what is wrong if only an index does not match its table: that loses nothing, but
 * a callback could be taken for a duplicate that is not there.
 */
function checkIntegrity(connection: DatabaseSync, bytes: number): string | undefined {
  if (bytes <= WHOLE_CHECK_BYTES) {
    const rows = connection.prepare('PRAGMA integrity_check').all();
    const found = rows.map(({ integrity_check: line }) => String(line));
    const damage = found.find((line) => line !== 'ok' && !OF_AN_INDEX.test(line));
    if (damage !== undefined) throw new Damaged(damage);
    return found[0] === 'ok' ? undefined : found[0];
  }
  const count = (of: string): number => connection.prepare(`SELECT count(*) AS n FROM ${of}`).get()?.n as number;
  for (const ends of ['ORDER BY seq LIMIT 1000', 'ORDER BY seq DESC LIMIT 1000']) {
    connection.prepare(`SELECT sum(length(event)) FROM (SELECT event FROM events ${ends})`).get();
    const lost = count(
      `(SELECT seq, id FROM events NOT INDEXED ${ends}) AS newest
       WHERE (SELECT seq FROM events WHERE id = newest.id) IS NOT newest.seq`,
    );
    if (lost > 0) return `${lost} events missing from the index of their ids`;
  }
  count('lanes');
  // Counting a column that no index covers reads the table itself.
  const rows = connection.prepare('SELECT count(attempts) AS n FROM deliveries NOT INDEXED').get()?.n;
  const indexed = count('deliveries INDEXED BY deliveries_by_seq');
  return rows === indexed ? undefined : `${indexed} of ${rows} deliveries in the index of their events`;
}

function repairIndexes(connection: DatabaseSync): void {
  connection.exec('REINDEX');
  const found = pragma(connection, 'quick_check(1)');
  if (found !== 'ok') throw new Damaged(String(found));
}

function prepare(connection: DatabaseSync, file: string): void {
  // Invariant 1: with FULL each commit would sync the log itself and block the thread; with NORMAL commit.ts syncs it
  // before anything counts as recorded. Checkpoints sync either way, so the file is never inconsistent.
  connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY');
  for (const [name, wanted] of [
    ['journal_mode', 'wal'],
    ['synchronous', 1],
  ] as const) {
    const found = pragma(connection, name);
    if (found !== wanted) throw unusable(file, `PRAGMA ${name} is ${String(found)}, not ${wanted}`);
  }
  if (pragma(connection, 'application_id') !== APPLICATION_ID)
    connection.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  const version = Number(pragma(connection, 'user_version'));
  connection.function('cause_of', (fault) => causeOf(JSON.parse(String(fault))).id);
  MIGRATIONS.slice(version).forEach((migration, index) => {
    connection.exec(`BEGIN IMMEDIATE; ${migration} PRAGMA user_version = ${version + index + 1}; COMMIT`);
  });
}

/** Returns a function that runs `work` in one transaction, rolled back if the work or the commit throws. */
function createTransact(connection: DatabaseSync) {
  const begin = connection.prepare('BEGIN IMMEDIATE');
  const commit = connection.prepare('COMMIT');
  return <T>(work: () => T): T => {
    begin.run();
    try {
      const result = work();
      commit.run();
      return result;
    } catch (thrown) {
      // A full disk may have ended the transaction already.
      if (connection.isTransaction) connection.exec('ROLLBACK');
      throw thrown;
    }
  };
}
