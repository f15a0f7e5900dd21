/** Reading input from others within bounds. */
import { closeSync, constants, openSync, readSync } from 'node:fs';

/** Reads chunks to their end; resolves with undefined as soon as there are more than `most` bytes. */
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

/** How long a pipe may take. */
const PATIENCE_MS = 4_000;

/** Reads at most the first `most` bytes of a file, which may be an endless device, or a pipe that stays silent. */
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

/** All authorities of a system take some hundred kilobytes. */
const MAX_PEM_BYTES = 4 * 1_048_576;
export const readPem = (file: string): string => readStart(file, MAX_PEM_BYTES).toString('utf8');

/** Returns undefined, after a moment, if nothing has come yet and more may come. */
function readSome(descriptor: number, room: Buffer): number | undefined {
  try {
    return readSync(descriptor, room);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EAGAIN') throw thrown;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    return undefined;
  }
}
