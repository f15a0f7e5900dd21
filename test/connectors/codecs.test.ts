import { gzipSync, zstdCompressSync } from 'node:zlib';
import kafkajs from 'kafkajs';
import { compressFrameSync } from 'lz4-napi';
import { compressSync } from 'snappy';
import { describe, expect, test } from 'vitest';
import { registerCodecs, unreadOf } from '../../connectors/kafka/codecs.ts';
import { kafka } from '../../connectors/kafka/connector.ts';
import { judge } from '../../connectors/kafka/fault.ts';
import { clientOptions } from '../../connectors/kafka/options.ts';

registerCodecs();
const { CompressionCodecs, CompressionTypes } = kafkajs;
const unpack = (type: number, data: Buffer): Promise<Buffer> =>
  (CompressionCodecs as Record<number, () => { decompress(data: Buffer): Promise<Buffer> }>)
    [type]?.()
    .decompress(data) ?? Promise.reject(new Error('no such codec'));

/** As Java writes it: a header of 16 bytes, then blocks with their lengths. */
function xerial(blocks: readonly Buffer[]): Buffer {
  const header = Buffer.from('\x82SNAPPY\0\0\0\0\x01\0\0\0\x01', 'latin1');
  const parts = blocks.flatMap((block) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(block.length);
    return [length, block];
  });
  return Buffer.concat([header, ...parts]);
}

const text = Buffer.from('a group has a new name; '.repeat(10_000));
const halves = [text.subarray(0, 65_536), text.subarray(65_536)];
/** 80 MiB of one letter, which is some kilobytes packed. */
const bomb = Buffer.alloc(80 * 1_048_576, 'x');

describe.each([
  ['gzip', CompressionTypes.GZIP, gzipSync(text), gzipSync(bomb)],
  ['zstd', CompressionTypes.ZSTD, zstdCompressSync(text), zstdCompressSync(bomb)],
  ['lz4', CompressionTypes.LZ4, compressFrameSync(text), compressFrameSync(bomb)],
  ['snappy', CompressionTypes.Snappy, compressSync(text), compressSync(bomb)],
  ['snappy as Java writes it', CompressionTypes.Snappy, xerial(halves.map((half) => compressSync(half))), undefined],
])('%s', (_, type, packed, packedBomb) => {
  test('is read', async () => expect((await unpack(type, packed)).equals(text)).toBe(true));
  test.skipIf(packedBomb === undefined)('unpacks to 64 MiB at most', async () => {
    expect(unreadOf(await unpack(type, packedBomb as Buffer))?.reason).toContain('unpacks to more than 64 MiB');
  });
  test('what is something else is told as such', async () => {
    const unread = unreadOf(await unpack(type, Buffer.from('no such thing at all, whatever it says')));
    expect(unread?.reason).toMatch(/is not valid |more than/);
  });
});

test.each([
  ['a batch of zstd, before 2.1', 'KafkaJSProtocolError', 'compression', /older than 2\.1/],
  ['a setting of a new topic, such as 1.1', 'KafkaJSCreateTopicError', 'createTopic', /refuses these settings/],
])('what old brokers refuse as UNKNOWN has advice: %s', async (_, name, setting, suggestion) => {
  const given = kafka.options.parse({ brokers: 'a:1', topic: 't', compression: 'zstd' });
  const options = await clientOptions(given, 'connectors.events', new AbortController().signal);
  const error = Object.assign(new Error('as kafkajs puts it'), { name, type: 'UNKNOWN', retriable: false });
  expect(judge(error, options).fault).toMatchObject({
    code: 'destination-misconfigured',
    path: `connectors.events.${setting}`,
    suggestion: expect.stringMatching(suggestion),
  });
});
