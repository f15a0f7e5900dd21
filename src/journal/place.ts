import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { BridgeError, messageOf } from '../model/fault.ts';
import { refuseForeign } from './foreign.ts';
import { unrecordable } from './sqlite.ts';

/** Prepares the place of the journal, and returns its real path: where symbolic links lead, even if to nothing yet. */
export function preparePlace(path: string): string {
  makeFolder(dirname(resolve(path)));
  const file = realPath(path);
  makeFolder(dirname(file));
  return file;
}

function realPath(path: string): string {
  const folder = realpathSync(dirname(resolve(path)));
  const file = join(folder, basename(path));
  const isLink = lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  if (!isLink) return file;
  // A link that leads to itself throws.
  const leadsTo = statSync(file, { throwIfNoEntry: false });
  return leadsTo === undefined ? realPath(resolve(folder, readlinkSync(file))) : realpathSync(file);
}

/** Creates the folder, and syncs each new one in its parent: a power cut would lose it with all it holds. */
function makeFolder(folder: string): void {
  const first = mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) syncFolder(dirname(made));
}

const filesOf = (journal: string): string[] => ['', '-wal', '-shm', '.lock'].map((suffix) => journal + suffix);

/** A journal holds what people wrote; and whoever may read its files may lock them. */
export function closeToOthers(journal: string): void {
  for (const file of filesOf(journal)) {
    const found = statSync(file, { throwIfNoEntry: false });
    if (found === undefined || (found.mode & 0o077) === 0) continue;
    try {
      chmodSync(file, found.mode & 0o700);
    } catch {
      // It belongs to another user, who decides.
    }
  }
}

/** Syncs the names in a folder, where the file system supports that. */
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

/** Renames the file and its log to a name with the time; returns that name. */
export function moveAside(file: string): string {
  const setAside = `${file}.damaged-${new Date().toISOString().replaceAll(':', '-')}`;
  for (const suffix of ['', '-wal', '-shm', '-journal']) {
    if (existsSync(file + suffix)) renameSync(file + suffix, setAside + suffix);
  }
  syncFolder(dirname(file));
  return setAside;
}

/** Returns 0 for a file that does not exist. */
export function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

const PUT_BACK =
  'put back the very file that was there, and the bridge goes on by itself; or restart it with what is there then: ' +
  'where nothing is, the bridge saves what it has recorded';

/** Watches the path that the next start looks at: an unlinked file can still be written, and is lost at the end. */
export function createPlace(path: string, file: string, connection: DatabaseSync) {
  const log = `${file}-wal`;
  const own = { [path]: statSync(path), [file]: statSync(file), [log]: statSync(log) };
  const standing = (at: string): 'there' | 'removed' | 'replaced' => {
    try {
      const found = statSync(at, { throwIfNoEntry: false });
      if (found === undefined) return 'removed';
      return found.ino === own[at]?.ino && found.dev === own[at]?.dev ? 'there' : 'replaced';
    } catch {
      // Its folder or volume is unreachable.
      return 'removed';
    }
  };
  return {
    /** Throws a BridgeError if the file or its log is gone. */
    verify(): void {
      for (const at of [path, log]) {
        const found = standing(at);
        if (found !== 'there') throw unrecordable(`${at} was ${found} while it was open`, PUT_BACK);
      }
    },
    /**
     * Saves for the next start what the journal holds: into the file if only the log is missing, into a new file if the
     * file is. `emptyLog` checkpoints the log, and returns whether it could.
     */
    save(emptyLog: () => boolean): void {
      const found = standing(file);
      if (found === 'there') emptyLog();
      // SQLite would take a foreign log next to the file for the file's own.
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

/** File systems, by Linux's magic number, that promise less than a local disk does, and what they lack. */
const DOUBTFUL: ReadonlyMap<number, readonly [name: string, why: string]> = new Map([
  [0x01021994, ['tmpfs', 'it is memory, and gone with the machine']],
  [0x858458f6, ['ramfs', 'it is memory, and gone with the machine']],
  [0x794c7630, ['overlay', 'it is gone with the container']],
  [0x6969, ['NFS', 'its locks and syncs are the server’s']],
  [0xff534d42, ['SMB', 'its locks and syncs are the server’s']],
  [0xfe534d42, ['SMB', 'its locks and syncs are the server’s']],
  [0x517b, ['SMB', 'its locks and syncs are the server’s']],
  [0x65735546, ['FUSE', 'its program decides what a sync promises']],
]);

/** Returns what speaks against keeping a journal at this path, one sentence each; throws if none can be kept. */
export function journalDoubts(path: string): string[] {
  const folder = dirname(resolve(path));
  let nearest = folder;
  while (!existsSync(nearest)) nearest = dirname(nearest);
  const doubts: string[] = [];
  try {
    if (refuseForeign(path)) {
      doubts.push(`${path} is no SQLite database: the start takes it for a damaged journal, and sets it aside`);
    }
    for (const file of [nearest, ...filesOf(path)].filter(existsSync)) {
      accessSync(file, constants.R_OK | constants.W_OK);
    }
  } catch (thrown) {
    if (thrown instanceof BridgeError) throw thrown;
    doubts.push(`this user cannot use the journal: ${messageOf(thrown)}`);
  }
  const [name, why] = DOUBTFUL.get(statfsSync(nearest).type) ?? [];
  if (name !== undefined) {
    doubts.push(`the journal lies on ${name}: ${why}; what was answered OK outlives a power cut on a local disk only`);
  }
  const mode = statSync(nearest).mode & 0o777;
  if (nearest === folder && (mode & 0o077) !== 0) {
    doubts.push(`the journal’s folder ${folder} is open to other users (${mode.toString(8)}): chmod 700 closes it`);
  }
  return doubts;
}
