import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import { connectors } from '../../connectors/index.ts';
import { options as kafkaOptions } from '../../connectors/kafka/connector.ts';
import { isBeforeCallback } from '../model/command.ts';
import { EVENT_TYPES, PROFILE_FIELDS } from '../model/event.ts';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds, written as a number of them or as `250ms`, `30s`, `5m`, `6h`, `7d`. */
export const duration = z.union(
  [
    z.int().nonnegative(),
    z
      .string()
      .regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/)
      .transform((text) => {
        const [, amount = '0', unit = 'ms'] = /^([\d.]+)(\w+)$/.exec(text) ?? [];
        return Math.round(Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS]);
      }),
  ],
  { error: 'a duration is expected: milliseconds, or a number with ms, s, m, h or d, such as 30s' },
);

const UNIT_BYTES = { KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 } as const;

/** Bytes, written as a number of them or as `512KiB`, `64MiB`, `10GiB`. */
const bytes = z.union(
  [
    z.int().min(UNIT_BYTES.MiB),
    z
      .string()
      .regex(/^\d+(KiB|MiB|GiB)$/)
      .transform((text) => Number.parseInt(text, 10) * UNIT_BYTES[text.slice(-3) as keyof typeof UNIT_BYTES])
      .refine((size) => size >= UNIT_BYTES.MiB),
  ],
  { error: 'a size of at least 1MiB is expected: bytes, or a number with KiB, MiB or GiB, such as 10GiB' },
);

const path = z
  .string()
  .regex(/^\/[^?#\s]*$/, { error: 'a path is expected: it starts with / and holds no query, such as /callback' });

const port = z.int().min(0).max(65535).describe('0 takes any free port.');

/** An IP address or a CIDR range, both families. */
const addressRange = z.string().refine((text) => parseRange(text) !== undefined, {
  error: 'an IP address or a CIDR range is expected, such as 183.192.202.0/25',
});

function parseRange(text: string): { address: string; prefix?: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined;
  if (family === undefined || rest.length > 0) return undefined;
  if (prefix === undefined) return { address, family };
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > (family === 'ipv4' ? 32 : 128)) return undefined;
  return { address, prefix: Number(prefix), family };
}

/** The addresses and ranges as Node's BlockList (here a list of those let in). */
export function toAddressList(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of ranges) {
    const range = parseRange(text);
    if (range === undefined) continue;
    if (range.prefix === undefined) list.addAddress(range.address, range.family);
    else list.addSubnet(range.address, range.prefix, range.family);
  }
  return list;
}

const APP_EXPECTED = 'the SDKAppID of your Chat app is expected: digits only, as the vendor’s console shows it';

const app = z.strictObject({
  sdkAppId: z
    .union([z.int().positive(), z.string().regex(/^\d+$/, { error: APP_EXPECTED })], {
      error: APP_EXPECTED,
    })
    .transform(String)
    .describe('Compared with SdkAppid in the query of each callback.'),
  callbackTokens: z
    .array(z.string().min(1, { error: 'the token is empty: leave the key out to run without authentication' }))
    .min(1)
    .optional()
    .describe(
      'The authentication token of the vendor’s console; several while one is being rotated. When given, Sign and RequestTime are required.',
    ),
  signWindow: duration
    .refine((ms) => ms >= 1_000 && ms <= 3_600_000, { error: 'between 1s and 1h is expected' })
    .prefault('60s')
    .describe('How far RequestTime may lie from this clock, before or after; within it a captured Sign is good.'),
});

const tls = z.strictObject({
  certFile: z
    .string()
    .min(1)
    .describe('PEM: the certificate, followed by those of the authorities between. Read again when it changes.'),
  keyFile: z.string().min(1).describe('PEM: its private key.'),
  keyPassphrase: z.string().min(1).optional().describe('When the key is encrypted.'),
  clientCaFile: z
    .string()
    .min(1)
    .optional()
    .describe('PEM: when given, callers must show a certificate of one of these authorities.'),
});

const FORWARD_URL =
  'an http:// or https:// URL without query and credentials is expected, such as https://127.0.0.1:9443';

const forward = z.strictObject({
  forwardTo: z
    .string()
    .refine((text) => isForwardUrl(text), { error: FORWARD_URL })
    .describe(
      'The handler that answers instead: it gets the request as it came, on the path of this URL or, where it has none, on that of the callback.',
    ),
  timeoutMs: z
    .int()
    .min(50)
    .max(1_900)
    .default(1_500)
    .describe('How long the handler may take; the service gives up after 2 s.'),
  forwardAll: z.boolean().default(false).describe('Whether the commands that the bridge records are forwarded, too.'),
  caFile: z
    .string()
    .min(1)
    .optional()
    .describe('PEM: the authority of the handler’s certificate, when it is one of your own.'),
});

function isForwardUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, search, hash, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && search + hash + username + password === '';
}

