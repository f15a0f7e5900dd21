/**
 * A worker's dead letter as a record: the original from the events topic, with our headers added. In the dead-letter
 * topic, which is compacted, each has a key of its own and stays until a tombstone removes it.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { BridgeError, type Fault } from '../../src/model/fault.ts';
import { jsonIn } from '../../src/model/json.ts';
import type { DeadLetterCount, DeadLetters } from '../contract.ts';
import type { OutgoingRecord } from './client.ts';
import { Refused } from './fault.ts';
import { clientOptions, deadLetterTopic, groupOf, type KafkaSourceOptions } from './options.ts';
import { type ReadRecord, readToEnd } from './reader.ts';
import { openTopic } from './topic.ts';

/** A record that one connector's destination refused for good, or that is no event. */
export interface DeadLetterRecord {
  readonly connector: string;
  /** As it was in the events topic, at its topic, partition and offset. */
  readonly record: ReadRecord;
  readonly fault: Fault;
  readonly attempts: number;
  /** Milliseconds since 1970. */
  readonly deadAt: number;
  /** Size and SHA-256 (hex) of a value too large to be kept, or of a batch that could not be unpacked. */
  readonly leftOut?: { readonly size: number; readonly sha256: string };
}

/** One that is in the dead-letter topic, with its key there, whoever wrote it. */
interface StandingLetter extends DeadLetterRecord {
  readonly key: Buffer;
}

/** Marks a record that is retried for one connector only: the others skip it. */
export const RETRY_HEADER = 'retry_for';

const PREFIX = 'dead_letter_';
const MAX_KEY_BYTES = 1_024;

/** Returns the name that people use, `3@1042` (partition and offset), with its topic if that is not the present one. */
function nameOf({ record }: DeadLetterRecord, events: string): string {
  const place = `${record.partition}@${record.offset}`;
  return record.topic === events ? place : `${record.topic}/${place}`;
}

function keyOf({ connector, record }: DeadLetterRecord): string {
  return `${connector}/${record.topic}/${record.partition}@${record.offset}`;
}

function toDeadLetter(letter: DeadLetterRecord): OutgoingRecord {
  const { connector, record, fault, attempts, deadAt } = letter;
  const about = {
    connector,
    topic: record.topic,
    partition: String(record.partition),
    offset: String(record.offset),
    at: new Date(deadAt).toISOString(),
    attempts: String(attempts),
    fault: JSON.stringify(fault),
    ...(record.key !== null && { key: record.key }),
    // Without a value it would be a tombstone.
    ...(record.value === null && { value: 'null' }),
    ...(letter.leftOut && { left_out: JSON.stringify(letter.leftOut) }),
  };
  const headers = Object.entries(about).map(([name, value]) => [PREFIX + name, value] as const);
  return {
    key: keyOf(letter),
    value: record.value ?? Buffer.alloc(0),
    headers: { ...record.headers, ...Object.fromEntries(headers) },
  };
}

/** Returns the dead letter without its value, and whatever else may be too large. */
function withoutValue(letter: DeadLetterRecord): DeadLetterRecord {
  const { record } = letter;
  const value = record.value ?? Buffer.alloc(0);
  const leftOut = { size: value.length, sha256: createHash('sha256').update(value).digest('hex') };
  const key = record.key !== null && record.key.length > MAX_KEY_BYTES ? null : record.key;
  return { ...letter, record: { ...record, key, value: null, headers: {} }, leftOut };
}

function toTombstone({ key }: StandingLetter): OutgoingRecord {
  return { key, value: null, headers: {} };
}

/**
 * Returns the original record, for this connector only; in its own partition, hence after whatever its group has had
 * since. A record from another topic has no partition here.
 */
function toRetry({ connector, record }: DeadLetterRecord, events: string): OutgoingRecord {
  const { key, value, partition, headers } = record;
  const its = record.topic === events && { partition };
  return { key, value, ...its, headers: { ...headers, [RETRY_HEADER]: connector } };
}

const json = z.string().transform(jsonIn);

/** Our headers, without their prefix; `key` and `value` are bytes. */
const about = z.object({
  connector: z.string(),
  topic: z.string(),
  partition: z.coerce
    .number()
    .int()
    .nonnegative()
    .max(2 ** 31 - 1),
  offset: z.string().regex(/^\d{1,19}$/),
  at: z.iso.datetime(),
  attempts: z.coerce.number().int().nonnegative(),
  left_out: json.pipe(z.object({ size: z.int(), sha256: z.string() })).optional(),
  fault: json.pipe(
    z.object({
      code: z.string(),
      message: z.string(),
      path: z.string().optional(),
      suggestion: z.string().optional(),
    }),
  ),
});

/** Parses a dead letter; undefined for a tombstone, or for a foreign record. */
function fromRecord({ key, value, headers, timestamp }: ReadRecord): StandingLetter | undefined {
  if (key === null || value === null) return undefined;
  const of = (name: string): Buffer | undefined => [headers[PREFIX + name] ?? []].flat()[0];
  const texts = Object.keys(about.shape).map((name) => [name, of(name)?.toString()]);
  const read = about.safeParse(Object.fromEntries(texts));
  if (!read.success) return undefined;
  const { connector, topic, partition, offset, at, attempts, fault, left_out: leftOut } = read.data;
  const own = Object.entries(headers).filter(([name]) => !name.startsWith(PREFIX));
  const record: ReadRecord = {
    topic,
    partition,
    offset: BigInt(offset),
    timestamp,
    key: of('key') ?? null,
    value: of('value') === undefined ? value : null,
    headers: Object.fromEntries(own),
  };
  const letter = { key, connector, record, fault: fault as Fault, attempts, deadAt: Date.parse(at) };
  return { ...letter, ...(leftOut !== undefined && { leftOut }) };
}

