import { Unreachable } from '../../src/model/fault.ts';
import type { Finding, SourceKind } from '../contract.ts';
import { countDeadLetters } from './dead-letter.ts';
import { openDeadLetterTopic, readDeadLetters } from './dead-letter-topic.ts';
import { clientOptions, deadLetterTopic, type KafkaSourceOptions, kafkaSourceOptions } from './options.ts';
import { extentsOf } from './reader.ts';
import { openKafkaSource } from './source.ts';

export const kafkaSource: SourceKind<KafkaSourceOptions> = {
  kind: 'kafka',
  options: kafkaSourceOptions,
  open: openKafkaSource,
  countDeadLetters(options) {
    const counts = countDeadLetters();
    const topic = openDeadLetterTopic(options, () => {});
    return { of: counts.of, learn: (signal) => topic.read(counts.take, signal), close: topic.close };
  },
  deadLetters: readDeadLetters,
  describe: (options) => ({
    topic: options.topic,
    groupId: options.groupId,
    deadLetters: deadLetterTopic(options),
  }),
  examine: examineSource,
};

/** Whether the events can be read; that the group lets this client in, only joining it tells. */
async function* examineSource(options: KafkaSourceOptions, signal: AbortSignal): AsyncGenerator<Finding> {
  const extents = await extentsOf(await clientOptions(options, 'source', signal));
  if (extents.length === 0) {
    throw new Unreachable({
      code: 'destination-missing',
      path: 'source.topic',
      message: `the topic ${options.topic} does not exist`,
      suggestion: 'a receiving bridge with a kafka connector creates it',
    });
  }
  yield { step: 'topic', state: 'well', says: `${options.topic}: ${extents.length} partitions` };
}