const receiver = z
  .strictObject({
    host: z
      .string()
      .min(1)
      .default('0.0.0.0')
      .describe('The address to listen on; 0.0.0.0 is every one of this machine.'),
    port: port.default(8080),
    path: path.default('/callback').describe('The path of the URL that the service is given.'),
    maxBodyBytes: z.int().min(1024).max(16_777_216).default(65_536).describe('Larger bodies are answered 413.'),
    tls: tls.optional().describe('Answer HTTPS; without it a proxy in front must.'),
    allowFrom: z
      .array(addressRange)
      .min(1)
      .optional()
      .describe('Peer addresses that may call; everybody when left out.'),
    trustProxy: z
      .union([z.literal(false), z.array(addressRange).min(1)], {
        error: 'false, or a list of the addresses and CIDR ranges of your proxies, is expected',
      })
      .default(false)
      .describe(
        'The proxies whose X-Forwarded-For is believed: the right-most address that is not one of them is the peer.',
      ),
    otherCommands: z
      .union([z.enum(['acknowledge', 'reject']), forward])
      .default('acknowledge')
      .describe(
        'What a callback of another command is answered. "Before" commands are refused either way, since an OK would allow the action, unless they are forwarded.',
      ),
    allowBefore: z
      .array(
        z.string().refine(isBeforeCallback, {
          error: 'a "before" command is expected, such as Group.CallbackBeforeSendMsg: others need no leave',
        }),
      )
      .min(1)
      .optional()
      .describe('"Before" commands that are answered OK unseen: the service then allows every such action.'),
    whenUnrecordable: z
      .enum(['hold', 'fail'])
      .default('hold')
      .describe(
        'When the journal cannot record: `hold` the answer past the service’s time-out of 2 s, which it may retry, or `fail` at once.',
      ),
    maxInFlight: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(2_000)
      .describe(
        'At most so many callbacks wait for their answer at once; further ones are answered 503 without delay.',
      ),
    maxConnections: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(10_000)
      .describe('At most so many connections; a new one then takes the place of the one that has been idle longest.'),
    keepAlive: duration
      .prefault('620s')
      .describe(
        'How long an idle connection is kept: longer than load balancers do, so that they end it, not the bridge.',
      ),
  })
  .refine(({ otherCommands, allowBefore }) => typeof otherCommands === 'string' || allowBefore === undefined, {
    path: ['allowBefore'],
    error: 'with otherCommands.forwardTo the handler answers "before" commands: leave one of the two out',
  });

const journal = z.strictObject({
  file: z.string().min(1).default('data/journal.db').describe('Relative to the working directory.'),
  keepDelivered: duration.prefault('7d').describe('How long delivered events stay, for replay.'),
  maxBytes: bytes.prefault('10GiB').describe('The most the journal may grow to; beyond it callbacks are not recorded.'),
});

const shutdown = duration
  .prefault('10s')
  .describe('How long deliveries may go on after SIGTERM; what is left goes on at the next start.');

const LOOPBACK = /^(127(\.\d{1,3}){3}|::1|localhost)$/;

/** Whether only this machine reaches what listens there. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}

const admin = z
  .strictObject({
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe('Where the admin server listens: any other than a loopback address needs a token.'),
    port: port.default(8081),
    token: z
      .string()
      .regex(/^([\x21-\x7e]{16,512})?$/, {
        error: 'at least 16 characters without spaces are expected, such as `openssl rand -hex 24` prints',
      })
      .transform((text) => (text === '' ? undefined : text))
      .optional()
      .describe('Asked for by everything but /healthz and /readyz; empty counts as not given.'),
  })
  .refine(({ host, token }) => isLoopback(host) || token !== undefined, {
    path: ['token'],
    error:
      'a token of at least 16 characters is needed, since admin.host is reachable by other machines: set it, or leave admin.host out to listen on 127.0.0.1 only',
  });

const batch = (maxWaitMs: number, maxEvents = 1_000) =>
  z
    .strictObject({
      maxEvents: z.int().min(1).max(100_000).default(maxEvents).describe('At most this many events in one delivery.'),
      maxWaitMs: z
        .int()
        .min(0)
        .max(60_000)
        .default(maxWaitMs)
        .describe(
          'How long to wait for a batch to fill. When deliveries take long, the lane waits longer by itself: twice as long as the one before took, at most 50 ms; where the events of a group become one write, four times as long, at most 1 s.',
        ),
    })
    .prefault({})
    .describe('How many events go together.');

/** What every connector takes beside its own options. */
export const laneOptions = z.strictObject({
  enabled: z.boolean().default(true).describe('false: it is checked, and nothing is delivered to it.'),
  filter: z
    .strictObject({
      types: z.array(z.enum(EVENT_TYPES)).min(1).optional().describe('Types of events.'),
      groupTypes: z.array(z.string()).min(1).optional().describe('Public, Private, ChatRoom, AVChatRoom, Community, …'),
      groupIds: z
        .array(z.string().min(1))
        .min(1)
        .optional()
        .describe('Group ids; * stands for any characters, ? for one.'),
      changedFields: z
        .array(z.enum([...PROFILE_FIELDS, 'customFields']))
        .min(1)
        .optional()
        .describe('Of info changes, only those of one of these fields.'),
    })
    .prefault({})
    .describe('Only these events reach the connector: each criterion that is given must hold.'),
  batch: batch(0),
  retry: z
    .strictObject({
      initialMs: z.int().min(1).max(60_000).default(200).describe('The first delay; it doubles with each attempt.'),
      maxMs: z.int().min(1).max(3_600_000).default(10_000).describe('The longest delay. There is no last attempt.'),
    })
    .refine((retry) => retry.initialMs <= retry.maxMs, { error: 'initialMs is larger than maxMs' })
    .prefault({})
    .describe('How a delivery that failed is tried again.'),
});
export type LaneOptions = z.output<typeof laneOptions>;

