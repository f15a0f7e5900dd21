import { oneHost } from '../../src/model/address.ts';
import { wordsOf } from '../../src/model/template.ts';
import type { Connector, SourceKind } from '../contract.ts';
import {
  deadLetterTopic,
  endpointOf,
  groupOf,
  type KafkaOptions,
  type KafkaSourceOptions,
  kafkaOptions,
  kafkaSourceOptions,
} from './options.ts';

// Code that talks to brokers is loaded on demand: most commands, and the receiver's thread, do without.

export const kafka: Connector<KafkaOptions> = {
  kind: 'kafka',
  summary: 'Writes events, as CloudEvents, or the merged groups to a Kafka topic, keyed by group id.',
  options: kafkaOptions,
  readsBack: false,
  shapes: ['key'],
  holds: ({ content }) => content,
  places: ({ brokers, topic, content, format }) =>
    brokers.map(endpointOf).map(({ host, port }) => ({
      name: `topic ${topic} at ${oneHost(host)}:${port}`,
      template: wordsOf(topic).length > 0,
      option: 'topic',
      use: content === 'events' ? `events, ${format}` : content,
    })),
  open: async (options, host, signal) => (await import('./sink.ts')).openSink(options, host, signal),
  async *examine(options, host, signal) {
    yield* (await import('./examine.ts')).examine(options, host, signal);
  },
};

export const kafkaSource: SourceKind<KafkaSourceOptions> = {
  kind: 'kafka',
  options: kafkaSourceOptions,
  describe: (options) => ({
    topic: options.topic,
    groupId: groupOf(options),
    deadLetters: deadLetterTopic(options),
  }),
  load: async () => (await import('./source.ts')).kafkaSourceWork,
};
