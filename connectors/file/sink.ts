import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isObject } from '../../src/model/json.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import type { EventSink, Host } from '../contract.ts';
import { guarded, notOurs, orAbsent } from './fault.ts';

/** Bytes of one write, between which the signal is heard. */
const WRITE_BYTES = 1024 * 1024;
/** Bytes of one read, when the end of the last line is looked for. */
const CHUNK = 64 * 1024;
/** Longer than any event: what has no newline for so long was not written here. */
const MAX_TAIL = 64 * 1024 * 1024;

export async function openSink({ path }: { path: string }, host: Host, signal: AbortSignal): Promise<EventSink> {
  let file: FileHandle | undefined;
  /** Set while what stands after this byte is not known to be good: the write or its sync failed. */
  let goodSize: number | undefined;

  const release = async () => {
    const released = file;
    file = undefined;
    // Should this fail, the next open cuts off a torn line, and whole lines are only repeated.
    if (goodSize !== undefined) await released?.truncate(goodSize).catch(() => {});
    goodSize = undefined;
    await released?.close();
  };

  const acquire = async (): Promise<FileHandle> => {
    await mkdir(dirname(path), { recursive: true });
    const opened = await open(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT, 0o644);
    await mendTail(opened, path, host).catch(async (thrown) => {
      await opened.close();
      throw thrown;
    });
    file = opened;
    return opened;
  };

  /** Returns the file that lies at the path now: after a rotation a new one. */
  const current = async (): Promise<FileHandle> => {
    if (file === undefined) return acquire();
    if (goodSize !== undefined) await file.truncate(goodSize);
    goodSize = undefined;
    const ours = await file.stat({ bigint: true });
    const there = await stat(path, { bigint: true }).catch(orAbsent);
    if (ours.ino === there?.ino && ours.dev === there.dev) return file;
    await release();
    return acquire();
  };

  const deliver: EventSink['deliver'] = async (batch, signal) => {
    signal.throwIfAborted();
    if (batch.length === 0) return new Map();
    const target = await current();
    const { size } = await target.stat();
    const outcomes = new Map<string, Outcome>();
    let offset = size;
    const lines = batch.map(({ id, text }) => {
      const line = Buffer.from(`${text}\n`);
      outcomes.set(id, { kind: 'delivered', receipt: `${path}:${offset}` });
      offset += line.length;
      return line;
    });
    goodSize = size;
    const bytes = Buffer.concat(lines);
    for (let written = 0; written < bytes.length; ) {
      signal.throwIfAborted();
      const length = Math.min(WRITE_BYTES, bytes.length - written);
      written += (await target.write(bytes, written, length)).bytesWritten;
    }
    // Invariant 2: delivered means on disk.
    await target.datasync();
    goodSize = undefined;
    return outcomes;
  };

  signal.throwIfAborted();
  await guarded(path, host.name, acquire);
  return {
    holds: 'events',
    deliver: (batch, signal) => guarded(path, host.name, () => deliver(batch, signal)),
    close: () => guarded(path, host.name, release),
  };
}

/** A line that a crash cut short was never settled, so that its event comes again. */
async function mendTail(file: FileHandle, path: string, host: Host): Promise<void> {
  const state = await file.stat();
  if (!state.isFile()) throw notOurs(path, host.name, 'is not a plain file');
  if (state.size === 0) return syncFolder(dirname(path));
  const { tail, start } = await readTail(file, state.size);
  if (tail.length === 0) return;
  if (isEvent(tail)) await file.appendFile('\n');
  // A power cut may leave NULs where a line was to stand.
  else if (tail.length <= MAX_TAIL && (tail[0] === 0x7b || tail[0] === 0)) {
    await file.truncate(start);
    const bytes = state.size - start;
    host.note(`${path} ended in part of an event: ${bytes} bytes were cut off, the event comes again`);
  } else throw notOurs(path, host.name, 'does not end in an event');
  await file.datasync();
}

/** Reads back to the last newline, or to where it is clear that no event stands after it. */
async function readTail(file: FileHandle, size: number): Promise<{ readonly tail: Buffer; readonly start: number }> {
  const chunks: Buffer[] = [];
  let start = size;
  for (let newline = -1; newline < 0 && start > 0 && size - start <= MAX_TAIL; ) {
    const from = Math.max(0, start - CHUNK);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(start - from), 0, start - from, from);
    newline = buffer.subarray(0, bytesRead).lastIndexOf('\n');
    chunks.unshift(buffer.subarray(newline + 1, bytesRead));
    start = from + newline + 1;
  }
  return { tail: Buffer.concat(chunks), start };
}

function isEvent(line: Buffer): boolean {
  try {
    return isObject(JSON.parse(line.toString()));
  } catch {
    return false;
  }
}

/** A new file survives a power cut only once its folder is on disk. */
async function syncFolder(folder: string): Promise<void> {
  // Windows opens no folders, and needs no such sync.
  if (process.platform === 'win32') return;
  const handle = await open(folder, constants.O_RDONLY);
  await handle.sync().finally(() => handle.close());
}
