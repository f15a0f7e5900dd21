import { z } from 'zod';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { Unreachable } from '../../src/model/fault.ts';
import { type Group, merge, newGroup } from '../../src/model/group.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import type { Connector, Finding, Host, Sink } from '../contract.ts';
import { secureOptions, tlsOptions } from '../tls.ts';
import { type ClientOptions, createClient, type KafkaClient } from './client.ts';
import { examineTopic } from './examine.ts';
import { endpointOf, Refused } from './fault.ts';
import { FORMATS, type Format, type KafkaMessage, sizeOf, toGroupMessage, toMessage } from './message.ts';

const broker = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^\s:,/]+):\d{1,5}$/, {
  error: 'a broker is expected as host:port, such as 127.0.0.1:9092',
});

/** Exported for those who read topics: a part of it is how a cluster is reached. */
export const options = z.strictObject({
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

export type KafkaOptions = z.output<typeof options>;

export const kafka: Connector<KafkaOptions> = {
  kind: 'kafka',
  summary: 'Writes events, as CloudEvents, or the merged groups to a Kafka topic, keyed by group id.',
  options,
  open,
  examine,
};

/** One record and the events that it settles: of `groups`, all of the batch's events of one group. */
interface Item {
  readonly ids: readonly string[];
  readonly message: KafkaMessage;
  readonly bytes: number;
}

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

async function newClient(options: KafkaOptions, path: string, signal: AbortSignal): Promise<KafkaClient> {
  return createClient(await clientOptions(options, path, signal));
}

async function* examine(options: KafkaOptions, host: Host, signal: AbortSignal): AsyncGenerator<Finding> {
  const path = `connectors.${host.name}`;
  const client = await newClient(options, path, signal);
  try {
    yield* examineTopic(client, { ...options, path, user: options.sasl?.username });
  } finally {
    await client.close();
  }
}

async function open(options: KafkaOptions, host: Host, signal: AbortSignal): Promise<Sink> {
  const path = `connectors.${host.name}`;
  // A kafkajs client that has seen trouble may be beyond help (stale metadata, a dead producer): after any, a new one.
  let client: KafkaClient | undefined;

  const missing = () =>
    new Unreachable({
      code: 'destination-missing',
      message: `Kafka: the topic ${options.topic} does not exist`,
      path: `${path}.topic`,
      suggestion: 'create it, or set createTopic',
    });

  const connect = async (signal: AbortSignal): Promise<KafkaClient> => {
    const fresh = await newClient(options, path, signal);
    client = fresh;
    if ((await fresh.findTopic()) === undefined) {
      if (options.createTopic === false) throw missing();
      const { partitions, replicationFactor, config } = options.createTopic;
      const policy = options.content === 'groups' ? { 'cleanup.policy': 'compact' } : {};
      if (await fresh.createTopic({ partitions, replicationFactor, config: { ...policy, ...config } })) {
        host.note(
          `created the topic ${options.topic}: ${partitions} partitions, replication factor ${replicationFactor}`,
        );
      }
    }
    return fresh;
  };

  const drop = async () => {
    const dropped = client;
    client = undefined;
    await dropped?.close();
  };

  /** kafkajs knows no signals: when one aborts, the client is closed under the call. */
  const guarded = async <T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    let onAbort: () => void = () => {};
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      return await Promise.race([work(), aborted]);
    } catch (thrown) {
      await drop();
      throw thrown;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  };

  await guarded(signal, () => connect(signal));

  /** One request; when the broker refuses it, its halves, down to the one record that is refused. */
  const send = async (items: readonly Item[], outcomes: Map<string, Outcome>, signal: AbortSignal): Promise<void> => {
    const producer = client ?? (await connect(signal));
    try {
      const receipts = await producer.send(items.map((item) => item.message));
      items.forEach(({ ids }, index) => {
        for (const id of ids) outcomes.set(id, { kind: 'delivered', receipt: receipts[index] ?? options.topic });
      });
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown;
      const [only, ...others] = items;
      if (only !== undefined && others.length === 0) {
        for (const id of only.ids) outcomes.set(id, { kind: 'dead', fault: thrown.fault });
        return;
      }
      const middle = items.length >> 1;
      await send(items.slice(0, middle), outcomes, signal);
      await send(items.slice(middle), outcomes, signal);
    }
  };

  const sendAll = (items: readonly Item[], signal: AbortSignal): Promise<Map<string, Outcome>> =>
    guarded(signal, async () => {
      const outcomes = new Map<string, Outcome>();
      for (const request of requests(items, options.maxBatchBytes)) await send(request, outcomes, signal);
      return outcomes;
    });

  return {
    merged: options.content === 'groups',
    deliver: (batch, signal) =>
      sendAll(options.content === 'groups' ? groupItems(batch, host) : eventItems(batch, options.format), signal),
    ...(options.content === 'groups' && {
      restore: (groups: readonly Group[], signal: AbortSignal) => sendAll(groups.map(stateItem), signal),
    }),
    check: (signal) =>
      guarded(signal, async () => {
        const probe = await newClient(options, path, signal);
        try {
          if ((await probe.findTopic()) === undefined && options.createTopic === false) throw missing();
        } finally {
          await probe.close();
        }
      }),
    close: drop,
  };
}

function eventItems(batch: readonly CanonicalEvent[], format: Format): Item[] {
  return batch.map((event) => {
    const message = toMessage(event, format);
    return { ids: [event.id], message, bytes: sizeOf(message) };
  });
}

/**
 * Invariant 3: the journal's own merged state, which is at least as new as the events of the batch, so that the last
 * record of a key is right whatever the order in which its events came.
 */
function groupItems(batch: readonly CanonicalEvent[], host: Host): Item[] {
  return Array.from(
    Map.groupBy(batch, (event) => event.subject),
    ([groupId, events]) => ({
      ...stateItem(host.group(groupId) ?? events.reduce(merge, newGroup(groupId))),
      ids: events.map(({ id }) => id),
    }),
  );
}

function stateItem(group: Group): Item {
  const message = toGroupMessage(group);
  return { ids: [group.groupId], message, bytes: sizeOf(message) };
}

/** In order, each within `maxBytes` unless a single item is larger. */
function* requests(items: readonly Item[], maxBytes: number): Generator<Item[]> {
  let request: Item[] = [];
  let bytes = 0;
  for (const item of items) {
    if (request.length > 0 && bytes + item.bytes > maxBytes) {
      yield request;
      request = [];
      bytes = 0;
    }
    request.push(item);
    bytes += item.bytes;
  }
  if (request.length > 0) yield request;
}
