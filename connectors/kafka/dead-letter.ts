/**
 * A dead letter of a worker, as a record: the one that lay in the events topic, with headers of ours beside its own. In the
 * dead-letter topic, a compacted one, each has a key of its own and stands until a tombstone takes it away.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Fault } from '../../src/model/fault.ts';
import type { OutgoingRecord } from './client.ts';
import type { ReadRecord } from './reader.ts';

/** A record that one connector's destination refused for good, or that is no event. */
export interface DeadLetterRecord {
  readonly connector: string;
  /** As it lay in the events topic, where its topic, partition and offset say. */
  readonly record: ReadRecord;
  readonly fault: Fault;
  readonly attempts: number;
  /** Milliseconds since 1970. */
  readonly deadAt: number;
  /** Of a value that was too large to be kept: its bytes, and their SHA-256 in hex. Then `record` has neither it nor its headers. */
  readonly leftOut?: { readonly size: number; readonly sha256: string };
}

/** A record that is brought again to one connector only: the others pass over it. */
export const RETRY_HEADER = 'retry_for';

const PREFIX = 'dead_letter_';
const MAX_KEY_BYTES = 1_024;

/** Returns the name that people use: `3@1042`, the partition and offset in the events topic. */
export function nameOf({ record }: DeadLetterRecord): string {
  return `${record.partition}@${record.offset}`;
}

function keyOf({ connector, record }: DeadLetterRecord): string {
  return `${connector}/${record.topic}/${nameOf({ record } as DeadLetterRecord)}`;
}

export function toDeadLetter(letter: DeadLetterRecord): OutgoingRecord {
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

/** Returns the dead letter without what may be too large, the value above all. */
export function withoutValue(letter: DeadLetterRecord): DeadLetterRecord {
  const { record } = letter;
  const value = record.value ?? Buffer.alloc(0);
  const leftOut = { size: value.length, sha256: createHash('sha256').update(value).digest('hex') };
  const key = record.key !== null && record.key.length > MAX_KEY_BYTES ? null : record.key;
  return { ...letter, record: { ...record, key, value: null, headers: {} }, leftOut };
}

/** Returns the record that takes a dead letter away. */
export function toTombstone(letter: DeadLetterRecord): OutgoingRecord {
  return { key: keyOf(letter), value: null, headers: {} };
}

/** Returns the record as it was, for this connector only; in its own partition, so after whatever its group had since. */
export function toRetry({ connector, record }: DeadLetterRecord): OutgoingRecord {
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
  leftOut: z.object({ size: z.int(), sha256: z.string() }).optional(),
  fault: z.object({
    code: z.string(),
    message: z.string(),
    path: z.string().optional(),
    suggestion: z.string().optional(),
  }),
});

/** Reads a dead letter; undefined for a tombstone, and for what somebody else wrote into the topic. */
function fromRecord({ key, value, headers, timestamp }: ReadRecord): DeadLetterRecord | undefined {
  if (key === null || value === null) return undefined;
  const of = (name: string): Buffer | undefined => [headers[PREFIX + name] ?? []].flat()[0];
  const fields = ['connector', 'topic', 'partition', 'offset', 'at', 'attempts'];
  let json: { fault: unknown; leftOut?: unknown };
  try {
    json = {
      fault: JSON.parse(String(of('fault'))),
      leftOut: JSON.parse(String(of('left_out') ?? 'null')) ?? undefined,
    };
  } catch {
    return undefined;
  }
  const read = about.safeParse({ ...Object.fromEntries(fields.map((name) => [name, of(name)?.toString()])), ...json });
  if (!read.success) return undefined;
  const { connector, topic, partition, offset, at, attempts, leftOut } = read.data;
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
  const letter = { connector, record, fault: read.data.fault as Fault, attempts, deadAt: Date.parse(at) };
  return { ...letter, ...(leftOut !== undefined && { leftOut }) };
}

/** Collects the dead letters that stand, from all records of the topic in their order. */
export function collectDeadLetters() {
  const standing = new Map<string, DeadLetterRecord>();
  return {
    take(record: ReadRecord): void {
      const letter = fromRecord(record);
      if (letter !== undefined) standing.set(String(record.key), letter);
      else if (record.value === null) standing.delete(String(record.key));
    },
    /** In the order in which they lie in the events topic. */
    of: (name: string): DeadLetterRecord[] =>
      [...standing.values()].filter(({ connector }) => connector === name).sort(byPlace),
  };
}

/** Counts the dead letters that stand, without keeping them: nobody knows how large they are. */
export function countDeadLetters() {
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

function byPlace({ record: one }: DeadLetterRecord, { record: other }: DeadLetterRecord): number {
  return one.partition - other.partition || Number(one.offset - other.offset);
}
