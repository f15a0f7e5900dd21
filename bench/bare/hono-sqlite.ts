/** Bare Hono + zod + `node:sqlite`, WAL with synchronous=FULL, one commit a turn of the event loop. On disk, no delivery. */
import { DatabaseSync } from 'node:sqlite';
import { serveCallbacks } from './hono.ts';

const database = new DatabaseSync(process.argv[2] ?? '');
database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
  CREATE TABLE callbacks (seq INTEGER PRIMARY KEY, group_id TEXT NOT NULL, callback TEXT NOT NULL) STRICT`);
const insert = database.prepare('INSERT INTO callbacks (group_id, callback) VALUES (?, ?)');
const begin = database.prepare('BEGIN IMMEDIATE');
const commit = database.prepare('COMMIT');

let rows: [groupId: string, json: string][] = [];
let kept = Promise.withResolvers<void>();

function flush(): void {
  const taken = rows;
  const answered = kept;
  rows = [];
  kept = Promise.withResolvers();
  begin.run();
  for (const [groupId, json] of taken) insert.run(groupId, json);
  commit.run();
  answered.resolve();
}

serveCallbacks((callback) => {
  if (rows.length === 0) setImmediate(flush);
  rows.push([callback.GroupId, JSON.stringify(callback)]);
  return kept.promise;
});
