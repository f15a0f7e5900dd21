/** Two apps never share a copy of groups: what holds those of one is refused by the bridge of the other, and said. */
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { followTopic, getDocuments } from '../servers/readback.ts';
import { type BridgeProcess, bridgeHome, inStep, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, SDK_APP_ID, search } from '../support/callbacks.ts';
import { madeEvent } from '../support/events.ts';

const OTHER = '1400000002';
const source = (app: string) => `urn:tencent-chat:app:${app}`;

async function start(app: string, connectors: Record<string, unknown>) {
  const home = bridgeHome(() => connectors, { app: { sdkAppId: app } });
  onTestFinished(home.remove);
  const bridge = await startBridgeProcess(home);
  const send = async (GroupId: string, Name: string) => {
    const callback = { search: search({ SdkAppid: app }), body: body({ GroupId, Name, EventTime: Date.now() }) };
    expect((await bridge.post(callback)).status).toBe(200);
  };
  return { home, bridge, send };
}

const faultOf = async ({ adminUrl }: BridgeProcess) => {
  const { connectors } = (await (await fetch(`${adminUrl}/api/status`)).json()) as {
    connectors: { state: { fault?: { code: string; message: string } }; lag: number; deadLetters: number }[];
  };
  const [{ state, lag, deadLetters } = { state: {}, lag: -1, deadLetters: -1 }] = connectors;
  return { lag, deadLetters, fault: (state as { fault?: unknown }).fault };
};

const destinations = {
  elasticsearch: () => ({
    kind: 'elasticsearch',
    nodes: inject('elasticsearchUrl'),
    index: `apps-${randomUUID()}`,
    createIndex: { replicas: 0 },
  }),
  kafka: () => ({
    kind: 'kafka',
    brokers: inject('kafkaBrokers'),
    topic: `apps.${randomUUID()}`,
    content: 'groups',
    createTopic: { partitions: 2 },
  }),
};

/** Every group that was ever written, in the order of its writes. */
async function held(options: Record<string, unknown>): Promise<Record<string, unknown>[]> {
  if (options.kind !== 'kafka') {
    return [...(await getDocuments(inject('elasticsearchUrl'), String(options.index))).values()];
  }
  const reader = await followTopic(String(options.brokers), String(options.topic));
  onTestFinished(reader.close);
  await reader.until((records) => records.length >= 2, 'both states of the first app');
  return reader.records.map(({ value }) => JSON.parse(String(value)) as Record<string, unknown>);
}

describe.each(Object.entries(destinations))('%s', (_, options) => {
  test('the bridge of the second app waits and says why; nothing of it is ever in the copy', async () => {
    const copy = { ...options(), retry: { initialMs: 100, maxMs: 500 } };
    const one = await start(SDK_APP_ID, { copy });
    await one.send('same', 'of the first');
    await inStep(one.bridge);

    const two = await start(OTHER, { copy });
    await two.send('same', 'of the second');
    await two.send('another', 'of the second');
    await expect
      .poll(() => faultOf(two.bridge), { timeout: 20_000 })
      .toMatchObject({
        lag: 2,
        deadLetters: 0,
        fault: {
          code: 'destination-misconfigured',
          message: expect.stringContaining(`holds groups of ${source(SDK_APP_ID)}`),
        },
      });
    await one.send('same', 'of the first again');
    await inStep(one.bridge);
    const groups = await held(copy);
    expect(groups.map(({ source }) => source)).toEqual(groups.map(() => source(SDK_APP_ID)));
    expect(groups.at(-1)).toMatchObject({ groupId: 'same', name: 'of the first again' });

    const checked = await runCommand(['check', '--connect', '--config', two.home.configFile]);
    expect(checked.code).toBe(1);
    expect(checked.stdout).toContain(`holds groups of ${source(SDK_APP_ID)}`);
    expect((await runCommand(['check', '--connect', '--config', one.home.configFile])).code).toBe(0);
  });
});

