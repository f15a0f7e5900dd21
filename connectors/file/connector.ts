import { type BigIntStats, constants, realpathSync } from 'node:fs';
import { access, type FileHandle, lstat, mkdir, open, readdir, readlink, stat } from 'node:fs/promises';
import { basename, dirname, join, parse, resolve } from 'node:path';
import { z } from 'zod';
import { type FaultCode, messageOf, Unreachable } from '../../src/model/fault.ts';
import { isObject, jsonIn } from '../../src/model/json.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { filePath } from '../../src/model/secret.ts';
import type { Connector, EventSink, Host, Identify } from '../contract.ts';

const QUOTED_MODE = 'octal permissions in quotes are expected, such as "0640"';

const options = z.strictObject({
  path: filePath.describe('The file events are appended to; relative to the working directory. Its folder is created.'),
  mode: z
    .string({ error: QUOTED_MODE })
    .regex(/^0?6[046][046]$/, { error: QUOTED_MODE })
    .transform((digits) => Number.parseInt(digits, 8))
    .prefault('0600')
    .describe(
      'Who may read and write the file, as chmod takes it: others than the bridge’s user are let in by "0640" or "0644". It is set whenever the file is opened; a folder that the bridge makes is 0700.',
    ),
});

export const file: Connector<z.output<typeof options>> = {
  kind: 'file',
  summary: 'Appends each event as one line of JSON to a file.',
  options,
  readsBack: false,
  holds: () => 'events',
  places: ({ path }) => [{ name: `file ${canonical(path)}`, option: 'path' }],
  open: openSink,
  async *examine({ path }, { name }) {
    const there = await guarded(path, name, () => checkWritable(path, name));
    yield { step: 'file', state: 'well', says: there ? `${path} can be written` : `${path} can be created` };
  },
};

/** The canonical name of a file, whether it exists yet or not. */
function canonical(path: string): string {
  const whole = resolve(path);
  try {
    return realpathSync(whole);
  } catch {
    return dirname(whole) === whole ? whole : join(canonical(dirname(whole)), basename(whole));
  }
}

/** Opens what `deliver` would open, or finds that it could be created. Returns whether it exists. */
async function checkWritable(path: string, name: string): Promise<boolean> {
  const state = await stat(path).catch(orAbsent);
  if (state === undefined) {
    // A dangling link exists: the file that it names would be created, but not its folder.
    let nearest = path;
    while ((await lstat(nearest).catch(orAbsent)) === undefined) nearest = dirname(nearest);
    const folder = nearest === path ? dirname(resolve(dirname(path), await readlink(path))) : nearest;
    await access(folder, constants.W_OK | constants.X_OK);
    return false;
  }
  if (!state.isDirectory() && !state.isFile()) throw notOurs(path, name, 'is not a plain file');
  await (await open(path, constants.O_RDWR | constants.O_APPEND)).close();
  return true;
}

/** Bytes of one write, between which the signal is checked. */
const WRITE_BYTES = 1024 * 1024;
/** Bytes of one read when looking for the end of the last line. */
const CHUNK = 64 * 1024;
/** Longer than any event: what has no newline for so long was not written here. */
const MAX_TAIL = 64 * 1024 * 1024;

