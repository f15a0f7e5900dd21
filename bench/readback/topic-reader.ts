import { Kafka, logLevel } from 'kafkajs';
import { readName } from '../load/callbacks.ts';
import type { ReadbackOrder } from './readback.ts';

const NAME = /"name":"(bench [^"]+)"/i;

/** Follows the topic; resolves once it has read what is there. */
export async function followTopic(
  { brokers, topic, run }: ReadbackOrder,
  take: (number: number, dueAt: number) => void,
): Promise<void> {
  const kafka = new Kafka({ clientId: 'bench-readback', brokers: brokers.split(','), logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  const unread = new Map(
    offsets.filter(({ high }) => high !== '0').map(({ partition, high }) => [partition, Number(high)]),
  );
  const caughtUp = Promise.withResolvers<void>();
  if (unread.size === 0) caughtUp.resolve();

  const consumer = kafka.consumer({ groupId: `bench-readback-${process.pid}`, maxWaitTimeInMs: 500, minBytes: 1 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const joined = new Promise<void>((resolve) => void consumer.on(consumer.events.GROUP_JOIN, () => resolve()));
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: true,
    eachBatch: async ({ batch }) => {
      for (const { value } of batch.messages) {
        const name = readName(NAME.exec(value?.toString() ?? '')?.[1] ?? '');
        if (name?.run === run) take(name.number, name.dueAt);
      }
      if (Number(batch.lastOffset()) + 1 >= (unread.get(batch.partition) ?? Number.POSITIVE_INFINITY)) {
        unread.delete(batch.partition);
        if (unread.size === 0) caughtUp.resolve();
      }
    },
  });
  await joined;
  await caughtUp.promise;
}
