/**
 * The dead-letter topic: a compacted one, in which each letter has a key of its own and stands until a tombstone takes it
 * away. A letter is the record as it was in the events topic, with headers of ours beside its own.
 */
import { z } from 'zod';
import type { OutgoingRecord } from '../../connectors/kafka/client.ts';
import type { ReadRecord } from '../../connectors/kafka/consumer.ts';
import type { Fault } from '../model/fault.ts';

/** What no retry could help: of one connector. */
export interface Letter {
  readonly connector: string;
  /** As it lay in the events topic, where its topic, partition and offset say. */
  readonly record: ReadRecord;
  readonly fault: Fault;
  readonly attempts: number;
  /** Milliseconds since 1970. */
  readonly deadAt: number;
}

/** A record that is brought again to one connector only: the others pass over it. */
export const RETRY_HEADER = 'retry_for';

const PREFIX = 'dead_letter_';

/** By which people name a letter: `3@1042`, its partition and offset in the events topic. */
export function nameOf({ record }: Letter): string {
  return `${record.partition}@${record.offset}`;
}

function keyOf({ connector, record }: Letter): string {
  return `${connector}/${record.topic}/${nameOf({ record } as Letter)}`;
}

export function toRecord(letter: Letter): OutgoingRecord {
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
  };
  const headers = Object.entries(about).map(([name, value]) => [PREFIX + name, value] as const);
  return {
    key: keyOf(letter),
    value: record.value ?? Buffer.alloc(0),
    headers: { ...record.headers, ...Object.fromEntries(headers) },
  };
}

/** Takes a letter away. */
export function toTombstone(letter: Letter): OutgoingRecord {
  return { key: keyOf(letter), value: null, headers: {} };
}

/** The record as it was, on its way to this connector again; in its own partition, so behind whatever its group had since. */
export function toRetry({ connector, record }: Letter): OutgoingRecord {
  const { key, value, partition, headers } = record;
  return { key, value, partition, headers: { ...headers, [RETRY_HEADER]: connector } };
}

const about = z.object({
  connector: z.string(),
  topic: z.string(),
  partition: z.coerce.number().int().nonnegative(),
  offset: z.string().regex(/^\d+$/),
  at: z.iso.datetime(),
  attempts: z.coerce.number().int().nonnegative(),
  fault: z.object({
    code: z.string(),
    message: z.string(),
    path: z.string().optional(),
    suggestion: z.string().optional(),
  }),
});

/** A letter from its record; undefined for a tombstone, and for what somebody else wrote into the topic. */
function fromRecord({ key, value, headers, timestamp }: ReadRecord): Letter | undefined {
  if (key === null || value === null) return undefined;
  const of = (name: string): Buffer | undefined => [headers[PREFIX + name] ?? []].flat()[0];
  const fields = ['connector', 'topic', 'partition', 'offset', 'at', 'attempts'];
  let fault: unknown;
  try {
    fault = JSON.parse(String(of('fault')));
  } catch {
    return undefined;
  }
  const read = about.safeParse({ ...Object.fromEntries(fields.map((name) => [name, of(name)?.toString()])), fault });
  if (!read.success) return undefined;
  const { connector, topic, partition, offset, at, attempts } = read.data;
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
  return { connector, record, fault: read.data.fault as Fault, attempts, deadAt: Date.parse(at) };
}

/** The letters that stand, from all records of the topic in their order. */
export function createLetters() {
  const standing = new Map<string, Letter>();
  return {
    take(record: ReadRecord): void {
      const letter = fromRecord(record);
      if (letter !== undefined) standing.set(String(record.key), letter);
      else if (record.value === null) standing.delete(String(record.key));
    },
    /** In the order in which they lie in the events topic. */
    of: (name: string): Letter[] => [...standing.values()].filter(({ connector }) => connector === name).sort(byPlace),
  };
}

/** As `createLetters`, of how many there are only: nobody knows how large they are. */
export function createLetterCount() {
  const standing = new Set<string>();
  return {
    take({ key, value }: ReadRecord): void {
      if (value === null) standing.delete(String(key));
      else standing.add(String(key));
    },
    of(connector: string): number {
      let count = 0;
      for (const key of standing) if (key.startsWith(`${connector}/`)) count++;
      return count;
    },
  };
}

function byPlace({ record: one }: Letter, { record: other }: Letter): number {
  return one.partition - other.partition || Number(one.offset - other.offset);
}