test('an index that knows nothing of apps is told by what it holds, document by document', async () => {
  const copy = { ...destinations.elasticsearch(), retry: { initialMs: 100, maxMs: 500 } };
  const url = `${inject('elasticsearchUrl')}/${copy.index}`;
  const put = async (path: string, content: object) => {
    const headers = { 'content-type': 'application/json' };
    expect((await fetch(url + path, { method: 'PUT', headers, body: JSON.stringify(content) })).ok).toBe(true);
  };
  // Without a mapping of theirs, the versions would be refused: a time and an id are no values of one field.
  const mappings = { properties: { versions: { enabled: false } } };
  await put('', { settings: { number_of_replicas: 0 }, mappings });
  const two = await start(OTHER, { copy });
  await two.send('own', 'of the second');
  await inStep(two.bridge);
  await put('/_doc/same', { groupId: 'same', source: source(SDK_APP_ID), name: 'of the first' });
  await two.send('same', 'of the second');
  await expect
    .poll(() => faultOf(two.bridge), { timeout: 20_000 })
    .toMatchObject({
      lag: 1,
      fault: { message: expect.stringContaining(`holds groups of ${source(SDK_APP_ID)}`) },
    });
  expect((await getDocuments(inject('elasticsearchUrl'), copy.index)).get('same')).toEqual({
    groupId: 'same',
    source: source(SDK_APP_ID),
    name: 'of the first',
  });
});

test('a journal is one app’s: another app does not start on it', async () => {
  const one = await start(SDK_APP_ID, {
    copy: { kind: 'file', path: join(process.cwd(), 'unused.ndjson'), enabled: false },
  });
  await one.send('g', 'n');
  expect(await one.bridge.end('SIGTERM')).toBe(0);
  const config = readFileSync(one.home.configFile, 'utf8');
  writeFileSync(one.home.configFile, config.replace(SDK_APP_ID, OTHER));
  const { code, stderr } = await runCommand(['start', '--config', one.home.configFile]);
  expect(code).toBe(1);
  expect(stderr).toContain(`is that of ${source(SDK_APP_ID)}`);
});

test('a worker on a topic of two apps: events of the other never reach a copy of groups, and stand in its dead letters', async () => {
  const brokers = inject('kafkaBrokers');
  const topic = `apps.${randomUUID()}`;
  const kafka = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] });
  await admin.disconnect();
  const producer = kafka.producer();
  await producer.connect();
  const own = madeEvent(1, { name: 'of the first' });
  const foreign = { ...madeEvent(2, { name: 'of the second' }), source: source(OTHER) };
  await producer.send({ topic, messages: [own, foreign].map((event) => ({ key: 'g', value: JSON.stringify(event) })) });
  await producer.disconnect();

  const groups = destinations.elasticsearch();
  const home = bridgeHome(() => ({}));
  onTestFinished(home.remove);
  const file = join(home.folder, 'events.ndjson');
  const connectors = { groups, all: { kind: 'file', path: file } };
  const config = {
    app: { sdkAppId: SDK_APP_ID },
    admin: { port: 0 },
    source: { kind: 'kafka', brokers, topic },
    connectors,
  };
  writeFileSync(home.configFile, stringify(config));
  await startBridgeProcess(home);
  const list = async (name: string) =>
    JSON.parse((await runCommand(['dead-letters', 'list', name, '--json', '--config', home.configFile])).stdout)
      .deadLetters;
  await expect
    .poll(() => list('groups'), { timeout: 20_000 })
    .toMatchObject([
      { name: '0@1', fault: { code: 'event-refused', message: expect.stringContaining(source(OTHER)) } },
    ]);
  await expect.poll(() => readFileSync(file, 'utf8').split('\n').length).toBe(3);
  expect(await list('all')).toEqual([]);
  const held = await getDocuments(inject('elasticsearchUrl'), groups.index);
  expect([...held.values()]).toMatchObject([{ source: source(SDK_APP_ID), name: 'of the first' }]);
});
