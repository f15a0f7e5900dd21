import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import type { GroupSink } from '../../connectors/contract.ts';
import { type Configured, openSink } from '../../connectors/index.ts';
import { kafka } from '../../connectors/kafka/connector.ts';
import { endpointOf } from '../../connectors/kafka/options.ts';
import { type CanonicalEvent, type ChangedFields, sourceOf } from '../../src/model/event.ts';
import { type Group, merge, newGroup } from '../../src/model/group.ts';
import { shapeSettings } from '../../src/model/shape.ts';
import { freePort } from '../servers/index.ts';
import { followTopic, type TopicRecord } from '../servers/readback.ts';
import {
  connectorSuite,
  type Found,
  foundInGroup,
  makeEvent,
  never,
  type Place,
  testHost,
  unreachableBy,
  withSink,
} from './suite.ts';

const brokers = inject('kafkaBrokers');
const skip = brokers === '' ? 'no Kafka in this run' : '';
const newTopic = (): string => `test.${randomUUID()}`;

async function administer<T>(work: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> {
  const admin = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** Every record up to the present end of the topic. */
async function readAll(topic: string): Promise<readonly TopicRecord[]> {
  const ends = await administer((admin) => admin.fetchTopicOffsets(topic));
  const total = ends.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  if (total === 0) return [];
  const reader = await followTopic(brokers, topic);
  await reader.until((records) => records.length >= total, `${total} records`);
  await reader.close();
  return reader.records;
}

function foundIn(topic: string, { key, value, headers, partition, offset }: TopicRecord): Found {
  const binary = headers.ce_id !== undefined;
  const parsed = JSON.parse(value ?? 'null') as CanonicalEvent & CanonicalEvent['data'];
  const changed: ChangedFields = binary ? parsed.changed : parsed.data.changed;
  const id = headers.ce_id ?? parsed.id;
  return { id, groupId: key ?? '', changed, receipt: `${topic}/${partition}@${offset}` };
}

function place(more: Record<string, unknown> = {}): Place & { readonly topic: string } {
  const topic = newTopic();
  const options = { brokers, topic, createTopic: { partitions: 3 }, ...more };
  return {
    topic,
    options,
    readBack: async () => distinct((await readAll(topic)).map((record) => foundIn(topic, record))),
  };
}

/** At least once: of an event that was delivered twice the last copy counts, which the last receipt names. */
function distinct(found: readonly Found[]): Found[] {
  return [...new Map(found.map((copy) => [copy.id, copy])).values()];
}

/** The last record of each group. */
async function lastRecords(topic: string): Promise<Map<string, TopicRecord>> {
  return new Map((await readAll(topic)).map((record) => [record.key ?? '', record]));
}

const stateOf = (record: TopicRecord | undefined): Group | undefined =>
  record?.value == null ? undefined : JSON.parse(record.value);

function groupsPlace(): Place {
  const { topic, options } = place({ content: 'groups' });
  return {
    options,
    readBack: async () =>
      [...(await lastRecords(topic)).values()].flatMap((record) => {
        const state = stateOf(record);
        return state === undefined ? [] : foundInGroup(state, `${topic}/${record.partition}@${record.offset}`);
      }),
    copies: {
      state: async (groupId) => stateOf((await lastRecords(topic)).get(groupId)),
      where: () => expect.unreachable('a topic is not read back'),
      overwrite: () => expect.unreachable('a record cannot be changed'),
    },
  };
}

const small = { partitions: 1, config: { 'max.message.bytes': 3_000 } };

for (const format of ['structured', 'binary']) {
  connectorSuite({
    name: `kafka, format: ${format}`,
    connector: kafka,
    keeps: 'every event',
    skip,
    place: async () => place({ format }),
    unreachable: async () => ({ brokers: `127.0.0.1:${await freePort()}`, topic: newTopic() }),
    poison: {
      place: async () => place({ format, createTopic: small, maxBatchBytes: 1_000_000 }),
      event: (groupId) => makeEvent({ introduction: 'x'.repeat(5_000) }, { groupId }),
      reason: /MESSAGE_TOO_LARGE/,
    },
  });
}

connectorSuite({
  name: 'kafka, content: groups',
  connector: kafka,
  keeps: 'the latest of a group',
  skip,
  place: async () => groupsPlace(),
  unreachable: async () => ({ brokers: `127.0.0.1:${await freePort()}`, topic: newTopic(), content: 'groups' }),
  poison: 'a state that is too large for the topic takes all events of its group with it',
});

describe.skipIf(skip !== '')('kafka', () => {
  test('structured: key, headers and value are those of the CloudEvents binding', async () => {
    const { topic, options } = place();
    const event = makeEvent({ name: '群 🎉' });
    await withSink(kafka, { options, readBack: async () => [] }, (sink) => sink.deliver([event], never()));
    const [record] = await readAll(topic);
    expect(record).toMatchObject({
      key: event.subject,
      headers: { 'content-type': 'application/cloudevents+json; charset=UTF-8' },
    });
    expect(JSON.parse(record?.value ?? '')).toEqual(event);
  });

  test('binary: attributes as ce_ headers, the data as value', async () => {
    const { topic, options } = place({ format: 'binary' });
    const event = makeEvent({ name: '群 🎉' }, { groupId: '@TGS#群' });
    await withSink(kafka, { options, readBack: async () => [] }, (sink) => sink.deliver([event], never()));
    const [record] = await readAll(topic);
    expect(record?.headers).toEqual({
      'content-type': 'application/json',
      ce_specversion: '1.0',
      ce_id: event.id,
      ce_source: event.source,
      ce_type: event.type,
      ce_subject: event.subject,
      ce_time: event.time,
      ce_dataschema: event.dataschema,
    });
    expect(record?.key).toBe('@TGS#群');
    expect(JSON.parse(record?.value ?? '')).toEqual(event.data);
  });

  test('groups in a shape, under keys of another form, are read back as they are', async () => {
    const { topic, options } = place({ content: 'groups', createTopic: { partitions: 1 } });
    const shape = shapeSettings.parse({ fields: { name: 'title' }, key: '{source}/{groupId}', times: 'epochMillis' });
    const sink = await openSink(
      { kind: 'kafka', ...kafka.options.parse(options), shape } as Configured,
      testHost(),
      never(),
    );
    if (sink.holds !== 'groups') throw new TypeError('groups are expected');
    const [one, gone] = ['one', 'gone'].map((groupId) =>
      merge(newGroup(groupId), makeEvent({ name: groupId }, { groupId })),
    );
    const states = [one as Group, { ...(gone as Group), destroyed: true }];
    await sink.put(states, 'join', never());
    const found = new Map<string, Group | null>();
    await sink.scan?.((groupId, state) => void found.set(groupId, state), never());
    await sink.close();
    expect(Object.fromEntries(found)).toEqual({ one: states[0], gone: states[1] });
    const record = (await lastRecords(topic)).get(`${sourceOf('1400701118')}/one`);
    const updatedAt = Date.parse(states[0]?.updatedAt ?? '');
    expect(JSON.parse(record?.value ?? '')).toMatchObject({ title: 'one', updatedAt });
  });

  test('a scan passes over what lies in the partition that a key went to before there were more of them', async () => {
    const { topic, options } = place({ content: 'groups', createTopic: { partitions: 1 } });
    const ids = Array.from({ length: 8 }, (_, number) => `g${number}`);
    const put = async (name: string): Promise<GroupSink> => {
      const configured = { kind: 'kafka', ...kafka.options.parse(options) } as Configured;
      const sink = (await openSink(configured, testHost(), never())) as GroupSink;
      const states = ids.map((groupId) => merge(newGroup(groupId), makeEvent({ name }, { groupId })));
      await sink.put(states, 'join', never());
      return sink;
    };
    await (await put('before')).close();
    await administer((admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] }));
    const led = () =>
      administer((admin) => admin.fetchTopicOffsets(topic)).then(
        ({ length }) => length,
        () => 0,
      );
    await expect.poll(led).toBe(4);
    const sink = await put('after');
    const found = new Map<string, string | undefined>();
    await sink.scan?.((groupId, state) => void found.set(groupId, state?.name), never());
    await sink.close();
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(ids.map((id) => [id, 'after'])));
  });

  test('a topic for each type of group, made when the first event is for it; headers of one’s own', async () => {
    const base = newTopic();
    const headers = { 'x-tenant': 'acme', 'x-group': '{groupType}/{groupId}' };
    const options = { brokers, topic: `${base}.{groupType}`, createTopic: { partitions: 1 }, headers };
    await withSink(kafka, { options, readBack: async () => [] }, async ({ sink, deliver }, host) => {
      expect(host.notes).toEqual([]);
      const madeAnew: string[] = [];
      host.created = (message) => void madeAnew.push(message);
      const [one, two, odd] = ['Public', 'Community', 'a b?'].map((groupType) => {
        const event = makeEvent({ name: groupType }, { groupId: 'g' });
        return { ...event, data: { ...event.data, groupType } };
      }) as [CanonicalEvent, CanonicalEvent, CanonicalEvent];
      const outcomes = await deliver([one, two, odd], never());
      const topics = ['Public', 'Community', 'a_b_'].map((type) => `${base}.${type}`);
      expect([one, two, odd].map(({ id }) => outcomes.get(id))).toEqual(
        topics.map((topic) => ({ kind: 'delivered', receipt: `${topic}/0@0` })),
      );
      // Else all that the journal holds would be brought again for each type of group.
      expect([host.notes.length, madeAnew]).toEqual([3, []]);
      const [record] = await readAll(topics[1] ?? '');
      expect(record?.headers).toMatchObject({ 'x-tenant': 'acme', 'x-group': 'Community/g' });
      const { identity = '' } = (await sink.identify?.(undefined, never())) ?? {};
      expect(identity).toBe([options.topic, ...topics.map((topic) => `${topic} 0:1`)].join('|'));
      await administer((admin) => admin.deleteTopics({ topics: [topics[0] ?? ''] }));
      await expect.poll(async () => (await sink.identify?.(identity, never()))?.lost).toContain(`${base}.Public ends`);
      expect(madeAnew).toEqual([expect.stringContaining(`${base}.Public`)]);
      const moved = identity.replaceAll('{groupType}', '{type}');
      expect(await sink.identify?.(moved, never())).toMatchObject({ moved: true });
    });
  });

  test('one topic of a template that nobody made holds up no other, also while the topics are looked at', async () => {
    const base = newTopic();
    await administer((admin) => admin.createTopics({ topics: [{ topic: `${base}.Public`, numPartitions: 1 }] }));
    const options = { brokers, topic: `${base}.{groupType}`, createTopic: false };
    await withSink(kafka, { options, readBack: async () => [] }, async ({ sink, deliver }) => {
      const [there, missing] = ['Public', 'Community'].map((groupType) => {
        const event = makeEvent({ name: groupType }, { groupId: groupType });
        return { ...event, data: { ...event.data, groupType } };
      }) as [CanonicalEvent, CanonicalEvent];
      const outcomes = await deliver([there, missing], never());
      expect([there, missing].map(({ id }) => outcomes.get(id)?.kind)).toEqual(['delivered', 'retry']);
      const found = await sink.identify?.(undefined, never());
      expect(found).toEqual({ identity: `${options.topic}|${base}.Public 0:1` });
    });
  });

  test('partitions are those that Java’s default partitioner chooses', async () => {
    const { topic, options } = place({ createTopic: { partitions: 6 } });
    // Computed with org.apache.kafka.common.utils.Utils: toPositive(murmur2(key)) % 6.
    const partitions = {
      '@TGS#2J4SZEAEL': 5,
      'e6a954aa-2419-4743-b968-a971f8077bf1': 5,
      '@TGS#群': 4,
      a: 4,
      'party 🎉': 3,
    };
    const batch = Object.keys(partitions).map((groupId) => makeEvent({}, { groupId }));
    await withSink(kafka, { options, readBack: async () => [] }, (sink) => sink.deliver(batch, never()));
    const found = (await readAll(topic)).map(({ key, partition }) => [key, partition]);
    expect(Object.fromEntries(found)).toEqual(partitions);
  });

  test('a broker is reached by an address of IPv6, and named by it where it is not', async ({ skip }) => {
    const { host, port } = endpointOf(brokers);
    const relay = createServer(
      (from) =>
        void from
          .pipe(connect(port, host))
          .on('error', () => {})
          .pipe(from),
    );
    relay.on('error', () => {});
    relay.listen(0, '::1');
    onTestFinished(() => void relay.close());
    const listening = await Promise.race([once(relay, 'listening').then(() => true), delay(1_000, false)]);
    if (!listening) skip('no IPv6 here');
    const chosen = place({ brokers: [`[::1]:${(relay.address() as AddressInfo).port}`] });
    const batch = [makeEvent({ name: 'name' })];
    await withSink(kafka, chosen, (sink) => sink.deliver(batch, never()));
    expect((await chosen.readBack()).map(({ id }) => id)).toEqual(batch.map(({ id }) => id));
    const closed = `[::1]:${await freePort()}`;
    const fault = await unreachableBy(() => withSink(kafka, place({ brokers: [closed] }), async () => {}));
    expect(fault).toMatchObject({ suggestion: `is Kafka running and reachable at ${closed}?` });
  });

  test('a missing topic is created as configured, and that is said', async () => {
    const { topic, options } = place({ createTopic: { partitions: 5, config: { 'retention.ms': 86_400_000 } } });
    const notes = await withSink(kafka, { options, readBack: async () => [] }, async (_, host) => host.notes);
    expect(notes).toEqual([`created the topic ${topic}: 5 partitions, replication factor 1`]);
    const metadata = await administer((admin) => admin.fetchTopicMetadata({ topics: [topic] }));
    expect(metadata.topics[0]?.partitions).toHaveLength(5);
    const { resources } = await administer((admin) =>
      admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: 2, name: topic, configNames: ['retention.ms'] }],
      }),
    );
    expect(resources[0]?.configEntries[0]).toMatchObject({ configName: 'retention.ms', configValue: '86400000' });
  });

  test('createTopic: false leaves a missing topic missing and says what to do', async () => {
    const { topic, options } = place({ createTopic: false });
    const fault = await unreachableBy(() => kafka.open(kafka.options.parse(options), testHost(), never()));
    expect(fault).toMatchObject({ code: 'destination-missing', path: 'connectors.under-test.topic' });
    expect(await administer((admin) => admin.listTopics())).not.toContain(topic);
  });

  test('settings that the cluster refuses for the topic are named', async () => {
    const { options } = place({ createTopic: { replicationFactor: 3 } });
    const fault = await unreachableBy(() => kafka.open(kafka.options.parse(options), testHost(), never()));
    expect(fault).toMatchObject({ code: 'destination-misconfigured', path: 'connectors.under-test.createTopic' });
  });

  test('a topic that is deleted under the sink is created anew', async () => {
    const { topic, options, readBack } = place();
    await withSink(kafka, { options, readBack }, async (sink) => {
      const before = makeEvent({ name: 'before' });
      await sink.deliver([before], never());
      await administer((admin) => admin.deleteTopics({ topics: [topic] }));
      await expect.poll(() => administer((admin) => admin.listTopics())).not.toContain(topic);
      const event = makeEvent({ name: 'after' });
      // The broker may take a record for the old topic while it is deleting it: delivered until it is found in the new one.
      const found = async (): Promise<string[]> => {
        await sink.deliver([event], never());
        return (await readBack()).map(({ id }) => id);
      };
      const ids = () => found().catch(() => []);
      await expect.poll(ids).toContain(event.id);
      expect(await ids()).not.toContain(before.id);
    });
  });

  test('a batch larger than one request is split, in order', async () => {
    const { options, readBack } = place({
      maxBatchBytes: 10_000,
      createTopic: { partitions: 1, config: { 'max.message.bytes': 12_000 } },
    });
    await withSink(kafka, { options, readBack }, async (sink) => {
      const batch = Array.from({ length: 60 }, () =>
        makeEvent({ introduction: 'x'.repeat(1_500) }, { groupId: 'one' }),
      );
      const outcomes = await sink.deliver(batch, never());
      expect(new Set([...outcomes.values()].map(({ kind }) => kind))).toEqual(new Set(['delivered']));
      expect((await readBack()).map(({ id }) => id)).toEqual(batch.map(({ id }) => id));
    });
  });
});

