/** The codecs of record batches that kafkajs lacks, and a bound on what a batch may unpack to. */
import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import kafkajs from 'kafkajs';

/** A few kilobytes can unpack to gigabytes; a batch of the largest callbacks stays far below this. */
const MAX_BYTES = 64 * 1_048_576;

/** A batch that this process cannot unpack. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
  readonly suggestion: string;
  constructor(message: string, suggestion: string) {
    super(message);
    this.suggestion = suggestion;
  }
}

const { CompressionCodecs, CompressionTypes } = kafkajs;
const bound = { maxOutputLength: MAX_BYTES };
const gzip = promisify(zlib.gzip);
const unzip = promisify(zlib.unzip) as (data: Buffer, options: object) => Promise<Buffer>;
// Node has it from 22.15 on.
const unzstd = 'zstdDecompress' in zlib ? promisify(zlib.zstdDecompress) : undefined;

const codecs = {
  [CompressionTypes.GZIP]: codec('gzip', (data) => unzip(data, bound)),
  [CompressionTypes.ZSTD]: codec('zstd', (data) => {
    if (unzstd === undefined) throw new Unreadable('this Node knows no zstd', 'run Node 22.15 or newer');
    return unzstd(data, bound);
  }),
  [CompressionTypes.LZ4]: codec('lz4', async (data) => {
    const { decompressFrame } = await optional('lz4-napi', () => import('lz4-napi'));
    if (lz4Bound(data) > MAX_BYTES) throw tooLarge();
    return decompressFrame(data);
  }),
  [CompressionTypes.Snappy]: codec('snappy', async (data) => {
    const { uncompress } = await optional('snappy', () => import('snappy'));
    const blocks = snappyBlocks(data);
    if (blocks.reduce((sum, block) => sum + varint(block), 0) > MAX_BYTES) throw tooLarge();
    return Buffer.concat(await Promise.all(blocks.map(async (block) => Buffer.from(await uncompress(block)))));
  }),
};

/** Lets kafkajs read what other producers and brokers compress. */
export function registerCodecs(): void {
  Object.assign(CompressionCodecs, codecs);
}

function codec(name: string, decompress: (data: Buffer) => Promise<Buffer>) {
  return () => ({
    compress: ({ buffer }: { readonly buffer: Buffer }) => gzip(buffer),
    async decompress(data: Buffer): Promise<Buffer> {
      try {
        return await decompress(data);
      } catch (thrown) {
        if (thrown instanceof Unreadable) throw thrown;
        if ((thrown as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge();
        throw new Unreadable(`a batch is no ${name}`, 'look at what writes to the topic');
      }
    },
  });
}

const tooLarge = (): Unreadable =>
  new Unreadable(`a batch unpacks to more than ${MAX_BYTES / 1_048_576} MiB`, 'look at what writes to the topic');

async function optional<Module>(name: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch {
    throw new Unreadable(
      `the package ${name} is not installed, and records are compressed with it`,
      `npm install ${name}`,
    );
  }
}

/** Java writes a header of its own and then blocks, each with its length before it; others write one block. */
function snappyBlocks(data: Buffer): Buffer[] {
  const XERIAL = '\x82SNAPPY\0';
  if (data.toString('latin1', 0, XERIAL.length) !== XERIAL) return [data];
  const blocks: Buffer[] = [];
  for (let at = 16; at < data.length; ) {
    const length = data.readUInt32BE(at);
    blocks.push(data.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return blocks;
}

/** The length with which a block of snappy begins: what it unpacks to. */
function varint(data: Buffer): number {
  let value = 0;
  for (let at = 0; at < 5; at++) {
    const byte = data.readUInt8(at);
    value += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) break;
  }
  return value;
}

/** The most that a frame of lz4 can unpack to: the size of a block times their number. */
function lz4Bound(data: Buffer): number {
  const [flags, block] = [data.readUInt8(4), data.readUInt8(5)];
  const blockBytes = 2 ** (8 + 2 * ((block >> 4) & 7));
  const [blockChecksum, contentSize, dictionary] = [(flags & 0x10) !== 0, (flags & 0x08) !== 0, (flags & 0x01) !== 0];
  let blocks = 0;
  let at = 7 + (contentSize ? 8 : 0) + (dictionary ? 4 : 0);
  while (at + 4 <= data.length) {
    const length = data.readUInt32LE(at) & 0x7f_ff_ff_ff;
    if (length === 0) break;
    blocks++;
    at += 4 + length + (blockChecksum ? 4 : 0);
  }
  return blocks * blockBytes;
}
