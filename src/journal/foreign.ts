import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { unusable } from './sqlite.ts';

/** The bridge's own number ('gsbj'), so that another program's SQLite file is not mistaken for a journal. */
export const APPLICATION_ID = 0x67_73_62_6a;
export const FOREIGN = 'it is a SQLite database of another program';

/**
 * Refuses what is not the bridge's, judging by its first bytes alone: opening a database, changing its permissions or
 * writing its log would already alter somebody else's file. A database that is just being created may not say whose it is
 * yet. Returns whether it is no database at all: perhaps a damaged journal, which is set aside.
 */
export function refuseForeign(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return false;
  if (found.isDirectory()) throw unusable(path, 'it is a folder, and a file in it is meant');
  if (!found.isFile()) throw unusable(path, 'it is no file that could keep anything');
  if (found.size === 0) return false;
  const header = Buffer.alloc(100);
  const descriptor = openSync(path, 'r');
  try {
    readSync(descriptor, header, 0, header.length, 0);
  } finally {
    closeSync(descriptor);
  }
  if (!header.toString('latin1').startsWith('SQLite format 3\0')) return true;
  // https://sqlite.org/fileformat2.html#the_database_header
  const [pages, owner] = [header.readUInt32BE(28), header.readUInt32BE(68)];
  if (owner !== APPLICATION_ID && (owner !== 0 || pages > 1)) throw unusable(path, FOREIGN);
  return false;
}