test('a template of topics is for events, with words that have few values; a header has a name and words of its own', () => {
  const issues = (given: object) =>
    kafka.options.safeParse({ brokers: 'a:1', topic: 't', ...given }).error?.issues.map(({ path }) => path.join('.'));
  expect(issues({ topic: 'chat.{groupType}.{type}.{app}', headers: { 'x-id': '{id}' } })).toBeUndefined();
  expect(issues({ topic: 'chat.{groupId}' })).toEqual(['topic']);
  expect(issues({ topic: 'chat.{groupType}', content: 'groups' })).toEqual(['topic']);
  expect(issues({ headers: { ce_id: 'x' } })).toEqual(['headers.ce_id']);
  // A worker passes over what is for another one.
  expect(issues({ headers: { retry_for: 'x', dead_letter_at: 'x' } })).toHaveLength(2);
  expect(issues({ headers: { 'x-id': '{id}' }, content: 'groups' })).toEqual(['headers.x-id']);
});

describe('brokers', () => {
  const parse = (given: unknown) => kafka.options.parse({ brokers: given, topic: 't' }).brokers;

  test('a list, one string, several in one string', () => {
    expect(parse(['a:1', 'b:2'])).toEqual(['a:1', 'b:2']);
    expect(parse('a:1, [::1]:9092')).toEqual(['a:1', '[::1]:9092']);
  });

  test.each([[[]], [''], ['a'], ['http://a:1'], [['a:1', 'b']], ['a:0'], ['a:65536'], ['[::1]']])(
    '%j is refused',
    (given) => {
      expect(() => parse(given)).toThrow(/host:port|Too small/);
    },
  );
});
