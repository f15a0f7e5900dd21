/** Reads topics: their extents, a group's offsets, and all records once. */
import { randomUUID } from 'node:crypto';
import type { KafkaMessage as Received } from 'kafkajs';
import { Unreachable } from '../../src/model/fault.ts';
import { orAborted } from '../../src/model/wait.ts';
import { createConsumer, read, settleWithin } from './client.ts';
import { type Unread, unreadOf } from './codecs.ts';
import { judge, protocolType } from './fault.ts';
import { offsetsOf, requireLeaders } from './leaders.ts';
import type { ClientOptions } from './options.ts';

/** A record as it is in a topic, byte for byte. */
export interface ReadRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | readonly Buffer[]>>;
  /** Set if its batch could not be unpacked; key, value and headers are then unknown. */
  readonly unread?: Unread;
}

/** The first offset that a partition holds, and the one after its last. */
export interface Extent {
  readonly partition: number;
  readonly low: bigint;
  readonly high: bigint;
}

export interface Extents {
  readonly extents: readonly Extent[];
  /** Partitions without a leader, whose extent is unknown. */
  readonly away: readonly number[];
}

/** Resolves with none if there is no such topic. Throws Unreachable. */
export async function extentsOf(options: ClientOptions): Promise<Extents> {
  return read(options, async (admin) => {
    try {
      const { offsets, away } = await offsetsOf(admin, options.topic);
      const extents = offsets.map(({ partition, low, high }) => ({ partition, low: BigInt(low), high: BigInt(high) }));
      return { extents, away };
    } catch (thrown) {
      if (protocolType(thrown) === 'UNKNOWN_TOPIC_OR_PARTITION') return { extents: [], away: [] };
      throw thrown;
    }
  });
}

/** Returns the group's committed offsets by partition; others are missing. Throws Unreachable. */
export async function committedBy(options: ClientOptions, groupId: string): Promise<Map<number, bigint>> {
  return read(options, async (admin) => {
    const [found] = await admin.fetchOffsets({ groupId, topics: [options.topic] });
    const known = (found?.partitions ?? []).filter(({ offset }) => BigInt(offset) >= 0n);
    return new Map(known.map(({ partition, offset }) => [partition, BigInt(offset)]));
  });
}

/** The longest silence while a topic is read to its end. */
const SILENCE_MS = 30_000;

/**
 * Reads what the topic holds now, each partition in offset order, from `positions` or its beginning; `positions` advances
 * with what was taken, even if reading ends early. A missing topic holds nothing. One that ends before `positions` was
 * replaced or truncated: `anew` is called, and all of it is read. kafkajs can only read as a group: one with its own name
 * below `groupId`, which commits nothing. Throws Unreachable.
 */
export async function readToEnd(
  options: ClientOptions & { readonly groupId: string },
  positions: Map<number, bigint>,
  take: (record: ReadRecord, partitions: number) => void,
  signal: AbortSignal,
  anew = (): void => {},
): Promise<void> {
  const { topic } = options;
  const { extents, away } = await extentsOf(options);
  requireLeaders(options, away);
  const endOf = (partition: number): bigint => extents.find((one) => one.partition === partition)?.high ?? 0n;
  if ([...positions].some(([partition, position]) => position > endOf(partition))) {
    positions.clear();
    anew();
  }
  for (const { partition, low } of extents) {
    if ((positions.get(partition) ?? -1n) < low) positions.set(partition, low);
  }
  const left = new Map(
    extents
      .filter(({ partition, high }) => (positions.get(partition) ?? 0n) < high)
      .map((one) => [one.partition, one.high]),
  );
  if (left.size === 0) return;

  const consumer = await createConsumer(options, { groupId: `${options.groupId}.reading.${randomUUID()}` });
  const done = Promise.withResolvers<void>();
  done.promise.catch(() => {});
  const silent = () =>
    done.reject(
      new Unreachable({
        code: 'destination-unreachable',
        message: `Kafka: the end of ${topic} was not reached: nothing came for ${SILENCE_MS / 1_000} s`,
        path: `${options.path}.topic`,
      }),
    );
  const timer = setTimeout(silent, SILENCE_MS);
  let crash: Error | undefined;
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    crash = judge(payload.error, options);
    done.reject(crash);
  });
  // Also emitted for batches of mere markers, which are never handed over.
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload: { partition, lastOffset } }) => {
    timer.refresh();
    const position = BigInt(lastOffset) + 1n;
    if (position > (positions.get(partition) ?? 0n)) positions.set(partition, position);
    if (position >= (left.get(partition) ?? 0n)) left.delete(partition);
    if (left.size === 0) done.resolve();
  });
  try {
    signal.throwIfAborted();
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        const { partition } = batch;
        for (const message of batch.messages) {
          if (BigInt(message.offset) < (positions.get(partition) ?? 0n)) continue;
          take(toRecord(topic, partition, message), extents.length);
        }
      },
    });
    for (const [partition, offset] of positions) consumer.seek({ topic, partition, offset: String(offset) });
    await orAborted(signal, done.promise);
  } catch (thrown) {
    if (signal.aborted) throw signal.reason;
    // Other calls to a crashed consumer fail as well, and say less.
    throw crash ?? judge(thrown, options);
  } finally {
    clearTimeout(timer);
    await settleWithin(consumer.disconnect());
  }
}

export function toRecord(topic: string, partition: number, message: Received): ReadRecord {
  const headers: Record<string, Buffer | readonly Buffer[]> = {};
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    if (value === undefined) continue;
    headers[name] = Array.isArray(value) ? value.map((one) => Buffer.from(one)) : Buffer.from(value);
  }
  const unread = unreadOf(message.value);
  return {
    topic,
    partition,
    offset: BigInt(message.offset),
    timestamp: Number(message.timestamp),
    key: unread ? null : message.key,
    value: unread ? null : message.value,
    headers,
    ...(unread !== undefined && { unread }),
  };
}
