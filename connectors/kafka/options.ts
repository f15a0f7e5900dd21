import { z } from 'zod';
import { secureOptions, tlsOptions } from '../tls.ts';
import type { ClientOptions } from './client.ts';
import { endpointOf } from './fault.ts';
import { FORMATS } from './message.ts';

const broker = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^\s:,/]+):\d{1,5}$/, {
  error: 'a broker is expected as host:port, such as 127.0.0.1:9092',
});

export const kafkaOptions = z.strictObject({
  brokers: z
    .union([
      z.array(broker).min(1),
      z
        .string()
        .transform((text) => text.split(',').map((one) => one.trim()))
        .pipe(z.array(broker).min(1)),
    ])
    .describe('Bootstrap brokers as host:port, a list or one comma-separated string.'),
  topic: z
    .string()
    .regex(/^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/, {
      error: 'a topic name holds letters, digits, . _ and - only (at most 249)',
    })
    .describe('The topic to write to.'),
  content: z
    .enum(['events', 'groups'])
    .default('events')
    .describe(
      '`events`: every event. `groups`: the merged group, null when it is destroyed, for a compacted topic. Both keyed by group id.',
    ),
  format: z
    .enum(FORMATS)
    .default('structured')
    .describe(
      'Of `events`, the CloudEvents mode: `structured` (value = the event) or `binary` (`ce_` headers, value = its data).',
    ),
  createTopic: z
    .union([
      z.literal(false),
      z.strictObject({
        partitions: z.int().min(1).default(6),
        replicationFactor: z.int().min(1).max(32_767).default(1),
        config: z
          .record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String))
          .default({})
          .describe(
            'Topic settings, such as retention.ms. `groups` has cleanup.policy=compact unless this says otherwise.',
          ),
      }),
    ])
    .prefault({})
    .describe('How to create the topic when it is missing; false = it must exist.'),
  tls: z
    .union([z.boolean(), tlsOptions], { error: 'true, false, or an object with caFile and others is expected' })
    .default(false)
    .describe('TLS to the brokers; `true`: verified against the system’s authorities.'),
  sasl: z
    .strictObject({
      mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).describe('As the listener has it enabled.'),
      username: z.string().min(1).describe('As the brokers know it.'),
      password: z.string().min(1).describe('Best from the environment or a secret file.'),
    })
    .optional()
    .describe('The user, where the brokers ask for one.'),
  clientId: z.string().min(1).default('group-sync-bridge').describe('Shown in the brokers’ logs and quotas.'),
  maxBatchBytes: z
    .int()
    .min(1_000)
    .default(900_000)
    .describe('The most one request carries; keep it below the topic’s max.message.bytes (1,048,588 by default).'),
  connectionTimeoutMs: z.int().min(100).default(3_000).describe('How long connecting to a broker may take.'),
  requestTimeoutMs: z.int().min(100).default(15_000).describe('How long a broker may take to answer.'),
});

export type KafkaOptions = z.output<typeof kafkaOptions>;

/** The options by which a cluster is reached, of a connector or of `source`. */
export type ClusterOptions = Pick<
  KafkaOptions,
  'brokers' | 'topic' | 'tls' | 'sasl' | 'clientId' | 'connectionTimeoutMs' | 'requestTimeoutMs'
>;

/** The files are read anew each time, so that what was renewed or mended there is used. Throws Unreachable. */
export async function clientOptions(
  options: ClusterOptions,
  path: string,
  signal: AbortSignal,
): Promise<ClientOptions> {
  const { tls, brokers } = options;
  const secure =
    tls === false ? undefined : await secureOptions(tls === true ? {} : tls, path, brokers.map(endpointOf), signal);
  return { ...options, path, secure };
}
