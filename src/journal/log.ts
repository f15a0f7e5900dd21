import { closeSync, fdatasync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';

/** Syncs that may be under way at once: the next one need not wait until the thread sees the previous one end. */
export const SYNCS = 2;

/**
 * Opens SQLite's write-ahead log, which must exist, to sync it off the committing thread. SQLite holds no lock on the log
 * itself, so closing another descriptor of it releases none.
 */
export function openLog(file: string) {
  // The system reports a refusal of the disk once per descriptor, so each sync under way has one of its own. All are
  // opened before anything is written: one opened after a failure is not told of it.
  const own = openSync(`${file}-wal`, 'r+');
  const idle = Array.from({ length: SYNCS }, () => openSync(`${file}-wal`, 'r+'));
  let closed = false;

  return {
    /**
     * What was committed before the call is on disk once it resolves; syncs may overlap. Rejects if the disk refuses:
     * nothing that waits for it may count as recorded.
     */
    sync: () =>
      new Promise<void>((resolve, reject) => {
        const descriptor = idle.pop();
        if (descriptor === undefined) throw new Error(`more than ${SYNCS} syncs of the log are under way`);
        fdatasync(descriptor, (error) => {
          if (closed) closeSync(descriptor);
          else idle.push(descriptor);
          if (error === null) resolve();
          else reject(error);
        });
      }),
    syncNow: () => fdatasyncSync(own),
    rewrite: () => rewrite(own),
    /** Returns whether the log has grown to this many pages since it last restarted. */
    reaches(pages: number): boolean {
      const header = readHeader(own);
      if (header === undefined) return false;
      const salts = Buffer.alloc(SALT_BYTES);
      const at = HEADER_BYTES + (pages - 1) * (FRAME_HEADER_BYTES + header.pageSize) + FRAME_SALTS;
      return readSync(own, salts, 0, SALT_BYTES, at) === SALT_BYTES && salts.equals(header.salts);
    },
    /** Returns a number that changes when the log restarts. */
    generation: () => readHeader(own)?.salts.readUInt32BE() ?? 0,
    close(): void {
      closed = true;
      for (const descriptor of [own, ...idle.splice(0)]) closeSync(descriptor);
    },
  };
}

/**
 * Rewrites the valid part of the log, byte for byte, and syncs it. After a failed sync the system keeps in memory what
 * the disk refused, and takes it for written: readers of the log find frames that a power cut would lose, and a
 * checkpoint would copy them into a file whose log lacks them. Rewritten, they are synced for good or refused. Throws if
 * the disk refuses.
 */
export function rewriteLog(file: string): void {
  const descriptor = openSync(`${file}-wal`, 'r+');
  try {
    rewrite(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

// The format is that of https://sqlite.org/fileformat2.html#walformat, which is stable.
const HEADER_BYTES = 32;
const HEADER_SALTS = 16;
const FRAME_HEADER_BYTES = 24;
const FRAME_SALTS = 8;
const SALT_BYTES = 8;
/** The least significant bit is the byte order of checksums. */
const MAGIC = 0x377f0682;
/** How much of the log is read at a time. */
const CHUNK_BYTES = 4 * 1_048_576;

function readHeader(descriptor: number) {
  const bytes = Buffer.alloc(HEADER_BYTES);
  if (readSync(descriptor, bytes, 0, HEADER_BYTES, 0) < HEADER_BYTES) return undefined;
  const pageSize = bytes.readUInt32BE(8);
  if ((bytes.readUInt32BE(0) & ~1) >>> 0 !== MAGIC || pageSize < 512 || pageSize > 65_536) return undefined;
  return { bytes, pageSize, salts: bytes.subarray(HEADER_SALTS, HEADER_SALTS + SALT_BYTES) };
}

/** The frames that SQLite takes for valid bear the salts of the header; those after them are from an earlier log. */
function rewrite(descriptor: number): void {
  const header = readHeader(descriptor);
  if (header === undefined) return;
  const frameBytes = FRAME_HEADER_BYTES + header.pageSize;
  const chunk = Buffer.alloc(Math.max(1, Math.floor(CHUNK_BYTES / frameBytes)) * frameBytes);
  let position = HEADER_BYTES;
  writeSync(descriptor, header.bytes, 0, HEADER_BYTES, 0);
  for (let end = chunk.length; end === chunk.length; position += end) {
    const read = readSync(descriptor, chunk, 0, chunk.length, position);
    const isOurs = (at: number): boolean =>
      at + frameBytes <= read && header.salts.equals(chunk.subarray(at + FRAME_SALTS, at + FRAME_SALTS + SALT_BYTES));
    for (end = 0; isOurs(end); ) end += frameBytes;
    for (let written = 0; written < end; ) {
      written += writeSync(descriptor, chunk, written, end - written, position + written);
    }
  }
  fdatasyncSync(descriptor);
}
