import { existsSync, statfsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** File systems by Linux's magic number that keep less than a local disk does, and what they lack. */
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

/** Returns what speaks against keeping a journal at this path, a sentence each. */
export function journalDoubts(path: string): string[] {
  const folder = dirname(resolve(path));
  let nearest = folder;
  while (!existsSync(nearest)) nearest = dirname(nearest);
  const doubts: string[] = [];
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
