/** What others make of a topic: every codec, records of any size, records removed, partitions added. */
import { createHash, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Admin, CompressionTypes, Kafka, logLevel } from 'kafkajs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import {
  type BridgeHome,
  type BridgeProcess,
  bridgeHome,
  runCommand,
  startBridgeProcess,
} from '../support/bridge.process.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import { madeEvent } from '../support/events.ts';

const brokers = inject('kafkaBrokers');

const kafka = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING });

async function administer<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

async function createTopic(config: Readonly<Record<string, string>> = {}): Promise<string> {
  const topic = `test.${randomUUID()}`;
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  await administer((admin) =>
    admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 1, configEntries }] }),
  );
  return topic;
}

/** Takes the records before this offset out of the topic's one partition. */
function removeBefore(topic: string, offset: number): Promise<void> {
  return administer(async (admin) => {
    // kafkajs must have seen the topic.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(offset) }] });
  });
}

async function produce(topic: string, values: readonly string[], how: object = {}): Promise<void> {
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic, messages: values.map((value) => ({ key: 'g', value, ...how })), ...how });
  await producer.disconnect();
}

const events = (n: number): string[] => Array.from({ length: n }, (_, each) => JSON.stringify(madeEvent(each)));

function newHome(): BridgeHome {
  const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: join(folder, 'events.ndjson') } }));
  onTestFinished(home.remove);
  return home;
}

async function startWorker(topic: string, home = newHome()) {
  const source = { kind: 'kafka', brokers, topic, groupId: topic };
  const connectors = { audit: { kind: 'file', path: join(home.folder, 'events.ndjson') } };
  writeFileSync(home.configFile, stringify({ app: { sdkAppId: SDK_APP_ID }, admin: { port: 0 }, source, connectors }));
  const worker: BridgeProcess = await startBridgeProcess(home);
  const lines = async (): Promise<number> =>
    (await readFile(join(home.folder, 'events.ndjson'), 'utf8').catch(() => '')).split('\n').length - 1;
  const letters = (...args: string[]) => runCommand(['dead-letters', ...args, '--config', home.configFile]);
  const metric = async (name: string): Promise<number> =>
    Number(
      (await (await fetch(`${worker.adminUrl}/metrics`)).text()).match(new RegExp(`^${name}{.*} (.*)$`, 'm'))?.[1],
    );
  const lag = async (): Promise<unknown> =>
    ((await (await fetch(`${worker.adminUrl}/api/status`)).json()) as { connectors: { lag: number }[] }).connectors[0]
      ?.lag;
  return { worker, home, lines, letters, metric, lag };
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
    await produce(topic, [blanks], { compression: CompressionTypes.GZIP });
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

  test('tells of records that were removed before it had read them, once, and goes on', async () => {
    const topic = await createTopic();
    const all = events(9);
    await produce(topic, all.slice(0, 4));
    const first = await startWorker(topic);
    await expect.poll(first.lines).toBe(4);
    expect(await first.metric('bridge_source_gap_records_total')).toBe(0);
    await expect.poll(first.lag).toBe(0);
    expect(await first.worker.end('SIGTERM')).toBe(0);

    await produce(topic, all.slice(4));
    await removeBefore(topic, 7);
    const second = await startWorker(topic, first.home);
    await expect.poll(second.lines).toBe(6);
    await expect.poll(() => second.metric('bridge_source_gap_records_total')).toBe(3);
    expect(second.worker.stderr()).toMatch(
      new RegExp(`records 4 to 6 of ${topic}, partition 0, were removed.*reconcile`),
    );
    expect(await second.worker.end('SIGTERM')).toBe(0);

    // What is told once is not told again, and records that were read before they went are no gap.
    await removeBefore(topic, 9);
    const third = await startWorker(topic, first.home);
    await produce(topic, [all[0] as string]);
    await expect.poll(third.lines).toBe(7);
    expect(await third.metric('bridge_source_gap_records_total')).toBe(0);
    expect(await third.worker.end('SIGTERM')).toBe(0);
  });

  test('reads partitions that were added', async () => {
    const topic = await createTopic();
    await produce(topic, events(1));
    const { worker, lines } = await startWorker(topic);
    await expect.poll(lines).toBe(1);
    await administer((admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }));
    await produce(topic, events(3).slice(1), { partition: 2 });
    await expect.poll(lines, { timeout: 60_000 }).toBe(3);
    expect(await worker.end('SIGTERM')).toBe(0);
  }, 90_000);
});
