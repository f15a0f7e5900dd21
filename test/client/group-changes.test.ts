/** The iterator on a real Kafka: what is committed, and how it ends. */
import { randomUUID } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { Kafka, logLevel } from 'kafkajs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { toMessage } from '../../connectors/kafka/message.ts';
import { type GroupChange, type GroupChangesOptions, groupChanges } from '../../src/client/index.ts';
import { entryOf } from '../../src/model/entry.ts';
import { madeEvent } from '../support/events.ts';

const brokers = inject('kafkaBrokers');
const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING });

type Message = { key: string; value: Buffer | string | null };

const changeOf = (n: number): Message => toMessage(entryOf(n, madeEvent(n)), 'structured');

/** A topic with these messages, and how to read it. */
async function topicOf(messages: readonly Message[], numPartitions = 1) {
  const topic = `test.${randomUUID()}`;
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions }] });
  onTestFinished(() => admin.disconnect());
  const write = async (more: readonly Message[]): Promise<void> => {
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic, messages: [...more] });
    await producer.disconnect();
  };
  await write(messages);
  const options: GroupChangesOptions = { kafka, topic, groupId: topic };
  const committed = async (): Promise<number> => {
    const [found] = await admin.fetchOffsets({ groupId: topic, topics: [topic] });
    return Number(found?.partitions[0]?.offset);
  };
  return { options, write, committed };
}

const nameOf = (change: IteratorResult<GroupChange, void>) => change.value?.after.name;

describe.skipIf(brokers === '')('groupChanges', () => {
  test('tells before, after and fields, and commits a change when the next one is asked for', async () => {
    const { options, committed } = await topicOf([changeOf(1), changeOf(2), changeOf(1), changeOf(3)]);
    const told: unknown[] = [];
    for await (const { before, after, fields, event } of groupChanges(options)) {
      told.push([before?.name, after.name, [...fields].sort(), event.id === after.versions.name?.[1]]);
      // To leave in the middle of a change, or to throw there, is not to be done with it.
      if (after.name === 'name 3') break;
    }
    expect(told).toEqual([
      [undefined, 'name 1', ['groupType', 'name'], true],
      ['name 1', 'name 2', ['name'], true],
      ['name 2', 'name 3', ['name'], true],
    ]);
    expect(await committed()).toBe(3);
    const again = groupChanges(options);
    expect(nameOf(await again.next())).toBe('name 3');
    await again.return();
    expect(await committed()).toBe(3);
  });

  test('what cannot be read is passed over, and told', async () => {
    const poison: Message[] = [
      { key: 'x', value: 'hello' },
      { key: 'x', value: null },
    ];
    const { options, committed } = await topicOf([...poison, changeOf(1), ...poison, changeOf(2)]);
    const passedOver: string[] = [];
    const onPassedOver: GroupChangesOptions['onPassedOver'] = ({ fault, partition, offset }) =>
      passedOver.push(`${fault.code} ${partition}@${offset}`);
    const changes = groupChanges({ ...options, onPassedOver });
    expect(nameOf(await changes.next())).toBe('name 1');
    expect(nameOf(await changes.next())).toBe('name 2');
    await changes.return();
    expect(passedOver).toEqual([
      ...['message-not-json 0@0', 'message-empty 0@1', 'message-not-json 0@3', 'message-empty 0@4'],
    ]);
    expect(await committed()).toBe(5);
  });

  test('ends where it waits, by the signal and by return, with what was done committed', async () => {
    for (const way of ['signal', 'return'] as const) {
      const { options, committed } = await topicOf([changeOf(1)]);
      const abort = new AbortController();
      const changes = groupChanges({ ...options, signal: abort.signal });
      expect(nameOf(await changes.next())).toBe('name 1');
      const waiting = changes.next();
      await expect.poll(committed).toBe(1);
      if (way === 'signal') abort.abort();
      else await changes.return();
      expect(await waiting).toEqual({ done: true, value: undefined });
      expect(await changes.next()).toEqual({ done: true, value: undefined });
    }
  });

  test('a group that reads another topic, too, is told of: its members would starve each other', {
    timeout: 60_000,
  }, async () => {
    // Of a single partition the member that gets it may be the one that reads it.
    const [one, other] = [await topicOf([changeOf(1)], 2), await topicOf([changeOf(1)], 2)];
    const { groupId } = one.options;
    const readers = [one, other].map(({ options }) => groupChanges({ ...options, groupId }));
    const toTheEnd = readers.map(async (changes) => {
      for await (const { after } of changes) expect(after.name).toBe('name 1');
    });
    await expect(Promise.race(toTheEnd)).rejects.toThrow(/^the group .* also reads test\..*: use a separate group/);
    await Promise.all(readers.map((changes) => changes.return()));
    await Promise.allSettled(toTheEnd);
  });

  test('told to stop in the middle of a change, it takes no other, and that one is committed', async () => {
    const { options, committed } = await topicOf([changeOf(1), changeOf(2), changeOf(3)]);
    const abort = new AbortController();
    const told: unknown[] = [];
    for await (const { after } of groupChanges({ ...options, signal: abort.signal })) {
      told.push(after.name);
      if (after.name === 'name 2') abort.abort();
    }
    expect(told).toEqual(['name 1', 'name 2']);
    expect(await committed()).toBe(2);
  });

  test('a signal that has aborted before lets nothing begin', async () => {
    const never = { consumer: () => expect.fail('a consumer was made') };
    const changes = groupChanges({ kafka: never, topic: 'x', groupId: 'x', signal: AbortSignal.abort() });
    expect(await changes.next()).toEqual({ done: true, value: undefined });
  });

  test('a store that fails ends it with its error, and nothing is committed', async () => {
    const { options, committed } = await topicOf([changeOf(1)]);
    const failing = {
      get: async () => undefined,
      update: async () => Promise.reject(new Error('the table is full')),
    };
    const changes = groupChanges({ ...options, store: failing });
    expect(nameOf(await changes.next())).toBe('name 1');
    await expect(changes.next()).rejects.toThrow('the table is full');
    expect(await committed()).toBe(-1);
  });

  test('a topic that is not there is named, and not created', { timeout: 30_000 }, async () => {
    const { options } = await topicOf([]);
    const created: unknown[] = [];
    const told: GroupChangesOptions['kafka'] = {
      consumer: (settings) => {
        created.push(settings.allowAutoTopicCreation);
        return kafka.consumer(settings);
      },
    };
    const missing = groupChanges({ ...options, kafka: told, topic: 'test.not-there' });
    await expect(missing.next()).rejects.toThrow('the topic test.not-there');
    expect(created).toEqual([false]);
  });

  test('a member that leaves hands the change it was busy with on to another', {
    timeout: 90_000,
  }, async () => {
    const { options, write } = await topicOf([changeOf(1)]);
    const first = groupChanges(options);
    expect(nameOf(await first.next())).toBe('name 1');
    // The second asks to join while the first is busy: the partition comes to it once the first is gone.
    const second = groupChanges(options);
    const handedOn = second.next();
    await write([changeOf(2)]);
    await first.return();
    expect(nameOf(await handedOn)).toBe('name 1');
    expect(nameOf(await second.next())).toBe('name 2');
    await second.return();
  });
});

