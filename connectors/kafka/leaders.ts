/** A topic of which some partitions have no leader: what is for the others goes on. */
import { createRequire } from 'node:module';
import type { Admin } from 'kafkajs';
import { Unreachable } from '../../src/model/fault.ts';
import { errorOf, protocolType } from './fault.ts';
import type { ClientOptions } from './options.ts';

interface Metadata {
  readonly topicMetadata: readonly { readonly partitionMetadata: { leader: number; partitionErrorCode: number }[] }[];
}
type Led = Readonly<Record<string, readonly number[]>>;

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
        if (partition.leader < 0) partition.partitionErrorCode = 0;
      }
      return parse(answer);
    };
  }
  const { prototype }: { prototype: { findLeaderForPartitions(...given: unknown[]): Led } } =
    load('kafkajs/src/cluster');
  const { findLeaderForPartitions: find } = prototype;
  prototype.findLeaderForPartitions = function led(...given): Led {
    const { '-1': without, ...found } = find.apply(this, given);
    if (without !== undefined && Object.keys(found).length === 0) throw errorOf(LEADER_NOT_AVAILABLE);
    return found;
  };
}

export function leaderless({ path, topic }: ClientOptions, partition: number): Unreachable {
  return new Unreachable({
    code: 'destination-overloaded',
    message: `Kafka: partition ${partition} of ${topic} has no leader`,
    path: `${path}.topic`,
    suggestion: 'bring the brokers that have it back',
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

/** Returns the first and the last offset of each partition. Throws where one has no leader. */
export async function offsetsOf(admin: Admin, options: ClientOptions) {
  const partitions = await partitionsOf(admin, options.topic);
  const without = partitions.find(({ leader }) => leader < 0);
  if (without !== undefined) throw leaderless(options, without.partitionId);
  return admin.fetchTopicOffsets(options.topic);
}
