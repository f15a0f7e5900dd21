/** The codecs of record batches that kafkajs lacks, and a limit on what a batch may unpack to. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import kafkajs from 'kafkajs';
import { CODECS, type CodecName } from './options.ts';

/** A few kilobytes can unpack to gigabytes. A batch, or a fetch, of the largest callbacks stays far below this. */
const MAX_BYTES = 64 * 1_048_576;

/** How much has been unpacked of one request's answer. */
const fetches = new AsyncLocalStorage<{ bytes: number }>();

/** A fetch begins in the current asynchronous context. */
export const beginFetch = (): void => fetches.enterWith({ bytes: 0 });

/** Tells kafkajs to use what it has of a partition, and to fetch the rest with the next request. */
class Enough extends Error {
  override readonly name = 'KafkaJSPartialMessageError';
}

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
const packZstd = promisify(zlib.zstdCompress);
const unpackZstd = promisify(zlib.zstdDecompress);

interface Codec {
  /** Its name in kafkajs and in the protocol. */
  readonly type: keyof typeof CompressionCodecs;
  pack(data: Buffer): Promise<Buffer>;
  unpack(data: Buffer): Promise<Buffer>;
}

const codecs = {
  gzip: { type: CompressionTypes.GZIP, pack: (data) => gzip(data), unpack: (data) => unzip(data, bound) },
  zstd: { type: CompressionTypes.ZSTD, pack: (data) => packZstd(data), unpack: (data) => unpackZstd(data, bound) },
  lz4: {
    type: CompressionTypes.LZ4,
    pack: async (data) => (await lz4()).compressFrame(data),
    async unpack(data) {
      const { decompressFrame } = await lz4();
      if (lz4Bound(data) > MAX_BYTES) throw new TooLarge();
      return decompressFrame(data);
    },
  },
  snappy: {
    type: CompressionTypes.Snappy,
    pack: async (data) => (await snappy()).compress(data),
    async unpack(data) {
      const { uncompress } = await snappy();
      const blocks = snappyBlocks(data);
      if (blocks.reduce((sum, block) => sum + varint(block), 0) > MAX_BYTES) throw new TooLarge();
      return Buffer.concat(await Promise.all(blocks.map(async (block) => Buffer.from(await uncompress(block)))));
    },
  },
} satisfies Record<CodecName, Codec>;

export const typeOfCodec = (name: CodecName): number => codecs[name].type;

/** Lets kafkajs read what other producers and brokers compress. */
export function registerCodecs(): void {
  for (const name of CODECS) {
    CompressionCodecs[codecs[name].type] = () => ({
      compress: ({ buffer }: { readonly buffer: Buffer }) => codecs[name].pack(buffer),
      decompress: (data: Buffer) => unpackOrReplace(name, data),
    });
  }
}

/** Throws Unreadable if this process lacks the codec. */
export async function tryCodec(name: CodecName): Promise<void> {
  await codecs[name].pack(Buffer.from('x'));
}

class TooLarge extends Error {}

async function unpackOrReplace(name: CodecName, data: Buffer): Promise<Buffer> {
  const fetch = fetches.getStore() ?? { bytes: 0 };
  if (fetch.bytes >= MAX_BYTES) throw new Enough();
  try {
    const unpacked = await codecs[name].unpack(data);
    fetch.bytes += unpacked.length;
    return unpacked;
  } catch (thrown) {
    if (thrown instanceof Unreadable) throw thrown;
    const large = thrown instanceof TooLarge || (thrown as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE';
    const what = large ? `unpacks to more than ${MAX_BYTES / 1_048_576} MiB` : `is no ${name}`;
    const sha256 = createHash('sha256').update(data).digest('hex');
    return replacement({ reason: `a batch of ${data.length} bytes ${what}`, size: data.length, sha256 });
  }
}

/** A batch that could not be unpacked: why, and its size and hash in the topic. */
export interface Unread {
  readonly reason: string;
  readonly size: number;
  readonly sha256: string;
}

const replaced = new WeakMap<ArrayBufferLike, Unread>();

/** Returns the unreadable batch that this record replaces, if it is a replacement. */
export const unreadOf = (value: Buffer | null): Unread | undefined => (value ? replaced.get(value.buffer) : undefined);

/** The most records in a batch that can be replaced. */
const MAX_REPLACED = 200_000;

/**
 * Returns empty records in place of those that cannot be unpacked, so that their partition continues after them: kafkajs
 * takes as many of them as the batch has.
 */
function replacement(unread: Unread): Buffer {
  const records = Buffer.alloc(MAX_REPLACED * 9);
  let at = 0;
  for (let number = 0; number < MAX_REPLACED; number++) {
    const delta = zigZag(number);
    // Length, attributes, timestamp, number, no key, an empty value, no headers.
    const record = [...zigZag(5 + delta.length), 0, 0, ...delta, 1, 0, 0];
    records.set(record, at);
    at += record.length;
  }
  replaced.set(records.buffer, unread);
  return records;
}

/** Encodes a non-negative number the way records do. */
function zigZag(value: number): number[] {
  const bytes: number[] = [];
  let rest = 2 * value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

const lz4 = () => optional('lz4-napi', () => import('lz4-napi'));
const snappy = () => optional('snappy', () => import('snappy'));

async function optional<Module>(name: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch {
    const message = `the package ${name} is not installed, and records are compressed with it`;
    throw new Unreadable(message, `npm install ${name}`);
  }
}

/** Java writes its own header and then blocks, each preceded by its length; others write one block. */
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

/** Returns the unpacked length, with which a snappy block begins. */
function varint(data: Buffer): number {
  let value = 0;
  for (let at = 0; at < 5; at++) {
    const byte = data.readUInt8(at);
    value += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) break;
  }
  return value;
}

/** Returns the most that an lz4 frame can unpack to: block size times the number of blocks. */
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
