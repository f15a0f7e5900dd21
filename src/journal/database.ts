import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  realpathSync,
  renameSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { BridgeError, messageOf } from '../model/fault.ts';
import { checkIntegrity, Damaged, repairIndexes } from './integrity.ts';
import { lockJournal, resultCode } from './lock.ts';
import { type Log, openLog, rewriteLog } from './log.ts';
import { MIGRATIONS } from './migrations.ts';
import { createPlace, type Place, syncFolder } from './place.ts';

/** Not imported: on Node 22 the warning that it is experimental would come before anybody could leave it out. */
const sqlite = process.getBuiltinModule('node:sqlite');

/** The bridge's own number, so that another program's SQLite file is not taken for a journal ('gsbj'). */
const APPLICATION_ID = 0x67_73_62_6a;

export interface Database {
  /** The real path of the file, to which symbolic links lead. */
  readonly file: string;
  /** The one connection that writes. */
  readonly connection: DatabaseSync;
  readonly log: Log;
  /** Runs `work` in one transaction: all that it writes, or none of it where it, or the commit, throws. */
  transact<T>(work: () => T): T;
  /** Returns how much of `maxBytes` is in use, from 0 to 1; what was pruned counts as free. */
  fill(): number;
  readonly place: Place;
  /** Closes the file and, unless it is to stay as it is, brings what the log holds into it. */
  close(options?: { readonly keepLog?: boolean }): void;
}

export interface DatabaseOptions {
  /** The most the file may grow to; SQLite itself refuses what would need more. */
  readonly maxBytes?: number;
  /** Called when a damaged journal was set aside and a new one begun. */
  onDamaged?(damage: { file: string; setAside: string; reason: string }): void;
  /** Called when an index did not match its table and was made anew. */
  onReindexed?(damage: { file: string; reason: string }): void;
}

/**
 * Opens (or creates) the journal for writing; refuses a file that another bridge has open. A damaged one is set aside as it
 * was found, never overwritten: callbacks that come in meanwhile would be lost for good, so the bridge goes on with a new one.
 */
export function openDatabase(path: string, options: DatabaseOptions = {}): Database {
  let lock: { close(): void } | undefined;
  try {
    makeFolder(dirname(resolve(path)));
    const file = realPath(path);
    makeFolder(dirname(file));
    for (const suffix of ['', '-wal', '-shm', '.lock']) closeToOthers(file + suffix);
    lock = lockJournal(file);
    return openLocked(path, file, options, lock);
  } catch (thrown) {
    lock?.close();
    if (thrown instanceof BridgeError) throw thrown;
    throw unusable(path, messageOf(thrown));
  }
}

function openLocked(path: string, file: string, options: DatabaseOptions, lock: { close(): void }): Database {
  const setAside = (reason: string): void => {
    const to = moveAside(file);
    options.onDamaged?.({ file, setAside: existsSync(to) ? to : `${to}-wal`, reason });
  };
  if (sizeOf(file) === 0 && sizeOf(`${file}-wal`) > 0) {
    // SQLite would delete the log, and with it all that it holds.
    setAside('its log is there, but the file itself is missing');
  }
  if (existsSync(`${file}-wal`)) rewriteLog(file);
  let opened: ReturnType<typeof connect>;
  try {
    opened = connect(file, options);
  } catch (thrown) {
    if (!isDamage(thrown)) throw thrown;
    // `connect` has left the files as they were.
    setAside(messageOf(thrown));
    opened = connect(file, options);
  }
  const { connection, guard } = opened;
  syncFolder(dirname(file));
  const pages = connection.prepare('PRAGMA page_count');
  const free = connection.prepare('PRAGMA freelist_count');
  const most = connection.prepare('PRAGMA max_page_count');
  const number = (row: Record<string, unknown> | undefined): number => Number(Object.values(row ?? {})[0]);
  const log = openLog(file);
  return {
    file,
    connection,
    log,
    transact: createTransact(connection),
    fill: () => (number(pages.get()) - number(free.get())) / number(most.get()),
    place: createPlace(path, file, connection),
    close({ keepLog = false } = {}) {
      log.close();
      // SQLite checkpoints when it closes the last connection and that one can write.
      for (const last of keepLog ? [connection, guard] : [guard, connection]) last.close();
      lock.close();
    },
  };
}

/** The time to wait for another connection's lock, in pragmas, because the constructor's `timeout` came with Node 22.16. */
const WAIT = 'PRAGMA busy_timeout = 5000';
/** The writer's thread answers callbacks, so that it must not stand still: commit.ts tries again. */
const WRITER_WAIT = 'PRAGMA busy_timeout = 20';

/**
 * Opens the file for writing and makes it ready; and beside it a guard that only reads. When that throws, the file and its log
 * are as they were: SQLite changes both when it closes a connection that can write, unless there is another one.
 */
