/** Wraps kafkajs behind plain values: callers see Unreachable and Refused only. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Admin,
  type Consumer,
  type ConsumerConfig,
  Kafka,
  logLevel,
  type Message,
  type PartitionerArgs,
  Partitioners,
  type Producer,
} from 'kafkajs';
import { Unreachable } from '../../src/model/fault.ts';
import { within } from '../../src/model/wait.ts';
import { beginFetch, registerCodecs, typeOfCodec } from './codecs.ts';
import { answersIn, errorOf, explain, hear, judge, keepAnswers, type Refused, socketFactory, tooOld } from './fault.ts';
import { leaderless, leaveOutLeaderless, offsetsOf, partitionsOf, requireLeaders } from './leaders.ts';
import { partitionOf } from './message.ts';
import type { ClientOptions, NewTopic } from './options.ts';
import { restQueues } from './queue.ts';
import { saslOf } from './sasl.ts';
import { inOrder, isProven, prove, toSeed } from './seeds.ts';

/** A record to write: a `KafkaMessage`, or one passed on byte by byte, to a partition of its own choice. */
export interface OutgoingRecord {
  readonly key: string | Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string | Buffer | readonly (string | Buffer)[]>>;
  readonly partition?: number;
}

export type KafkaClient = ReturnType<typeof createClient>;

registerCodecs();
keepAnswers();
restQueues();
leaveOutLeaderless();

const CLOSE_MS = 2_000;
/** The share of the request timeout that a broker may spend waiting for its replicas. */
const BROKERS_SHARE = 2 / 3;

/** Every broker since 0.11 knows this version of the metadata request. */
const METADATA_OF_0_11 = 3;

/** Connects to nothing yet. kafkajs itself retries each request up to `retries` times. */
function toCluster(options: ClientOptions, retries: number): Kafka {
  const sasl = saslOf(options);
  return new Kafka({
    clientId: options.clientId,
    brokers: inOrder(options.brokers).map(toSeed),
    connectionTimeout: options.connectionTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    socketFactory,
    ...(options.secure !== undefined && { ssl: options.secure }),
    ...(sasl !== undefined && { sasl }),
    retry: { retries },
    // kafkajs only logs what brokers answer about coordinators; a producer asks for none.
    logLevel: retries > 0 ? logLevel.DEBUG : logLevel.NOTHING,
    logCreator:
      () =>
      ({ log }) => {
        if (log.message === 'Tried to find group coordinator' && log.error instanceof Error) hear(options, log.error);
      },
  });
}

/** Not connected yet. Throws Unreachable and Refused only. */
export function createClient(options: ClientOptions) {
  /** What to disconnect with the client. */
  const open = new Set<Admin | Producer>();
  const seen = createTopicView();
  const sendEach = createSender(options, seen, open);
  const ask = <T>(work: (admin: Admin) => Promise<T>) => askCluster(options, work, open);
  return {
    ask,
    findTopic: () =>
      ask(async (admin) => {
        seen.update(await partitionsOf(admin, options.topic));
        return seen.partitions() > 0;
      }),
    /** Asks the cluster whether it would create the topic. */
    tryToCreateTopic: (how: NewTopic) => ask((admin) => createTopic(admin, options, how, true)),
    /** Resolves with true if this call created it, false if it existed. */
    createTopic: (how: NewTopic) =>
      ask(async (admin) => {
        const created = await createTopic(admin, options, how, false);
        await leadersAnswer(admin, options);
        seen.update(await partitionsOf(admin, options.topic));
        return created;
      }),
    /** Resolves with what became of each record; rejects if nothing is known of any. */
    sendEach,
    /** Resolves once all in-sync replicas have all of them. */
    async send(messages: readonly OutgoingRecord[]): Promise<void> {
      const trouble = (await sendEach(messages)).find((sent) => typeof sent !== 'string');
      if (trouble !== undefined) throw trouble;
    },
    /** Returns the partition of a key, as far as the topic is known. */
    partitionFor: seen.partitionFor,
    leaderFor: (key: string) => seen.leaders().get(seen.partitionFor(key) ?? -1),
    /** Never rejects and never waits long, since the client may be beyond repair. */
    async close(): Promise<void> {
      const ending = [...open];
      open.clear();
      await Promise.all(ending.map((client) => settleWithin(client.disconnect())));
    },
  };
}

/** Where a record is, `topic/partition@offset`, or why it was not accepted. */
export type Sent = string | Unreachable | Refused;

type Partitions = readonly { readonly partitionId: number; readonly leader: number }[];

/** The partitions of the topic as last seen, and their leaders; none if it was not seen. */
function createTopicView() {
  let seen: Partitions = [];
  let leaders: ReadonlyMap<number, number> = new Map();
  return {
    update(partitions: Partitions): void {
      if (partitions === seen) return;
      seen = partitions;
      leaders = new Map(partitions.map(({ partitionId, leader }) => [partitionId, leader]));
    },
    partitions: () => seen.length,
    leaders: () => leaders,
    isLed: () => seen.some(({ leader }) => leader >= 0),
    partitionFor: (key: string) => (seen.length === 0 ? undefined : partitionOf(key, seen.length)),
  };
}

/** Runs the work once, and again while a broker does not answer and `others` are left. */
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
 * Asks the cluster through any broker that answers, so the question may be asked twice. Meanwhile the asking client is in
 * `open`. Throws Unreachable.
 */
async function askCluster<T>(
  options: ClientOptions,
  work: (admin: Admin) => Promise<T>,
  open: Set<Admin | Producer>,
): Promise<T> {
  const once = () => administer(options, toCluster(options, 0), work, open);
  const answer = await judged(options, once, options.brokers.length - 1);
  prove(options.brokers);
  return answer;
}

