/** Keeps a table of the groups; run as many as there are partitions. PGHOST, PGUSER, … say where the table is. */
import { groupChanges } from '@group-sync-bridge/consumer';
import { Kafka } from 'kafkajs';
import { Pool } from 'pg';
import { groupTable } from './group-table.ts';

const { KAFKA_BROKERS: brokers = '127.0.0.1:9092', TOPIC: topic = 'chat.group-info.events' } = process.env;
const kafka = new Kafka({ brokers: brokers.split(',') });
const store = groupTable(new Pool());
for await (const { after, fields } of groupChanges({ kafka, topic, groupId: 'group-table', store })) {
  console.log(after.groupId, fields.join(', '));
}
