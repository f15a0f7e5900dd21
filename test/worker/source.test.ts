/** What others make of a topic: every codec, records of any size, records removed, partitions added. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Admin, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } from 'kafkajs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { freePort } from '../servers/index.ts';
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

async function createTopic(): Promise<string> {
  const topic = `test.${randomUUID()}`;
  await administer((admin) => admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 1 }] }));
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

async function startWorker(topic: string, home = newHome(), members = brokers) {
  const source = { kind: 'kafka', brokers: members, topic, groupId: topic };
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

function letterHeaders(topic: string, place: { partition: string; offset: string }): Record<string, string> {
  const about = { connector: 'audit', topic, ...place, at: new Date().toISOString(), attempts: '1', key: 'g' };
  const fault = JSON.stringify({ code: 'event-refused', message: 'by hand' });
  return Object.fromEntries(Object.entries({ ...about, fault }).map(([name, value]) => [`dead_letter_${name}`, value]));
}

/** Writes what looks like a dead letter; false while there is no topic for it. */
async function written(topic: string, value: string, headers: Record<string, string>, key: string | Buffer) {
  const letters = `${topic}.dead-letters`;
  const config = [{ name: 'cleanup.policy', value: 'compact' }];
  await administer((admin) => admin.createTopics({ topics: [{ topic: letters, configEntries: config }] }));
  return produce(letters, [value], { key, headers }).then(
    () => true,
    () => false,
  );
}

/** The most memory that the process has had, in MB. */
function peakMemory({ child }: BridgeProcess): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1_024;
}

