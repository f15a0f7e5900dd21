import { closeSync, fdatasync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';

/** Syncs that may be under way at once: the next need not wait for the thread to see the end of the one before. */
export const SYNCS = 2;

/**
 * Opens SQLite's write-ahead log, which must be there, to sync it beside the thread that commits. SQLite holds no lock on the
 * log itself, so that closing another descriptor of it releases none.
 */
export function openLog(file: string) {
  // The system tells each descriptor once that the disk has refused, so each sync that is under way has one of its own. All
  // are opened before anything is written: one that is opened after a failure is not told of it.
  const own = openSync(`${file}-wal`, 'r+');
  const idle = Array.from({ length: SYNCS }, () => openSync(`${file}-wal`, 'r+'));
  let closed = false;

  return {
    /**
     * What was committed before the call is on disk once it resolves; syncs may overlap. Rejects when the disk refuses:
     * nothing that waits for it may be called recorded.
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
    /** Writes what the log holds again, and syncs it: see `rewriteLog`. */
    rewrite: () => rewrite(own),
    /** Returns whether the log, since it was last begun anew, has grown to this many pages. */
    reaches(pages: number): boolean {
      const header = readHeader(own);
      if (header === undefined) return false;
      const salts = Buffer.alloc(SALT_BYTES);
      const at = HEADER_BYTES + (pages - 1) * (FRAME_HEADER_BYTES + header.pageSize) + FRAME_SALTS;
      return readSync(own, salts, 0, SALT_BYTES, at) === SALT_BYTES && salts.equals(header.salts);
    },
    /** Returns a number that changes when the log is begun anew. */
    generation: () => readHeader(own)?.salts.readUInt32BE() ?? 0,
    close(): void {
      closed = true;
      for (const descriptor of [own, ...idle.splice(0)]) closeSync(descriptor);
    },
  };
}

/**
 * Writes the valid part of the log again, byte for byte, and syncs it. After a sync that failed the system keeps in memory
 * what the disk refused, and takes it for written: a process that reads the log finds frames that a power cut would lose,
 * and a checkpoint would copy them into a file whose log lacks them. Written again, they are synced for good or refused.
 * Throws when the disk refuses.
 */
export function rewriteLog(file: string): void {
  const descriptor = openSync(`${file}-wal`, 'r+');
  try {
    rewrite(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

// The format is that of https://sqlite.org/fileformat2.html#walformat: it is stable, and SQLite checks it the same way.
const HEADER_BYTES = 32;
const HEADER_SALTS = 16;
const FRAME_HEADER_BYTES = 24;
const FRAME_SALTS = 8;
const SALT_BYTES = 8;
/** The least significant bit says that checksums read words of the big end first. */
const MAGIC = 0x377f0682;
/** The part of the log that is read at a time. */
const CHUNK_BYTES = 4 * 1_048_576;

function readHeader(descriptor: number) {
  const bytes = Buffer.alloc(HEADER_BYTES);
  if (readSync(descriptor, bytes, 0, HEADER_BYTES, 0) < HEADER_BYTES) return undefined;
  const magic = bytes.readUInt32BE(0);
  if ((magic & ~1) >>> 0 !== MAGIC) return undefined;
  const salts = bytes.subarray(HEADER_SALTS, HEADER_SALTS + SALT_BYTES);
  return { bytes, salts, pageSize: bytes.readUInt32BE(8), bigEndian: (magic & 1) === 1 };
}

function rewrite(descriptor: number): void {
  const header = readHeader(descriptor);
  const sum: Checksum = [0, 0];
  if (header === undefined || header.pageSize < 512) return;
  addTo(sum, header.bytes.subarray(0, HEADER_BYTES - 8), header.bigEndian);
  if (!isAt(sum, header.bytes, HEADER_BYTES - 8)) return;

  const frameBytes = FRAME_HEADER_BYTES + header.pageSize;
  const chunk = Buffer.alloc(Math.max(1, Math.floor(CHUNK_BYTES / frameBytes)) * frameBytes);
  let position = HEADER_BYTES;
  writeSync(descriptor, header.bytes, 0, HEADER_BYTES, 0);
  for (let valid = true; valid; ) {
    const read = readSync(descriptor, chunk, 0, chunk.length, position);
    let end = 0;
    for (; valid && end + frameBytes <= read; ) {
      const frame = chunk.subarray(end, end + frameBytes);
      addTo(sum, frame.subarray(0, FRAME_SALTS), header.bigEndian);
      addTo(sum, frame.subarray(FRAME_HEADER_BYTES), header.bigEndian);
      const salts = frame.subarray(FRAME_SALTS, FRAME_SALTS + SALT_BYTES);
      valid = salts.equals(header.salts) && isAt(sum, frame, FRAME_SALTS + SALT_BYTES);
      if (valid) end += frameBytes;
    }
    for (let written = 0; written < end; ) {
      written += writeSync(descriptor, chunk, written, end - written, position + written);
    }
    position += end;
    if (read < chunk.length) break;
  }
  fdatasyncSync(descriptor);
}

type Checksum = [number, number];

/** Adds whole pairs of words, as SQLite's walChecksumBytes. */
function addTo(sum: Checksum, bytes: Buffer, bigEndian: boolean): void {
  let [first, second] = sum;
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; at += 8) {
    first = (first + words.getUint32(at, !bigEndian) + second) | 0;
    second = (second + words.getUint32(at + 4, !bigEndian) + first) | 0;
  }
  sum[0] = first;
  sum[1] = second;
}

/** Returns whether the checksum is the one that stands there, the big end first. */
function isAt([first, second]: Checksum, bytes: Buffer, at: number): boolean {
  return bytes.readInt32BE(at) === first && bytes.readInt32BE(at + 4) === second;
}
