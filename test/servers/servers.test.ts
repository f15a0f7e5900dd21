import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readdir, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import { freePort, type KafkaServer, missingPrerequisite, startKafka } from './index.ts';
import { getDocument } from './readback.ts';

const brokers = inject('kafkaBrokers');
const url = inject('elasticsearchUrl');
const cannotStart = process.env.BRIDGE_TEST_SERVERS === 'off' || (await missingPrerequisite()) !== undefined;

async function putDocument(origin: string, index: string, document: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify(document);
  const { status } = await fetch(`${origin}/${index}/_doc/1`, { method: 'PUT', headers, body });
  expect(status).toBe(201);
}

describe.skipIf(!brokers)('the run’s Kafka', () => {
  test('keeps a record that was produced', async () => {
    const topic = `servers-test-${process.pid}-${Date.now()}`;
    await createTopic(brokers, topic);
    await produce(brokers, topic, 'over the wire');
    expect(await consumeFirst(brokers, topic)).toBe('over the wire');
    await withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [topic] }));
  });
});

describe.skipIf(!url)('the run’s Elasticsearch', () => {
  test('keeps a document that was indexed', async () => {
    const index = `servers-test-${process.pid}-${Date.now()}`;
    await putDocument(url, index, { name: 'over the wire' });
    expect(await getDocument(url, index, '1')).toEqual({ name: 'over the wire' });
    await fetch(`${url}/${index}`, { method: 'DELETE' });
  });
});

// That servers which were killed keep their data and their port, and that Elasticsearch hangs as Kafka does, is what the rounds of
// test/faults rely on.
describe.skipIf(cannotStart)('a server of a test’s own', () => {
  let kafka: KafkaServer;

  beforeAll(async () => {
    kafka = await startKafka();
  });
  afterAll(() => kafka?.stop());

  test('Kafka hangs while suspended and answers when it goes on', async () => {
    kafka.suspend();
    await expectToConnect(Number(kafka.brokers.split(':')[1]));
    // On a busy machine the signal takes a moment to arrive.
    await eventually(() => expect(listTopics(kafka.brokers)).rejects.toThrow(/timed out/));
    kafka.resume();
    await eventually(() => listTopics(kafka.brokers));
  });

  test('stopped for good, nothing is left of it', async () => {
    kafka.suspend();
    await kafka.stop();
    await kafka.stop();
    expect(isAlive(kafka.pid)).toBe(false);
    expect(await exists(kafka.folder)).toBe(false);
    await expect(kafka.restart()).rejects.toThrow('stopped for good');
  });
});

describe.skipIf(cannotStart)('nothing is left over', () => {
  test('by a server that cannot start, and the error says why', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const temporary = await mkdtemp(join(tmpdir(), 'servers-test-'));
    onTestFinished(async () => {
      vi.unstubAllEnvs();
      taken.close();
      await rm(temporary, { recursive: true });
    });
    vi.stubEnv('TMPDIR', temporary);
    const [port, controller] = [(taken.address() as AddressInfo).port, await freePort()];
    const settings = {
      listeners: `CLIENT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
      'advertised.listeners': `CLIENT://127.0.0.1:${port}`,
      'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    };
    await expect(startKafka({ settings })).rejects.toThrow('Address already in use');
    expect(await readdir(temporary)).toEqual([]);
  });

  test.each([
    { how: 'killed', end: (pid: number) => process.kill(pid, 'SIGKILL') },
    { how: 'stopped by Ctrl-C', end: (pid: number) => process.kill(-pid, 'SIGINT') },
  ])('by a process that is $how', async ({ end }) => {
    const parent = startParent();
    const left = await parent.started;
    expect(left.map(({ pid }) => isAlive(pid))).not.toContain(false);
    end(parent.pid);
    await eventually(async () => {
      expect(left.map(({ pid }) => isAlive(pid))).not.toContain(true);
      expect(await Promise.all(left.map(({ folder }) => exists(folder)))).not.toContain(true);
    });
  });
});

interface Started {
  readonly pid: number;
  readonly folder: string;
}

/** A process, leader of its own group, that starts a server and does not stop it. */
function startParent(): { pid: number; started: Promise<Started[]> } {
  const script = `
    import { startKafka } from '${new URL('index.ts', import.meta.url)}';
    const { pid, folder } = await startKafka();
    console.log(JSON.stringify([{ pid, folder }]));
    setInterval(() => {}, 1_000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const started = once(createInterface(parent.stdout), 'line', { signal: AbortSignal.timeout(60_000) });
  return { pid: parent.pid ?? 0, started: started.then(([line]) => JSON.parse(line)) };
}

const quiet = { logLevel: logLevel.NOTHING, requestTimeout: 1_000, retry: { retries: 0 } };

async function withAdmin<T>(brokers: string, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Kafka({ brokers: [brokers], ...quiet }).admin();
  try {
    await admin.connect();
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

function listTopics(brokers: string): Promise<string[]> {
  return withAdmin(brokers, (admin) => admin.listTopics());
}

function createTopic(brokers: string, topic: string): Promise<boolean> {
  return withAdmin(brokers, (admin) =>
    admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true }),
  );
}

async function produce(brokers: string, topic: string, value: string): Promise<void> {
  const producer = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  await producer.send({ topic, messages: [{ value }] });
  await producer.disconnect();
}

async function consumeFirst(brokers: string, topic: string): Promise<string | undefined> {
  const consumer = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING }).consumer({
    groupId: `${topic}-${Date.now()}`,
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const first = await new Promise<string | undefined>((resolve, reject) => {
    consumer.run({ eachMessage: async ({ message }) => resolve(message.value?.toString()) }).catch(reject);
  });
  await consumer.disconnect();
  return first;
}

/** The system goes on taking connections for a process that hangs. */
async function expectToConnect(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.destroy();
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function eventually<T>(holds: () => Promise<T>): Promise<T> {
  return vi.waitFor(holds, { timeout: 20_000, interval: 50 });
}
