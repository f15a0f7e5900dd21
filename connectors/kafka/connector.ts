import { Unreachable } from '../../src/model/fault.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import type { Connector, Host, Identify, Outcomes, Sink } from '../contract.ts';
import type { KafkaClient } from './client.ts';
import { examine } from './examine.ts';
import { Refused } from './fault.ts';
import { followGroups, refuseForeign } from './groups.ts';
import { watchEnds } from './identity.ts';
import { type KafkaMessage, sizeOf, toGroupMessage, toMessage } from './message.ts';
import { clientOptions, type KafkaOptions, kafkaOptions } from './options.ts';
import { extentsOf } from './reader.ts';
import { openTopic } from './topic.ts';

export const kafka: Connector<KafkaOptions> = {
  kind: 'kafka',
  summary: 'Writes events, as CloudEvents, or the merged groups to a Kafka topic, keyed by group id.',
  options: kafkaOptions,
  readsBack: false,
  shapes: ['key'],
  holds: ({ content }) => content,
  places: ({ brokers, topic, content, format }) =>
    brokers.map((broker) => ({
      name: `topic ${topic} at ${broker.toLowerCase()}`,
      option: 'topic',
      use: content === 'events' ? `events, ${format}` : content,
    })),
  open: openSink,
  examine,
};

/** One record, and the id by which it is settled. */
interface Item {
  readonly id: string;
  readonly message: KafkaMessage;
}

async function openSink(options: KafkaOptions, host: Host, signal: AbortSignal): Promise<Sink> {
  const { content, createTopic, format, maxBatchBytes } = options;
  const path = `connectors.${host.name}`;
  const topic = openTopic({ options, path, createTopic, compacted: content === 'groups', created: host.created });
  await topic.use(signal, async () => {});
  if (content === 'groups') await refuseForeign(options, host, signal);
  const ends = watchEnds(options.topic);
  const sendAll = (items: readonly Item[], signal: AbortSignal): Promise<Outcomes> =>
    topic.use(signal, async (client) => {
      const { outcomes, troubled } = await sendByPartition(client, items, maxBatchBytes);
      if (troubled) await topic.drop();
      for (const outcome of outcomes.values()) if (outcome.kind === 'delivered') ends.written(outcome.receipt);
      return outcomes;
    });
  const identify: Identify = async (before, signal) => {
    const clients = await clientOptions(options, path, signal);
    const found = await ends.compare(before, () => extentsOf(clients), signal);
    // The next use creates a topic that is gone.
    if (found !== undefined) return found;
    await topic.drop();
    await topic.use(signal, async () => {});
    return (await ends.compare(before, () => extentsOf(clients), signal)) ?? { identity: before ?? '' };
  };
  if (content === 'events') {
    return {
      holds: 'events',
      deliver: (batch, signal) =>
        sendAll(
          batch.map((entry) => ({ id: entry.id, message: toMessage(entry, format, host.shape) })),
          signal,
        ),
      identify,
      close: topic.drop,
    };
  }
  return {
    holds: 'groups',
    // Invariant 3: whole states, so that the last record of a key is right whatever the order in which its events came.
    async put(states, how, signal) {
      if (how !== 'join') throw new TypeError('a topic is not read back, so nothing can be compared with it');
      const items = states.map((state) => ({ id: state.groupId, message: toGroupMessage(state, host.shape) }));
      return sendAll(items, signal);
    },
    follow: followGroups(options, host),
    // From the beginning at each call.
    scan: (take, signal) => followGroups(options, host)(take, signal),
    identify,
    close: topic.drop,
  };
}

/**
 * A request is answered partition by partition, but kafkajs tells one answer only: each partition gets its own, so that
 * trouble of one repeats no record of another. Throws the trouble where nothing was settled.
 */
async function sendByPartition(client: KafkaClient, items: readonly Item[], maxBytes: number) {
  const outcomes = new Map<string, Outcome>();
  const byPartition = [...Map.groupBy(items, ({ message }) => client.partitionFor(message.key)).values()];
  const settled = await Promise.allSettled(
    byPartition.map(async (items) => {
      for (const request of requests(items, maxBytes)) await send(client, request, outcomes);
    }),
  );
  const troubles = settled.map((one) => (one.status === 'rejected' ? (one.reason as unknown) : undefined));
  const trouble = troubles.find((one) => one !== undefined);
  if (trouble === undefined) return { outcomes, troubled: false };
  if (outcomes.size === 0 || !troubles.every((one) => one === undefined || one instanceof Unreachable)) throw trouble;
  byPartition.forEach((items, index) => {
    const { fault } = (troubles[index] ?? trouble) as Unreachable;
    for (const { id } of items) if (!outcomes.has(id)) outcomes.set(id, { kind: 'retry', fault });
  });
  return { outcomes, troubled: true };
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
