import type { DatabaseSync } from 'node:sqlite';

export class Damaged extends Error {}

/** Larger files are checked only where the bridge reads and writes first: a start must not take minutes. */
const WHOLE_CHECK_BYTES = 256 * 1_048_576;

/** What SQLite says of an index whose tree is whole. */
const OF_AN_INDEX =
  /^(row .* missing from|wrong # of entries in|non-unique entry in|rowid not at end-of-record for .* of) index /;

/**
 * Throws where the file is damaged. Returns what is wrong when only an index does not match its table: that loses nothing, but
 * a callback would be taken for a duplicate that is not there.
 */
export function checkIntegrity(connection: DatabaseSync, bytes: number): string | undefined {
  if (bytes <= WHOLE_CHECK_BYTES) {
    const found = connection
      .prepare('PRAGMA integrity_check')
      .all()
      .map((row) => String(Object.values(row)[0]));
    const damage = found.find((line) => line !== 'ok' && !OF_AN_INDEX.test(line));
    if (damage !== undefined) throw new Damaged(damage);
    return found[0] === 'ok' ? undefined : found[0];
  }
  for (const ends of ['ORDER BY seq LIMIT 1000', 'ORDER BY seq DESC LIMIT 1000']) {
    connection.prepare(`SELECT sum(length(event)) FROM (SELECT event FROM events ${ends})`).get();
    const lost = count(
      connection,
      `SELECT count(*) AS n FROM (SELECT seq, id FROM events NOT INDEXED ${ends}) AS newest
       WHERE (SELECT seq FROM events WHERE id = newest.id) IS NOT newest.seq`,
    );
    if (lost > 0) return `${lost} events missing from the index of their ids`;
  }
  connection.prepare('SELECT count(*) FROM lanes').get();
  const rows = count(connection, 'SELECT count(attempts) AS n FROM deliveries NOT INDEXED');
  const indexed = count(connection, 'SELECT count(*) AS n FROM deliveries INDEXED BY deliveries_by_seq');
  return rows === indexed ? undefined : `${indexed} of ${rows} deliveries in the index of their events`;
}

/** Makes all indexes anew; throws where that does not help. */
export function repairIndexes(connection: DatabaseSync): void {
  connection.exec('REINDEX');
  const found = Object.values(connection.prepare('PRAGMA quick_check(1)').get() ?? {})[0];
  if (found !== 'ok') throw new Damaged(String(found));
}

function count(connection: DatabaseSync, query: string): number {
  return connection.prepare(query).get()?.n as number;
}
