import { z } from 'zod';
import { password } from '../../src/model/secret.ts';
import { wordsOf } from '../../src/model/template.ts';
import { awsKey, isWholeKey, WHOLE_KEY } from '../aws.ts';
import { type Endpoint, secureOptions, tlsOrNot } from '../tls.ts';
import { FORMATS } from './message.ts';

export const CODECS = ['gzip', 'zstd', 'lz4', 'snappy'] as const;
export type CodecName = (typeof CODECS)[number];

const BROKER_EXPECTED = { error: 'a broker is expected as host:port, such as 127.0.0.1:9092' };
const broker = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|(?!-)[^\s:,/]+):\d{1,5}$/, BROKER_EXPECTED)
  .refine((text) => endpointOf(text).port > 0 && endpointOf(text).port < 65_536, BROKER_EXPECTED);

const topicName = z.string().regex(/^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/, {
  error: 'a topic name holds letters, digits, . _ and - only (at most 249)',
});

/** Words in a topic's name: with few values each, since every value is a topic of its own. */
const TOPIC_WORDS = ['groupType', 'type', 'app'];
const topicTemplate = z
  .string()
  .regex(new RegExp(`^(?!\\.{1,2}$)([a-zA-Z0-9._-]|\\{(${TOPIC_WORDS.join('|')})\\}){1,249}$`), {
    error: `a topic name holds letters, digits, . _ and - only (at most 249), and {${TOPIC_WORDS.join('}, {')}}`,
  });

/** Headers that the bridge sets itself, including those by which workers skip a record retried for another connector. */
const OWN_HEADER = /^(ce_.*|content-type|traceparent|tracestate|group_state|retry_for|dead_letter_.*)$/i;
const headerName = z.string().refine((name) => /^[\x21-\x7e]+$/.test(name) && !OWN_HEADER.test(name), {
  error: 'the name of a header is expected that the bridge does not set itself',
});
/** Words in a header's value, by content. */
const HEADER_WORDS = {
  events: ['groupId', 'groupType', 'type', 'id', 'source', 'app'],
  groups: ['groupId', 'groupType', 'source', 'app'],
};

const text = z.string().min(1);

const creation = (partitions: z.ZodDefault<z.ZodInt>, config: string) =>
  z
    .union([
      z.literal(false),
      z.strictObject({
        partitions,
        replicationFactor: z
          .int()
          .min(1)
          .max(32_767)
          .default(1)
          .describe('How many brokers keep it; 3 on a real cluster.'),
        config: z
          .record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String))
          .default({})
          .describe(config),
      }),
    ])
    .prefault({})
    .describe('How to create the topic when it is missing; false = it must exist.');

const byPassword = z.strictObject({
  mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).describe('As the listener has it enabled.'),
  username: text.describe('As the brokers know it, with `plain` and `scram-…`.'),
  password: password.describe('Best from the environment or a secret file.'),
});

const byToken = z.strictObject({
  mechanism: z.literal('oauthbearer').describe('As the listener has it enabled.'),
  tokenEndpoint: z
    .string()
    .refine((value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol), {
      error: 'an https:// URL is expected, such as https://login.example.com/oauth2/token',
    })
    .describe('Where tokens are asked for, by the client credentials grant of OAuth 2; with `oauthbearer`.'),
  clientId: text.describe('As the token endpoint knows this client.'),
  clientSecret: password.describe('Best from the environment or a secret file.'),
  scope: text.optional().describe('What the token is to allow, separated by blanks.'),
  parameters: z.record(z.string(), z.string()).default({}).describe('More of the token request, such as `audience`.'),
  extensions: z
    .record(z.string().regex(/^(?!auth$)[a-zA-Z]+$/), z.string().regex(/^[\x20-\x7e\t\r\n]*$/))
    .default({})
    .describe('SASL extensions that the brokers ask for, such as `logicalCluster`.'),
});

const byAws = z
  .strictObject({
    mechanism: z.literal('aws-msk-iam').describe('As the listener has it enabled.'),
    ...awsKey,
    region: awsKey.region.describe('Where the Amazon MSK cluster is; with `aws-msk-iam`.'),
  })
  .refine(isWholeKey, WHOLE_KEY);

const cluster = {
  brokers: z
    .union([
      z.array(broker).min(1),
      z
        .string()
        .transform((text) => text.split(',').map((one) => one.trim()))
        .pipe(z.array(broker).min(1)),
    ])
    .describe('Bootstrap brokers as host:port, a list or one comma-separated string.'),
  tls: tlsOrNot.describe('TLS to the brokers; `true`: verified against the system’s authorities.'),
  sasl: z
    .discriminatedUnion('mechanism', [byPassword, byToken, byAws])
    .optional()
    .describe('The user, where the brokers ask for one.'),
  clientId: text.default('group-sync-bridge').describe('Shown in the brokers’ logs and quotas.'),
  connectionTimeoutMs: z
    .int()
    .min(100)
    .max(600_000)
    .default(3_000)
    .describe('How long connecting to a broker may take.'),
  requestTimeoutMs: z.int().min(100).max(600_000).default(15_000).describe('How long a broker may take to answer.'),
};

