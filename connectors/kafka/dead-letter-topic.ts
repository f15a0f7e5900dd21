import { BridgeError, type Fault, Unreachable } from '../../src/model/fault.ts';
import type { DeadLetters } from '../contract.ts';
import { createClient, type KafkaClient, type OutgoingRecord } from './client.ts';
import {
  collectDeadLetters,
  type DeadLetterRecord,
  nameOf,
  toDeadLetter,
  toRetry,
  toTombstone,
  withoutValue,
} from './dead-letter.ts';
import { Refused } from './fault.ts';
import { clientOptions } from './options.ts';
import { type ReadRecord, readToEnd } from './reader.ts';
import { deadLetterTopic, type KafkaSourceOptions } from './source-options.ts';

/** The dead-letter topic of a source. Every call throws Unreachable, and then the same may be asked for again. */
export interface DeadLetterTopic {
  /** Resolves once all in-sync replicas have them. One that was there already is there once. */
  publish(letters: readonly DeadLetterRecord[]): Promise<void>;
  /** Reads on to the end of the topic, from where it came to before. */
  read(take: (record: ReadRecord) => void, signal: AbortSignal): Promise<void>;
  /** Puts the records into the events topic again, for their connector only, and takes the dead letters away. */
  retry(letters: readonly DeadLetterRecord[]): Promise<void>;
  discard(letters: readonly DeadLetterRecord[]): Promise<void>;
  close(): Promise<void>;
}

/** A dead letter is larger than the record it holds. */
const MAX_BYTES = '2097152';

export function openDeadLetterTopic(source: KafkaSourceOptions, note: (message: string) => void): DeadLetterTopic {
  const never = new AbortController().signal;
  const options = { ...source, topic: deadLetterTopic(source) };
  let topicClient: KafkaClient | undefined;
  let sourceClient: KafkaClient | undefined;
  const positions = new Map<number, bigint>();

  const openTopic = async (): Promise<KafkaClient> => {
    const client = createClient(await clientOptions(options, 'source.deadLetters', never));
    if ((await client.findTopic()) !== undefined) return client;
    const { createTopic } = source.deadLetters;
    if (createTopic === false) {
      throw new Unreachable({
        code: 'destination-missing',
        message: `Kafka: the topic ${options.topic} for dead letters does not exist`,
        path: 'source.deadLetters.topic',
        suggestion: 'create it with cleanup.policy=compact, or set createTopic',
      });
    }
    const { partitions, replicationFactor } = createTopic;
    const config = { 'cleanup.policy': 'compact', 'max.message.bytes': MAX_BYTES, ...createTopic.config };
    if (await client.createTopic({ ...createTopic, config })) {
      note(`created the topic ${options.topic}: ${partitions} partitions, replication factor ${replicationFactor}`);
    }
    return client;
  };

  const close = async (): Promise<void> => {
    const open = [topicClient, sourceClient];
    topicClient = undefined;
    sourceClient = undefined;
    await Promise.all(open.map((client) => client?.close()));
  };
  /** Replaces the clients after any trouble. */
  const guarded = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (thrown) {
      await close();
      throw thrown;
    }
  };
  /** Writes one by one: together they could be larger than a batch may be. */
  const write = async (records: readonly OutgoingRecord[]): Promise<void> => {
    topicClient ??= await openTopic();
    for (const record of records) await topicClient.send([record]);
  };

  /** A record that is too large to be buried would stop its partition for ever: then its value is left out. */
  const publishAll = async (dead: readonly DeadLetterRecord[]): Promise<void> => {
    for (const letter of dead) {
      try {
        await write([toDeadLetter(letter)]);
      } catch (thrown) {
        if (!(thrown instanceof Refused)) throw thrown;
        await write([toDeadLetter(withoutValue(letter))]);
      }
    }
  };

  return {
    publish: (dead) => guarded(() => publishAll(dead)),
    async read(take, signal) {
      const client = { ...(await clientOptions(options, 'source.deadLetters', signal)), groupId: source.groupId };
      await readToEnd(client, positions, take, signal);
    },
    retry: (again) =>
      guarded(async () => {
        sourceClient ??= createClient(await clientOptions(source, 'source', never));
        for (const letter of again) {
          if (letter.leftOut !== undefined) throw new BridgeError(notKept(letter));
          // In this order: if the process ends in between, the record is tried twice, which changes nothing.
          await sourceClient.send([toRetry(letter)]);
          await write([toTombstone(letter)]);
        }
      }),
    discard: (given) => guarded(() => write(given.map(toTombstone))),
    close,
  };
}

function notKept(letter: DeadLetterRecord): Fault {
  const { topic, partition, offset } = letter.record;
  return {
    code: 'usage',
    message: `${nameOf(letter)} cannot be tried again: its value of ${letter.leftOut?.size} bytes was too large to be kept`,
    suggestion: `see ${topic}/${partition}@${offset}, and discard it`,
  };
}

/** The dead letters of one connector as people handle them: read once, at the time of the call. */
export async function readDeadLetters(
  source: KafkaSourceOptions,
  connector: string,
  signal: AbortSignal,
): Promise<DeadLetters> {
  const topic = openDeadLetterTopic(source, () => {});
  const found = collectDeadLetters();
  try {
    await topic.read(found.take, signal);
  } catch (thrown) {
    await topic.close();
    throw thrown;
  }
  const letters = new Map(found.of(connector).map((letter) => [nameOf(letter), letter]));
  const named = (names: readonly string[]) => names.flatMap((name) => letters.get(name) ?? []);
  return {
    all: Array.from(letters, ([name, { record, fault, attempts, deadAt, leftOut }]) => {
      const { topic, partition, offset, key, value, headers } = record;
      const place = { name, topic, partition, offset: String(offset) };
      return { ...place, attempts, deadAt, fault, key, value, headers, ...(leftOut !== undefined && { leftOut }) };
    }),
    retry: (names) => topic.retry(named(names)),
    discard: (names) => topic.discard(named(names)),
    close: topic.close,
  };
}
