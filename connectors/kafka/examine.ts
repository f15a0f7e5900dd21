/** What `check --connect` says about a topic. Creates nothing, and writes no record. */
import type { Admin } from 'kafkajs';
import { fill } from '../../src/model/template.ts';
import type { Finding, Host } from '../contract.ts';
import { silentMembers } from '../members.ts';
import { createClient, type KafkaClient } from './client.ts';
import { tryCodec } from './codecs.ts';
import { judge, protocolType, Refused } from './fault.ts';
import { refuseForeign } from './groups.ts';
import { partitionsOf } from './leaders.ts';
import { appOf } from './message.ts';
import { type ClientOptions, CODECS, clientOptions, type KafkaOptions } from './options.ts';
import { userOf } from './sasl.ts';
import { asCreated, missingTopic, type TopicSettings } from './topic.ts';

type Wanted = Omit<TopicSettings, 'created'>;

/** No larger record is made to see whether it is refused. */
const LARGEST_PROBE = 16 * 1_048_576;
/** kafkajs's ConfigResourceTypes.TOPIC, which an ES module cannot import by name. */
const TOPIC_RESOURCE = 2;

export async function* examine(given: KafkaOptions, host: Host, signal: AbortSignal): AsyncGenerator<Finding> {
  const path = `connectors.${host.name}`;
  const words = { groupType: 'Public', type: 'chat.group.info.changed', app: appOf(host.source) };
  const options = { ...given, topic: fill(given.topic, words) };
  if (options.topic !== given.topic) {
    yield { step: 'topic', state: 'note', says: `${given.topic} is a template: ${options.topic} is looked at` };
  }
  const reached = await clientOptions(options, path, signal);
  // The oversized probe must not shrink.
  const client = createClient({ ...reached, compression: undefined });
  try {
    if (options.compression)
      await tryCodec(options.compression).catch((thrown) => Promise.reject(judge(thrown, reached)));
    yield* examineTopic(client, options, reached);
    yield* silentBrokers(reached);
    if (options.content === 'groups') await refuseForeign(options, host, signal);
  } finally {
    await client.close();
  }
}

async function* examineTopic(
  client: KafkaClient,
  options: KafkaOptions,
  reached: ClientOptions,
): AsyncGenerator<Finding> {
  const { topic, sasl } = options;
  const { path } = reached;
  const { brokers, partitions, settings } = await client.ask(async (admin) => {
    const { brokers } = await admin.describeCluster();
    return { brokers, ...(await lookAt(admin, topic)) };
  });
  const as = sasl === undefined ? '' : ` as ${userOf(sasl)}`;
  yield { step: 'brokers', state: 'well', says: `reached${as}, ${brokers.length} in the cluster` };
  if (partitions.length === 0) {
    const compacted = options.content === 'groups';
    yield await missing(client, { options, path, createTopic: options.createTopic, compacted });
    return;
  }
  const replicas = Math.min(...partitions.map(({ replicas }) => replicas.length));
  const found = `${topic}: ${counted(partitions.length, 'partition')}, replication factor ${replicas}`;
  yield { step: 'topic', state: 'well', says: found };
  if (settings === undefined) {
    const says =
      'this user may not see them (DESCRIBE_CONFIGS), so they and the permission to write were not looked at';
    yield { step: 'settings', state: 'note', says };
    return;
  }
  if (options.content === 'groups') yield* tryToRead(settings.codec, reached);
  const inSync = Math.min(...partitions.map(({ isr }) => isr.length));
  yield* judgeSettings(options, path, { ...settings, inSync });
  yield await tryToWrite(client, topic, settings.maxMessageBytes);
}

/** Returns a topic's partitions, none if it is missing, and its settings if this client may see them. */
export async function lookAt(admin: Admin, topic: string) {
  const partitions = await partitionsOf(admin, topic);
  return { partitions, settings: partitions.length === 0 ? undefined : await settingsOf(admin, topic) };
}

/** Checks that this process can unpack the codec that the topic has on the brokers. Throws Unreachable if not. */
export async function* tryToRead(codec: string | undefined, reached: ClientOptions): AsyncGenerator<Finding> {
  const name = CODECS.find((one) => one === codec);
  if (name === undefined) return;
  await tryCodec(name).catch((thrown) => Promise.reject(judge(thrown, reached)));
  yield { step: 'compression', state: 'well', says: name };
}

