import { z } from 'zod';
import { kafkaOptions } from './options.ts';

const topicName = kafkaOptions.shape.topic;

export const kafkaSourceOptions = z
  .strictObject({
    kind: z.literal('kafka').describe('Kafka is the only one.'),
    ...kafkaOptions.pick({
      brokers: true,
      tls: true,
      sasl: true,
      clientId: true,
      connectionTimeoutMs: true,
      requestTimeoutMs: true,
    }).shape,
    topic: topicName.describe('The topic with `content: events` to read, in either format.'),
    groupId: z
      .string()
      .min(1)
      .max(150)
      .default('group-sync-bridge')
      .describe(
        'Workers with the same one share the partitions. Each connector reads as a group of its own: <groupId>.<name>.',
      ),
    sessionTimeoutMs: z
      .int()
      .min(6_000)
      .max(300_000)
      .default(30_000)
      .describe('A worker that is silent for so long is taken for dead: others read its partitions.'),
    deadLetters: z
      .strictObject({
        topic: topicName.optional().describe('<topic>.dead-letters when left out.'),
        createTopic: z
          .union([
            z.literal(false),
            z.strictObject({
              partitions: z.int().min(1).default(1).describe('One is enough, since it is seldom written to.'),
              replicationFactor: z
                .int()
                .min(1)
                .max(32_767)
                .default(1)
                .describe('How many brokers keep it; 3 on a real cluster.'),
              config: z
                .record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String))
                .default({})
                .describe('More settings of the topic. It is compacted unless this says otherwise.'),
            }),
          ])
          .prefault({})
          .describe('How to create the topic when it is missing; false = it must exist.'),
      })
      .prefault({})
      .describe('A compacted topic that takes the events which a destination refuses for good.'),
  })
  .describe('A topic of events to deliver, instead of callbacks: this process is a worker.');

export type KafkaSourceOptions = z.output<typeof kafkaSourceOptions>;

/** Returns the topic that takes the events which a destination refuses for good. */
export function deadLetterTopic({ topic, deadLetters }: KafkaSourceOptions): string {
  return deadLetters.topic ?? `${topic}.dead-letters`;
}
