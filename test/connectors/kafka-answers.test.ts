/** What brokers say is told in their own words: topics they do not create, versions that are too old. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import type { Finding } from '../../connectors/contract.ts';
import { source } from '../../connectors/index.ts';
import { kafka } from '../../connectors/kafka/connector.ts';
import { errorOf, judge } from '../../connectors/kafka/fault.ts';
import { sourceClient } from '../../connectors/kafka/options.ts';
import { followTopic } from '../servers/readback.ts';
import { makeEvent, never, openDriven, testHost, unreachableBy } from './suite.ts';

const brokers = inject('kafkaBrokers');

const options = (more: Record<string, unknown> = {}) =>
  kafka.options.parse({ brokers, topic: `test.${randomUUID()}`, ...more });

async function examined(given: ReturnType<typeof options>): Promise<Finding | undefined> {
  let last: Finding | undefined;
  for await (const finding of kafka.examine(given, testHost(), never())) last = finding;
  return last;
}

async function examinedSource(given: ReturnType<typeof source.options.parse>): Promise<void> {
  for await (const _ of (await source.load()).examine(given, ['audit'], never()));
}

describe.skipIf(brokers === '')('a topic that the cluster does not create', () => {
  test.each([
    ['more replicas than brokers', { replicationFactor: 3 }, /INVALID_REPLICATION_FACTOR: .*only 1 broker/],
    ['a setting that nobody knows', { config: { 'no.such.setting': 1 } }, /INVALID_CONFIG: .*no\.such\.setting/],
    ['a value that does not fit', { config: { 'retention.ms': 'soon' } }, /INVALID_CONFIG: .*soon.*retention\.ms/],
  ])('is told in the words of the broker, by a start and by the doctor: %s', async (_, createTopic, words) => {
    const given = options({ createTopic });
    const fault = await unreachableBy(() => kafka.open(given, testHost(), never()));
    expect(fault).toMatchObject({
      code: 'destination-misconfigured',
      path: 'connectors.under-test.createTopic',
      message: expect.stringMatching(words),
    });
    await expect(examined(given)).rejects.toMatchObject({ fault });
  });

  test('nor the one for dead letters', async () => {
    const events = options();
    await (await kafka.open(events, testHost(), never())).close();
    const given = source.options.parse({
      kind: 'kafka',
      brokers,
      topic: events.topic,
      deadLetters: { createTopic: { replicationFactor: 3 } },
    });
    await expect(examinedSource(given)).rejects.toMatchObject({
      fault: { path: 'source.deadLetters.createTopic', message: expect.stringMatching(/only 1 broker/) },
    });
  });
});

test('a session time-out that the brokers do not take is told with its setting', async () => {
  const given = source.options.parse({ kind: 'kafka', brokers: 'k:9092', topic: 't' });
  expect(judge(errorOf(26), await sourceClient(given, never())).fault).toMatchObject({
    code: 'destination-misconfigured',
    path: 'source.sessionTimeoutMs',
    message: expect.stringContaining('INVALID_SESSION_TIMEOUT'),
  });
});

describe.skipIf(brokers === '')('compression', () => {
  test.each(['gzip', 'lz4', 'snappy', 'zstd'])('%s: records arrive as they were', async (compression) => {
    // One event is too large for the topic, unless it is compressed.
    const given = options({ compression, createTopic: { partitions: 1, config: { 'max.message.bytes': 3_000 } } });
    const sink = await openDriven(kafka, given, testHost());
    const events = Array.from({ length: 20 }, () => makeEvent({ introduction: 'again and again '.repeat(400) }));
    const outcomes = await sink.deliver(events, never());
    expect(events.map(({ id }) => outcomes.get(id)?.kind)).toEqual(events.map(() => 'delivered'));
    await sink.close();
    const reader = await followTopic(brokers, given.topic);
    await reader.until((records) => records.length >= events.length, 'all events');
    await reader.close();
    expect(reader.records.map(({ value }) => JSON.parse(value ?? ''))).toEqual(events);
    const { step, state } = (await examined(given)) as Finding;
    expect({ step, state }).toEqual({ step: 'write permission', state: 'well' });
  });
});

describe.skipIf(brokers === '')('brokers before 0.11', () => {
  test('are refused, since they would drop headers', async () => {
    const old = await oldBroker();
    const given = options({ brokers: old });
    const fault = await unreachableBy(() => kafka.open(given, testHost(), never()));
    expect(fault).toMatchObject({
      code: 'destination-misconfigured',
      path: 'connectors.under-test.brokers',
      message: expect.stringMatching(/older than 0\.11/),
    });
    await expect(examined(given)).rejects.toMatchObject({ fault });
    const reading = source.options.parse({ kind: 'kafka', brokers: old, topic: 'any' });
    await expect(examinedSource(reading)).rejects.toMatchObject({
      fault: { path: 'source.brokers', message: fault.message },
    });
  });
});

const METADATA = 3;

/** Before the real one, says of itself what Kafka 0.10.2 says: of the request for metadata it knows versions 0 to 2. */
async function oldBroker(): Promise<string> {
  const [host, port] = brokers.split(':');
  const server = createServer((client) => {
    const upstream = connect(Number(port), host);
    let answer = Buffer.alloc(0);
    client.pipe(upstream);
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    upstream.on('end', () => client.end());
    const first = (data: Buffer): void => {
      answer = Buffer.concat([answer, data]);
      if (answer.length < 4 || answer.length < 4 + answer.readInt32BE(0)) return;
      // Length, correlation, error, then a key and two versions for each kind of request.
      for (let at = 14; at < 14 + 6 * answer.readInt32BE(10); at += 6) {
        if (answer.readInt16BE(at) === METADATA) answer.writeInt16BE(2, at + 4);
      }
      client.write(answer);
      upstream.off('data', first).pipe(client);
    };
    upstream.on('data', first);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