function byPlace({ record: one }: DeadLetterRecord, { record: other }: DeadLetterRecord): number {
  return one.partition - other.partition || Number(one.offset - other.offset);
}

/** A dead letter is larger than the record it holds. */
const MAX_BYTES = '2097152';

/** Returns the dead-letter topic, and how it is created. */
export function deadLetterSettings(source: KafkaSourceOptions) {
  const { createTopic } = source.deadLetters;
  return {
    options: { ...source, topic: deadLetterTopic(source), groupId: groupOf(source) },
    path: 'source.deadLetters',
    createTopic: createTopic && { ...createTopic, config: { 'max.message.bytes': MAX_BYTES, ...createTopic.config } },
    compacted: true,
  };
}

/** The dead-letter topic of a source. Every call throws Unreachable, and may then be repeated. */
export function openDeadLetterTopic(source: KafkaSourceOptions, note: (message: string) => void) {
  const never = new AbortController().signal;
  const settings = deadLetterSettings(source);
  const topic = openTopic({ ...settings, created: note });
  const events = openTopic({
    options: { ...source, groupId: undefined },
    path: 'source',
    createTopic: false,
    compacted: false,
    created: note,
  });
  const positions = new Map<number, bigint>();
  const write = (record: OutgoingRecord) => topic.use(never, (client) => client.send([record]));
  return {
    /** Resolves once all in-sync replicas have them. Publishing one again does not duplicate it. */
    async publish(dead: readonly DeadLetterRecord[]): Promise<void> {
      // One by one: together they could exceed the size of a batch.
      for (const letter of dead) {
        try {
          await write(toDeadLetter(letter));
        } catch (thrown) {
          if (!(thrown instanceof Refused)) throw thrown;
          // A record too large to become a dead letter would block its partition for ever.
          await write(toDeadLetter(withoutValue(letter)));
        }
      }
    },
    /** Reads from the previous position to the end of the topic; a recreated topic from its beginning. */
    async read({ take, forget }: ReturnType<typeof foldLetters>, signal: AbortSignal): Promise<void> {
      const { options, path } = settings;
      const client = { ...(await clientOptions(options, path, signal)), groupId: options.groupId };
      await readToEnd(client, positions, take, signal, forget);
    },
    /** Writes the records to the events topic again, for their connector only, and removes the dead letters. */
    async retry(again: readonly StandingLetter[]): Promise<void> {
      const kept = again.find(({ leftOut }) => leftOut !== undefined);
      if (kept !== undefined) throw new BridgeError(notKept(kept, source.topic));
      for (const letter of again) {
        // In this order: if the process ends in between, the record is retried twice, which changes nothing.
        await events.use(never, (client) => client.send([toRetry(letter, source.topic)]));
        await write(toTombstone(letter));
      }
    },
    async discard(given: readonly StandingLetter[]): Promise<void> {
      for (const letter of given) await write(toTombstone(letter));
    },
    async close(): Promise<void> {
      await Promise.all([topic.drop(), events.drop()]);
    },
  };
}

function notKept(letter: DeadLetterRecord, events: string): Fault {
  const { topic, partition, offset } = letter.record;
  return {
    code: 'usage',
    message: `${nameOf(letter, events)} cannot be tried again: its value of ${letter.leftOut?.size} bytes was not kept`,
    suggestion: `see ${topic}/${partition}@${offset}, and discard it`,
  };
}

/** The dead letters of one connector, read once, at the time of the call. */
export async function readDeadLetters(
  source: KafkaSourceOptions,
  connector: string,
  signal: AbortSignal,
): Promise<DeadLetters> {
  const topic = openDeadLetterTopic(source, () => {});
  const standing = foldLetters((letter) => letter);
  try {
    await topic.read(standing, signal);
  } catch (thrown) {
    await topic.close();
    throw thrown;
  }
  const own = standing
    .all()
    .filter((letter) => letter.connector === connector)
    .sort(byPlace);
  const named = (names: readonly string[]) => own.filter((letter) => names.includes(nameOf(letter, source.topic)));
  return {
    all: own.map((letter) => {
      const { record, fault, attempts, deadAt, leftOut } = letter;
      const { topic, partition, offset, key, value, headers } = record;
      const place = { name: nameOf(letter, source.topic), topic, partition, offset: String(offset) };
      return { ...place, attempts, deadAt, fault, key, value, headers, ...(leftOut !== undefined && { leftOut }) };
    }),
    retry: (names) => topic.retry(named(names)),
    discard: (names) => topic.discard(named(names)),
    close: topic.close,
  };
}

/** Counts the dead letters in the topic without keeping them, as they may be large. */
export function countDeadLetters(source: KafkaSourceOptions): DeadLetterCount {
  const topic = openDeadLetterTopic(source, () => {});
  const standing = foldLetters(({ connector }) => connector);
  return {
    of: (connector) => standing.all().filter((one) => one === connector).length,
    learn: (signal) => topic.read(standing, signal),
    close: topic.close,
  };
}

/** Keeps something of each letter in the topic. */
function foldLetters<Kept>(keep: (letter: StandingLetter) => Kept) {
  const standing = new Map<string, Kept>();
  return {
    take(record: ReadRecord): void {
      const key = String(record.key?.toString('latin1'));
      const letter = fromRecord(record);
      if (letter !== undefined) standing.set(key, keep(letter));
      else if (record.value === null) standing.delete(key);
    },
    forget: (): void => standing.clear(),
    all: () => [...standing.values()],
  };
}
