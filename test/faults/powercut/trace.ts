import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Random } from '../random.ts';

/** One record of recorder.c. */
interface TraceRecord {
  /** Start of a process, Create, Path of a folder, mkDir, Write, Truncate, sync Begins and Ends, Unlink, reName. */
  readonly kind: 'S' | 'C' | 'P' | 'D' | 'W' | 'T' | 'B' | 'E' | 'U' | 'N';
  readonly inode: bigint;
  /** Where a write begins, the size after a truncation, the number of a sync. */
  readonly number: number;
  /** How a sync ended: 0 done, 1 refused, 2 done and an earlier refusal told. */
  readonly status: number;
  readonly data: Buffer;
}

const HEAD_BYTES = 25;

export function readTrace(file: string): TraceRecord[] {
  const bytes = readFileSync(file);
  const records: TraceRecord[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at + 21);
    records.push({
      kind: String.fromCharCode(bytes[at] as number) as TraceRecord['kind'],
      inode: bytes.readBigUInt64LE(at + 1),
      number: Number(bytes.readBigUInt64LE(at + 9)),
      status: bytes.readUInt32LE(at + 17),
      data: bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length),
    });
    at += HEAD_BYTES + length;
  }
  return records;
}

const PAGE = 4_096;
const SECTOR = 512;

interface PageVersion {
  readonly bytes: Buffer;
  /** Rises with each write: a sync that ends late does not bring back what an earlier one wrote. */
  readonly version: number;
}

/** A file, as programs see it and as the disk has it. */
interface File {
  readonly isFolder: boolean;
  readonly cache: Map<number, PageVersion>;
  size: number;
  readonly disk: Map<number, PageVersion>;
  diskSize: number;
  /** The sync that told the disk of its size: one that began before it and ends late does not bring back an earlier size. */
  sizedBy: number;
  /** Pages that are to be written to the disk. */
  readonly dirty: Set<number>;
  /** The least size that the file was cut to since the disk was told of it. */
  cutTo: number | undefined;
}

function newFile(isFolder: boolean): File {
  return {
    isFolder,
    cache: new Map(),
    size: 0,
    disk: new Map(),
    diskSize: 0,
    sizedBy: 0,
    dirty: new Set(),
    cutTo: undefined,
  };
}

interface Sync {
  /** In the order in which they began. */
  readonly number: number;
  readonly file: File;
  readonly pages: Map<number, PageVersion>;
  readonly size: number;
  readonly cutTo: number | undefined;
}

/** A change of a folder that a power cut may undo until the folder is synced; file systems keep the order of them. */
type Naming = { readonly folder: string; apply(names: Map<string, File>): void };

export interface Disk {
  /** Takes the next record. */
  apply(record: TraceRecord): void;
  /** What a program would read. */
  read(name: string): Buffer;
  /** Writes into the folder what may be left when the power is cut now. */
  image(folder: string, random: Random): void;
}

export interface DiskOptions {
  /** Takes a page that is written with what it holds already for clean: a copy of the bridge that does not write again. */
  readonly ignoreRewrites?: boolean;
  readonly random: Random;
}