describe.skipIf(brokers === '')('a worker', () => {
  test('reads a topic of every codec', async () => {
    const codecs = ['gzip', 'lz4', 'snappy', 'zstd'];
    const topic = await createTopic();
    const all = events(200);
    for (const [n, codec] of codecs.entries()) {
      // What is written from here on lies there so, whatever it came as.
      const configEntries = [{ name: 'compression.type', value: codec }];
      const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }];
      await administer((admin) => admin.alterConfigs({ validateOnly: false, resources }));
      await produce(topic, all.slice(50 * n, 50 * (n + 1)));
    }
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
    const sha256 = createHash('sha256').update(blanks).digest('hex');
    expect(await list()).toEqual([
      expect.objectContaining({ name: '0@0', topic, value: null, leftOut: { size: blanks.length, sha256 } }),
    ]);
    expect(await letters('retry', 'audit', '0@0')).toMatchObject({
      code: expect.not.stringMatching(/^0$/),
      stderr: expect.stringMatching(/0@0 cannot be retried: its value of 3145728 bytes was not kept/),
    });
    expect((await letters('discard', 'audit', '0@0')).code).toBe(0);
    expect(await list()).toEqual([]);
    expect(await worker.end('SIGTERM')).toBe(0);
  });

  test('buries batches of one record and of several that unpack to too much by their offsets, and goes on, in bounded memory', async () => {
    const topic = await createTopic();
    const bombs = [[' '.repeat(100 * 1_048_576)], Array.from({ length: 80 }, () => ' '.repeat(1_000_000))];
    await produce(topic, events(1));
    for (const bomb of bombs) await produce(topic, bomb, { compression: CompressionTypes.GZIP });
    await produce(topic, events(5).slice(1));
    const { worker, lines, letters } = await startWorker(topic);
    await expect.poll(lines).toBe(5);
    const list = async () => JSON.parse((await letters('list', 'audit', '--json')).stdout).deadLetters;
    const found = await list();
    expect(found.map(({ name }: { name: string }) => name)).toEqual(Array.from({ length: 81 }, (_, n) => `0@${n + 1}`));
    for (const one of [found[0], found.at(-1)])
      expect(one).toMatchObject({
        value: null,
        leftOut: { size: expect.any(Number) },
        fault: { message: expect.stringMatching(/a batch of \d+ bytes unpacks to more than 64 MiB/) },
      });
    expect(peakMemory(worker)).toBeLessThan(500);
    const retried = await letters('retry', 'audit', '0@1');
    expect(retried).toMatchObject({
      code: expect.not.stringMatching(/^0$/),
      stderr: expect.stringMatching(/not kept/),
    });
    expect(await letters('discard', 'audit', '--all')).toMatchObject({ code: 0 });
    expect(await list()).toEqual([]);
    expect(await worker.end('SIGTERM')).toBe(0);
  });

  test('unpacks no more at once than it has room for, and misses nothing', async () => {
    const topic = await createTopic();
    const large = ' '.repeat(3 * 1_048_576);
    const producer = kafka.producer();
    await producer.connect();
    for (let n = 0; n < 100; n++) {
      const messages = [{ key: 'g', value: large }];
      await producer.send({ topic, messages, compression: CompressionTypes.GZIP });
    }
    await producer.disconnect();
    await produce(topic, events(5));
    const { worker, lines, metric } = await startWorker(topic);
    await expect.poll(lines, { timeout: 90_000 }).toBe(5);
    expect(await metric('bridge_dead_lettered_total')).toBe(100);
    expect(peakMemory(worker)).toBeLessThan(500);
    expect(await worker.end('SIGTERM')).toBe(0);
  }, 120_000);

  test('tells a dead letter of the topic that it read before from one of the same place, and brings it again', async () => {
    const topic = await createTopic();
    const { worker, lines, letters } = await startWorker(topic);
    const place = { partition: '0', offset: '12' };
    for (const [index, from] of [topic, 'former.topic'].entries()) {
      const [event = ''] = events(index + 1).slice(index);
      await expect.poll(() => written(topic, event, letterHeaders(from, place), `audit/${from}/0@12`)).toBe(true);
    }
    const names = async () =>
      JSON.parse((await letters('list', 'audit', '--json')).stdout).deadLetters.map(
        ({ name }: { name: string }) => name,
      );
    expect((await names()).sort()).toEqual(['0@12', 'former.topic/0@12']);
    expect(await letters('discard', 'audit', '0@12')).toMatchObject({ code: 0 });
    expect(await names()).toEqual(['former.topic/0@12']);
    expect(await letters('retry', 'audit', 'former.topic/0@12')).toMatchObject({ code: 0 });
    await expect.poll(lines).toBe(1);
    expect(await names()).toEqual([]);
    expect(await worker.end('SIGTERM')).toBe(0);
  });

  test('brings a dead letter of a partition that the topic does not have to the one of its key', async () => {
    const topic = await createTopic();
    const { worker, lines, letters } = await startWorker(topic);
    const [event] = events(1) as [string];
    const headers = letterHeaders(topic, { partition: '77', offset: '12' });
    await expect.poll(() => written(topic, event, headers, `audit/${topic}/77@12`)).toBe(true);
    const list = async () => JSON.parse((await letters('list', 'audit', '--json')).stdout).deadLetters;
    expect(await list()).toHaveLength(1);
    expect(await letters('retry', 'audit', '77@12')).toMatchObject({ code: 0 });
    await expect.poll(lines).toBe(1);
    expect(await list()).toEqual([]);
    expect(await worker.end('SIGTERM')).toBe(0);
  });

  test('discards what stands in the dead-letter topic under whatever key, and counts what it lists', async () => {
    const topic = await createTopic();
    const { worker, letters, metric } = await startWorker(topic);
    const [event] = events(1) as [string];
    const right = letterHeaders(topic, { partition: '0', offset: '5' });
    await expect.poll(() => written(topic, event, right, `audit/${topic}/0@5`)).toBe(true);
    const keys = ['forged', Buffer.from([0xff, 0x01]), Buffer.from([0xfe, 0x01])];
    for (const key of keys) await written(topic, event, right, key);
    // Neither of these is a dead letter.
    await written(topic, event, letterHeaders(topic, { partition: '9999999999', offset: '5' }), 'audit/a');
    await written(topic, event, letterHeaders(topic, { partition: '0', offset: '9'.repeat(30) }), 'audit/b');
    await written(topic, event, {}, 'audit/c');
    const list = async () => JSON.parse((await letters('list', 'audit', '--json')).stdout).deadLetters;
    expect(await list()).toHaveLength(4);
    await expect.poll(() => metric('bridge_dead_letters')).toBe(4);
    expect(await letters('discard', 'audit', '0@5')).toMatchObject({ code: 0 });
    expect(await list()).toEqual([]);
    await expect.poll(() => metric('bridge_dead_letters')).toBe(0);
    expect(await worker.end('SIGTERM')).toBe(0);
  });

  test('counts the dead letters of a topic that was made anew', async () => {
    const topic = await createTopic();
    const { worker, metric } = await startWorker(topic);
    const [event] = events(1) as [string];
    const write = (offset: number) =>
      written(
        topic,
        event,
        letterHeaders(topic, { partition: '0', offset: `${offset}` }),
        `audit/${topic}/0@${offset}`,
      );
    for (const offset of [1, 2, 3]) await expect.poll(() => write(offset)).toBe(true);
    await expect.poll(() => metric('bridge_dead_letters')).toBe(3);
    await administer((admin) => admin.deleteTopics({ topics: [`${topic}.dead-letters`] }));
    await expect.poll(() => write(4)).toBe(true);
    await expect.poll(() => metric('bridge_dead_letters')).toBe(1);
    expect(await worker.end('SIGTERM')).toBe(0);
  });

  test('commits again where a partition ends before what was committed', async () => {
    const topic = await createTopic();
    const groupId = `${topic}.audit`;
    const committed = async () =>
      (await administer((admin) => admin.fetchOffsets({ groupId, topics: [topic] })))[0]?.partitions[0]?.offset;
    await produce(topic, events(4));
    await administer((admin) => admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '100' }] }));
    const { worker, lines } = await startWorker(topic);
    await expect.poll(lines).toBe(4);
    await expect.poll(committed).toBe('4');
    expect(await worker.end('SIGTERM')).toBe(0);
  });

  test('counts what was written to one partition also where another ends before what was committed', async () => {
    const topic = await createTopic();
    await administer((admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }));
    await produce(topic, events(3), { partition: 0 });
    await produce(topic, events(5), { partition: 1 });
    const groupId = `${topic}.audit`;
    await administer((admin) => admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '100' }] }));
    const home = newHome();
    // As long as its file cannot be opened it is no member.
    mkdirSync(join(home.folder, 'events.ndjson'));
    const { worker, lag } = await startWorker(topic, home);
    await expect.poll(lag).toBe(8);
    expect(await worker.end('SIGTERM')).toBe(0);
  });

  test('does not say 0 for a lag that it cannot know', async () => {
    const { worker, lag, metric } = await startWorker('any', newHome(), `127.0.0.1:${await freePort()}`);
    expect(await lag()).toBe(null);
    expect(await metric('bridge_delivery_lag_events')).toBe(Number.NaN);
    expect((await runCommand(['status', '--admin', worker.adminUrl])).stdout).toMatch(/audit +file +\w+ +unknown/);
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
