/** With consumer.ts the only file that imports kafkajs: everything else sees plain values, Unreachable and Refused. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Admin,
  Kafka,
  logLevel,
  type Message,
  type PartitionerArgs,
  Partitioners,
  type Producer,
  type SASLOptions,
} from 'kafkajs';
import { Unreachable } from '../../src/model/fault.ts';
import type { SecureOptions } from '../tls.ts';
import { explain, judge, type Place, protocolType } from './fault.ts';
import { partitionOf } from './partition.ts';

export interface ClientOptions extends Place {
  readonly clientId: string;
  readonly connectionTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly secure?: SecureOptions | undefined;
  readonly sasl?: Sasl | undefined;
}

export interface Sasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly username: string;
  readonly password: string;
}

export interface Topic {
  readonly partitions: number;
}

/** What an examination sees. */
export interface ClusterView {
  readonly brokers: number;
  readonly topic?: TopicView;
}

export interface TopicView {
  readonly partitions: number;
  /** Of the partition that has the fewest. */
  readonly replicas: number;
  readonly inSync: number;
  /** Undefined where this client may not see the topic's settings. */
  readonly settings?: { readonly cleanupPolicy: string; readonly maxMessageBytes: number; readonly minInSync: number };
}

export interface NewTopic {
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly config: Readonly<Record<string, string>>;
}

/** A record to write: `KafkaMessage`, or one that is handed on byte by byte, to a partition of its own choice. */
export interface OutgoingRecord {
  readonly key: string | Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string | Buffer | readonly (string | Buffer)[]>>;
  readonly partition?: number;
}

export interface KafkaClient {
  /** The topic as the brokers know it, or undefined when there is none. */
  findTopic(): Promise<Topic | undefined>;
  /** True when this call created it, false when it was there. */
  createTopic(topic: NewTopic): Promise<boolean>;
  describe(): Promise<ClusterView>;
  /** Resolves with `topic/partition@offset` for each message, in their order, once all in-sync replicas have them. */
  send(messages: readonly OutgoingRecord[]): Promise<string[]>;
  /** Never rejects and never waits long: also used on a client that is beyond help. */
  close(): Promise<void>;
}

const CLOSE_MS = 2_000;
/** kafkajs's ConfigResourceTypes.TOPIC, which an ES module cannot import by name. */
const TOPIC_RESOURCE = 2;

/** Connects to nothing yet. `retries` of its own for each request. */
export function toCluster(options: ClientOptions, retries: number): Kafka {
  return new Kafka({
    clientId: options.clientId,
    brokers: [...options.brokers],
    connectionTimeout: options.connectionTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    ...(options.secure !== undefined && { ssl: options.secure }),
    ...(options.sasl !== undefined && { sasl: options.sasl as SASLOptions }),
    retry: { retries },
    logLevel: logLevel.NOTHING,
  });
}

