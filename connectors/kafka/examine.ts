/** What `check --connect` tells of a topic. Nothing is created, and no record is written. */

import { messageOf } from '../../src/model/fault.ts';
import type { Finding } from '../contract.ts';
import { type ClientOptions, createClient, type KafkaClient, type NewTopic, type TopicView } from './client.ts';
import { Refused } from './fault.ts';

export interface Expected {
  /** How the YAML names this connector: `connectors.group-events`. */
  readonly path: string;
  readonly topic: string;
  readonly content: 'events' | 'groups';
  readonly maxBatchBytes: number;
  readonly createTopic: false | NewTopic;
  readonly user: string | undefined;
}

export async function* examineTopic(client: KafkaClient, expected: Expected): AsyncGenerator<Finding> {
  const { brokers, topic } = await client.describe();
  const as = expected.user === undefined ? '' : ` as ${expected.user}`;
  yield { step: 'brokers', state: 'well', says: `reached${as}, ${brokers} in the cluster` };
  if (topic === undefined) {
    yield missing(expected);
    return;
  }
  const { partitions, replicas, settings } = topic;
  yield {
    step: 'topic',
    state: 'well',
    says: `${expected.topic}: ${counted(partitions, 'partition')}, replication factor ${replicas}`,
  };
  if (settings === undefined) {
    yield {
      step: 'settings',
      state: 'note',
      says: 'this user may not see them (DESCRIBE_CONFIGS), so they and the permission to write were not looked at',
    };
    return;
  }
  yield* judgeSettings(expected, topic, settings);
  yield await tryToWrite(client, expected, settings.maxMessageBytes);
}

/** Names the brokers of the list that do not answer; one that does is enough, and was found before. */
export async function* silentBrokers(options: ClientOptions): AsyncGenerator<Finding> {
  if (options.brokers.length === 1) return;
  const asked = options.brokers.map(async (broker) => {
    const client = createClient({ ...options, brokers: [broker] });
    try {
      await client.findTopic();
      return undefined;
    } catch (thrown) {
      return { broker, reason: messageOf(thrown) };
    } finally {
      await client.close();
    }
  });
  for (const silent of await Promise.all(asked)) {
    if (silent === undefined) continue;
    const says = `${silent.broker} does not answer, which the others make up for (${silent.reason})`;
    yield { step: 'brokers', state: 'note', says };
  }
}

function missing({ path, topic, createTopic }: Expected): Finding {
  if (createTopic !== false) {
    const { partitions, replicationFactor } = createTopic;
    return {
      step: 'topic',
      state: 'note',
      says: `${topic} does not exist: start creates it with ${counted(partitions, 'partition')}, replication factor ${replicationFactor}`,
    };
  }
  const message = `${topic} does not exist`;
  const fault = {
    code: 'destination-missing',
    message,
    path: `${path}.topic`,
    suggestion: 'create it, or set createTopic',
  } as const;
  return { step: 'topic', state: 'wrong', says: message, fault };
}

type Settings = NonNullable<TopicView['settings']>;

function* judgeSettings({ path, topic, content, maxBatchBytes }: Expected, view: TopicView, settings: Settings) {
  const wrong = (step: string, message: string, suggestion: string, setting = 'topic'): Finding => ({
    step,
    state: 'wrong',
    says: message,
    fault: { code: 'destination-misconfigured', message, path: `${path}.${setting}`, suggestion },
  });
  const compacted = settings.cleanupPolicy.includes('compact');
  if (content === 'groups' && !compacted) {
    yield wrong(
      'cleanup.policy',
      `${topic} is not compacted, so that groups which do not change drop out of it`,
      'set cleanup.policy=compact on the topic',
    );
  } else if (content === 'events' && compacted) {
    yield wrong(
      'cleanup.policy',
      `${topic} is compacted, so that only the last event of each group stays in it`,
      'set cleanup.policy=delete on the topic, or content: groups',
    );
  } else yield { step: 'cleanup.policy', state: 'well', says: settings.cleanupPolicy } as Finding;

  if (view.inSync < settings.minInSync) {
    yield wrong(
      'replicas',
      `${counted(view.inSync, 'replica')} in sync, and min.insync.replicas asks for ${settings.minInSync}: no record is taken`,
      'bring the missing brokers back, or lower min.insync.replicas of the topic',
    );
  }
  if (settings.maxMessageBytes < maxBatchBytes) {
    yield wrong(
      'max.message.bytes',
      `the topic takes ${settings.maxMessageBytes} bytes at once, and batches may have ${maxBatchBytes}`,
      'lower maxBatchBytes, or raise max.message.bytes of the topic',
      'maxBatchBytes',
    );
  }
}

/** A broker looks at permissions first and at the size next: a record that is too large tells without being written. */
async function tryToWrite(client: KafkaClient, { topic }: Expected, maxMessageBytes: number): Promise<Finding> {
  const step = 'write permission';
  if (!(maxMessageBytes < LARGEST_PROBE)) {
    return { step, state: 'note', says: `not looked at: the topic takes records of ${maxMessageBytes} bytes` };
  }
  try {
    await client.send([{ key: 'group-sync-bridge-check', value: Buffer.alloc(maxMessageBytes + 1), headers: {} }]);
  } catch (thrown) {
    if (thrown instanceof Refused && thrown.fault.code === 'event-too-large') {
      return { step, state: 'well', says: 'yes (a record too large to be taken was refused for its size alone)' };
    }
    throw thrown;
  }
  return { step, state: 'note', says: `yes, and ${topic} took a record that was larger than it should take` };
}

const LARGEST_PROBE = 16 * 1_048_576;

function counted(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