test('a signal that outlives it is let go, however it ends', async () => {
  const { signal } = new AbortController();
  const down = {
    on: () => {},
    connect: () => Promise.reject(new Error('no broker answers')),
    disconnect: async () => {},
  };
  const options = { kafka: { consumer: () => down } as unknown as Kafka, topic: 'x', groupId: 'x', signal };
  await groupChanges(options).return();
  await expect(groupChanges(options).next()).rejects.toThrow('no broker answers');
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test.each([
  ['the signal', (stop: AbortController) => stop.abort()],
  ['return', (_: AbortController, changes: ReturnType<typeof groupChanges>) => void changes.return()],
])(
  'told to stop by %s while no broker answers, it ends at once, and leaves the group once one does',
  async (_, tell) => {
    const stop = new AbortController();
    const connected = Promise.withResolvers<void>();
    const calls: string[] = [];
    const note = (name: string) => async () => void calls.push(name);
    const steps = { subscribe: note('subscribe'), run: note('run'), disconnect: note('disconnect') };
    const consumer = { on: () => {}, connect: () => connected.promise, ...steps };
    const options = { kafka: { consumer: () => consumer } as unknown as Kafka, topic: 'x', groupId: 'x' };
    const changes = groupChanges({ ...options, signal: stop.signal });
    const next = changes.next();
    tell(stop, changes);
    expect(await next).toEqual({ done: true, value: undefined });
    connected.resolve();
    await expect.poll(() => calls).toContain('disconnect');
    expect(calls).not.toContain('run');
  },
);

test('told to stop, it says nothing of the broker that did not answer', async () => {
  const stop = new AbortController();
  const down = new Kafka({ brokers: ['127.0.0.1:1'], logLevel: logLevel.NOTHING, retry: { retries: 1 } });
  const next = groupChanges({ kafka: down, topic: 'x', groupId: 'x', signal: stop.signal }).next();
  stop.abort();
  expect(await next).toEqual({ done: true, value: undefined });
});

test('what cannot be read is done with once somebody has awaited what is to be done with it', async () => {
  const resolved: string[] = [];
  const run = async ({ eachBatch }: { eachBatch(payload: object): Promise<void> }): Promise<void> => {
    const messages = [{ offset: '0', value: 'hello' }];
    void eachBatch({
      batch: { partition: 0, messages },
      resolveOffset: (offset: string) => resolved.push(offset),
      ...{ heartbeat: async () => {}, commitOffsetsIfNecessary: async () => {} },
      ...{ isRunning: () => true, isStale: () => false },
    });
  };
  const ready = async (): Promise<void> => {};
  const consumer = { on: () => {}, connect: ready, subscribe: ready, disconnect: ready, run };
  const kafka = { consumer: () => consumer } as unknown as Kafka;
  const onPassedOver = () => Promise.reject(new Error('the table is full'));
  await expect(groupChanges({ kafka, topic: 'x', groupId: 'x', onPassedOver }).next()).rejects.toThrow('is full');
  expect(resolved).toEqual([]);
});
