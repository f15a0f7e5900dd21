/** Keeps a merged copy of the groups from a topic of the bridge with `content: events`, in either format. */
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { createGroupView, parseEvent } from 'group-sync-bridge/consumer';
import { Kafka, logLevel } from 'kafkajs';

const { values } = parseArgs({
  options: {
    brokers: { type: 'string', default: '127.0.0.1:9092' },
    topic: { type: 'string', default: 'chat.group-info.events' },
    'until-end': { type: 'boolean', default: false },
  },
});
const { brokers, topic, 'until-end': untilEnd } = values;

const SHOWN = ['name', 'introduction', 'notification', 'faceUrl', 'owner', 'destroyed'] as const;

const groups = createGroupView({
  onChange(before, after) {
    for (const field of SHOWN) {
      const [old, now] = [before?.[field], after[field]];
      if (old !== now) console.error(`${after.groupId} ${field}: ${JSON.stringify(old)} → ${JSON.stringify(now)}`);
    }
  },
});

const kafka = new Kafka({ clientId: 'groups-example', brokers: brokers.split(','), logLevel: logLevel.WARN });

/** What is still to be read of what lay in the topic when we started: partition → offset of its end. */
const ahead = new Map<number, bigint>();
const admin = kafka.admin();
await admin.connect();
for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
  if (BigInt(low) < BigInt(high)) ahead.set(partition, BigInt(high));
}
await admin.disconnect();
const end = Promise.withResolvers<void>();
if (untilEnd && ahead.size === 0) end.resolve();

// The copy is held in memory, so each start reads from the beginning: a consumer group of its own, nothing committed.
const consumer = kafka.consumer({ groupId: `groups-example-${randomUUID()}` });
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
// Also told of batches that hold nothing but the marker of a transaction.
consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload: { partition, lastOffset } }) => {
  if (BigInt(lastOffset) + 1n >= (ahead.get(partition) ?? 0n)) ahead.delete(partition);
  if (untilEnd && ahead.size === 0) end.resolve();
});
await consumer.run({
  autoCommit: false,
  async eachMessage({ partition, message }) {
    const parsed = parseEvent(message);
    if (parsed.ok) groups.apply(parsed.event);
    else console.error(`passed over ${topic}/${partition}@${message.offset}: ${parsed.fault.message}`);
  },
});

await end.promise;
await consumer.disconnect();
console.log(JSON.stringify(Array.from(groups.entries(), ([, group]) => group)));