function connect(file: string, options: DatabaseOptions): { connection: DatabaseSync; guard: DatabaseSync } {
  const fresh = sizeOf(file) === 0;
  closeSync(openSync(file, 'a', 0o600));
  if (existsSync(`${file}-journal`)) rollBack(file);
  const guard = new sqlite.DatabaseSync(file, { readOnly: true });
  let connection: DatabaseSync | undefined;
  try {
    guard.exec(WAIT);
    const reindex = fresh ? undefined : examine(guard, file);
    connection = new sqlite.DatabaseSync(file);
    connection.exec(WAIT);
    prepare(connection, file);
    if (reindex !== undefined) {
      repairIndexes(connection);
      options.onReindexed?.({ file, reason: reindex });
    }
    if (options.maxBytes !== undefined) {
      const pageSize = Number(pragma(connection, 'page_size'));
      connection.exec(`PRAGMA max_page_count = ${Math.floor(options.maxBytes / pageSize)}`);
    }
    connection.exec(WRITER_WAIT);
    // From its first read on SQLite counts it as a connection.
    guard.prepare('SELECT count(*) FROM lanes').get();
    return { connection, guard };
  } catch (thrown) {
    connection?.close();
    guard.close();
    throw thrown;
  }
}

/** Undoes what a power cut left half-done while the file was made, before it had a log. */
function rollBack(file: string): void {
  const connection = new sqlite.DatabaseSync(file);
  try {
    pragma(connection, 'schema_version');
  } finally {
    connection.close();
  }
}

const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

function isDamage(thrown: unknown): boolean {
  return thrown instanceof Damaged || [SQLITE_CORRUPT, SQLITE_NOTADB].includes(resultCode(thrown) ?? 0);
}

/** Renames the file and its log to a name that says when. */
function moveAside(file: string): string {
  const setAside = `${file}.damaged-${new Date().toISOString().replaceAll(':', '-')}`;
  for (const suffix of ['', '-wal', '-shm', '-journal']) {
    if (existsSync(file + suffix)) renameSync(file + suffix, setAside + suffix);
  }
  syncFolder(dirname(file));
  return setAside;
}

/** Opens a connection that only reads: the relay's, beside the one that writes. */
export function openReader(file: string): DatabaseSync {
  const connection = new sqlite.DatabaseSync(file, { readOnly: true });
  connection.exec(`${WAIT}; PRAGMA query_only = ON`);
  return connection;
}

/** Refuses what is no journal, throws where it is damaged; returns why its indexes are to be made anew, if they are. */
function examine(connection: DatabaseSync, file: string): string | undefined {
  const owner = pragma(connection, 'application_id');
  const tables = connection.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number };
  if (owner !== APPLICATION_ID && tables.n > 0) throw unusable(file, 'it is a SQLite database of another program');
  const version = Number(pragma(connection, 'user_version'));
  if (version > MIGRATIONS.length) {
    throw unusable(file, `it was written by a newer version of the bridge (${version} > ${MIGRATIONS.length})`);
  }
  return tables.n === 0 ? undefined : checkIntegrity(connection, statSync(file).size);
}

function prepare(connection: DatabaseSync, file: string): void {
  // Invariant 1: with FULL each commit would sync the log itself, and block the thread meanwhile; with NORMAL it does not, and
  // commit.ts syncs it before anything is called recorded. Checkpoints sync either way, so the file is never inconsistent.
  connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY');
  assert(connection, file, 'journal_mode', 'wal');
  assert(connection, file, 'synchronous', 1);
  if (pragma(connection, 'application_id') !== APPLICATION_ID)
    connection.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  const version = Number(pragma(connection, 'user_version'));
  MIGRATIONS.slice(version).forEach((migration, index) => {
    connection.exec(`BEGIN IMMEDIATE; ${migration} PRAGMA user_version = ${version + index + 1}; COMMIT`);
  });
}

function createTransact(connection: DatabaseSync): Database['transact'] {
  const begin = connection.prepare('BEGIN IMMEDIATE');
  const commit = connection.prepare('COMMIT');
  return (work) => {
    begin.run();
    try {
      const result = work();
      commit.run();
      return result;
    } catch (thrown) {
      // A full disk may have ended it already.
      if (connection.isTransaction) connection.exec('ROLLBACK');
      throw thrown;
    }
  };
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** Where symbolic links lead, also when nothing is there yet. */
function realPath(path: string): string {
  const folder = realpathSync(dirname(resolve(path)));
  const file = join(folder, basename(path));
  const isLink = lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  if (!isLink) return file;
  return existsSync(file) ? realpathSync(file) : realPath(resolve(folder, readlinkSync(file)));
}

/** Makes the folder, and syncs each new one in its parent: a power cut would lose it with all that it holds. */
function makeFolder(folder: string): void {
  const first = mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) syncFolder(dirname(made));
}

/** A journal holds what people wrote; and whoever may read its files may lock them. */
function closeToOthers(file: string): void {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined || (found.mode & 0o077) === 0) return;
  try {
    chmodSync(file, found.mode & 0o700);
  } catch {
    // It belongs to another user, who decides.
  }
}

function unusable(file: string, reason: string): BridgeError {
  return new BridgeError({
    code: 'journal-unusable',
    path: 'journal.file',
    message: `the journal ${file} cannot be used: ${reason}`,
    suggestion: 'nothing was changed in it; move it away or set journal.file to another file',
  });
}

function pragma(connection: DatabaseSync, name: string): unknown {
  const row = connection.prepare(`PRAGMA ${name}`).get();
  return row === undefined ? undefined : Object.values(row)[0];
}

function assert(connection: DatabaseSync, file: string, name: string, wanted: unknown): void {
  const found = pragma(connection, name);
  if (found !== wanted) throw unusable(file, `PRAGMA ${name} is ${String(found)}, not ${String(wanted)}`);
}