const [first, ...others] = connectors.map(({ kind, options, maxWaitMs = 0, maxEvents }: (typeof connectors)[number]) =>
  options.safeExtend({ ...laneOptions.shape, batch: batch(maxWaitMs, maxEvents), kind: z.literal(kind) }),
);
// biome-ignore lint/style/noNonNullAssertion: the list of connectors is not empty
const connector = z.discriminatedUnion('kind', [first!, ...others]);

const connectorName = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/, {
  error: 'a connector’s name holds letters, digits, - and _ only (at most 63)',
});

const restUrl = z.string().refine(
  (text) => {
    if (!URL.canParse(text)) return false;
    const { protocol, hostname } = new URL(text);
    return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname.replace(/^\[|\]$/g, '')));
  },
  {
    error:
      'an https:// URL is expected, such as https://console.tim.qq.com (http:// on loopback only: the signature stands in it)',
  },
);

const reconcile = z.strictObject({
  api: z.strictObject({
    baseUrl: restUrl
      .default('https://console.tim.qq.com')
      .describe('The domain of the app’s region: console.tim.qq.com, adminapisgp.im.qcloud.com, adminapiusa…, ….'),
    identifier: z.string().min(1).default('administrator').describe('An admin account of the app.'),
    secretKey: z.string().min(1).describe('The app’s key in the vendor’s console; signs each call.'),
    callsPerSecond: z
      .strictObject({
        list: z.number().positive().max(100_000).default(1).describe('For lists of groups; the service allows 1.'),
        groups: z
          .number()
          .positive()
          .max(100_000)
          .default(200)
          .describe('For 50 groups at once; the service allows 200.'),
      })
      .prefault({})
      .describe('The service’s limits hold for the whole app: lower them where others call as well.'),
  }),
  every: duration
    .refine((ms) => ms >= 60_000, { error: 'at least 1m is expected' })
    .optional()
    .describe('Time from the end of one run to the next; without it only the command runs it.'),
  groupTypes: z
    .array(z.string().min(1))
    .min(1)
    .default(['Public', 'Private', 'ChatRoom', 'Community'])
    .describe('Types of groups to list. Groups known by callbacks are read whatever their type.'),
});

const topicName = kafkaOptions.shape.topic;

const source = z
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

/** What stands for a receiver that was not given; the very same object, so that this can be told. */
const NO_RECEIVER = receiver.parse({});

/** A worker delivers what receiving bridges wrote: it has no use for what those do. */
const OF_BRIDGES = {
  receiver: 'a worker receives no callbacks: leave receiver out, or leave source out to receive them',
  reconcile:
    'a worker has no journal to mend the copies from: let a receiving bridge reconcile, whose events come here',
};

export const configSchema = z
  .strictObject({
    app,
    source: source.optional(),
    receiver: receiver.default(() => NO_RECEIVER),
    journal: journal.prefault({}),
    admin: admin.prefault({}),
    shutdownMs: shutdown,
    reconcile: reconcile.optional().describe('Reads groups by the vendor’s REST API and mends the copies.'),
    connectors: z
      .record(connectorName, connector)
      .refine((all) => Object.keys(all).length > 0, { error: 'at least one connector is expected' })
      .describe('Any number of destinations, keyed by a name of yours.'),
  })
  .superRefine(({ source, connectors, ...others }, context) => {
    if (source === undefined) return;
    const refuse = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message });
    if (others.receiver !== NO_RECEIVER) refuse(['receiver'], OF_BRIDGES.receiver);
    if (others.reconcile !== undefined) refuse(['reconcile'], OF_BRIDGES.reconcile);
    for (const [name, one] of Object.entries(connectors)) {
      const brokers = (one as { brokers?: readonly string[] }).brokers ?? [];
      if (one.kind !== 'kafka' || !brokers.some((broker) => source.brokers.includes(broker))) continue;
      if (one.topic === source.topic || one.topic === deadLetterTopic(source)) {
        refuse(['connectors', name, 'topic'], 'the worker would read what it writes: choose a topic of its own');
      }
    }
  })
  .meta({ title: 'group-sync-bridge configuration' });

export type Source = z.output<typeof source>;

export function deadLetterTopic({ topic, deadLetters }: Source): string {
  return deadLetters.topic ?? `${topic}.dead-letters`;
}

/** A connector's settings: those of every lane, plus the options of its kind (checked by that connector's own schema). */
export type ConnectorConfig = LaneOptions & { readonly kind: string } & Readonly<Record<string, unknown>>;

export type Config = Omit<z.output<typeof configSchema>, 'connectors'> & {
  readonly connectors: Readonly<Record<string, ConnectorConfig>>;
};
