import type { FileHandle } from 'node:fs/promises';

const CHUNK = 64 * 1024;
/** Longer than any event: what has no newline for so long was not written here. */
const MAX_TAIL = 64 * 1024 * 1024;
const NEWLINE = 0x0a;

/** How a file ends: in a newline, in an event that lacks only that, in part of an event, or in something else. */
export type Tail = 'whole' | 'unterminated' | { readonly tornAt: number } | 'foreign';

/** Looks at what stands after the last newline. */
export async function inspectTail(file: FileHandle, size: number): Promise<Tail> {
  const chunks: Buffer[] = [];
  let start = size;
  while (start > 0) {
    const from = Math.max(0, start - CHUNK);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(start - from), 0, start - from, from);
    const newline = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE);
    chunks.unshift(buffer.subarray(newline + 1, bytesRead));
    start = newline >= 0 ? from + newline + 1 : from;
    if (newline >= 0) break;
    if (size - start > MAX_TAIL) return 'foreign';
  }
  const tail = Buffer.concat(chunks);
  if (tail.length === 0) return 'whole';
  if (isEvent(tail)) return 'unterminated';
  // A power cut may leave NULs where a line was to stand.
  return tail[0] === 0x7b || tail[0] === 0 ? { tornAt: start } : 'foreign';
}

function isEvent(line: Buffer): boolean {
  try {
    const value: unknown = JSON.parse(line.toString());
    return typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}
