/** What other producers and brokers make of a topic: every codec, records of any size. */
import { createHash, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CompressionTypes, Kafka, logLevel } from 'kafkajs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { type BridgeProcess, bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import { madeEvent } from '../support/events.ts';

const brokers = inject('kafkaBrokers');

async function withKafka<T>(work: (kafka: Kafka) => Promise<T>): Promise<T> {
  return work(new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING }));
}

async function createTopic(config: Readonly<Record<string, string>> = {}): Promise<string> {
  const topic = `test.${randomUUID()}`;
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  await withKafka(async (kafka) => {
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 1, configEntries }] });
    await admin.disconnect();
  });
  return topic;
}

async function produce(topic: string, values: readonly string[], compression = CompressionTypes.None): Promise<void> {
  await withKafka(async (kafka) => {
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic, compression, messages: values.map((value) => ({ key: 'g', value })) });
    await producer.disconnect();
  });
}

const events = (n: number): string[] => Array.from({ length: n }, (_, each) => JSON.stringify(madeEvent(each)));

async function startWorker(topic: string) {
  const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: join(folder, 'events.ndjson') } }));
  onTestFinished(home.remove);
  const source = { kind: 'kafka', brokers, topic, groupId: topic };
  const connectors = { audit: { kind: 'file', path: join(home.folder, 'events.ndjson') } };
  writeFileSync(home.configFile, stringify({ app: { sdkAppId: SDK_APP_ID }, admin: { port: 0 }, source, connectors }));
  const worker: BridgeProcess = await startBridgeProcess(home);
  const lines = async (): Promise<number> =>
    (await readFile(join(home.folder, 'events.ndjson'), 'utf8').catch(() => '')).split('\n').length - 1;
  const letters = (...args: string[]) => runCommand(['dead-letters', ...args, '--config', home.configFile]);
  return { worker, lines, letters };
}

describe.skipIf(brokers === '')('a worker', () => {
  test.each(['gzip', 'lz4', 'snappy', 'zstd'])('reads a topic of %s', async (codec) => {
    const topic = await createTopic({ 'compression.type': codec });
    await produce(topic, events(200));
    const { worker, lines } = await startWorker(topic);
    await expect.poll(lines).toBe(200);
    expect(await worker.end('SIGTERM')).toBe(0);
  });

  test('buries a record that is larger than a dead letter may be by its size and hash, and goes on', async () => {
    const topic = await createTopic();
    const blanks = ' '.repeat(3 * 1_048_576);
    await produce(topic, [blanks], CompressionTypes.GZIP);
    await produce(topic, events(5));
    const { worker, lines, letters } = await startWorker(topic);
    await expect.poll(lines).toBe(5);
    const list = async () => JSON.parse((await letters('list', 'audit', '--json')).stdout).deadLetters;
    await expect.poll(list).toHaveLength(1);
    const sha256 = createHash('sha256').update(blanks).digest('hex');
    expect(await list()).toEqual([
      expect.objectContaining({ name: '0@0', topic, value: null, leftOut: { size: blanks.length, sha256 } }),
    ]);
    expect(await letters('retry', 'audit', '0@0')).toMatchObject({
      code: expect.not.stringMatching(/^0$/),
      stderr: expect.stringMatching(/0@0 cannot be tried again: its value of 3145728 bytes/),
    });
    expect((await letters('discard', 'audit', '0@0')).code).toBe(0);
    expect(await list()).toEqual([]);
    expect(await worker.end('SIGTERM')).toBe(0);
  });
});
