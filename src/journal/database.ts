import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { BridgeError, messageOf } from '../model/fault.ts';
import { type Log, openLog } from './log.ts';

/** Not imported: on Node 22 the warning that it is experimental would come before anybody could leave it out. */
const sqlite = process.getBuiltinModule('node:sqlite');

/**
 * Numbered migrations: the index is the version before, `PRAGMA user_version` the version reached. Only ever append.
 *
 * - events: the journal itself, in the order of seq. Ids begin with EventTime, so their index grows at its end.
 * - lanes: how far each connector is; everything up to the cursor is delivered or stands in deliveries.
 * - deliveries: the exceptions, one row an event that waits for its retry or is a dead letter.
 * - groups: the merged state of each group. merged: the seq up to which events are in it, in the one row there is.
 * - quarantine: callbacks of verified senders that could not be mapped.
 * - probes: always empty; written to find out whether there is room again.
 * - reconcile: the latest run, as JSON, in the one row there is. reconciled: the groups it has read so far.
 * - events.previous: the seq of the group's event before, groups.last_seq: of its latest; null for what was recorded
 *   before there were such links. An index of events by group would cost each append a random write.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE events (
     seq INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     group_id TEXT NOT NULL,
     received_at INTEGER NOT NULL,
     event TEXT NOT NULL
   ) STRICT;
   CREATE TABLE lanes (
     connector TEXT PRIMARY KEY,
     cursor INTEGER NOT NULL,
     paused INTEGER NOT NULL DEFAULT 0
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE deliveries (
     connector TEXT NOT NULL,
     seq INTEGER NOT NULL,
     state TEXT NOT NULL CHECK (state IN ('waiting', 'dead')),
     attempts INTEGER NOT NULL,
     due_at INTEGER,
     fault TEXT NOT NULL,
     changed_at INTEGER NOT NULL,
     PRIMARY KEY (connector, seq)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX deliveries_by_seq ON deliveries (seq);
   CREATE TABLE groups (
     group_id TEXT PRIMARY KEY,
     state TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE quarantine (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     received_at INTEGER NOT NULL,
     search TEXT NOT NULL,
     body TEXT NOT NULL,
     fault TEXT NOT NULL
   ) STRICT;
   CREATE TABLE probes (filling BLOB NOT NULL) STRICT;`,
  `CREATE TABLE reconcile (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     run TEXT NOT NULL
   ) STRICT;
   CREATE TABLE reconciled (group_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;`,
  // SQLite reads a STRICT table once through when a column comes to it, and rewrites nothing.
  `ALTER TABLE events ADD COLUMN previous INTEGER;
   ALTER TABLE groups ADD COLUMN last_seq INTEGER;`,
  `CREATE TABLE merged (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     seq INTEGER NOT NULL
   ) STRICT;
   INSERT INTO merged SELECT 1, coalesce(max(seq), 0) FROM events;`,
];

/** The bridge's own number, so that another program's SQLite file is not taken for a journal ('gsbj'). */
const APPLICATION_ID = 0x67_73_62_6a;

export interface Database {
  /** The one connection that writes. */
  readonly connection: DatabaseSync;
  readonly log: Log;
  /** Runs `work` in one transaction: all that it writes, or none of it where it, or the commit, throws. */
  transact<T>(work: () => T): T;
  /** How much of `maxBytes` is in use, from 0 to 1; what was pruned counts as free. */
  fill(): number;
  close(): void;
}

/**
 * Opens (or creates) the journal for writing; refuses a file that another bridge has open. A damaged one is set aside,
 * never overwritten: callbacks that come in meanwhile would be lost for good, so the bridge goes on with a new one.
 */
export function openDatabase(file: string, { maxBytes, onDamaged }: DatabaseOptions = {}): Database {
  const lock = lockFor(file);
  try {
    let connection: DatabaseSync;
    try {
      connection = connect(file, maxBytes);
    } catch (thrown) {
      if (!isDamage(thrown)) throw thrown;
      const setAside = moveAside(file);
      connection = connect(file, maxBytes);
      onDamaged?.({ file, setAside, reason: messageOf(thrown) });
    }
    const pages = connection.prepare('PRAGMA page_count');
    const free = connection.prepare('PRAGMA freelist_count');
    const most = connection.prepare('PRAGMA max_page_count');
    const number = (row: Record<string, unknown> | undefined): number => Number(Object.values(row ?? {})[0]);
    const log = openLog(file);
    return {
      connection,
      log,
      transact: createTransact(connection),
      fill: () => (number(pages.get()) - number(free.get())) / number(most.get()),
      close() {
        log.close();
        connection.close();
        lock.close();
      },
    };
  } catch (thrown) {
    lock.close();
    if (thrown instanceof BridgeError) throw thrown;
    throw unusable(file, messageOf(thrown));
  }
}

