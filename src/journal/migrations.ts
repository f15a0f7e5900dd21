/**
 * Numbered migrations: the index is the version before, `PRAGMA user_version` the version reached. Only ever append.
 *
 * - events: the journal itself, ordered by seq. Ids begin with EventTime, so their index grows at its end.
 * - lanes: how far each connector is; everything up to the cursor is delivered or has a row in deliveries.
 * - deliveries: the exceptions, a row for each event that waits for its retry or is a dead letter.
 * - groups: the merged state of each group. merged: the seq up to which events are in it, in a single row.
 * - discarded: dead letters that somebody discarded, as long as their events are kept.
 * - quarantine: callbacks of verified senders that could not be mapped.
 * - probes: always empty; written to find out whether there is room again.
 * - receipts: where events went, one row per batch.
 * - copies: what is known of each connector's copy as a whole, as JSON.
 * - reconcile: the latest run, as JSON, in a single row. reconciled: the groups it has read so far.
 * - events.previous: the seq of the previous event of the same group; groups.last_seq: that of its latest event. They are
 *   null for what is older than these links. An index of events by group would cost each append a random write.
 */
export const MIGRATIONS: readonly string[] = [
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
  // SQLite scans a STRICT table once when a column is added, and rewrites nothing.
  `ALTER TABLE events ADD COLUMN previous INTEGER;
   ALTER TABLE groups ADD COLUMN last_seq INTEGER;`,
  `CREATE TABLE merged (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     seq INTEGER NOT NULL
   ) STRICT;
   INSERT INTO merged SELECT 1, coalesce(max(seq), 0) FROM events;`,
  // A quarantined body is kept to the byte, whatever its encoding.
  `CREATE TABLE kept (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     received_at INTEGER NOT NULL,
     search TEXT NOT NULL,
     body BLOB NOT NULL,
     fault TEXT NOT NULL
   ) STRICT;
   INSERT INTO kept SELECT id, received_at, search, CAST(body AS BLOB), fault FROM quarantine;
   DROP TABLE quarantine;
   ALTER TABLE kept RENAME TO quarantine;`,
  `CREATE TABLE copies (connector TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT, WITHOUT ROWID;`,
  // cause: see model/cause.ts; null while waiting. cause_of: see database.ts. earlier: attempts before a retry by a
  // person.
  `ALTER TABLE deliveries ADD COLUMN cause TEXT;
   ALTER TABLE deliveries ADD COLUMN earlier INTEGER NOT NULL DEFAULT 0;
   UPDATE deliveries SET cause = cause_of(fault) WHERE state = 'dead';
   CREATE INDEX deliveries_by_cause ON deliveries (connector, cause, changed_at) WHERE state = 'dead';`,
  `CREATE TABLE receipts (
     from_seq INTEGER NOT NULL,
     up_to INTEGER NOT NULL,
     connector TEXT NOT NULL,
     at INTEGER NOT NULL,
     told TEXT NOT NULL
   ) STRICT;
   CREATE UNIQUE INDEX receipts_by_seq ON receipts (up_to, connector);`,
  // Waiting entries are queried all the time, and may be among very many dead letters.
  `CREATE INDEX deliveries_waiting ON deliveries (connector, seq) WHERE state = 'waiting';`,
  // missed: events pruned while the connector was disabled, before it had them. Older versions did not count.
  `ALTER TABLE lanes ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;
   UPDATE lanes SET missed = max(0, coalesce((SELECT min(seq) FROM events WHERE seq > cursor), (SELECT seq + 1 FROM merged))
     - cursor - 1) WHERE cursor > 0;
   CREATE TABLE discarded (
     seq INTEGER NOT NULL,
     connector TEXT NOT NULL,
     PRIMARY KEY (seq, connector)
   ) STRICT, WITHOUT ROWID;`,
  // Makes up for what was added to two of these after journals had been created with them, and removes deliveries whose
  // event was pruned, which an earlier state of the bridge kept.
  `DELETE FROM deliveries WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.seq = deliveries.seq);
   UPDATE deliveries SET cause = cause_of(fault) WHERE state = 'dead' AND cause IS NULL;
   CREATE TABLE IF NOT EXISTS discarded (
     seq INTEGER NOT NULL,
     connector TEXT NOT NULL,
     PRIMARY KEY (seq, connector)
   ) STRICT, WITHOUT ROWID;`,
];
