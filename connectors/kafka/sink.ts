import type { Entry } from '../../src/model/entry.ts';
import { Unreachable } from '../../src/model/fault.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import type { Host, Outcomes, Sink } from '../contract.ts';
import { createClient, type KafkaClient } from './client.ts';
import { Refused } from './fault.ts';
import { followGroups } from './follow.ts';
import { type KafkaMessage, sizeOf, toGroupMessage, toMessage } from './message.ts';
import { clientOptions, type KafkaOptions } from './options.ts';

/** One record, and the id by which it is settled. */
interface Item {
  readonly id: string;
  readonly message: KafkaMessage;
}

export async function openSink(options: KafkaOptions, host: Host, signal: AbortSignal): Promise<Sink> {
  const topic = createTopicClient(options, host);
  await topic.guarded(signal, topic.client);

  const sendAll = (items: readonly Item[], signal: AbortSignal): Promise<Outcomes> =>
    topic.guarded(signal, async () => {
      const client = await topic.client();
      const outcomes = new Map<string, Outcome>();
      // A request is answered partition by partition, but kafkajs tells one answer only: each partition gets its own, so that
      // trouble of one repeats no record of another.
      const byPartition = [...Map.groupBy(items, ({ message }) => client.partitionFor(message.key)).values()];
      const settled = await Promise.allSettled(
        byPartition.map(async (items) => {
          for (const request of requests(items, options.maxBatchBytes)) await send(client, request, outcomes);
        }),
      );
      const troubles = settled.map((one) => (one.status === 'rejected' ? (one.reason as unknown) : undefined));
      const trouble = troubles.find((one) => one !== undefined);
      if (trouble === undefined) return outcomes;
      if (outcomes.size === 0 || !troubles.every((one) => one === undefined || one instanceof Unreachable))
        throw trouble;
      byPartition.forEach((items, index) => {
        const { fault } = (troubles[index] ?? trouble) as Unreachable;
        for (const { id } of items) if (!outcomes.has(id)) outcomes.set(id, { kind: 'retry', fault });
      });
      await topic.drop();
      return outcomes;
    });

  if (options.content === 'events') {
    const toItem = (entry: Entry): Item => ({ id: entry.id, message: toMessage(entry, options.format) });
    return { holds: 'events', deliver: (batch, signal) => sendAll(batch.map(toItem), signal), close: topic.drop };
  }
  return {
    holds: 'groups',
    // Invariant 3: whole states, so that the last record of a key is right whatever the order in which its events came.
    async put(states, how, signal) {
      if (how !== 'join') throw new TypeError('a topic is not read back, so nothing can be compared with it');
      const items = states.map((state) => ({ id: state.groupId, message: toGroupMessage(state) }));
      return sendAll(items, signal);
    },
    follow: followGroups(options, `connectors.${host.name}`, host.readerId ?? options.clientId),
    close: topic.drop,
  };
}

/** Sends one request; when the broker refuses it, its halves, down to the one record that is refused. */
async function send(client: KafkaClient, items: readonly Item[], outcomes: Map<string, Outcome>): Promise<void> {
  try {
    const receipts = await client.send(items.map(({ message }) => message));
    items.forEach(({ id }, index) => {
      outcomes.set(id, { kind: 'delivered', receipt: receipts[index] ?? '' });
    });
  } catch (thrown) {
    if (!(thrown instanceof Refused)) throw thrown;
    const [only, ...others] = items;
    if (only !== undefined && others.length === 0) {
      outcomes.set(only.id, { kind: 'dead', fault: thrown.fault });
      return;
    }
    const middle = items.length >> 1;
    await send(client, items.slice(0, middle), outcomes);
    await send(client, items.slice(middle), outcomes);
  }
}

/** A client for the topic, which is made when it is missing. One that has seen trouble is replaced. */
function createTopicClient(options: KafkaOptions, host: Host) {
  const path = `connectors.${host.name}`;
  const never = new AbortController().signal;
  // A kafkajs client that has seen trouble may be beyond help (stale metadata, a dead producer): after any, a new one.
  let client: KafkaClient | undefined;

  const connect = async (): Promise<KafkaClient> => {
    const fresh = createClient(await clientOptions(options, path, never));
    client = fresh;
    if ((await fresh.findTopic()) !== undefined) return fresh;
    if (options.createTopic === false) throw missingTopic(options.topic, path);
    const { partitions, replicationFactor, config } = options.createTopic;
    const policy = options.content === 'groups' ? { 'cleanup.policy': 'compact' } : {};
    if (await fresh.createTopic({ partitions, replicationFactor, config: { ...policy, ...config } })) {
      host.note(
        `created the topic ${options.topic}: ${partitions} partitions, replication factor ${replicationFactor}`,
      );
    }
    return fresh;
  };
  const drop = async (): Promise<void> => {
    const dropped = client;
    client = undefined;
    await dropped?.close();
  };
  return {
    client: async () => client ?? (await connect()),
    /** kafkajs knows no signals: when one aborts, the client is closed under the call. */
    async guarded<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
      signal.throwIfAborted();
      const aborted = Promise.withResolvers<never>();
      const onAbort = (): void => aborted.reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        return await Promise.race([work(), aborted.promise]);
      } catch (thrown) {
        await drop();
        throw thrown;
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },
    drop,
  };
}

function missingTopic(topic: string, path: string): Unreachable {
  return new Unreachable({
    code: 'destination-missing',
    message: `Kafka: the topic ${topic} does not exist`,
    path: `${path}.topic`,
    suggestion: 'create it, or set createTopic',
  });
}

/** In order, each within `maxBytes` unless a single item is larger. */
function* requests(items: readonly Item[], maxBytes: number): Generator<Item[]> {
  let request: Item[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = sizeOf(item.message);
    if (request.length > 0 && bytes + size > maxBytes) {
      yield request;
      request = [];
      bytes = 0;
    }
    request.push(item);
    bytes += size;
  }
  if (request.length > 0) yield request;
}
