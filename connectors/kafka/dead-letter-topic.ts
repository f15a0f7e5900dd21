import { BridgeError, type Fault } from '../../src/model/fault.ts';
import type { DeadLetters } from '../contract.ts';
import type { OutgoingRecord } from './client.ts';
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
import { clientOptions, deadLetterTopic, type KafkaSourceOptions } from './options.ts';
import { type ReadRecord, readToEnd } from './reader.ts';
import { openTopic } from './topic.ts';

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
  const path = 'source.deadLetters';
  const options = { ...source, topic: deadLetterTopic(source) };
  const { createTopic } = source.deadLetters;
  const config = createTopic && { ...createTopic, config: { 'max.message.bytes': MAX_BYTES, ...createTopic.config } };
  const topic = openTopic({ options, path, createTopic: config, compacted: true, note });
  const events = openTopic({ options: source, path: 'source', createTopic: false, compacted: false, note });
  const positions = new Map<number, bigint>();
  const write = (record: OutgoingRecord) => topic.use(never, (client) => client.send([record]));
  return {
    async publish(dead) {
      // One by one: together they could be larger than a batch may be.
      for (const letter of dead) {
        try {
          await write(toDeadLetter(letter));
        } catch (thrown) {
          if (!(thrown instanceof Refused)) throw thrown;
          // A record that is too large to be buried would stop its partition for ever.
          await write(toDeadLetter(withoutValue(letter)));
        }
      }
    },
    async read(take, signal) {
      const client = { ...(await clientOptions(options, path, signal)), groupId: source.groupId };
      await readToEnd(client, positions, take, signal);
    },
    async retry(again) {
      for (const letter of again) {
        if (letter.leftOut !== undefined) throw new BridgeError(notKept(letter));
        // In this order: if the process ends in between, the record is tried twice, which changes nothing.
        await events.use(never, (client) => client.send([toRetry(letter)]));
        await write(toTombstone(letter));
      }
    },
    async discard(given) {
      for (const letter of given) await write(toTombstone(letter));
    },
    async close() {
      await Promise.all([topic.drop(), events.drop()]);
    },
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
