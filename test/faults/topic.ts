/** Reads a whole topic back, from its beginning to where it ends now, as fast as kafkajs can. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Consumer, Kafka, logLevel } from 'kafkajs';
import type { CanonicalEvent } from '../../src/model/event.ts';

export interface TopicEvent {
  readonly partition: number;
  readonly key: string;
  readonly event: CanonicalEvent;
}

/** The unread part of a partition. */
interface Rest {
  next: number;
  readonly end: number;
}

const READ_WITHIN_MS = 600_000;

/** `each` is called per partition in the order of offsets. Resolves with the number of records. */
export async function readTopic(brokers: string, topic: string, each: (record: TopicEvent) => void): Promise<number> {
  const kafka = new Kafka({
    clientId: 'fault-oracle',
    brokers: brokers.split(','),
    logLevel: logLevel.NOTHING,
    retry: { retries: 30, initialRetryTime: 100, maxRetryTime: 500 },
  });
  const admin = kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  const rests = new Map<number, Rest>();
  for (const { partition, high } of offsets) if (high !== '0') rests.set(partition, { next: 0, end: Number(high) });

  const end = performance.now() + READ_WITHIN_MS;
  while (rests.size > 0) {
    const consumer = kafka.consumer({
      groupId: `fault-oracle-${randomUUID()}`,
      maxWaitTimeInMs: 100,
      maxBytesPerPartition: 8 * 1_048_576,
      sessionTimeout: 60_000,
    });
    try {
      await readRests(consumer, topic, rests, each, end - performance.now());
    } catch (thrown) {
      // A broker that was just killed refuses to coordinate groups for a while; what was read stays read.
      if (performance.now() > end) throw thrown;
      await delay(200);
    } finally {
      await consumer.disconnect();
    }
  }
  return offsets.reduce((sum, { high }) => sum + Number(high), 0);
}

async function readRests(
  consumer: Consumer,
  topic: string,
  rests: Map<number, Rest>,
  each: (record: TopicEvent) => void,
  withinMs: number,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error(`${topic} was not read in time`)), withinMs);
  consumer.on('consumer.crash', ({ payload }) => reject(payload.error));
  // Both may reject; the first one counts.
  promise.catch(() => {});
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch, heartbeat }) => {
        const rest = rests.get(batch.partition);
        for (const { offset, key, value } of batch.messages) {
          // A consumer that joins again is given records a second time.
          if (rest === undefined || Number(offset) < rest.next || Number(offset) >= rest.end) continue;
          rest.next = Number(offset) + 1;
          const event = JSON.parse(value?.toString() ?? 'null') as CanonicalEvent;
          each({ partition: batch.partition, key: key?.toString() ?? '', event });
        }
        if (rest !== undefined && rest.next >= rest.end) rests.delete(batch.partition);
        if (rests.size === 0) resolve();
        await heartbeat();
      },
    });
    await promise;
  } finally {
    clearTimeout(timer);
  }
}
