import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { BridgeError, messageOf } from '../canon/fault.ts';

/**
 * Numbered migrations: the index is the version before, `PRAGMA user_version` the version reached. Only ever append.
 *
 * - events: the journal itself, in the order of seq. Ids begin with EventTime, so their index grows at its end.
 * - lanes: how far each connector is; everything up to the cursor is delivered or stands in deliveries.
 * - deliveries: the exceptions, one row an event that waits for its retry or is a dead letter.
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
     cursor INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE deliveries (
     connector TEXT NOT NULL,
     seq INTEGER NOT NULL REFERENCES events (seq),
     state TEXT NOT NULL CHECK (state IN ('waiting', 'dead')),
     attempts INTEGER NOT NULL,
     due_at INTEGER,
     fault TEXT NOT NULL,
     changed_at INTEGER NOT NULL,
     PRIMARY KEY (connector, seq)
   ) STRICT, WITHOUT ROWID;`,
];

/** The bridge's own number, so that another program's SQLite file is not taken for a journal ('gsbj'). */
const APPLICATION_ID = 0x67_73_62_6a;

export interface Database {
  /** The one connection that writes. */
  readonly connection: DatabaseSync;
  close(): void;
}

/** Opens (or creates) the journal for writing; refuses a file that another bridge has open. */
export function openDatabase(file: string): Database {
  const lock = lockFor(file);
  try {
    const fresh = !existsSync(file);
    const connection = new DatabaseSync(file, { timeout: 5_000 });
    try {
      prepare(connection, file, fresh);
    } catch (thrown) {
      connection.close();
      throw thrown;
    }
    return {
      connection,
      close() {
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

/** A connection that only reads: the relay's, beside the one that writes. */
export function openReader(file: string): DatabaseSync {
  const connection = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
  connection.exec('PRAGMA query_only = ON');
  return connection;
}

function prepare(connection: DatabaseSync, file: string, fresh: boolean): void {
  if (!fresh) {
    const owner = pragma(connection, 'application_id');
    const tables = connection.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number };
    if (owner !== APPLICATION_ID && tables.n > 0) throw unusable(file, 'it is a SQLite database of another program');
  }
  // Invariant 1 rests on these: WAL with FULL syncs the log at each commit; NORMAL would lose the last ones at a power cut.
  connection.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY',
  );
  assert(connection, file, 'journal_mode', 'wal');
  assert(connection, file, 'synchronous', 2);
  connection.exec(`PRAGMA application_id = ${APPLICATION_ID}`);

  const version = Number(pragma(connection, 'user_version'));
  if (version > MIGRATIONS.length) {
    throw unusable(file, `it was written by a newer version of the bridge (${version} > ${MIGRATIONS.length})`);
  }
  MIGRATIONS.slice(version).forEach((migration, index) => {
    connection.exec(`BEGIN IMMEDIATE; ${migration} PRAGMA user_version = ${version + index + 1}; COMMIT`);
  });
}

/** A lock that the system releases however the process ends: an open write transaction on a file beside the journal. */
function lockFor(file: string): { close(): void } {
  let lock: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true });
    lock = new DatabaseSync(`${file}.lock`);
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (thrown) {
    lock?.close();
    const { errcode } = thrown as { errcode?: number };
    if (errcode === 5) {
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
