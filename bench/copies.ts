/** Topics and indexes on servers that may be somebody else's: made for one measurement, removed after it. */
import { type Admin, Kafka, logLevel } from 'kafkajs';
import type { Servers } from '../test/servers/index.ts';

export interface Copies {
  readonly topic: string;
  readonly index: string;
}

/** Creates the topic and the index in the bridge's way, for peers that create none. */
export async function createCopies(servers: Servers, { topic, index }: Copies): Promise<void> {
  await withAdmin(servers, (admin) =>
    admin.createTopics({ topics: [{ topic, numPartitions: 6, replicationFactor: 1 }] }),
  );
  const response = await fetch(`${servers.elasticsearch.url}/${index}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ settings: { number_of_shards: 1, number_of_replicas: 0 } }),
  });
  if (!response.ok) throw new Error(`the index ${index}: ${await response.text()}`);
}

/** Counts the records and documents, which must not be fewer than the callbacks answered OK. */
export async function countCopies(
  servers: Servers,
  { topic, index }: Copies,
): Promise<{ records: number; documents: number }> {
  const offsets = await withAdmin(servers, (admin) => admin.fetchTopicOffsets(topic));
  const response = await fetch(`${servers.elasticsearch.url}/${index}/_refresh`, { method: 'POST' });
  await response.arrayBuffer();
  const counted = (await (await fetch(`${servers.elasticsearch.url}/${index}/_count`)).json()) as { count: number };
  return { records: offsets.reduce((sum, { offset }) => sum + Number(offset), 0), documents: counted.count };
}

export async function removeCopies(servers: Servers, { topic, index }: Copies): Promise<void> {
  await fetch(`${servers.elasticsearch.url}/${index}?ignore_unavailable=true`, { method: 'DELETE' }).catch(() => {});
  // It was never made, or Kafka is gone.
  await withAdmin(servers, (admin) => admin.deleteTopics({ topics: [topic] })).catch(() => {});
}

async function withAdmin<T>({ kafka }: Servers, work: (admin: Admin) => Promise<T>): Promise<T> {
  const brokers = kafka.brokers.split(',');
  const admin = new Kafka({ clientId: 'bench', brokers, logLevel: logLevel.NOTHING, retry: { retries: 2 } }).admin();
  try {
    await admin.connect();
    return await work(admin);
  } finally {
    await admin.disconnect().catch(() => {});
  }
}
