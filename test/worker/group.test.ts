/** The consumer group of a worker's connector: whose it is, what it is called, and what others do with it. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { freePort, startKafka } from '../servers/index.ts';
import {
  type BridgeHome,
  type BridgeProcess,
  bridgeHome,
  runCommand,
  startBridgeProcess,
} from '../support/bridge.process.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import { madeEvent } from '../support/events.ts';

const shared = inject('kafkaBrokers');

async function administer<T>(brokers: string, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

async function newTopic(brokers = shared): Promise<string> {
  const topic = `test.${randomUUID()}`;
  await administer(brokers, (admin) => admin.createTopics({ topics: [{ topic, numPartitions: 2 }] }));
  return topic;
}

/** Writes these events, by number. */
async function produce(topic: string, numbers: readonly number[], brokers = shared): Promise<void> {
  const producer = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  const messages = numbers.map((n) => ({ key: 'g', partition: n % 2, value: JSON.stringify(madeEvent(n)) }));
  await producer.send({ topic, messages });
  await producer.disconnect();
}

interface Home extends BridgeHome {
  /** The numbers of the events that arrived. */
  arrived(): Promise<string[]>;
}

function workerHome(source: object): Home {
  const home = bridgeHome(() => ({}));
  onTestFinished(home.remove);
  const path = join(home.folder, 'events.ndjson');
  const config = {
    app: { sdkAppId: SDK_APP_ID },
    admin: { port: 0 },
    source: { kind: 'kafka', brokers: shared, sessionTimeoutMs: 6_000, ...source },
    connectors: { audit: { kind: 'file', path, retry: { initialMs: 100, maxMs: 500 } } },
  };
  writeFileSync(home.configFile, stringify(config));
  const arrived = async () => {
    const lines = (await readFile(path, 'utf8').catch(() => '')).split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line).id);
  };
  return { ...home, arrived };
}

const idsOf = (numbers: readonly number[]): string[] => numbers.map((n) => madeEvent(n).id);

async function stateOf(worker: BridgeProcess): Promise<unknown> {
  const status = await (await fetch(`${worker.adminUrl}/api/status`)).json();
  return (status as { connectors: { state: unknown }[] }).connectors[0]?.state;
}

const check = (home: Home) => runCommand(['check', '--connect', '--config', home.configFile]);

describe.skipIf(shared === '')('a group that is used for another topic, too', () => {
  test('is refused at the start, by the doctor, and when the other one comes later; both go on once it is theirs alone', async () => {
    const [one, other] = [await newTopic(), await newTopic()];
    const groupId = `test.${randomUUID()}`;
    const [first, second] = [workerHome({ topic: one, groupId }), workerHome({ topic: other, groupId })];
    const running = await startBridgeProcess(first);
    await produce(one, [1, 2]);
    await expect.poll(first.arrived).toHaveLength(2);

    const refused = await startBridgeProcess(second);
    await produce(other, [3, 4]);
    await expect
      .poll(() => stateOf(refused))
      .toMatchObject({
        kind: 'waiting',
        fault: {
          code: 'destination-misconfigured',
          path: 'source.groupId',
          message: expect.stringContaining(one),
          suggestion: expect.stringMatching(/choose a groupId/),
        },
      });
    expect(await check(second)).toMatchObject({ code: 1, stdout: expect.stringContaining(`also reads ${one}`) });
    expect((await check(first)).stdout).toMatch(/✓ group: \S+\.audit: 1 member\n/);
    await produce(one, [5, 6]);
    await expect.poll(first.arrived).toHaveLength(4);
    expect(await second.arrived()).toEqual([]);

    expect(await running.end('SIGTERM')).toBe(0);
    await expect.poll(second.arrived).toHaveLength(2);
    expect(await refused.end('SIGTERM')).toBe(0);
  });

  test('is noticed where another program comes later', async () => {
    const [own, foreign] = [await newTopic(), await newTopic()];
    const groupId = `test.${randomUUID()}`;
    const home = workerHome({ topic: own, groupId });
    const worker = await startBridgeProcess(home);
    await produce(own, [1]);
    await expect.poll(home.arrived).toHaveLength(1);
    const kafka = new Kafka({ brokers: [shared], logLevel: logLevel.NOTHING });
    const consumer = kafka.consumer({ groupId: `${groupId}.audit` });
    await consumer.connect();
    await consumer.subscribe({ topic: foreign });
    await consumer.run({ eachMessage: async () => {} });
    await expect.poll(() => stateOf(worker)).toMatchObject({ fault: { message: expect.stringContaining(foreign) } });
    await consumer.disconnect();
    await produce(own, [2]);
    await expect.poll(home.arrived).toContain(madeEvent(2).id);
    expect(await worker.end('SIGTERM')).toBe(0);
  });
});

describe.skipIf(shared === '')('a group of another kind', () => {
  test('is refused', async () => {
    const groupId = `test.${randomUUID()}`;
    await joinAs('connect', `${groupId}.audit`);
    const home = workerHome({ topic: await newTopic(), groupId });
    expect(await check(home)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/✗ .*is a group of connect, not of consumers .*source\.groupId.*choose a groupId/),
    });
  });
});

