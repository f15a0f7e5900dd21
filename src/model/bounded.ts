/** Reads what others send to its end; resolves with undefined as soon as there are more than `most` bytes. */
export async function readAtMost(
  most: number,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<Buffer<ArrayBuffer> | undefined> {
  const read: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > most) return undefined;
    read.push(chunk);
  }
  return Buffer.concat(read);
}
