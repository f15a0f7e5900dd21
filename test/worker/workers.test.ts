/**
 * Invariants 2 and 3 over several machines: receivers with journals of their own write to one topic, workers share its
 * partitions, are killed and join. Each is a process of its own. The oracle shares nothing with src/model/group.ts.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Kafka, logLevel, type Message, Partitioners } from 'kafkajs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { parseConfig } from '../../src/config/file.ts';
import { configSchema } from '../../src/config/schema.ts';
import { disturbed, history, oracle, type Sent, sent } from '../delivery/convergence.oracle.ts';
import { startProxy } from '../faults/proxy.ts';
import { freePort, startKafka } from '../servers/index.ts';
import { followTopic, getDocument, getDocuments } from '../servers/readback.ts';
import {
  type BridgeHome,
  type BridgeProcess,
  bridgeHome,
  runCommand,
  startBridgeProcess,
} from '../support/bridge.process.ts';
import { COMMAND, SDK_APP_ID, search } from '../support/callbacks.ts';

const brokers = inject('kafkaBrokers');
const elasticsearchUrl = inject('elasticsearchUrl');
const skip = brokers === '' || elasticsearchUrl === '' ? ' (skipped: no Kafka or Elasticsearch in this run)' : '';

/** A receiver that writes its events to the topic. */
function receiverHome(topic: string, format: 'structured' | 'binary'): BridgeHome {
  const home = bridgeHome(() => ({
    events: { kind: 'kafka', brokers, topic, format, createTopic: { partitions: 4 } },
  }));
  onTestFinished(home.remove);
  return home;
}

/** A worker; with the quickest notice of a death that Kafka allows. */
function workerHome(topic: string, connectors: Record<string, unknown>, source = brokers): BridgeHome {
  const folder = mkdtempSync(join(tmpdir(), 'worker-'));
  const configFile = join(folder, 'worker.yaml');
  const config = {
    app: { sdkAppId: SDK_APP_ID },
    source: { kind: 'kafka', brokers: source, topic, groupId: `test.${topic}`, sessionTimeoutMs: 6_000 },
    journal: { file: join(folder, 'groups.db') },
    admin: { port: 0 },
    connectors,
  };
  writeFileSync(configFile, stringify(config));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  onTestFinished(remove);
  return { folder, configFile, remove };
}

interface WorkerStatus {
  connectors: {
    name: string;
    lag: number;
    deadLetters: number;
    partitions: number[];
    state: { kind: string; since?: number };
  }[];
}

async function statusOf(worker: BridgeProcess): Promise<WorkerStatus> {
  return (await (await fetch(`${worker.adminUrl}/api/status`)).json()) as WorkerStatus;
}

/** To the receivers in turn; every one must be answered OK. */
async function post(receivers: readonly BridgeProcess[], all: readonly Sent[]): Promise<void> {
  let next = 0;
  const client = async (): Promise<void> => {
    for (let n = next++; n < all.length; n = next++) {
      const { command, body } = all[n] as Sent;
      const receiver = receivers[n % receivers.length] as BridgeProcess;
      const answer = await receiver.post({ search: search({ CallbackCommand: command }), body: JSON.stringify(body) });
      expect(answer.status).toBe(200);
    }
  };
  await Promise.all(Array.from({ length: 8 }, client));
}

const withoutVersions = ({ versions: _, ...group }: Record<string, unknown>) => group;

async function indexed(index: string): Promise<Map<string, Record<string, unknown>>> {
  const documents = await getDocuments(elasticsearchUrl, index);
  return new Map([...documents].map(([id, document]) => [id, withoutVersions(document)]));
}

const toIndex = (index: string) => ({
  kind: 'elasticsearch',
  nodes: elasticsearchUrl,
  index,
  createIndex: { replicas: 0 },
  batch: { maxEvents: 50 },
});

