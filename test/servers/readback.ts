/** Reads back a real Kafka topic or Elasticsearch index, for the tests and the demo. */
import { setTimeout as delay } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';

export interface TopicRecord {
  readonly partition: number;
  readonly offset: string;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

export interface TopicReader {
  /** Everything read so far: per partition in the order of offsets. */
  readonly records: readonly TopicRecord[];
  /** Resolves once `done` holds; rejects with `what` after `ms`. */
  until(done: (records: readonly TopicRecord[]) => boolean, what: string, ms?: number): Promise<void>;
  close(): Promise<void>;
}

/** Follows a topic from its beginning; waits for it to exist. */
export async function followTopic(brokers: string, topic: string): Promise<TopicReader> {
  const kafka = new Kafka({
    clientId: 'readback',
    brokers: brokers.split(','),
    logLevel: logLevel.NOTHING,
    retry: { retries: 30, initialRetryTime: 100, maxRetryTime: 500 },
  });
  await eventually(async () => {
    const admin = kafka.admin();
    try {
      await admin.connect();
      await admin.fetchTopicMetadata({ topics: [topic] });
    } finally {
      await admin.disconnect();
    }
  }, `the topic ${topic}`);

  const consumer = kafka.consumer({ groupId: `readback-${process.pid}-${Math.random()}`, maxWaitTimeInMs: 100 });
  const records: TopicRecord[] = [];
  let changed = Promise.withResolvers<void>();
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      const headers = Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]);
      records.push({
        partition,
        offset: message.offset,
        key: message.key?.toString() ?? null,
        value: message.value?.toString() ?? null,
        headers: Object.fromEntries(headers),
      });
      changed.resolve();
      changed = Promise.withResolvers();
    },
  });
  return {
    records,
    async until(done, what, ms = 30_000) {
      const end = AbortSignal.timeout(ms);
      const timeout = new Promise<never>((_, reject) => {
        end.addEventListener('abort', () => reject(new Error(`not in ${topic} within ${ms} ms: ${what}`)));
      });
      timeout.catch(() => {});
      while (!done(records)) await Promise.race([changed.promise, timeout]);
    },
    close: () => consumer.disconnect(),
  };
}

/** Returns the current document of an index, searchable or not; undefined when there is none. */
export async function getDocument(
  url: string,
  index: string,
  id: string,
): Promise<Record<string, unknown> | undefined> {
  const response = await fetch(`${url}/${index}/_doc/${encodeURIComponent(id)}`);
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return ((await response.json()) as { _source: Record<string, unknown> })._source;
}

/** Returns every document of an index, by id; none while the index does not exist. */
export async function getDocuments(url: string, index: string): Promise<Map<string, Record<string, unknown>>> {
  await fetch(`${url}/${index}/_refresh`, { method: 'POST' });
  const response = await fetch(`${url}/${index}/_search?size=10000`);
  const { hits } = (await response.json()) as { hits?: { hits: { _id: string; _source: Record<string, unknown> }[] } };
  return new Map(hits?.hits.map(({ _id, _source }) => [_id, _source]));
}

/** Resolves with the first result of `attempt` that does not throw; the last failure after `ms`. */
export async function eventually<T>(attempt: () => Promise<T> | T, what: string, ms = 30_000): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    try {
      return await attempt();
    } catch (thrown) {
      if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`, { cause: thrown });
      await delay(20);
    }
  }
}
