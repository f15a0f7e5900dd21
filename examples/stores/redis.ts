/** Keeps the groups in Redis, each as JSON; run as many as there are partitions. REDIS_URL says where. */
import { groupChanges } from '@group-sync-bridge/consumer';
import { createClientPool } from '@redis/client';
import { Kafka } from 'kafkajs';
import { groupKeys } from './group-keys.ts';

const { KAFKA_BROKERS: brokers = '127.0.0.1:9092', TOPIC: topic = 'chat.group-info.events' } = process.env;
const kafka = new Kafka({ brokers: brokers.split(',') });
const pool = createClientPool({ url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' });
await pool.connect();
const store = groupKeys(pool);
for await (const { after, fields } of groupChanges({ kafka, topic, groupId: 'group-keys', store })) {
  console.log(after.groupId, fields.join(', '));
}
