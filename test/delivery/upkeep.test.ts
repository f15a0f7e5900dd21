/** Invariant 5, on real servers: a copy that is lost, replaced or changed by others is noticed, said and made whole. */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { followTopic, getDocuments } from '../servers/readback.ts';
import {
  type BridgeHome,
  type BridgeProcess,
  bridgeHome,
  inStep,
  startBridgeProcess,
} from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';

const brokers = inject('kafkaBrokers');
const elasticsearchUrl = inject('elasticsearchUrl');
const skip = brokers === '' || elasticsearchUrl === '' ? ' (skipped: no Kafka or Elasticsearch in this run)' : '';

interface Copy {
  readonly connector: object;
  /** Resolves once the copy is not there any more. */
  remove(): Promise<void>;
  /** The ids of groups that lie there. */
  groups(): Promise<string[]>;
  /** Makes it, where the bridge is not to. */
  make?(): Promise<void>;
}
const sorted = (ids: Iterable<string>): string[] => [...new Set(ids)].sort();

async function administer<T>(work: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> {
  const admin = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  return work(admin).finally(() => admin.disconnect());
}

function inKafka(content: 'groups' | 'events'): Copy {
  const topic = `test.${randomUUID()}`;
  return {
    connector: { kind: 'kafka', brokers, topic, content, createTopic: { partitions: 2 } },
    async remove() {
      await administer((admin) => admin.deleteTopics({ topics: [topic] }));
      await expect.poll(() => administer((admin) => admin.listTopics())).not.toContain(topic);
    },
    async groups() {
      const reader = await followTopic(brokers, topic);
      const keys = (): string[] => sorted(reader.records.map(({ key }) => key ?? ''));
      await reader.until(() => keys().length >= 3, 'three groups', 5_000).catch(() => {});
      await reader.close();
      return keys();
    },
  };
}

function inElasticsearch(
  content: 'groups' | 'events',
  index = `test-${randomUUID()}`,
): Copy & { readonly index: string } {
  return {
    index,
    connector: { kind: 'elasticsearch', nodes: elasticsearchUrl, index, content, createIndex: { replicas: 0 } },
    remove: async () => void (await fetch(`${elasticsearchUrl}/${index}`, { method: 'DELETE' })),
    async groups() {
      const found = [...(await getDocuments(elasticsearchUrl, index)).values()];
      return sorted(found.map(({ groupId, subject }) => String(groupId ?? subject)));
    },
  };
}

/** An alias of one index, which is deleted beneath it and made anew, empty, by somebody else. */
function behindAlias(): Copy {
  const alias = `test-${randomUUID()}`;
  let generation = 0;
  const { groups } = inElasticsearch('groups', alias);
  const make = async (): Promise<void> => {
    const headers = { 'content-type': 'application/json' };
    const mappings = { properties: { versions: { enabled: false } } };
    const wanted = { settings: { number_of_replicas: 0 }, mappings, aliases: { [alias]: {} } };
    const request = { method: 'PUT', headers, body: JSON.stringify(wanted) };
    expect((await fetch(`${elasticsearchUrl}/${alias}-${++generation}`, request)).status).toBe(200);
  };
  return {
    connector: { kind: 'elasticsearch', nodes: elasticsearchUrl, index: alias, createIndex: false },
    async remove() {
      await make();
      await fetch(`${elasticsearchUrl}/${alias}-${generation - 1}`, { method: 'DELETE' });
    },
    groups,
    make,
  };
}

function inFile(path: () => string): Copy {
  return {
    connector: { kind: 'file' },
    async remove() {
      rmSync(path());
    },
    async groups() {
      const lines = existsSync(path()) ? readFileSync(path(), 'utf8').trim().split('\n') : [];
      return sorted(lines.map((line) => String((JSON.parse(line) as { subject: string }).subject)));
    },
  };
}

async function post(bridge: BridgeProcess, GroupId: string, Name: string): Promise<void> {
  expect(await bridge.post({ search: search(), body: body({ GroupId, Name, EventTime: Date.now() }) })).toEqual(OK);
}

interface Held {
  readonly verifiedAt?: number;
  readonly incomplete?: { readonly reason: string };
  readonly differing: number;
}
async function copiesOf({ adminUrl }: BridgeProcess): Promise<Record<string, Held>> {
  const { connectors } = (await (await fetch(`${adminUrl}/api/status`)).json()) as {
    connectors: { name: string; copy: Held }[];
  };
  return Object.fromEntries(connectors.map(({ name, copy }) => [name, copy]));
}

const FAST = { every: '1s', groupsPerSecond: 10_000 };
const GROUPS = ['g1', 'g2', 'g3'];

describe.skipIf(skip !== '')(`a copy${skip}`, () => {
  function sixCopies(restore: 'auto' | 'ask' = 'auto'): { home: BridgeHome; copies: Record<string, Copy> } {
    let folder = '';
    const file = inFile(() => join(folder, 'events.ndjson'));
    const copies: Record<string, Copy> = {
      groupTopic: inKafka('groups'),
      eventTopic: inKafka('events'),
      groupIndex: inElasticsearch('groups'),
      eventIndex: inElasticsearch('events'),
      aliased: behindAlias(),
      file,
    };
    const home = bridgeHome((its) => {
      folder = its;
      return Object.fromEntries(
        Object.entries(copies).map(([name, { connector }]) => [
          name,
          { ...connector, ...(name === 'file' && { path: join(its, 'events.ndjson') }), verify: FAST, restore },
        ]),
      );
    });
    onTestFinished(home.remove);
    return { home, copies };
  }
  const whole = async (bridge: BridgeProcess, copies: Record<string, Copy>): Promise<void> => {
    for (const [name, copy] of Object.entries(copies)) {
      await expect.poll(() => copy.groups().catch(() => []), { timeout: 60_000, message: name }).toEqual(GROUPS);
      await expect.poll(bridge.stderr, { timeout: 20_000 }).toMatch(new RegExp(`${name}: complete again`));
    }
    const incomplete = async () => Object.values(await copiesOf(bridge)).filter((one) => one.incomplete !== undefined);
    await expect.poll(incomplete, { timeout: 20_000 }).toEqual([]);
  };

  test('that is deleted, under a bridge that runs and under one that does not, is made whole by itself', async () => {
    const { home, copies } = sixCopies();
    for (const { make } of Object.values(copies)) await make?.();
    let bridge = await startBridgeProcess(home);
    for (const id of GROUPS) await post(bridge, id, 'before');
    await inStep(bridge);
    const unverified = async () =>
      Object.entries(await copiesOf(bridge)).filter(([, { verifiedAt }]) => verifiedAt === undefined);
    await expect.poll(unverified, { timeout: 30_000 }).toEqual([]);
    expect(bridge.stderr()).not.toMatch(/incomplete|complete again|missing or different/);

    for (const copy of Object.values(copies)) await copy.remove();
    await whole(bridge, copies);
    for (const name of Object.keys(copies))
      expect(bridge.stderr()).toMatch(new RegExp(`${name}: incomplete: (the|created)`));

    expect(await bridge.end('SIGTERM')).toBe(0);
    for (const copy of Object.values(copies)) await copy.remove();
    bridge = await startBridgeProcess(home);
    await whole(bridge, copies);
    expect(await bridge.end('SIGTERM')).toBe(0);
  }, 240_000);

  test('that is deleted stays incomplete with `restore: ask`, until a person replays it', async () => {
    const { home, copies } = sixCopies('ask');
    for (const { make } of Object.values(copies)) await make?.();
    const bridge = await startBridgeProcess(home);
    for (const id of GROUPS) await post(bridge, id, 'before');
    await inStep(bridge);
    const { groupIndex, file } = copies as { groupIndex: Copy; file: Copy };
    await expect.poll(async () => (await copiesOf(bridge)).file?.verifiedAt).toBeDefined();
    await groupIndex.remove();
    await file.remove();
    await post(bridge, 'g1', 'after');
    for (const name of ['groupIndex', 'file']) {
      const reason = async () => (await copiesOf(bridge))[name]?.incomplete?.reason;
      await expect.poll(reason, { timeout: 40_000 }).toMatch(/deleted or replaced/);
      expect(Object.keys((await copiesOf(bridge))[name]?.incomplete ?? {})).toEqual(['since', 'reason']);
      const from = name === 'file' ? 'beginning' : 'groups';
      const url = `${bridge.adminUrl}/api/connectors/${name}/replay`;
      const asked = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ from }) };
      expect((await fetch(url, asked)).status).toBe(200);
      await expect.poll(reason, { timeout: 20_000 }).toBeUndefined();
      await expect.poll((copies[name] as Copy).groups, { timeout: 20_000 }).toEqual(GROUPS);
    }
    expect(await bridge.end('SIGTERM')).toBe(0);
  }, 120_000);

  test('that others changed is mended within one pass, and nothing else of it is written', async () => {
    const index = inElasticsearch('groups');
    const topic = inKafka('groups');
    const connectors = { index: index.connector, topic: topic.connector };
    const home = bridgeHome(() =>
      Object.fromEntries(Object.entries(connectors).map(([name, one]) => [name, { ...one, verify: FAST }])),
    );
    onTestFinished(home.remove);
    const bridge = await startBridgeProcess(home);
    const ids = Array.from({ length: 900 }, (_, number) => `g${String(number).padStart(4, '0')}`);
    for (let at = 0; at < ids.length; at += 100) {
      await Promise.all(ids.slice(at, at + 100).map((id) => post(bridge, id, `name of ${id}`)));
    }
    await inStep(bridge);
    const versions = async (): Promise<Map<string, number>> => {
      const url = `${elasticsearchUrl}/${index.index}/_search?size=10000&seq_no_primary_term=true&_source=false`;
      await fetch(`${elasticsearchUrl}/${index.index}/_refresh`, { method: 'POST' });
      const { hits } = (await (await fetch(url)).json()) as { hits: { hits: { _id: string; _seq_no: number }[] } };
      return new Map(hits.hits.map(({ _id, _seq_no }) => [_id, _seq_no]));
    };
    const before = await versions();
    const lines = ids.flatMap((id, number) => {
      if (number % 3 === 0) return [JSON.stringify({ delete: { _id: id } })];
      return number % 3 === 1 ? [JSON.stringify({ update: { _id: id } }), '{"doc":{"name":"by hand"}}'] : [];
    });
    const headers = { 'content-type': 'application/x-ndjson' };
    const bulk = { method: 'POST', headers, body: `${lines.join('\n')}\n` };
    expect((await fetch(`${elasticsearchUrl}/${index.index}/_bulk?refresh=true`, bulk)).status).toBe(200);
    const producer = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING }).producer();
    await producer.connect();
    const { topic: name } = topic.connector as { topic: string };
    await producer.send({ topic: name, messages: [{ key: 'g0000', value: null }] });
    await producer.disconnect();

    await expect.poll(bridge.stderr, { timeout: 40_000 }).toMatch(/index: \d+ of \d+ compared were missing/);
    const changed = async () =>
      [...(await getDocuments(elasticsearchUrl, index.index))].filter(([id, one]) => one.name !== `name of ${id}`);
    await expect.poll(changed, { timeout: 20_000 }).toEqual([]);
    const after = await versions();
    expect([...after.keys()].sort()).toEqual(ids);
    for (const [number, id] of ids.entries()) {
      if (number % 3 === 2) expect(after.get(id)).toBe(before.get(id));
      else expect(after.get(id)).not.toBe(before.get(id));
    }
    await expect.poll(bridge.stderr, { timeout: 40_000 }).toMatch(/topic: 1 of 900 compared were missing/);
    const metrics = await (await fetch(`${bridge.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/bridge_copy_mended_total\{connector="index"\} 600/);
    expect(metrics).toMatch(/bridge_copy_differing_groups\{connector="index"\} 0/);
    expect(await bridge.end('SIGTERM')).toBe(0);
  }, 120_000);
});
