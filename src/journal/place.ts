import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { BridgeError } from '../model/fault.ts';

/** Where the next start looks for the journal. A file that was unlinked or replaced is still written, and is lost at the end. */
export interface Place {
  /** Throws a BridgeError when the file or its log is not there any more. */
  verify(): void;
  /**
   * Saves for the next start what the journal holds: where the log alone is missing into the file, where the file is missing
   * into a new one. `emptyLog` brings what the log holds into the file, and returns whether it could.
   */
  save(emptyLog: () => boolean): void;
}

/** `path` may lead to `file` by symbolic links. */
export function createPlace(path: string, file: string, connection: DatabaseSync): Place {
  const log = `${file}-wal`;
  const own = { [path]: statSync(path), [file]: statSync(file), [log]: statSync(log) };
  const standing = (at: string): 'there' | 'removed' | 'replaced' => {
    const found = look(at);
    if (found === undefined) return 'removed';
    return found.ino === own[at]?.ino && found.dev === own[at]?.dev ? 'there' : 'replaced';
  };
  return {
    verify() {
      for (const at of [path, log]) {
        const found = standing(at);
        if (found !== 'there') throw moved(at, found);
      }
    },
    save(emptyLog) {
      const found = standing(file);
      if (found === 'there') emptyLog();
      // A log beside the file that is not of it would be taken for its own.
      if (found !== 'removed' || standing(log) === 'replaced' || !existsSync(dirname(file))) return;
      const saved = `${file}.saved`;
      rmSync(saved, { force: true });
      const descriptor = openSync(saved, 'w', 0o600);
      try {
        connection.prepare('VACUUM INTO ?').run(saved);
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      if (!emptyLog()) return;
      renameSync(saved, file);
      syncFolder(dirname(file));
    },
  };
}

function look(path: string): { readonly dev: number; readonly ino: number } | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    // Its folder or volume cannot be reached.
    return undefined;
  }
}

function moved(path: string, how: 'removed' | 'replaced'): BridgeError {
  return new BridgeError({
    code: 'journal-unwritable',
    path: 'journal.file',
    message: `the callback cannot be recorded: ${path} was ${how} while it was open`,
    suggestion:
      'put back the very file that was there, and the bridge goes on by itself; or restart it with what is there then: ' +
      'where nothing is, the bridge saves what it has recorded',
  });
}

/** Brings the names in a folder to the disk, where the file system knows how to do that. */
export function syncFolder(folder: string): void {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(folder, 'r');
    fsyncSync(descriptor);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EIO') throw thrown;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
