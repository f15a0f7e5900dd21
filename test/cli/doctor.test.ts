/** `check --connect` is the doctor: it names what is wrong with a destination, a line each, and creates and writes nothing. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import type { Finding } from '../../connectors/contract.ts';
import { examine, examineSource, source as kafkaSource } from '../../connectors/index.ts';
import { configSchema } from '../../src/config/schema.ts';
import {
  deleteIndices,
  must,
  newIndex,
  skip as noElasticsearch,
  request,
  url,
} from '../connectors/elasticsearch.oracle.ts';
import { never, testHost } from '../connectors/suite.ts';
import { bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';

const brokers = inject('kafkaBrokers');

afterAll(deleteIndices);

/** The findings, as `state step: says`. */
async function findings(connector: Record<string, unknown>): Promise<string[]> {
  const parsed = configSchema.parse({ app: { sdkAppId: '1' }, connectors: { it: connector } });
  const found: Finding[] = [];
  const configured = { kind: '', ...parsed.connectors.it };
  for await (const one of examine(configured, testHost(), never())) found.push(one);
  for (const { state, fault } of found) {
    expect(fault === undefined).toBe(state !== 'wrong');
    if (fault !== undefined) expect(fault).toMatchObject({ path: expect.any(String), suggestion: expect.any(String) });
  }
  return found.map(({ state, step, says }) => `${state} ${step}: ${says}`);
}

describe.skipIf(brokers === '')('a topic', () => {
  const admin = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING }).admin();
  const newTopic = async (config: Record<string, string> = {}): Promise<string> => {
    const topic = `doctor-${randomUUID()}`;
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    await admin.connect();
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 2, configEntries }] });
    return topic;
  };
  const kafka = (topic: string, more = {}) => findings({ kind: 'kafka', brokers, topic, ...more });
  afterAll(() => admin.disconnect());

  test('that is as it should be; nothing is written to it', async () => {
    const topic = await newTopic();
    expect(await kafka(topic)).toEqual([
      'well brokers: reached, 1 in the cluster',
      `well topic: ${topic}: 2 partitions, replication factor 1`,
      'well cleanup.policy: delete',
      expect.stringContaining('well write permission: yes'),
    ]);
    expect((await admin.fetchTopicOffsets(topic)).map(({ high }) => high)).toEqual(['0', '0']);
  });

  test('that is missing: created by start, or wrong when it must exist; either way it is not created', async () => {
    const topic = `doctor-${randomUUID()}`;
    expect((await kafka(topic, { createTopic: { partitions: 3 } })).at(-1)).toBe(
      `note topic: ${topic} does not exist: start creates it with 3 partitions, replication factor 1`,
    );
    expect((await kafka(topic, { createTopic: false })).at(-1)).toBe(`wrong topic: ${topic} does not exist`);
    expect(await admin.listTopics()).not.toContain(topic);
  });

  test.each([
    ['events', { 'cleanup.policy': 'compact' }, 'keeps only the last event of each group'],
    ['groups', { 'cleanup.policy': 'delete' }, 'is not compacted'],
    ['events', { 'max.message.bytes': '5000' }, 'the topic accepts 5000 bytes at once, but batches may have 900000'],
    ['events', { 'min.insync.replicas': '2' }, 'min.insync.replicas is 2'],
  ])('whose settings do not fit content: %s: %j', async (content, config, complaint) => {
    const wrong = (await kafka(await newTopic(config), { content })).filter((line) => line.startsWith('wrong'));
    expect(wrong[0]).toContain(complaint);
  });

  test('that is compacted and deletes what is old, too, which groups may not be meant to', async () => {
    const topic = await newTopic({ 'cleanup.policy': 'compact,delete' });
    const found = await kafka(topic, { content: 'groups' });
    expect(found).toContainEqual(expect.stringMatching(/^note cleanup\.policy: compact,delete: .* are deleted/));
    expect(found.at(-1)).toMatch(/^well write permission/);
  });

  test('of groups in a codec that this process has no package for, which are read to compare them', async () => {
    const topic = await newTopic({ 'cleanup.policy': 'compact', 'compression.type': 'lz4' });
    expect(await kafka(topic, { content: 'groups' })).toContainEqual('well compression: lz4');
    vi.doMock('lz4-napi', () => Promise.reject(new Error('not here')));
    onTestFinished(() => void vi.doUnmock('lz4-napi'));
    const found = await kafka(topic, { content: 'groups' });
    expect(found.at(-1)).toMatch(/^wrong .*lz4-napi is not installed/);
  });

  test.each([
    ['delete', 1],
    ['compact', 0],
  ])('of dead letters: cleanup.policy=%s', async (policy, notes) => {
    const [topic, dead] = [await newTopic(), await newTopic({ 'cleanup.policy': policy })];
    const options = kafkaSource.options.parse({ kind: 'kafka', brokers, topic, deadLetters: { topic: dead } });
    const found: Finding[] = [];
    for await (const one of examineSource(options, ['copy'], never())) found.push(one);
    expect(found.filter(({ says }) => says.includes('dead letters are deleted'))).toHaveLength(notes);
    expect(found.at(-1)).toMatchObject({ step: 'write permission', state: 'well' });
  });
});