export interface DatabaseOptions {
  /** The most the file may grow to; SQLite itself refuses what would need more. */
  readonly maxBytes?: number;
  onDamaged?(damage: { file: string; setAside: string; reason: string }): void;
}

/** How long for another connection's lock. As a pragma, because the constructor's `timeout` came with Node 22.16. */
const WAIT = 'PRAGMA busy_timeout = 5000';

function connect(file: string, maxBytes: number | undefined): DatabaseSync {
  const fresh = !existsSync(file);
  const connection = new sqlite.DatabaseSync(file);
  try {
    connection.exec(WAIT);
    prepare(connection, file, fresh);
    if (maxBytes !== undefined) {
      const pageSize = Number(pragma(connection, 'page_size'));
      connection.exec(`PRAGMA max_page_count = ${Math.floor(maxBytes / pageSize)}`);
    }
    return connection;
  } catch (thrown) {
    connection.close();
    throw thrown;
  }
}

const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** SQLite's primary result code. */
function resultCode(thrown: unknown): number | undefined {
  const { errcode } = thrown as { errcode?: unknown };
  return typeof errcode === 'number' ? errcode & 0xff : undefined;
}

function isDamage(thrown: unknown): boolean {
  return thrown instanceof Damaged || [SQLITE_CORRUPT, SQLITE_NOTADB].includes(resultCode(thrown) ?? 0);
}

class Damaged extends Error {}

/** Larger files are checked only where the bridge reads and writes first: a start must not take minutes. */
const WHOLE_CHECK_BYTES = 256 * 1_048_576;

function checkIntegrity(connection: DatabaseSync, file: string): void {
  if (statSync(file).size <= WHOLE_CHECK_BYTES) {
    const found = pragma(connection, 'quick_check(1)');
    if (found !== 'ok') throw new Damaged(String(found));
    return;
  }
  for (const ends of ['ORDER BY seq LIMIT 1000', 'ORDER BY seq DESC LIMIT 1000']) {
    connection.prepare(`SELECT sum(length(event)) FROM (SELECT event FROM events ${ends})`).get();
  }
  connection.prepare('SELECT count(*) FROM deliveries').get();
  connection.prepare('SELECT count(*) FROM lanes').get();
}

/** The file and its log, under a name that says when. */
function moveAside(file: string): string {
  const setAside = `${file}.damaged-${new Date().toISOString().replaceAll(':', '-')}`;
  for (const suffix of ['', '-wal', '-shm']) {
    if (existsSync(file + suffix)) renameSync(file + suffix, setAside + suffix);
  }
  return setAside;
}

/** A connection that only reads: the relay's, beside the one that writes. */
export function openReader(file: string): DatabaseSync {
  const connection = new sqlite.DatabaseSync(file, { readOnly: true });
  connection.exec(`${WAIT}; PRAGMA query_only = ON`);
  return connection;
}

function prepare(connection: DatabaseSync, file: string, fresh: boolean): void {
  if (!fresh) {
    const owner = pragma(connection, 'application_id');
    const tables = connection.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number };
    if (owner !== APPLICATION_ID && tables.n > 0) throw unusable(file, 'it is a SQLite database of another program');
    checkIntegrity(connection, file);
  }
  // Invariant 1: with FULL each commit would sync the log itself, and block the thread meanwhile; with NORMAL it does not, and
  // commit.ts syncs it before anything is called recorded. Checkpoints sync either way, so the file is never inconsistent.
  connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY');
  assert(connection, file, 'journal_mode', 'wal');
  assert(connection, file, 'synchronous', 1);
  if (pragma(connection, 'application_id') !== APPLICATION_ID)
    connection.exec(`PRAGMA application_id = ${APPLICATION_ID}`);

  const version = Number(pragma(connection, 'user_version'));
  if (version > MIGRATIONS.length) {
    throw unusable(file, `it was written by a newer version of the bridge (${version} > ${MIGRATIONS.length})`);
  }
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

/** A lock that the system releases however the process ends: an open write transaction on a file beside the journal. */
function lockFor(file: string): { close(): void } {
  let lock: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true });
    lock = new sqlite.DatabaseSync(`${file}.lock`);
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (thrown) {
    lock?.close();
    if (resultCode(thrown) === SQLITE_BUSY) {
      throw new BridgeError({
        code: 'journal-in-use',
        path: 'journal.file',
        message: `another bridge has the journal ${file} open`,
        suggestion: 'stop it, or give this one a journal.file of its own',
      });
    }
    throw unusable(file, messageOf(thrown));
  }
  const held = lock;
  return { close: () => held.close() };
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