/** Not connected yet. Throws Unreachable and Refused only. */
export function createClient(options: ClientOptions): KafkaClient {
  // Two stacked retry loops reorder: the lane retries, kafkajs never.
  const kafka = toCluster(options, 0);

  // The partitioner is asked once a message and in order, so it can note where each one goes.
  const placed = new Map<Message, number>();
  const createPartitioner = () => {
    const spread = Partitioners.DefaultPartitioner();
    return (args: PartitionerArgs) => {
      const { key, partition: given } = args.message;
      const partition =
        given ?? (key === null || key === undefined ? spread(args) : partitionOf(key, args.partitionMetadata.length));
      placed.set(args.message, partition);
      return partition;
    };
  };

  let producer: Producer | undefined;
  let admin: Admin | undefined;

  const judged = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (thrown) {
      const judgement = judge(thrown, options);
      throw judgement instanceof Unreachable ? await explain(judgement, thrown, options) : judgement;
    }
  };

  const administer = <T>(work: (admin: Admin) => Promise<T>): Promise<T> =>
    judged(async () => {
      admin = kafka.admin();
      try {
        await admin.connect();
        return await work(admin);
      } finally {
        await settleWithin(admin.disconnect());
        admin = undefined;
      }
    });

  /** A leader that was just elected may refuse records for a moment: better waited for here than shown as an outage. */
  const leadersAnswer = async (admin: Admin): Promise<void> => {
    const end = Date.now() + options.requestTimeoutMs;
    for (;;) {
      try {
        await admin.fetchTopicOffsets(options.topic);
        return;
      } catch (thrown) {
        if (Date.now() > end) throw thrown;
        await delay(50);
      }
    }
  };

  return {
    findTopic: () =>
      administer(async (admin) => {
        const partitions = await partitionsOf(admin, options.topic);
        return partitions.length === 0 ? undefined : { partitions: partitions.length };
      }),

    describe: () =>
      administer(async (admin) => {
        const { brokers } = await admin.describeCluster();
        const topic = await describeTopic(admin, options.topic);
        return { brokers: brokers.length, ...(topic !== undefined && { topic }) };
      }),

    createTopic: ({ partitions, replicationFactor, config }) =>
      administer(async (admin) => {
        const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
        const created = await admin.createTopics({
          waitForLeaders: true,
          timeout: options.requestTimeoutMs,
          topics: [{ topic: options.topic, numPartitions: partitions, replicationFactor, configEntries }],
        });
        await leadersAnswer(admin);
        return created;
      }),

    send: (messages) =>
      judged(async () => {
        if (producer === undefined) {
          producer = kafka.producer({ createPartitioner, allowAutoTopicCreation: false });
          await producer.connect();
        }
        placed.clear();
        const records: Message[] = messages.map(({ key, value, headers, partition }) => ({
          key,
          value,
          ...(partition !== undefined && { partition }),
          headers: headers as NonNullable<Message['headers']>,
        }));
        const answers = await producer.send({
          topic: options.topic,
          acks: -1,
          timeout: options.requestTimeoutMs,
          messages: records,
        });
        const next = new Map(answers.map((answer) => [answer.partition, Number(answer.baseOffset ?? '-1')]));
        return records.map((record) => {
          const partition = placed.get(record) ?? -1;
          const offset = next.get(partition) ?? -1;
          next.set(partition, offset + 1);
          return `${options.topic}/${partition}@${offset}`;
        });
      }),

    async close() {
      const open = [producer, admin];
      producer = undefined;
      admin = undefined;
      await Promise.all(open.map((client) => client && settleWithin(client.disconnect())));
    },
  };
}

/** None when there is no such topic. */
async function partitionsOf(admin: Admin, topic: string) {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics.find(({ name }) => name === topic)?.partitions ?? [];
  } catch (thrown) {
    if (protocolType(thrown) === 'UNKNOWN_TOPIC_OR_PARTITION') return [];
    throw thrown;
  }
}

async function describeTopic(admin: Admin, topic: string): Promise<TopicView | undefined> {
  const partitions = await partitionsOf(admin, topic);
  if (partitions.length === 0) return undefined;
  const settings = await settingsOf(admin, topic);
  return {
    partitions: partitions.length,
    replicas: Math.min(...partitions.map(({ replicas }) => replicas.length)),
    inSync: Math.min(...partitions.map(({ isr }) => isr.length)),
    ...(settings !== undefined && { settings }),
  };
}

async function settingsOf(admin: Admin, topic: string): Promise<TopicView['settings']> {
  const names = ['cleanup.policy', 'max.message.bytes', 'min.insync.replicas'];
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: TOPIC_RESOURCE, name: topic, configNames: names }],
    });
    const values = new Map(resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]));
    const [cleanupPolicy = '', maxMessageBytes, minInSync] = names.map((name) => values.get(name));
    return { cleanupPolicy, maxMessageBytes: Number(maxMessageBytes), minInSync: Number(minInSync) };
  } catch (thrown) {
    if (protocolType(thrown) === 'TOPIC_AUTHORIZATION_FAILED') return undefined;
    throw thrown;
  }
}

/** A disconnect from a broker that hangs would hang too. */
export async function settleWithin(work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    work.catch(() => {}),
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    }),
  ]);
  clearTimeout(timer);
}