const { brokers, ...connection } = cluster;

const options = z.strictObject({
  brokers,
  topic: topicTemplate.describe(
    'The topic to write to; of events also a template, such as chat.{groupType}.events, with {type} and {app} (the SDKAppID).',
  ),
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
  headers: z
    .record(headerName, z.string())
    .default({})
    .describe(
      'Headers of each record, beside the bridge’s own: text in which {groupId}, {groupType}, {type}, {id}, {source} and {app} stand for what the event has.',
    ),
  createTopic: creation(
    z.int().min(1).default(6),
    'Topic settings, such as retention.ms. `groups` has cleanup.policy=compact unless this says otherwise.',
  ),
  ...connection,
  compression: z
    .enum(CODECS)
    .optional()
    .describe('How batches are compressed; lz4 and snappy need a package of that name (lz4-napi, snappy).'),
  maxBatchBytes: z
    .int()
    .min(1_000)
    .default(900_000)
    .describe(
      'The most one request carries, before it is compressed; keep it below the topic’s max.message.bytes (1,048,588 by default).',
    ),
});

export const kafkaOptions = options.superRefine(({ topic, content, format, headers }, context) => {
  const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
  if (content === 'groups' && wordsOf(topic).length > 0) {
    refuse(['topic'], 'a group whose type becomes known would lie in two topics: a template is for content: events');
  }
  if (content === 'groups' && format !== 'structured')
    refuse(['format'], 'groups are no CloudEvents, and have no format: leave it out');
  for (const [name, value] of Object.entries(headers)) {
    const stranger = wordsOf(value).find((word) => !HEADER_WORDS[content].includes(word));
    const known = HEADER_WORDS[content].join('}, {');
    if (stranger !== undefined) refuse(['headers', name], `{${stranger}} is not known here, {${known}} are`);
  }
});

export type KafkaOptions = z.output<typeof kafkaOptions>;
export type NewTopic = Exclude<KafkaOptions['createTopic'], false>;

export const kafkaSourceOptions = z
  .strictObject({
    kind: z.literal('kafka').describe('Kafka is the only one.'),
    ...cluster,
    topic: topicName.describe('The topic with `content: events` to read, in either format.'),
    groupId: text
      .max(150)
      .optional()
      .describe(
        'Workers with the same one share the partitions; group-sync-bridge.<topic> when left out. Each connector reads as a group of its own: <groupId>.<name>.',
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
        createTopic: creation(
          z.int().min(1).default(1).describe('One is enough, since it is seldom written to.'),
          'More settings of the topic. It is compacted unless this says otherwise.',
        ),
      })
      .prefault({})
      .describe('A compacted topic that takes the events which a destination refuses for good.'),
  })
  .describe('A topic of events to deliver, instead of callbacks: this process is a worker.');

export type KafkaSourceOptions = z.output<typeof kafkaSourceOptions>;

/** Returns the topic for the events that a destination refuses for good. */
export function deadLetterTopic({ topic, deadLetters }: KafkaSourceOptions): string {
  return deadLetters.topic ?? `${topic}.dead-letters`;
}

/** The beginning of a default group's name; formerly all of it. */
export const FORMER_GROUP = 'group-sync-bridge';

/** Returns the beginning of the names of the source's groups. */
export function groupOf({ groupId, topic }: KafkaSourceOptions): string {
  return groupId ?? `${FORMER_GROUP}.${topic}`;
}

/** The options for reaching a topic, of a connector or of `source`. */
export type ClusterOptions = Pick<KafkaOptions, keyof typeof cluster | 'topic'> & {
  /** The beginning of the names of groups used for reading. */
  readonly groupId?: string | undefined;
  readonly compression?: KafkaOptions['compression'];
};
export type OauthOptions = z.output<typeof byToken>;
export type AwsOptions = z.output<typeof byAws>;
export type SaslOptions = NonNullable<ClusterOptions['sasl']>;

/** Options of a client; `path` is how the YAML names the connector: `connectors.group-events`. */
export type ClientOptions = Awaited<ReturnType<typeof clientOptions>>;

/** Reads the files each time, so that renewed or corrected ones are used. Throws Unreachable. */
export async function clientOptions(options: ClusterOptions, path: string, signal: AbortSignal) {
  const { tls, brokers } = options;
  const secure = tls === false ? undefined : await secureOptions(tls, path, brokers.map(endpointOf), signal);
  return { ...options, path, secure };
}

export async function sourceClient(options: KafkaSourceOptions, signal: AbortSignal): Promise<ClientOptions> {
  return { ...(await clientOptions(options, 'source', signal)), groupId: groupOf(options) };
}

export function endpointOf(broker: string): Endpoint {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(broker) ?? [];
  return { host, port: Number(port) };
}
