/** A topic of which some partitions have no leader: what is for the others goes on. */
import { createRequire } from 'node:module';
import type { Admin } from 'kafkajs';
import { Unreachable } from '../../src/model/fault.ts';
import { protocolType } from './fault.ts';
import type { ClientOptions } from './options.ts';

interface Metadata {
  readonly topicMetadata: readonly { readonly partitionMetadata: { partitionErrorCode: number }[] }[];
}
interface Cluster {
  findLeaderForPartitions(...given: unknown[]): Readonly<Record<string, readonly number[]>>;
  fetchTopicsOffset(topics: readonly { topic: string }[]): Promise<{ topic: string; partitions: readonly unknown[] }[]>;
}

const VERSIONS = [0, 1, 2, 3, 4, 5, 6];
const LEADER_NOT_AVAILABLE = 5;

/** Has kafkajs leave out partitions that have no leader: by itself it takes such a one for an error of the whole topic. */
export function leaveOutLeaderless(): void {
  const load = createRequire(import.meta.url);
  for (const version of VERSIONS) {
    const response: { parse(answer: Metadata): unknown } = load(
      `kafkajs/src/protocol/requests/metadata/v${version}/response`,
    );
    const { parse } = response;
    response.parse = (answer) => {
      for (const partition of answer.topicMetadata.flatMap((topic) => topic.partitionMetadata)) {
        if (partition.partitionErrorCode === LEADER_NOT_AVAILABLE) partition.partitionErrorCode = 0;
      }
      return parse(answer);
    };
  }
  const { prototype }: { prototype: Cluster } = load('kafkajs/src/cluster');
  const { findLeaderForPartitions: find, fetchTopicsOffset: fetch } = prototype;
  prototype.findLeaderForPartitions = function led(...given) {
    const { '-1': _, ...found } = find.apply(this, given);
    return found;
  };
  // By itself it forgets a topic of which no partition is left, which sends a consumer back to its group.
  prototype.fetchTopicsOffset = async function all(topics) {
    const found = await fetch.call(this, topics);
    return topics.map(({ topic }) => found.find((one) => one.topic === topic) ?? { topic, partitions: [] });
  };
}

/** `isOne`: others have a leader, so that this is no outage of the topic. */
export function leaderless({ path, topic }: ClientOptions, partition: number, isOne = false): Unreachable {
  return new Unreachable({
    code: isOne ? 'event-unsettled' : 'destination-overloaded',
    message: `Kafka: partition ${partition} of ${topic} has no leader`,
    path: `${path}.topic`,
    suggestion: 'bring back the brokers that hold it',
  });
}

/** Resolves with none when there is no such topic. */
export async function partitionsOf(admin: Admin, topic: string) {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics.find(({ name }) => name === topic)?.partitions ?? [];
  } catch (thrown) {
    if (protocolType(thrown) === 'UNKNOWN_TOPIC_OR_PARTITION') return [];
    throw thrown;
  }
}

/** Returns the first and the last offset of each partition that has a leader, and `away`, those without one. */
export async function offsetsOf(admin: Admin, topic: string) {
  const partitions = await partitionsOf(admin, topic);
  const offsets = await admin.fetchTopicOffsets(topic);
  const led = new Set(offsets.map(({ partition }) => partition));
  return { offsets, away: partitions.map(({ partitionId }) => partitionId).filter((partition) => !led.has(partition)) };
}

/** Throws Unreachable for the first partition without a leader. */
export function requireLeaders(options: ClientOptions, [first]: readonly number[]): void {
  if (first !== undefined) throw leaderless(options, first);
}
