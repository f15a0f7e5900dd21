/** How records go to their brokers: as few requests as can be, and what each partition answered. */
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
  /** Where the name of the topic is a template. */
  readonly topic?: string;
}

/** Records of a partition that were not taken, and why. */
interface Trouble {
  readonly items: readonly Item[];
  readonly why: unknown;
}

/**
 * Each broker has one request at a time, with records of all partitions that it leads, and answers for each partition: trouble
 * of one repeats no record of another. Throws the trouble where nothing was settled.
 */
export async function sendByLeader(client: KafkaClient, items: readonly Item[], maxBytes: number) {
  const outcomes = new Map<string, Outcome>();
  const byLeader = [...Map.groupBy(items, ({ message }) => client.leaderFor(message.key)).values()];
  const troubles = (await Promise.all(byLeader.map((its) => sendToOne(client, its, maxBytes, outcomes)))).flat();
  const [first] = troubles;
  if (first === undefined) return { outcomes, troubled: false };
  if (outcomes.size === 0 || !troubles.every(({ why }) => why instanceof Unreachable)) throw first.why;
  for (const { items, why } of troubles) {
    for (const { id } of items) outcomes.set(id, { kind: 'retry', fault: (why as Unreachable).fault });
  }
  return { outcomes, troubled: true };
}

/** Sends all of one broker's. What is in trouble is not overtaken by later records of its partition. */
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

/** Sends these in one request, and returns what became of each: of all the same where that was said of the request as a whole. */
async function answersTo(client: KafkaClient, items: readonly Item[]): Promise<ReadonlyMap<Item, Sent>> {
  const sent: Sent[] = await client
    .sendEach(items.map(({ message }) => message))
    .catch((thrown) => items.map(() => thrown));
  return new Map(items.map((item, index) => [item, sent[index] as Sent]));
}

/** Settles records of one partition; when it refused them, by halves, down to the one that is refused. Throws its trouble. */
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
