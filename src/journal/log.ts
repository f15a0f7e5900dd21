import { closeSync, fdatasync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';

/**
 * SQLite's write-ahead log, synced beside the thread that commits. A commit has appended to the log; what was committed
 * before `sync` was called is on disk once it resolves. Syncs may overlap.
 */
export interface Log {
  /** Rejects when the disk refuses: nothing that waits for it may be called recorded. */
  sync(): Promise<void>;
  syncNow(): void;
  /** Writes what the log holds again, and syncs it: see `rewriteLog`. */
  rewrite(): void;
  /** Returns whether the log, since it was last begun anew, has grown to this many pages. */
  reaches(pages: number): boolean;
  /** Returns a number that changes when the log is begun anew. */
  generation(): number;
  close(): void;
}

/** Syncs that may be under way at once: the next need not wait for the thread to see the end of the one before. */
export const SYNCS = 2;

/** The log must be there. SQLite holds no lock on the log itself, so that closing another descriptor of it releases none. */
export function openLog(file: string): Log {
  // The system tells each descriptor once that the disk has refused, so each sync that is under way has one of its own. All
  // are opened before anything is written: one that is opened after a failure is not told of it.
  const own = openSync(`${file}-wal`, 'r+');
  const idle = Array.from({ length: SYNCS }, () => openSync(`${file}-wal`, 'r+'));
  const head = Buffer.alloc(HEADER_BYTES);
  let closed = false;

  const giveBack = (descriptor: number): void => {
    if (closed) closeSync(descriptor);
    else idle.push(descriptor);
  };
  return {
    sync: () =>
      new Promise((resolve, reject) => {
        const descriptor = idle.pop();
        if (descriptor === undefined) throw new Error(`more than ${SYNCS} syncs of the log are under way`);
        fdatasync(descriptor, (error) => {
          giveBack(descriptor);
          if (error === null) resolve();
          else reject(error);
        });
      }),
    syncNow: () => fdatasyncSync(own),
    rewrite: () => void rewrite(own),
    reaches(pages) {
      const header = readHeader(own, head);
      if (header === undefined) return false;
      const salts = Buffer.alloc(SALT_BYTES);
      const at = HEADER_BYTES + (pages - 1) * (FRAME_HEADER_BYTES + header.pageSize) + FRAME_SALTS;
      return readSync(own, salts, 0, SALT_BYTES, at) === SALT_BYTES && salts.equals(header.salts);
    },
    generation: () => (readHeader(own, head) === undefined ? 0 : head.readUInt32BE(HEADER_SALTS)),
    close() {
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

interface Header {
  readonly pageSize: number;
  readonly salts: Buffer;
  readonly bigEndian: boolean;
}

function readHeader(descriptor: number, header: Buffer): Header | undefined {
  if (readSync(descriptor, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) return undefined;
  const magic = header.readUInt32BE(0);
  if ((magic & ~1) >>> 0 !== MAGIC) return undefined;
  const salts = header.subarray(HEADER_SALTS, HEADER_SALTS + SALT_BYTES);
  return { pageSize: header.readUInt32BE(8), salts, bigEndian: (magic & 1) === 1 };
}

/** Returns the bytes of the log that it has written. */
function rewrite(descriptor: number): number {
  const head = Buffer.alloc(HEADER_BYTES);
  const header = readHeader(descriptor, head);
  const sum: Checksum = [0, 0];
  if (header === undefined || header.pageSize < 512) return 0;
  addTo(sum, head, 0, HEADER_BYTES - 8, header.bigEndian);
  if (!isAt(sum, head, HEADER_BYTES - 8)) return 0;

  const frameBytes = FRAME_HEADER_BYTES + header.pageSize;
  const chunk = Buffer.alloc(Math.max(1, Math.floor(CHUNK_BYTES / frameBytes)) * frameBytes);
  let position = HEADER_BYTES;
  writeSync(descriptor, head, 0, HEADER_BYTES, 0);
  for (let valid = true; valid; ) {
    const read = readSync(descriptor, chunk, 0, chunk.length, position);
    let end = 0;
    for (; valid && end + frameBytes <= read; ) {
      addTo(sum, chunk, end, 8, header.bigEndian);
      addTo(sum, chunk, end + FRAME_HEADER_BYTES, header.pageSize, header.bigEndian);
      const salts = chunk.subarray(end + FRAME_SALTS, end + FRAME_SALTS + SALT_BYTES);
      valid = salts.equals(header.salts) && isAt(sum, chunk, end + FRAME_SALTS + SALT_BYTES);
      if (valid) end += frameBytes;
    }
    for (let written = 0; written < end; ) {
      written += writeSync(descriptor, chunk, written, end - written, position + written);
    }
    position += end;
    if (read < chunk.length) break;
  }
  fdatasyncSync(descriptor);
  return position;
}

type Checksum = [number, number];

/** Adds whole pairs of words, as SQLite's walChecksumBytes. */
function addTo(sum: Checksum, bytes: Buffer, start: number, length: number, bigEndian: boolean): void {
  let [first, second] = sum;
  if (bigEndian === (endianness() === 'BE') && (bytes.byteOffset + start) % 4 === 0) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + start, length / 4);
    for (let at = 0; at < words.length; at += 2) {
      first = (first + (words[at] as number) + second) | 0;
      second = (second + (words[at + 1] as number) + first) | 0;
    }
  } else {
    const word = bigEndian ? bytes.readUInt32BE.bind(bytes) : bytes.readUInt32LE.bind(bytes);
    for (let at = start; at < start + length; at += 8) {
      first = (first + word(at) + second) | 0;
      second = (second + word(at + 4) + first) | 0;
    }
  }
  sum[0] = first;
  sum[1] = second;
}

/** Returns whether the checksum is the one that stands there, the big end first. */
function isAt([first, second]: Checksum, bytes: Buffer, at: number): boolean {
  return bytes.readInt32BE(at) === first && bytes.readInt32BE(at + 4) === second;
}
