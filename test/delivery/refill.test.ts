/** A copy of merged groups that is made anew is filled again, also with what the journal has long pruned. */
import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { followTopic, getDocuments } from '../servers/readback.ts';
import { type BridgeProcess, bridgeHome, inStep, startBridgeProcess } from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';

const brokers = inject('kafkaBrokers');
const elasticsearchUrl = inject('elasticsearchUrl');
const skip = brokers === '' || elasticsearchUrl === '' ? ' (skipped: no Kafka or Elasticsearch in this run)' : '';

interface Copy {
  readonly connector: object;
  /** Resolves once the copy is not there any more. */
  remove(): Promise<void>;
  groups(): Promise<string[]>;
}

function inKafka(): Copy {
  const topic = `test.${randomUUID()}`;
  const administer = async <T>(work: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> => {
    const admin = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    return work(admin).finally(() => admin.disconnect());
  };
  return {
    connector: { kind: 'kafka', brokers, topic, content: 'groups', createTopic: { partitions: 2 } },
    async remove() {
      await administer((admin) => admin.deleteTopics({ topics: [topic] }));
      await expect.poll(() => administer((admin) => admin.listTopics())).not.toContain(topic);
    },
    async groups() {
      const reader = await followTopic(brokers, topic);
      const keys = (): string[] => [...new Set(reader.records.map(({ key }) => key ?? ''))].sort();
      await reader.until(() => keys().length >= 3, 'three groups', 10_000).catch(() => {});
      await reader.close();
      return keys();
    },
  };
}

function inElasticsearch(): Copy {
  const index = `test-${randomUUID()}`;
  return {
    connector: { kind: 'elasticsearch', nodes: elasticsearchUrl, index, createIndex: { replicas: 0 } },
    remove: async () => void (await fetch(`${elasticsearchUrl}/${index}`, { method: 'DELETE' })),
    groups: async () => [...(await getDocuments(elasticsearchUrl, index)).keys()].sort(),
  };
}

describe.skipIf(skip !== '')(`a destination of groups that is made anew${skip}`, () => {
  test.each([
    ['a compacted topic', inKafka],
    ['an index', inElasticsearch],
  ])(
    '%s is filled again by itself, at its first creation it is not',
    async (_, make) => {
      const copy = make();
      const home = bridgeHome(() => ({ copy: copy.connector }), { journal: { keepDelivered: '1s' } });
      onTestFinished(home.remove);
      const bridge = await startBridgeProcess(home);
      const post = async (to: BridgeProcess, GroupId: string, Name: string) =>
        expect(await to.post({ search: search(), body: body({ GroupId, Name, EventTime: Date.now() }) })).toEqual(OK);
      for (const id of ['g1', 'g2', 'g3']) await post(bridge, id, 'before');
      await inStep(bridge);
      await expect.poll(copy.groups, { timeout: 20_000 }).toEqual(['g1', 'g2', 'g3']);
      expect(bridge.stderr()).not.toContain('it was there before');
      const recorded = async () =>
        (await (await fetch(`${bridge.adminUrl}/api/events`)).json()) as { events: unknown[] };
      await expect.poll(async () => (await recorded()).events, { timeout: 20_000 }).toEqual([]);

      await copy.remove();
      await post(bridge, 'g1', 'after');
      await expect.poll(() => copy.groups().catch(() => []), { timeout: 60_000 }).toEqual(['g1', 'g2', 'g3']);
      expect(bridge.stderr()).toMatch(/created the .*; it was there before, so that all groups are brought to it/);
      await expect.poll(bridge.stderr).toMatch(/brought all 3 groups of the journal to it/);
      expect(await bridge.end('SIGTERM')).toBe(0);
    },
    120_000,
  );
});
