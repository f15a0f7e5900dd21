import { constants } from 'node:fs';
import { access, type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { EventId } from '../../src/model/event.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import type { EventSink, Host } from '../contract.ts';
import { notOurs, translated } from './fault.ts';
import { inspectTail } from './tail.ts';

/** Bytes of one write, between which the signal is heard. */
const WRITE_BYTES = 1024 * 1024;

export async function openSink({ path }: { path: string }, host: Host, signal: AbortSignal): Promise<EventSink> {
  let file: FileHandle | undefined;
  /** Set while what stands after this byte is not known to be good: the write or its sync failed. */
  let goodSize: number | undefined;

  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (thrown) {
      throw translated(thrown, path, host.name);
    }
  };

  const release = async () => {
    const released = file;
    file = undefined;
    // Should this fail: the next open cuts off a torn line, and whole lines are only repeated.
    if (goodSize !== undefined) await released?.truncate(goodSize).catch(() => {});
    goodSize = undefined;
    await released?.close();
  };

  const acquire = async (): Promise<FileHandle> => {
    await mkdir(dirname(path), { recursive: true });
    const opened = await open(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT, 0o644);
    try {
      await mendTail(opened, path, host);
    } catch (thrown) {
      await opened.close();
      throw thrown;
    }
    file = opened;
    return opened;
  };

  /** The file that lies at the path now: after a rotation a new one. */
  const current = async (): Promise<FileHandle> => {
    if (file === undefined) return acquire();
    if (goodSize !== undefined) {
      await file.truncate(goodSize);
      goodSize = undefined;
    }
    if (await liesAt(file, path)) return file;
    await release();
    return acquire();
  };

  signal.throwIfAborted();
  await guarded(acquire);

  return {
    holds: 'events',
    deliver: (batch, signal) =>
      guarded(async () => {
        signal.throwIfAborted();
        const outcomes = new Map<EventId, Outcome>();
        if (batch.length === 0) return outcomes;
        const target = await current();
        const { size } = await target.stat();
        let offset = size;
        const lines = batch.map(({ id, text }) => {
          const line = Buffer.from(`${text}\n`);
          outcomes.set(id, { kind: 'delivered', receipt: `${path}:${offset}` });
          offset += line.length;
          return line;
        });
        goodSize = size;
        await write(target, Buffer.concat(lines), signal);
        // Invariant 2: delivered means on disk.
        await target.datasync();
        goodSize = undefined;
        return outcomes;
      }),
    close: () => guarded(release),
  };
}

/** A line that a crash cut short was never settled, so that its event comes again. */
async function mendTail(file: FileHandle, path: string, host: Host): Promise<void> {
  const state = await file.stat();
  if (!state.isFile()) throw notOurs(path, host.name, 'is not a plain file');
  if (state.size === 0) {
    await syncFolder(dirname(path));
    return;
  }
  const tail = await inspectTail(file, state.size);
  if (tail === 'whole') return;
  if (tail === 'foreign') throw notOurs(path, host.name, 'does not end in an event');
  if (tail === 'unterminated') {
    await file.appendFile('\n');
  } else {
    await file.truncate(tail.tornAt);
    host.note(
      `${path} ended in part of an event: ${state.size - tail.tornAt} bytes were cut off, the event comes again`,
    );
  }
  await file.datasync();
}

/** A new file survives a power cut only once its folder is on disk. */
async function syncFolder(folder: string): Promise<void> {
  // Windows opens no folders, and needs no such sync.
  if (process.platform === 'win32') return;
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function liesAt(file: FileHandle, path: string): Promise<boolean> {
  const [ours, there] = await Promise.all([file.stat({ bigint: true }), stat(path, { bigint: true }).catch(orAbsent)]);
  return there !== undefined && ours.ino === there.ino && ours.dev === there.dev;
}

function orAbsent(thrown: unknown): undefined {
  if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined;
  throw thrown;
}

async function write(file: FileHandle, bytes: Buffer, signal: AbortSignal): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    signal.throwIfAborted();
    const { bytesWritten } = await file.write(bytes, written, Math.min(WRITE_BYTES, bytes.length - written));
    written += bytesWritten;
  }
}

/** Opens what deliver would open, or finds that it could be created. Returns whether it is there. */
export async function checkWritable(path: string, name: string): Promise<boolean> {
  const state = await stat(path).catch(orAbsent);
  if (state === undefined) {
    let folder = dirname(path);
    while ((await stat(folder).catch(orAbsent)) === undefined) folder = dirname(folder);
    await access(folder, constants.W_OK | constants.X_OK);
    return false;
  }
  if (state.isDirectory() === false && !state.isFile()) throw notOurs(path, name, 'is not a plain file');
  await (await open(path, constants.O_RDWR | constants.O_APPEND)).close();
  return true;
}