/** The files below the recorded folder: a page cache and a disk, by the rules of POSIX and of Linux after a failed sync. */
export function createDisk({ ignoreRewrites = false, random }: DiskOptions): Disk {
  const inodes = new Map<bigint, File>();
  const syncs = new Map<string, Sync>();
  const folders = new Map<bigint, string>();
  /** The names as programs see them. */
  const names = new Map<string, File>();
  /** The names that the disk has, and what is to be added. */
  const safe = new Map<string, File>();
  let naming: Naming[] = [];
  let version = 0;
  let begun = 0;

  const rename = (name: string, apply: (names: Map<string, File>) => void): void => {
    apply(names);
    naming.push({ folder: dirname(name), apply });
  };
  const pageOf = (file: File, page: number): Buffer => file.cache.get(page)?.bytes ?? Buffer.alloc(PAGE);
  const put = (file: File, page: number, bytes: Buffer): void => {
    file.cache.set(page, { bytes, version: ++version });
    file.dirty.add(page);
  };

  const write = (file: File, at: number, data: Buffer): void => {
    for (let done = 0; done < data.length; ) {
      const page = Math.floor((at + done) / PAGE);
      const start = (at + done) % PAGE;
      const part = data.subarray(done, done + PAGE - start);
      const before = pageOf(file, page);
      const after = Buffer.from(before);
      part.copy(after, start);
      const isSame = ignoreRewrites && at + done + part.length <= file.size && after.equals(before);
      if (!isSame) put(file, page, after);
      done += part.length;
    }
    file.size = Math.max(file.size, at + data.length);
  };

  const cut = (file: File, size: number): void => {
    for (const page of file.cache.keys()) {
      if (page * PAGE < size) continue;
      file.cache.delete(page);
      file.dirty.delete(page);
    }
    if (size % PAGE !== 0 && size < file.size) {
      const page = Math.floor(size / PAGE);
      put(file, page, Buffer.from(pageOf(file, page)).fill(0, size % PAGE));
    }
    if (size < file.size) file.cutTo = Math.min(file.cutTo ?? size, size);
    file.size = size;
  };

  const cutDisk = (pages: Map<number, PageVersion>, to: number): void => {
    for (const page of pages.keys()) if (page * PAGE >= to) pages.delete(page);
  };

  const begin = (id: string, file: File): void => {
    const pages = new Map<number, PageVersion>();
    for (const page of file.dirty) {
      const found = file.cache.get(page);
      if (found !== undefined) pages.set(page, found);
    }
    syncs.set(id, { number: ++begun, file, pages, size: file.size, cutTo: file.cutTo });
  };

  const end = (id: string, status: number): void => {
    const sync = syncs.get(id);
    if (sync === undefined) return;
    syncs.delete(id);
    const { file, pages } = sync;
    if (sync.cutTo !== undefined && file.cutTo !== undefined) {
      cutDisk(file.disk, sync.cutTo);
      if (file.cutTo === sync.cutTo) file.cutTo = undefined;
    }
    // A disk that refuses may have lost all of it or a part: the system takes it for written either way.
    const share = status === 1 ? random.pick([1, 1, 0.5]) : 0;
    for (const [page, written] of pages) {
      if (file.cache.get(page) === written) file.dirty.delete(page);
      if (random.next() < share) {
        // Another sync that is under way waits for the same writing, and writes nothing of it again.
        for (const other of syncs.values()) if (other.pages.get(page) === written) other.pages.delete(page);
      } else if ((file.disk.get(page)?.version ?? 0) <= written.version) {
        file.disk.set(page, written);
      }
    }
    if (sync.number > file.sizedBy) {
      file.diskSize = sync.size;
      file.sizedBy = sync.number;
    }
  };

  /** A page as a power cut in the middle of its writing may leave it. */
  const torn = (before: Buffer, after: Buffer, random: Random): Buffer => {
    const bytes = Buffer.from(before);
    for (let sector = 0; sector < PAGE; sector += SECTOR) {
      if (random.next() < 0.5) after.copy(bytes, sector, sector, sector + SECTOR);
    }
    return bytes;
  };

  const imageOf = (file: File, how: 'drop' | 'keep' | 'any', random: Random): Buffer => {
    const pages = new Map(file.disk);
    let size = file.diskSize;
    const luck = how === 'any' ? random.next() : how === 'keep' ? 1 : 0;
    if (file.cutTo !== undefined && random.next() < luck) {
      cutDisk(pages, file.cutTo);
      size = Math.min(size, file.cutTo);
    }
    for (const page of file.dirty) {
      const after = file.cache.get(page);
      if (after === undefined || random.next() >= luck) continue;
      const before = pages.get(page)?.bytes ?? Buffer.alloc(PAGE);
      const bytes = how === 'any' && random.next() < 0.3 ? torn(before, after.bytes, random) : after.bytes;
      pages.set(page, { bytes, version: 0 });
      size = Math.max(size, Math.min((page + 1) * PAGE, file.size));
    }
    const image = Buffer.alloc(size);
    for (const [page, { bytes }] of pages) if (page * PAGE < size) bytes.copy(image, page * PAGE);
    return image;
  };

  return {
    apply({ kind, inode, number, status, data }) {
      const text = data.toString();
      const known = inodes.get(inode);
      if (kind === 'S') syncs.clear();
      if (kind === 'P' || kind === 'D') folders.set(inode, text === '' ? '.' : text);
      if (kind === 'C' || kind === 'D') {
        const file = newFile(kind === 'D');
        if (kind === 'C') inodes.set(inode, file);
        rename(text, (names) => names.set(text, file));
      }
      if (kind === 'U') rename(text, (names) => names.delete(text));
      if (kind === 'N') {
        const [from = '', to = ''] = text.split('\0');
        rename(from, (names) => {
          const file = names.get(from);
          if (file === undefined) return;
          names.delete(from);
          names.set(to, file);
        });
      }
      if (kind === 'W' && known !== undefined) write(known, number, data);
      if (kind === 'T' && known !== undefined) cut(known, number);
      if (kind === 'B' && known !== undefined) begin(String(number), known);
      if (kind === 'E' && known !== undefined) end(String(number), status);
      const folder = folders.get(inode);
      if (kind === 'E' && folder !== undefined) {
        naming = naming.filter((change) => {
          if (change.folder === folder) change.apply(safe);
          return change.folder !== folder;
        });
      }
    },
    read(name) {
      const file = names.get(name);
      if (file === undefined) return Buffer.alloc(0);
      const bytes = Buffer.alloc(file.size);
      for (const [page, { bytes: from }] of file.cache) from.copy(bytes, page * PAGE);
      return bytes;
    },
    image(folder, random) {
      const how = random.pick(['drop', 'keep', 'any', 'any', 'any'] as const);
      const left = new Map(safe);
      const kept = how === 'drop' ? 0 : how === 'keep' ? naming.length : random.between(0, naming.length);
      for (const { apply } of naming.slice(0, kept)) apply(left);
      // What is in a folder is lost with its name.
      const isThere = (folder: string): boolean => folder === '.' || (left.has(folder) && isThere(dirname(folder)));
      for (const [name, file] of left) {
        if (file.isFolder || !isThere(dirname(name))) continue;
        mkdirSync(join(folder, dirname(name)), { recursive: true });
        writeFileSync(join(folder, name), imageOf(file, how, random));
      }
    },
  };
}