async function openSink({ path, mode }: z.output<typeof options>, host: Host, signal: AbortSignal): Promise<EventSink> {
  let file: FileHandle | undefined;
  /** Set while what follows this byte is suspect: the write or its sync failed. */
  let goodSize: number | undefined;
  /** The inode of the previous file, which now has another name. */
  let moved: bigint | undefined;

  /** Leaves a file alone that somebody emptied meanwhile: truncating would extend it with NULs. */
  const cutOff = async (torn: FileHandle | undefined): Promise<void> => {
    if (goodSize !== undefined && torn && (await torn.stat()).size > goodSize) await torn.truncate(goodSize);
    goodSize = undefined;
  };

  const release = async () => {
    const released = file;
    file = undefined;
    // If this fails, the next open cuts off a torn line, and complete lines are merely repeated.
    await cutOff(released).catch(() => {});
    goodSize = undefined;
    await released?.close();
  };

  const acquire = async (): Promise<FileHandle> => {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const opened = await open(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT, mode);
    await mendTail(opened, path, host)
      .then(() => permit(opened, mode))
      .catch(async (thrown) => {
        await opened.close();
        throw thrown;
      });
    file = opened;
    return opened;
  };

  /** Returns the file that is at the path now: after a rotation a new one. */
  const current = async (): Promise<FileHandle> => {
    if (file === undefined) return acquire();
    await cutOff(file);
    const ours = await file.stat({ bigint: true });
    const there = await stat(path, { bigint: true }).catch(orAbsent);
    if (ours.ino === there?.ino && ours.dev === there.dev) return file;
    moved = ours.nlink > 0n ? ours.ino : undefined;
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

  const identify: Identify = async (before) => {
    const { ino, birthtimeNs } = await (await current()).stat({ bigint: true });
    const beside = await rotatedBeside(path);
    const newest = beside.reduce((latest, one) => (one.birthtimeNs > latest ? one.birthtimeNs : latest), 0n);
    // An inode may be reused, but not with the same birth time.
    const identity = `${ino} ${birthtimeNs} ${newest} ${path}`;
    const [known = '', born, newestThen = '0', ...name] = before?.split(' ') ?? [];
    if (before === undefined || (known === String(ino) && born === String(birthtimeNs))) return { identity };
    const was = name.join(' ');
    if (was !== path) return { identity, moved: true, lost: `the file is ${path} now, and was ${was} before` };
    const isBeside = beside.some((one) => String(one.ino) === known || one.birthtimeNs > BigInt(newestThen));
    if (isBeside || String(moved) === known) return { identity };
    return { identity, lost: `the file ${path} is not the one that was written to before: it was deleted or replaced` };
  };

  signal.throwIfAborted();
  await guarded(path, host.name, acquire);
  return {
    holds: 'events',
    deliver: (batch, signal) => guarded(path, host.name, () => deliver(batch, signal)),
    identify: (before, signal) => guarded(path, host.name, () => identify(before, signal)),
    close: () => guarded(path, host.name, release),
  };
}

/** Returns the files named like rotations: the old file is one of them, or was converted into one. */
async function rotatedBeside(path: string): Promise<BigIntStats[]> {
  // A folder that may not be listed shows no rotation: at worst events are delivered again.
  const listed = await readdir(dirname(path)).catch((): string[] => []);
  const { base, name } = parse(path);
  const isRotated = (one: string): boolean => one.startsWith(base) || /^[-._]?\d/.test(one.slice(name.length));
  const names = listed.filter((one) => one !== base && one.startsWith(name) && isRotated(one));
  const states = names.map((one) => stat(join(dirname(path), one), { bigint: true }).catch(orAbsent));
  return (await Promise.all(states)).filter((one) => one !== undefined);
}

/** Sets the permissions of our own file: another program or umask may have created it with others. */
async function permit(file: FileHandle, mode: number): Promise<void> {
  const state = await file.stat();
  if ((state.mode & 0o777) === mode || state.uid !== process.geteuid?.()) return;
  await file.chmod(mode);
}

/** Repairs a line that a crash cut short: it was never settled, so its event comes again. */
async function mendTail(file: FileHandle, path: string, host: Host): Promise<void> {
  const state = await file.stat();
  if (!state.isFile()) throw notOurs(path, host.name, 'is not a plain file');
  if (state.size === 0) return syncFolder(dirname(path));
  const { tail, start } = await readTail(file, state.size);
  if (tail.length === 0) return;
  if (isObject(jsonIn(tail.toString()))) await file.appendFile('\n');
  // A power cut may leave NULs in place of a line.
  else if (tail.length <= MAX_TAIL && (tail[0] === 0x7b || tail[0] === 0)) {
    await file.truncate(start);
    const bytes = state.size - start;
    host.note(`${path} ended in part of an event: ${bytes} bytes were cut off, the event comes again`);
  } else throw notOurs(path, host.name, 'does not end in an event');
  await file.datasync();
}

/** Reads back to the last newline, or until it is clear that no event follows it. */
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

/** A new file survives a power cut only once its folder is on disk. */
async function syncFolder(folder: string): Promise<void> {
  // Windows opens no folders, and needs no such sync.
  if (process.platform === 'win32') return;
  const handle = await open(folder, constants.O_RDONLY);
  await handle.sync().finally(() => handle.close());
}

const OVERLOADED = 'destination-overloaded';
const MISCONFIGURED = 'destination-misconfigured';
const USER_MUST_WRITE = [MISCONFIGURED, 'let the user the bridge runs as write this file and its folder'] as const;
const ANOTHER_PATH = [MISCONFIGURED, 'give the path of a plain file, or of one that can be created'] as const;

/** What to do about failures with a known remedy. */
const REMEDIES = new Map<unknown, readonly [FaultCode, string]>([
  ['ENOSPC', [OVERLOADED, 'free space on its disk']],
  ['EDQUOT', [OVERLOADED, 'free space or raise the quota']],
  ['EFBIG', [OVERLOADED, 'move the file away: it is as large as its file system or the limits allow']],
  ['EACCES', USER_MUST_WRITE],
  ['EPERM', USER_MUST_WRITE],
  ['EROFS', [MISCONFIGURED, 'give a path on a file system that is not read-only']],
  ['EISDIR', [MISCONFIGURED, 'it is a folder: give the path of a file in it']],
  ['ENOTDIR', ANOTHER_PATH],
  ['EEXIST', ANOTHER_PATH],
  ['ELOOP', ANOTHER_PATH],
  ['ENAMETOOLONG', ANOTHER_PATH],
]);

/** Runs the work. An error of the file system is rethrown as Unreachable; anything else unchanged. */
async function guarded<T>(path: string, name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof Error) || !('syscall' in thrown) || !('code' in thrown)) throw thrown;
    const unknown = ['destination-unreachable', 'look at the disk it lies on'] as const;
    const [code, suggestion] = REMEDIES.get(thrown.code) ?? unknown;
    const message = `The file ${path} cannot be written: ${messageOf(thrown)}`;
    throw new Unreachable({ code, message, path: `connectors.${name}.path`, suggestion }, thrown);
  }
}

function notOurs(path: string, name: string, what: string): Unreachable {
  const setting = `connectors.${name}.path`;
  const suggestion = 'give the path of a file that is for the events alone';
  return new Unreachable({ code: MISCONFIGURED, message: `${path} ${what}`, path: setting, suggestion });
}

/** Ignores the error of a file that does not exist. */
function orAbsent(thrown: unknown): undefined {
  if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined;
  throw thrown;
}
