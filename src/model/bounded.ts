/** Reading within bounds what others give. */
import { closeSync, constants, openSync, readSync } from 'node:fs';

/** Reads what somebody sends to its end; resolves with undefined as soon as there are more than `most` bytes. */
export async function readAtMost(most: number, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
  const read: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > most) return undefined;
    read.push(chunk);
  }
  return Buffer.concat(read);
}

/** How long a file may take that is a pipe. */
const PATIENCE_MS = 4_000;

/** Reads a file, of a larger one the first `most` bytes: it may be a device without an end, or a pipe of which nothing comes. */
export function readStart(file: string, most: number): Buffer {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const room = Buffer.alloc(most);
    let length = 0;
    for (const end = performance.now() + PATIENCE_MS; length < most; ) {
      const read = readSome(descriptor, room.subarray(length));
      if (read === 0) break;
      if (performance.now() > end) throw Object.assign(new Error('it takes too long'), { code: 'ETIMEDOUT' });
      length += read ?? 0;
    }
    return room.subarray(0, length);
  } finally {
    closeSync(descriptor);
  }
}

/** The authorities of a whole system take some hundred kilobytes. */
const MAX_PEM_BYTES = 4 * 1_048_576;
export const readPem = (file: string): string => readStart(file, MAX_PEM_BYTES).toString('utf8');

/** Returns undefined, after a moment, where more may come and has not yet. */
function readSome(descriptor: number, room: Buffer): number | undefined {
  try {
    return readSync(descriptor, room);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EAGAIN') throw thrown;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    return undefined;
  }
}
