/** Sends records to their brokers, in as few requests as possible, and sorts out the answers by partition. */
import { Unreachable } from '../../src/model/fault.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { portions } from '../portions.ts';
import type { KafkaClient, Sent } from './client.ts';
import { Refused } from './fault.ts';
import { type KafkaMessage, sizeOf } from './message.ts';

/** One record, and the id by which it is settled. */
export interface Item {
  readonly id: string;
  readonly message: KafkaMessage;
  /** Set if the topic's name is a template. */
  readonly topic?: string;
}

/** Records of a partition that were not accepted, and why. */
interface Trouble {
  readonly items: readonly Item[];
  readonly why: unknown;
}

/**
 * Each broker gets one request at a time, with records of all partitions that it leads, and answers for each partition:
 * trouble with one repeats no record of another. Throws the trouble if nothing was settled, unless the topic's other
 * partitions have leaders and these do not.
 */
export async function sendByLeader(client: KafkaClient, items: readonly Item[], maxBytes: number) {
  const outcomes = new Map<string, Outcome>();
  const byLeader = [...Map.groupBy(items, ({ message }) => client.leaderFor(message.key)).values()];
  const troubles = (await Promise.all(byLeader.map((its) => sendToOne(client, its, maxBytes, outcomes)))).flat();
  const [first] = troubles;
  if (first === undefined) return { outcomes, troubled: false };
  const isPassing = (why: unknown) =>
    why instanceof Unreachable && (outcomes.size > 0 || why.fault.code === 'event-unsettled');
  if (!troubles.every(({ why }) => isPassing(why))) throw first.why;
  for (const { items, why } of troubles) {
    for (const { id } of items) outcomes.set(id, { kind: 'retry', fault: (why as Unreachable).fault });
  }
  return { outcomes, troubled: true };
}

/** Sends one broker's records. Later records of a partition do not overtake one in trouble. */
async function sendToOne(
  client: KafkaClient,
  items: readonly Item[],
  maxBytes: number,
  outcomes: Map<string, Outcome>,
): Promise<Trouble[]> {
  const partitionOf = ({ message }: Item) => client.partitionFor(message.key);
  const troubles = new Map<number | undefined, unknown>();
  for (const request of portions(items, ({ message }) => sizeOf(message), maxBytes)) {
    const open = request.filter((item) => !troubles.has(partitionOf(item)));
    if (open.length === 0) continue;
    const answers = await answersTo(client, open);
    for (const [partition, its] of Map.groupBy(open, partitionOf)) {
      await settle(client, its, answers, outcomes).catch((thrown) => void troubles.set(partition, thrown));
    }
  }
  const left = items.filter(({ id }) => !outcomes.has(id));
  return [...Map.groupBy(left, partitionOf)].map(([partition, its]) => ({ items: its, why: troubles.get(partition) }));
}

/** Sends these in one request; returns each record's result, the same for all if the whole request failed. */
async function answersTo(client: KafkaClient, items: readonly Item[]): Promise<ReadonlyMap<Item, Sent>> {
  const sent: Sent[] = await client
    .sendEach(items.map(({ message }) => message))
    .catch((thrown) => items.map(() => thrown));
  return new Map(items.map((item, index) => [item, sent[index] as Sent]));
}

/** Settles a partition's records; if it refused them, in halves, down to the culprit. Throws its trouble. */
async function settle(
  client: KafkaClient,
  items: readonly Item[],
  answers: ReadonlyMap<Item, Sent>,
  outcomes: Map<string, Outcome>,
): Promise<void> {
  const trouble = items.map((item) => answers.get(item)).find((answer) => typeof answer !== 'string');
  if (trouble === undefined) {
    for (const item of items) outcomes.set(item.id, { kind: 'delivered', receipt: answers.get(item) as string });
    return;
  }
  if (!(trouble instanceof Refused)) throw trouble;
  const [only, ...others] = items;
  if (only !== undefined && others.length === 0) {
    outcomes.set(only.id, { kind: 'dead', fault: trouble.fault });
    return;
  }
  const middle = items.length >> 1;
  for (const half of [items.slice(0, middle), items.slice(middle)]) {
    await settle(client, half, await answersTo(client, half), outcomes);
  }
}