describe.skipIf(noElasticsearch !== '')('an index', () => {
  const index = (name: string, more = {}) => findings({ kind: 'elasticsearch', nodes: [url], index: name, ...more });

  test('that is missing: created by start, or wrong when it must exist; either way it is not created', async () => {
    const name = newIndex();
    expect((await index(name)).at(-1)).toBe(
      `note index: ${name} does not exist: start creates it (shards 1, replicas 1)`,
    );
    expect((await index(name, { createIndex: false })).at(-1)).toContain('wrong index');
    expect((await request('HEAD', `/${name}`)).status).toBe(404);
  });

  test('with another mapping, and one that takes no writes', async () => {
    const foreign = newIndex();
    await must('PUT', `/${foreign}`, { mappings: { properties: { groupId: { type: 'keyword' } } } });
    expect(await index(foreign)).toContainEqual(expect.stringMatching(/^wrong mapping: .* lacks groupType, name, /));

    const blocked = newIndex();
    await must('PUT', `/${blocked}`, { settings: { 'index.blocks.write': true } });
    expect((await index(blocked)).at(-1)).toMatch(/^wrong .*block/);
    const { count } = await must<{ count: number }>('GET', `/${foreign}/_count`);
    expect(count).toBe(0);
  });
});

describe('the command', () => {
  const folder = mkdtempSync(join(tmpdir(), 'doctor-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('examines the enabled ones, creates no file, and tells it as JSON as well', async () => {
    const path = join(folder, 'new', 'events.ndjson');
    const home = bridgeHome(() => ({
      file: { kind: 'file', path },
      folder: { kind: 'file', path: folder },
      off: { kind: 'kafka', brokers: '127.0.0.1:1', topic: 't', enabled: false },
    }));
    onTestFinished(home.remove);
    const told = await runCommand(['check', '--connect', '--config', home.configFile]);
    expect(told.code).toBe(1);
    expect(told.stdout).toContain(`✓ file: ${path} can be created`);
    expect(told.stdout).toMatch(/folder \(file\):\n +✗ .*\(connectors\.folder\.path\) — it is a folder/);
    expect(told.stdout).toContain('off (kafka): disabled');
    expect(told.stderr).toBe('1 of the connectors cannot be used as configured: folder\n');
    expect(existsSync(path)).toBe(false);

    const { stdout } = await runCommand(['check', '--connect', '--json', '--config', home.configFile]);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      connectors: [
        { name: 'file', findings: [{ step: 'file', state: 'well' }] },
        { name: 'folder', findings: [{ state: 'wrong', fault: { code: 'destination-misconfigured' } }] },
        { name: 'off', enabled: false, findings: [] },
      ],
    });
  });

  test('--self-test goes through a bridge of its own, also while the real one runs, and reaches no connector', async () => {
    const home = bridgeHome((own) => ({ file: { kind: 'file', path: join(own, 'events.ndjson') } }), {
      app: { sdkAppId: '1400701118', callbackTokens: ['a-token'] },
    });
    onTestFinished(home.remove);
    const bridge = await startBridgeProcess(home);
    const { code, stdout } = await runCommand(['check', '--self-test', '--config', home.configFile]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/self-test: a signed sample callback was recorded and delivered in \d+ ms/);
    const status = await (await fetch(`${bridge.adminUrl}/api/status`)).json();
    expect(status).toMatchObject({ journal: { head: 0 } });
    expect(await bridge.end('SIGTERM')).toBe(0);
  });

  test('--self-test says what is wrong', async () => {
    const home = bridgeHome((own) => ({ file: { kind: 'file', path: join(own, 'events.ndjson') } }), {
      receiver: { host: '127.0.0.1', port: 0, maxBodyBytes: 1_024 },
      app: { sdkAppId: '1400701118' },
    });
    onTestFinished(home.remove);
    // A temporary folder that cannot be had.
    const nowhere = join(folder, 'plain');
    writeFileSync(nowhere, '');
    const { code, stdout, stderr } = await runCommand(['check', '--self-test', '--config', home.configFile], {
      TMPDIR: nowhere,
    });
    expect(code).toBe(1);
    expect(stdout + stderr).toMatch(/ENOTDIR/);
  });
});
