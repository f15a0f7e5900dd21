import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import type { BridgeError } from '../model/fault.ts';
import { isBusy, journalError, sqlite, unrecordable } from './sqlite.ts';

/**
 * Takes a lock that the system releases however the process ends: an open write transaction on a file next to the
 * journal. `file` is the real path, so no symbolic link bypasses it. Throws a BridgeError if another has it.
 */
export function lockJournal(file: string): { close(): void } {
  // SQLite would create it readable for others.
  closeSync(openSync(`${file}.lock`, 'a', 0o600));
  const lock = new sqlite.DatabaseSync(`${file}.lock`);
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    refuseHardLinks(file);
  } catch (thrown) {
    lock.close();
    throw isBusy(thrown) ? inUse(`another bridge has the journal ${file} open`) : thrown;
  }
  return lock;
}

/** A hard link has its own lock file; but whoever has the file open through SQLite holds a lock on the file itself. */
function refuseHardLinks(file: string): void {
  if ((statSync(file, { throwIfNoEntry: false })?.nlink ?? 0) < 2) return;
  const [holder] = lockHolders(file);
  if (holder !== undefined) throw inUse(`process ${holder} has the journal ${file} open under another name`);
}

const inUse = (message: string): BridgeError =>
  journalError('journal-in-use', message, 'stop it, or give this one a journal.file of its own');

/** Returns the processes that hold a lock on one of these files, as far as Linux tells. */
function lockHolders(...files: readonly string[]): number[] {
  const inodes = files.flatMap((file) => statSync(file, { throwIfNoEntry: false })?.ino ?? []);
  let locks = '';
  try {
    locks = readFileSync('/proc/locks', 'utf8');
  } catch {
    // Another system, which does not tell.
  }
  const holders = new Set<number>();
  // 1: POSIX  ADVISORY  READ 4711 fd:01:262146 1073741826 1073742335
  for (const [, pid, inode] of locks.matchAll(/POSIX.*?\s(\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /g)) {
    if (inodes.includes(Number(inode)) && Number(pid) !== process.pid) holders.add(Number(pid));
  }
  return [...holders];
}

export function lockedFault(file: string, cause: unknown): BridgeError {
  const holders = lockHolders(file, `${file}-shm`);
  const who = holders.length > 0 ? `process ${holders.join(', ')}` : 'another program';
  const advice = `end it, and the bridge goes on by itself (fuser ${file} ${file}-shm names it)`;
  return unrecordable(`${who} has the journal locked`, advice, cause);
}