async function administer<T>(
  options: ClientOptions,
  cluster: Kafka,
  work: (admin: Admin) => Promise<T>,
  open: Set<Admin | Producer>,
): Promise<T> {
  const admin = cluster.admin();
  open.add(admin);
  let old = false;
  admin.on(admin.events.REQUEST, ({ payload: { apiName, apiVersion } }) => {
    if (apiName === 'Metadata' && apiVersion < METADATA_OF_0_11) old = true;
  });
  try {
    await admin.connect();
    const answer = await work(admin);
    if (old) throw tooOld(options);
    return answer;
  } finally {
    await settleWithin(admin.disconnect());
    open.delete(admin);
  }
}

/** How many times kafkajs itself retries a read. */
const READ_RETRIES = 3;
/** How long a fetch waits for records, and therefore how long leaving may take. */
const FETCH_MS = 500;

/** Makes a read-only request to the cluster. Throws Unreachable. */
export function read<T>(options: ClientOptions, work: (admin: Admin) => Promise<T>): Promise<T> {
  return judged(options, async () => administer(options, await toReadingCluster(options), work, new Set()));
}

/**
 * A read-only client that retries by itself: reading again reorders nothing, and a leader may just have moved. It begins
 * with a broker that answers, since kafkajs would ask a silent one as often. Throws Unreachable.
 */
async function toReadingCluster(options: ClientOptions): Promise<Kafka> {
  if (options.brokers.length > 1 && !isProven(options.brokers)) await askCluster(options, async () => {}, new Set());
  return toCluster(options, READ_RETRIES);
}

/** Not connected yet. Throws Unreachable. */
export async function createConsumer(options: ClientOptions, settings: ConsumerConfig): Promise<Consumer> {
  const consumer = (await toReadingCluster(options)).consumer({
    maxWaitTimeInMs: FETCH_MS,
    allowAutoTopicCreation: false,
    retry: { retries: READ_RETRIES, restartOnFailure: async () => false },
    ...settings,
  });
  consumer.on(consumer.events.FETCH_START, beginFetch);
  return consumer;
}

async function createTopic(
  admin: Admin,
  { topic, requestTimeoutMs: timeout }: ClientOptions,
  { partitions: numPartitions, replicationFactor, config }: NewTopic,
  validateOnly: boolean,
): Promise<boolean> {
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  const topics = [{ topic, numPartitions, replicationFactor, configEntries }];
  // kafkajs's own wait for leaders gives up if the broker that it asks does not know the topic yet.
  return admin.createTopics({ topics, validateOnly, timeout, waitForLeaders: false });
}

/** A newly elected leader may refuse records for a moment: waits here rather than show an outage. */
async function leadersAnswer(admin: Admin, options: ClientOptions): Promise<void> {
  const end = performance.now() + options.requestTimeoutMs;
  for (;;) {
    try {
      return requireLeaders(options, (await offsetsOf(admin, options.topic)).away);
    } catch (thrown) {
      if (performance.now() > end) throw thrown;
      await delay(50);
    }
  }
}

/** The result resolves with what became of each record, in order, once all in-sync replicas have the accepted ones. */
function createSender(options: ClientOptions, seen: ReturnType<typeof createTopicView>, open: Set<Admin | Producer>) {
  /** kafkajs calls the partitioner once per message and in order, so it can note where each one goes. */
  const placed = new WeakMap<Message, number>();
  const createPartitioner = () => {
    const spread = Partitioners.DefaultPartitioner();
    return (args: PartitionerArgs) => {
      const { key, partition: given = -1 } = args.message;
      seen.update(args.partitionMetadata);
      const partitions = seen.partitions();
      const chosen = () => (key === null || key === undefined ? spread(args) : partitionOf(key, partitions));
      const partition = given >= 0 && given < partitions ? given : chosen();
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

  return (messages: readonly OutgoingRecord[]): Promise<Sent[]> =>
    judged(options, async () => {
      connected ??= connect();
      const producer = await connected;
      const records: Message[] = messages.map(({ key, value, headers, partition }) => ({
        key,
        value,
        ...(partition !== undefined && { partition }),
        headers: headers as NonNullable<Message['headers']>,
      }));
      const { topic, requestTimeoutMs, compression } = options;
      // A partition whose replicas hang must not delay the answer for the others, whose records would be repeated.
      const timeout = Math.ceil(requestTimeoutMs * BROKERS_SHARE);
      const codec = compression && { compression: typeOfCodec(compression) };
      const answers = await producer.send({ topic, acks: -1, timeout, messages: records, ...codec }).catch(answersIn);
      const next = new Map(answers.map(({ partition, baseOffset }) => [partition, Number(baseOffset ?? '-1')]));
      const refusals = new Map(
        answers
          .filter(({ errorCode }) => errorCode !== 0)
          .map(({ partition, errorCode }) => [partition, judge(errorOf(errorCode), options)]),
      );
      return records.map((record) => {
        const partition = placed.get(record) ?? -1;
        const offset = next.get(partition);
        // kafkajs silently skips records of a partition without a known leader.
        if (offset === undefined) return leaderless(options, partition, seen.isLed());
        next.set(partition, offset + 1);
        return refusals.get(partition) ?? `${topic}/${partition}@${offset}`;
      });
    });
}

/** Disconnecting from a broker that hangs would hang, too. */
export async function settleWithin(work: Promise<unknown>): Promise<void> {
  await within(
    CLOSE_MS,
    work.catch(() => {}),
  );
}
