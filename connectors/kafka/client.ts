/** With codecs.ts the only file that imports kafkajs: everything else sees plain values, Unreachable and Refused. */
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
import { registerCodecs } from './codecs.ts';
import { explain, judge, type Place, protocolType } from './fault.ts';
import { partitionOf } from './partition.ts';
import { inOrder, isProven, prove } from './seeds.ts';

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
  /** The partition that a key goes to, as far as the topic is known. */
  partitionFor(key: string): number | undefined;
  /** Never rejects and never waits long: also used on a client that is beyond help. */
  close(): Promise<void>;
}

registerCodecs();

const CLOSE_MS = 2_000;
/** kafkajs's ConfigResourceTypes.TOPIC, which an ES module cannot import by name. */
const TOPIC_RESOURCE = 2;

/** Connects to nothing yet. kafkajs itself makes `retries` for each request. */
function toCluster(options: ClientOptions, retries: number): Kafka {
  return new Kafka({
    clientId: options.clientId,
    brokers: inOrder(options.brokers),
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
  /** What is to be ended with the client. */
  const open = new Set<Admin | Producer>();
  /** The partitions of the topic, as it was seen last. */
  const topic = { partitions: 0 };
  const administer = <T>(work: (admin: Admin) => Promise<T>) => askCluster(options, work, open);
  return {
    findTopic: () =>
      administer(async (admin) => {
        topic.partitions = (await partitionsOf(admin, options.topic)).length;
        return topic.partitions === 0 ? undefined : { partitions: topic.partitions };
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
          // kafkajs's own wait gives up where the broker that it asks does not know the topic yet.
          waitForLeaders: false,
          timeout: options.requestTimeoutMs,
          topics: [{ topic: options.topic, numPartitions: partitions, replicationFactor, configEntries }],
        });
        await leadersAnswer(admin, options);
        topic.partitions = partitions;
        return created;
      }),
    send: createSender(options, topic, open),
    partitionFor: (key) => (topic.partitions === 0 ? undefined : partitionOf(key, topic.partitions)),
    async close() {
      const ending = [...open];
      open.clear();
      await Promise.all(ending.map((client) => settleWithin(client.disconnect())));
    },
  };
}

/** Does the work once, and again as long as it is a broker that does not answer and `others` are left. */
async function judged<T>(options: ClientOptions, work: () => Promise<T>, others = 0): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const judgement = judge(thrown, options);
    if (!(judgement instanceof Unreachable)) throw judgement;
    const silent = judgement.fault.code === 'destination-unreachable';
    if (silent && others > 0) return judged(options, work, others - 1);
    throw await explain(judgement, thrown, options);
  }
}

/**
 * Asks the cluster, by any of its brokers that answers: what is asked here may be asked twice. While it goes on, the client
 * that asks is in `open`. Throws Unreachable.
 */
async function askCluster<T>(
  options: ClientOptions,
  work: (admin: Admin) => Promise<T>,
  open: Set<Admin | Producer>,
): Promise<T> {
  const once = async (): Promise<T> => {
    const admin = toCluster(options, 0).admin();
    open.add(admin);
    try {
      await admin.connect();
      return await work(admin);
    } finally {
      await settleWithin(admin.disconnect());
      open.delete(admin);
    }
  };
  const answer = await judged(options, once, options.brokers.length - 1);
  prove(options.brokers);
  return answer;
}

/**
 * A client that asks by itself `retries` times more, for what is only read: reading again reorders nothing, and a leader may
 * just have moved. It begins with a broker that answers, since kafkajs would ask a silent one as often. Throws Unreachable.
 */
export async function toReadingCluster(options: ClientOptions, retries: number): Promise<Kafka> {
  if (options.brokers.length > 1 && !isProven(options.brokers)) await askCluster(options, async () => {}, new Set());
  return toCluster(options, retries);
}

/** A leader that was just elected may refuse records for a moment: better waited for here than shown as an outage. */
async function leadersAnswer(admin: Admin, { topic, requestTimeoutMs }: ClientOptions): Promise<void> {
  const end = Date.now() + requestTimeoutMs;
  for (;;) {
    try {
      await admin.fetchTopicOffsets(topic);
      return;
    } catch (thrown) {
      if (Date.now() > end) throw thrown;
      await delay(50);
    }
  }
}

function createSender(
  options: ClientOptions,
  topic: { partitions: number },
  open: Set<Admin | Producer>,
): KafkaClient['send'] {
  /** The partitioner is asked once a message and in order, so it can note where each one goes. */
  const placed = new WeakMap<Message, number>();
  const createPartitioner = () => {
    const spread = Partitioners.DefaultPartitioner();
    return (args: PartitionerArgs) => {
      const { key, partition: given } = args.message;
      topic.partitions = args.partitionMetadata.length;
      const partition =
        given ?? (key === null || key === undefined ? spread(args) : partitionOf(key, topic.partitions));
      placed.set(args.message, partition);
      return partition;
    };
  };
  const connect = async (): Promise<Producer> => {
    // Two stacked retry loops reorder: the lane retries, kafkajs never.
    const producer = toCluster(options, 0).producer({ createPartitioner, allowAutoTopicCreation: false });
    open.add(producer);
    await producer.connect();
    return producer;
  };
  let connected: Promise<Producer> | undefined;

  return (messages) =>
    judged(options, async () => {
      connected ??= connect();
      const producer = await connected;
      const records: Message[] = messages.map(({ key, value, headers, partition }) => ({
        key,
        value,
        ...(partition !== undefined && { partition }),
        headers: headers as NonNullable<Message['headers']>,
      }));
      const { topic, requestTimeoutMs: timeout } = options;
      const answers = await producer.send({ topic, acks: -1, timeout, messages: records });
      const next = new Map(answers.map((answer) => [answer.partition, Number(answer.baseOffset ?? '-1')]));
      return records.map((record) => {
        const partition = placed.get(record) ?? -1;
        const offset = next.get(partition) ?? -1;
        next.set(partition, offset + 1);
        return `${topic}/${partition}@${offset}`;
      });
    });
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
