import { createClient, type KafkaClient, type NewTopic, type OutgoingRecord } from '../../connectors/kafka/client.ts';
import { type ClusterOptions, clientOptions } from '../../connectors/kafka/connector.ts';
import { type ReadRecord, readToEnd } from '../../connectors/kafka/consumer.ts';
import { Unreachable } from '../model/fault.ts';
import { type Letter, toRecord, toRetry, toTombstone } from './dead-letter.ts';

export interface LetterBoxOptions extends ClusterOptions {
  readonly groupId: string;
  readonly deadLetters: {
    readonly topic: string;
    readonly createTopic: false | (Omit<NewTopic, 'config'> & { readonly config: Readonly<Record<string, string>> });
  };
}

/** The dead-letter topic of a source. Everything throws Unreachable, and then what was asked for may be asked for again. */
export interface LetterBox {
  /** Resolves once all in-sync replicas have them. A letter that was there already is there once. */
  bury(letters: readonly Letter[]): Promise<void>;
  /** Reads on to the end of the topic, from where it came to before. */
  read(take: (record: ReadRecord) => void, signal: AbortSignal): Promise<void>;
  /** Puts the records into the events topic again, for their connector only, and takes the letters away. */
  retry(letters: readonly Letter[]): Promise<void>;
  discard(letters: readonly Letter[]): Promise<void>;
  close(): Promise<void>;
}

/** A letter is larger than the record it holds. */
const LETTER_BYTES = '2097152';

export function openLetterBox(source: LetterBoxOptions, note: (message: string) => void): LetterBox {
  const never = new AbortController().signal;
  const box = { ...source, topic: source.deadLetters.topic };
  let boxClient: KafkaClient | undefined;
  let sourceClient: KafkaClient | undefined;
  const positions = new Map<number, bigint>();

  const openBox = async (): Promise<KafkaClient> => {
    const client = createClient(await clientOptions(box, 'source.deadLetters', never));
    if ((await client.findTopic()) !== undefined) return client;
    const { createTopic } = source.deadLetters;
    if (createTopic === false) {
      throw new Unreachable({
        code: 'destination-missing',
        message: `Kafka: the topic ${box.topic} for dead letters does not exist`,
        path: 'source.deadLetters.topic',
        suggestion: 'create it with cleanup.policy=compact, or set createTopic',
      });
    }
    const { partitions, replicationFactor } = createTopic;
    const config = { 'cleanup.policy': 'compact', 'max.message.bytes': LETTER_BYTES, ...createTopic.config };
    if (await client.createTopic({ ...createTopic, config })) {
      note(`created the topic ${box.topic}: ${partitions} partitions, replication factor ${replicationFactor}`);
    }
    return client;
  };

  const close = async (): Promise<void> => {
    const open = [boxClient, sourceClient];
    boxClient = undefined;
    sourceClient = undefined;
    await Promise.all(open.map((client) => client?.close()));
  };
  /** After any trouble new clients. */
  const guarded = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (thrown) {
      await close();
      throw thrown;
    }
  };
  /** One by one: together they could be larger than a batch may be. */
  const write = async (records: readonly OutgoingRecord[]): Promise<void> => {
    boxClient ??= await openBox();
    for (const record of records) await boxClient.send([record]);
  };

  return {
    bury: (dead) => guarded(() => write(dead.map(toRecord))),
    async read(take, signal) {
      const options = { ...(await clientOptions(box, 'source.deadLetters', signal)), groupId: source.groupId };
      await readToEnd(options, positions, take, signal);
    },
    retry: (again) =>
      guarded(async () => {
        sourceClient ??= createClient(await clientOptions(source, 'source', never));
        for (const letter of again) {
          // In this order: ended in between, it is tried twice, which changes nothing.
          await sourceClient.send([toRetry(letter)]);
          await write([toTombstone(letter)]);
        }
      }),
    discard: (given) => guarded(() => write(given.map(toTombstone))),
    close,
  };
}