describe.skipIf(skip !== '')(`workers${skip}`, () => {
  test('three receivers, two workers, a kill, a third worker and a standstill in between: both copies are the oracle’s', async () => {
    const all = history('workers', 900, 60);
    const wanted = oracle(all);
    const topic = `test.${randomUUID()}`;
    const groupsTopic = `${topic}.groups`;
    const index = `test-${randomUUID()}`;
    const connectors = {
      index: toIndex(index),
      groups: { kind: 'kafka', brokers, topic: groupsTopic, content: 'groups', createTopic: { partitions: 3 } },
    };
    const receivers = await Promise.all(
      (['structured', 'binary', 'structured'] as const).map((format) =>
        startBridgeProcess(receiverHome(topic, format)),
      ),
    );
    const [doomed, stays] = (await Promise.all(
      [1, 2].map(() => startBridgeProcess(workerHome(topic, connectors))),
    )) as [BridgeProcess, BridgeProcess];
    const parts = disturbed('workers', all);
    const third = Math.floor(parts.length / 3);
    await post(receivers, parts.slice(0, third));
    // Killed in the middle of its work, not before it has any.
    await expect
      .poll(async () => (await statusOf(doomed)).connectors.every(({ partitions }) => (partitions ?? []).length > 0))
      .toBe(true);
    const going = post(receivers, parts.slice(third, 2 * third));
    await expect.poll(async () => (await indexed(index)).size).toBeGreaterThan(0);
    await doomed.end('SIGKILL');
    await going;
    const joined = await startBridgeProcess(workerHome(topic, connectors));
    await expect
      .poll(async () => (await statusOf(joined)).connectors.every(({ partitions }) => partitions?.length === 2))
      .toBe(true);
    // One stands still for so long that it is taken for dead, and comes back to what is another's.
    const last = post(receivers, parts.slice(2 * third));
    stays.child.kill('SIGSTOP');
    await expect.poll(() => membersOf(`test.${topic}.groups`)).toBe(1);
    stays.child.kill('SIGCONT');
    await last;

    await expect
      .poll(async () => isDeepStrictEqual(Object.fromEntries(await indexed(index)), Object.fromEntries(wanted)), {
        timeout: 60_000,
      })
      .toBe(true);
    const reader = await followTopic(brokers, groupsTopic);
    const states = (): Record<string, unknown> =>
      Object.fromEntries(
        reader.records.map(({ key, value }) => [key, value === null ? null : withoutVersions(JSON.parse(value))]),
      );
    const living = Object.fromEntries([...wanted].map(([id, group]) => [id, group.destroyed ? null : group]));
    await expect.poll(() => isDeepStrictEqual(states(), living), { timeout: 60_000 }).toBe(true);
    await reader.close();

    // Both that are left have work, and have done it; where one ends, the other takes over its partitions.
    const left = [stays, joined];
    for (const worker of left) {
      await expect
        .poll(async () => (await statusOf(worker)).connectors)
        .toEqual(
          ['index', 'groups'].map((name) =>
            expect.objectContaining({
              name,
              lag: 0,
              deadLetters: 0,
              partitions: [expect.any(Number), expect.any(Number)],
            }),
          ),
        );
    }
    for (const worker of left) expect(await worker.end('SIGTERM')).toBe(0);
    for (const receiver of receivers) expect(await receiver.end('SIGTERM')).toBe(0);
  }, 120_000);

  test('what a destination refuses, and what is no event, lies in the dead-letter topic as it was; a retry brings it once mended', async () => {
    const topic = `test.${randomUUID()}`;
    const index = `test-${randomUUID()}`;
    await createStrictIndex(index);
    const home = workerHome(topic, {
      index: { kind: 'elasticsearch', nodes: elasticsearchUrl, index, createIndex: false, retry: { maxMs: 500 } },
      audit: { kind: 'file', path: join(tmpdir(), `${topic}.ndjson`), retry: { maxMs: 500 } },
    });
    onTestFinished(() => rmSync(join(tmpdir(), `${topic}.ndjson`), { force: true }));
    const worker = await startBridgeProcess(home);
    await expect
      .poll(async () => (await statusOf(worker)).connectors[0])
      .toMatchObject({ state: { kind: 'waiting', fault: { code: 'destination-missing', path: 'source.topic' } } });
    expect((await fetch(`${worker.adminUrl}/readyz`)).status).toBe(503);

    const receiver = await startBridgeProcess(receiverHome(topic, 'binary'));
    await send([receiver], { GroupId: 'poisoned', FaceUrl: 'http://face' });
    await send([receiver], { GroupId: 'poisoned', Name: 'the next of its group', EventTime: 1_700_000_000_001 });
    const source = await followTopic(brokers, topic);
    await source.until((records) => records.length === 2, 'both events');
    const poison = source.records.find(({ value }) => value?.includes('http://face'));
    const partition = poison?.partition ?? -1;
    const garbage = Buffer.from([0xff, 0x00, 0x7b]);
    await produce(topic, [
      { partition, key: Buffer.from([0xfe]), value: garbage, headers: { odd: Buffer.from([0xfd]) } },
      { partition, key: 'poisoned', value: null },
    ]);
    // Behind all of them in their partition.
    await send([receiver], { GroupId: 'poisoned', Name: 'behind', EventTime: 1_700_000_000_002 });
    await expect.poll(() => getDocument(elasticsearchUrl, index, 'poisoned')).toMatchObject({ name: 'behind' });

    const letters = (...args: string[]) => runCommand(['dead-letters', ...args, '--config', home.configFile]);
    const list = async (name: string) => JSON.parse((await letters('list', name, '--json')).stdout).deadLetters;
    await expect.poll(() => list('index')).toHaveLength(3);
    const name = `${partition}@${poison?.offset}`;
    const [refused, unread, empty] = await list('index');
    expect(refused).toMatchObject({ name, topic, partition, offset: poison?.offset, attempts: 1 });
    expect(refused.fault).toMatchObject({ code: 'event-refused', message: expect.stringMatching(/faceUrl/) });
    expect(unread).toMatchObject({
      fault: { code: 'message-not-json' },
      value: garbage.toString('base64'),
      key: '/g==',
    });
    expect(empty).toMatchObject({ fault: { code: 'message-empty' }, value: null });
    expect(await list('audit')).toHaveLength(2);

    // Byte for byte, with where it came from.
    const dead = await followTopic(brokers, `${topic}.dead-letters`);
    await dead.until((records) => records.length === 5, 'the letters of both connectors');
    const letter = dead.records.find(({ key }) => key === `index/${topic}/${name}`);
    expect(letter?.value).toBe(poison?.value);
    expect(letter?.headers).toMatchObject({
      ...poison?.headers,
      dead_letter_topic: topic,
      dead_letter_partition: String(partition),
      dead_letter_offset: poison?.offset,
      dead_letter_key: 'poisoned',
      dead_letter_fault: expect.stringMatching(/"code":"event-refused".*faceUrl/),
    });
    expect((await letters('list', 'index')).stdout).toMatch(new RegExp(`${name} +\\S+ +poisoned +1 +.*faceUrl`));
    expect((await letters('show', 'index', name)).stdout).toMatch(/reason +.*faceUrl[\s\S]*record .*http:\/\/face/);
    await expect
      .poll(async () => (await statusOf(worker)).connectors.map(({ deadLetters }) => deadLetters))
      .toEqual([3, 2]);

    // Not mended yet: refused once more, and listed under where it lies now.
    expect((await letters('retry', 'index', name)).stdout).toMatch(/index tries 1 dead letter again/);
    await expect.poll(async () => (await list('index')).map((one: { name: string }) => one.name)).not.toContain(name);
    await expect.poll(() => list('index')).toHaveLength(3);
    const mapping = JSON.stringify({ properties: { faceUrl: { type: 'keyword' } } });
    expect((await es(index, '/_mapping', 'PUT', mapping)).status).toBe(200);
    const again = (await list('index')).at(-1).name;
    expect(await letters('retry', 'index', again)).toMatchObject({ code: 0 });
    await expect
      .poll(() => getDocument(elasticsearchUrl, index, 'poisoned'))
      .toMatchObject({ name: 'behind', faceUrl: 'http://face' });
    expect(await letters('discard', 'index')).toMatchObject({ code: 2 });
    expect((await letters('discard', 'index', '--all')).stdout).toBe('discarded 2 dead letters of index\n');
    expect((await letters('list', 'index')).stdout).toBe('index has no dead letters\n');

    // What was tried again for one connector, the other has not had twice.
    await expect.poll(async () => (await statusOf(worker)).connectors.map(({ lag }) => lag)).toEqual([0, 0]);
    expect((await fetch(`${worker.adminUrl}/readyz`)).status).toBe(200);
    const metrics = await (await fetch(`${worker.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/bridge_delivery_lag_events\{connector="index"\} 0/);
    expect(metrics).toMatch(/bridge_dead_lettered_total\{connector="index"\} 4/);
    expect(metrics).toMatch(/bridge_delivered_total\{connector="audit"\} 3/);
    const shown = await runCommand(['status', '--admin', worker.adminUrl]);
    expect(shown.stdout).toMatch(
      /^Events of .* are taken\n.*\nsource .*\n[\s\S]*index +elasticsearch +running +0 +\d +0, 1, 2, 3\n/m,
    );
    const lines = (await readFile(join(tmpdir(), `${topic}.ndjson`), 'utf8')).trim().split('\n');
    expect(lines.filter((line) => line.includes('http://face'))).toHaveLength(1);
    expect(lines).toHaveLength(3);
    await Promise.all([source.close(), dead.close()]);
    for (const process of [worker, receiver]) expect(await process.end('SIGTERM')).toBe(0);
  });

  test('killed while the destination is down: the next worker delivers everything; a member waits without losing its partitions', async () => {
    const topic = `test.${randomUUID()}`;
    const index = `test-${randomUUID()}`;
    const proxy = await startProxy(await freePort(), Number(new URL(elasticsearchUrl).port));
    onTestFinished(proxy.close);
    const receiver = await startBridgeProcess(receiverHome(topic, 'structured'));
    // One rest is longer than a member may be silent.
    const rests = { retry: { initialMs: 20_000, maxMs: 20_000 } };
    const doomed = await startBridgeProcess(
      workerHome(topic, { index: { ...toIndex(index), ...rests, nodes: `http://127.0.0.1:${proxy.port}` } }),
    );
    await send([receiver], { GroupId: 'first', Name: 'before' });
    await expect.poll(() => getDocument(elasticsearchUrl, index, 'first')).toMatchObject({ name: 'before' });
    // It lies there before the worker has its answer: cut off in between, it would come again, and be one of those that wait.
    const metrics = async () => (await fetch(`${doomed.adminUrl}/metrics`)).text();
    await expect.poll(metrics).toContain('bridge_delivered_total{connector="index"} 1');

    await proxy.refuse();
    for (let n = 0; n < 20; n++) await send([receiver], { GroupId: `g${n}`, Name: 'while it was down' });
    const state = async () => (await statusOf(doomed)).connectors[0];
    await expect.poll(state).toMatchObject({ lag: 20, partitions: [0, 1, 2, 3], state: { kind: 'waiting' } });
    await expect.poll(async () => Date.now() - ((await state())?.state.since ?? Date.now())).toBeGreaterThan(7_000);
    // What the broker says: the member itself would not know.
    expect(await membersOf(`test.${topic}.index`)).toBe(1);
    expect(doomed.stderr().match(/"partitions":/g)).toHaveLength(1);
    await doomed.end('SIGKILL');

    const next = await startBridgeProcess(workerHome(topic, { index: toIndex(index) }));
    await expect.poll(async () => (await indexed(index)).size).toBe(21);
    await expect
      .poll(async () => (await statusOf(next)).connectors[0])
      .toMatchObject({ lag: 0, deadLetters: 0, state: { kind: 'running' } });
    for (const process of [next, receiver]) expect(await process.end('SIGTERM')).toBe(0);
  });
});

describe.skipIf(brokers === '')('the source itself goes down', () => {
  test('it is waited for, and what was written after it came back is delivered', async () => {
    const kafka = await startKafka();
    onTestFinished(() => kafka.stop());
    const retry = { maxMs: 500 };
    const home = bridgeHome(() => ({ events: { kind: 'kafka', brokers: kafka.brokers, topic: 'events', retry } }));
    onTestFinished(home.remove);
    const receiver = await startBridgeProcess(home);
    const out = join(home.folder, 'out.ndjson');
    const worker = await startBridgeProcess(
      workerHome('events', { audit: { kind: 'file', path: out, retry } }, kafka.brokers),
    );
    // At least once: one that was not committed yet comes again.
    const groups = async () => {
      const lines = (await readFile(out, 'utf8').catch(() => '')).split('\n').slice(0, -1);
      return [...new Set(lines.map((line) => JSON.parse(line).subject))];
    };
    await send([receiver], { GroupId: 'before', Name: 'x' });
    await expect.poll(groups).toEqual(['before']);
    await kafka.kill();
    await send([receiver], { GroupId: 'meanwhile', Name: 'x' });
    const state = async () => (await statusOf(worker)).connectors[0];
    await expect.poll(state).toMatchObject({ state: { kind: 'waiting', fault: { path: 'source.brokers' } } });
    await kafka.restart();
    await expect.poll(groups).toEqual(['before', 'meanwhile']);
    await expect.poll(state).toMatchObject({ state: { kind: 'running' }, lag: 0 });
    for (const process of [worker, receiver]) expect(await process.end('SIGTERM')).toBe(0);
  });
});

describe('the configuration of a worker', () => {
  const load = (more: string) => {
    const text = `app: { sdkAppId: 1 }
source: { kind: kafka, brokers: "one:9092,two:9092,localhost:9092", topic: events${more === 'own letters' ? ', deadLetters: { topic: events }' : ''} }
connectors: { copy: { kind: kafka, brokers: "${more.startsWith('loop at ') ? more.slice(8) : 'two'}:9092", topic: ${more.startsWith('loop') ? 'events' : 'copies'} } }
${more.includes(':') ? more : ''}`;
    const result = parseConfig(text, { file: 'worker.yaml', env: {}, schema: configSchema });
    return result.ok ? result.config : result.problems.map(({ path, message }) => `${path}: ${message}`);
  };

  test('what a worker has no use for is refused, and says why', () => {
    expect(load('')).toMatchObject({ source: { topic: 'events' } });
    expect(load('receiver: {}')).toEqual([expect.stringMatching(/^receiver: a worker receives no callbacks/)]);
    expect(load('receiver: { port: 1 }')).toEqual([expect.stringMatching(/^receiver: a worker receives no callbacks/)]);
    expect(load('reconcile: { api: { secretKey: x } }')).toEqual([
      expect.stringMatching(/^reconcile: a worker has no/),
    ]);
  });

  test('a topic that would be read and written is refused', () => {
    for (const loop of ['loop', 'loop at Two', 'loop at 127.0.0.1']) {
      expect(load(loop)).toEqual([
        expect.stringMatching(/^connectors.copy.topic: the worker would read what it writes/),
      ]);
    }
    expect(load('own letters')).toEqual([
      expect.stringMatching(/^source.deadLetters.topic: each dead letter would be read as an event/),
    ]);
  });
});

/** One callback, answered OK. */
function send(receivers: readonly BridgeProcess[], changes: Record<string, unknown>): Promise<void> {
  const fields = { EventTime: 1_700_000_000_000, Type: 'Public', Operator_Account: 'x', ...changes };
  return post(receivers, [sent(COMMAND, fields as unknown as Sent['body'])]);
}

async function produce(topic: string, messages: Message[]): Promise<void> {
  const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING });
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  await producer.send({ topic, messages });
  await producer.disconnect();
}

async function membersOf(groupId: string): Promise<number> {
  const admin = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const { groups } = await admin.describeGroups([groupId]);
  await admin.disconnect();
  return groups[0]?.members.length ?? 0;
}

function es(index: string, path: string, method: string, body: string): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(`${elasticsearchUrl}/${index}${path}`, { method, headers, body });
}

/** Without a field for faceUrl. */
async function createStrictIndex(index: string): Promise<void> {
  const fields = ['groupId', 'groupType', 'name', 'lastOperator', 'owner', 'introduction', 'notification'];
  const properties = {
    ...Object.fromEntries(fields.map((field) => [field, { type: 'keyword' }])),
    customFields: { type: 'flattened' },
    updatedAt: { type: 'date' },
    destroyed: { type: 'boolean' },
    versions: { type: 'object', enabled: false },
  };
  const body = { settings: { number_of_replicas: 0 }, mappings: { dynamic: 'strict', properties } };
  expect((await es(index, '', 'PUT', JSON.stringify(body))).status).toBe(200);
}