/** Resolves with undefined if this client may not see the topic's settings. */
async function settingsOf(admin: Admin, topic: string) {
  const names = ['cleanup.policy', 'compression.type', 'max.message.bytes', 'min.insync.replicas'];
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: TOPIC_RESOURCE, name: topic, configNames: names }],
    });
    const values = new Map(resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]));
    const [cleanupPolicy = '', codec = '', maxMessageBytes, minInSync] = names.map((name) => values.get(name));
    return { cleanupPolicy, codec, maxMessageBytes: Number(maxMessageBytes), minInSync: Number(minInSync) };
  } catch (thrown) {
    if (protocolType(thrown) === 'TOPIC_AUTHORIZATION_FAILED') return undefined;
    throw thrown;
  }
}

async function askBroker(broker: string, options: ClientOptions): Promise<void> {
  const client = createClient({ ...options, brokers: [broker] });
  try {
    await client.findTopic();
  } finally {
    await client.close();
  }
}

export const silentBrokers = (options: ClientOptions): AsyncGenerator<Finding> =>
  silentMembers('brokers', options.brokers, (broker) => askBroker(broker, options));

/** Reports a missing topic, and whether the cluster would create it. Throws Unreachable. */
export async function missing(
  client: KafkaClient,
  { options, path, createTopic, compacted }: Wanted,
): Promise<Finding> {
  const says = `${options.topic} does not exist`;
  if (createTopic === false) {
    return { step: 'topic', state: 'wrong', says, fault: missingTopic(options.topic, path, compacted) };
  }
  await client.tryToCreateTopic(asCreated(createTopic, compacted));
  const { partitions, replicationFactor } = createTopic;
  const creation = `start creates it with ${counted(partitions, 'partition')}, replication factor ${replicationFactor}`;
  return { step: 'topic', state: 'note', says: `${says}: ${creation}` };
}

type Settings = NonNullable<Awaited<ReturnType<typeof settingsOf>>> & { readonly inSync: number };

function* judgeSettings(options: KafkaOptions, path: string, settings: Settings): Generator<Finding> {
  const { topic, content, maxBatchBytes } = options;
  const { cleanupPolicy, inSync, minInSync, maxMessageBytes } = settings;
  const wrong = (step: string, says: string, suggestion: string, setting = 'topic'): Finding => {
    const fault = { code: 'destination-misconfigured', message: says, path: `${path}.${setting}`, suggestion } as const;
    return { step, state: 'wrong', says, fault };
  };
  const compacted = cleanupPolicy.includes('compact');
  if (content === 'groups' && !compacted) {
    const says = `${topic} is not compacted, so that groups which do not change drop out of it`;
    yield wrong('cleanup.policy', says, 'set cleanup.policy=compact on the topic');
  } else if (content === 'events' && compacted) {
    const says = `${topic} is compacted, so that only the last event of each group stays in it`;
    yield wrong('cleanup.policy', says, 'set cleanup.policy=delete on the topic, or content: groups');
  } else if (content === 'groups' && cleanupPolicy.includes('delete')) {
    const says = `${cleanupPolicy}: groups that do not change for as long as retention.ms drop out of ${topic}`;
    yield { step: 'cleanup.policy', state: 'note', says };
  } else yield { step: 'cleanup.policy', state: 'well', says: cleanupPolicy };

  if (inSync < minInSync) {
    const says = `${counted(inSync, 'replica')} in sync, and min.insync.replicas asks for ${minInSync}: no record is taken`;
    yield wrong('replicas', says, 'bring the missing brokers back, or lower min.insync.replicas of the topic');
  }
  if (maxMessageBytes < maxBatchBytes) {
    const says = `the topic takes ${maxMessageBytes} bytes at once, and batches may have ${maxBatchBytes}`;
    const suggestion = 'lower maxBatchBytes, or raise max.message.bytes of the topic';
    yield wrong('max.message.bytes', says, suggestion, 'maxBatchBytes');
  }
}

/** A broker checks permissions before the size: an oversized record proves them without being written. */
export async function tryToWrite(client: KafkaClient, topic: string, maxMessageBytes: number): Promise<Finding> {
  const step = 'write permission';
  if (!(maxMessageBytes < LARGEST_PROBE)) {
    return { step, state: 'note', says: `not looked at: the topic takes records of ${maxMessageBytes} bytes` };
  }
  try {
    await client.send([{ key: 'group-sync-bridge-check', value: Buffer.alloc(maxMessageBytes + 1), headers: {} }]);
  } catch (thrown) {
    if (!(thrown instanceof Refused) || thrown.fault.code !== 'event-too-large') throw thrown;
    return { step, state: 'well', says: 'yes (a record too large to be taken was refused for its size alone)' };
  }
  return { step, state: 'note', says: `yes, and ${topic} took a record that was larger than it should take` };
}

export function counted(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