/** Joins a group as a program of another kind does, which kafkajs cannot: the bytes of a JoinGroup request, version 2. */
async function joinAs(kind: string, group: string): Promise<void> {
  const int = (size: 2 | 4, value: number): Buffer => {
    const bytes = Buffer.alloc(size);
    bytes.writeIntBE(value, 0, size);
    return bytes;
  };
  const text = (value: string) => Buffer.concat([int(2, value.length), Buffer.from(value)]);
  const header = [int(2, 11), int(2, 2), int(4, 1), text('test')];
  const timeouts = [int(4, 30_000), int(4, 30_000)];
  const protocols = [int(4, 1), text('any'), int(4, 1), Buffer.from([1])];
  const request = Buffer.concat([...header, text(group), ...timeouts, text(''), text(kind), ...protocols]);
  const [host, port] = shared.split(':');
  const socket = connect(Number(port), host);
  onTestFinished(() => void socket.destroy());
  socket.write(Buffer.concat([int(4, request.length), request]));
  await once(socket, 'data');
}

describe.skipIf(shared === '')('a group that is not named', () => {
  test('is called after the topic, and continues where the one of the former name came to', async () => {
    const topic = await newTopic();
    await produce(topic, [0, 1, 2, 3]);
    const former = workerHome({ topic, groupId: 'group-sync-bridge' });
    const before = await startBridgeProcess(former);
    await expect.poll(former.arrived).toHaveLength(4);
    const committed = async (groupId: string) => {
      const [found] = await administer(shared, (admin) => admin.fetchOffsets({ groupId, topics: [topic] }));
      return found?.partitions.map(({ offset }) => offset).sort();
    };
    await expect.poll(() => committed('group-sync-bridge.audit')).toEqual(['2', '2']);
    expect(await before.end('SIGTERM')).toBe(0);

    await produce(topic, [4, 5]);
    const home = workerHome({ topic });
    const worker = await startBridgeProcess(home);
    await expect.poll(home.arrived).toHaveLength(2);
    expect((await home.arrived()).sort()).toEqual(idsOf([4, 5]).sort());
    await expect.poll(() => committed(`group-sync-bridge.${topic}.audit`)).toEqual(['3', '3']);
    expect(await worker.end('SIGTERM')).toBe(0);

    // Taken over once: what it commits itself counts from then on.
    await produce(topic, [6]);
    const again = await startBridgeProcess(home);
    await expect.poll(home.arrived).toHaveLength(3);
    expect(await again.end('SIGTERM')).toBe(0);
  });
});

describe.skipIf(shared === '')('a group that the brokers keep this client from', () => {
  test('is told as a matter of credentials, at each attempt and by the doctor; it goes on once it is allowed', async () => {
    const port = await freePort();
    const plain = 'org.apache.kafka.common.security.plain.PlainLoginModule required';
    const kafka = await startKafka({
      listeners: { SECURE: { protocol: 'SASL_PLAINTEXT', port } },
      settings: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
        'listener.name.secure.sasl.enabled.mechanisms': 'PLAIN',
        'listener.name.secure.plain.sasl.jaas.config': `${plain} user_worker="secret";`,
      },
    });
    onTestFinished(() => kafka.stop());
    const topic = await newTopic(kafka.brokers);
    const principal = { principal: 'User:worker', host: '*', permissionType: 3, resourcePatternType: 4 };
    const [TOPIC, GROUP, READ, ALL] = [2, 3, 3, 2];
    const group = { ...principal, resourceType: GROUP, resourceName: 'test', operation: READ };
    const allow = () => administer(kafka.brokers, (admin) => admin.createAcls({ acl: [group] }));
    await administer(kafka.brokers, (admin) =>
      admin.createAcls({ acl: [{ ...principal, resourceType: TOPIC, resourceName: 'test', operation: ALL }] }),
    );
    await allow();
    const sasl = { mechanism: 'plain', username: 'worker', password: 'secret' };
    const home = workerHome({ brokers: `127.0.0.1:${port}`, topic, groupId: 'test-workers', sasl });
    const worker = await startBridgeProcess(home);
    await produce(topic, [1], kafka.brokers);
    await expect.poll(home.arrived).toHaveLength(1);
    expect(await check(home)).toMatchObject({ code: 0 });

    await administer(kafka.brokers, (admin) => admin.deleteAcls({ filters: [group] }));
    const said = () =>
      worker
        .stderr()
        .split('\n')
        .filter((line) => line.includes('"retryInMs"'))
        .map((line) => JSON.parse(line));
    await expect.poll(() => said().length).toBeGreaterThan(1);
    for (const line of said()) expect(JSON.stringify(line)).toMatch(/GROUP_AUTHORIZATION_FAILED/);
    await expect
      .poll(() => stateOf(worker))
      .toMatchObject({
        fault: {
          code: 'destination-credentials',
          path: 'source.groupId',
          suggestion: 'allow this client to read with groups whose names begin with test-workers',
        },
      });
    expect(await check(home)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/✗ .*GROUP_AUTHORIZATION_FAILED.*begin with test-workers/),
    });

    await allow();
    await produce(topic, [2], kafka.brokers);
    await expect.poll(home.arrived).toHaveLength(2);
    expect(await worker.end('SIGTERM')).toBe(0);
  });
});
