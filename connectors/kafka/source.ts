import { parseEvent } from '../../src/client/event.ts';
import { type Entry, entryOf } from '../../src/model/entry.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import type { Fault } from '../../src/model/fault.ts';
import { type Report, Revoked, type SourceHost, type WorkerSource } from '../contract.ts';
import { type DeadLetterRecord, RETRY_HEADER } from './dead-letter.ts';
import { openDeadLetterTopic } from './dead-letter-topic.ts';
import { createGapWatch, max } from './gaps.ts';
import { heartbeatEvery } from './member.ts';
import { createMembership } from './membership.ts';
import { createOffsets, type OpenRecord } from './offsets.ts';
import type { KafkaSourceOptions } from './options.ts';
import { clientOptions } from './options.ts';
import { committedBy, extentsOf, type ReadRecord } from './reader.ts';

/*
 * A topic of events, shared with the other members of a consumer group. Each connector is a group of its own, so that one
 * that is held back holds back its own offsets only.
 *
 * Invariant 2, with offsets instead of a cursor: an offset is committed only after all records before it are settled.
 * Whoever has the partition next, after a kill or a rebalance, reads on from there, and whatever is delivered twice
 * changes nothing (invariant 3).
 *
 * Kafka hands over one batch of records at a time; the next comes when the lane has passed this one. Heartbeats go on
 * meanwhile. When the group rebalances, what is with the sink may come to its end, which then counts; all else is forgotten.
 */

/** The batch that the lane works on. */
interface Current {
  readonly entries: readonly Entry[];
  /** Records that are no events, until they lie in the dead-letter topic. */
  unreadable: readonly Unreadable[];
  /** Lets the next batch come; with a reason, the group is joined anew. */
  end(why?: unknown): void;
}

interface Unreadable extends OpenRecord {
  readonly fault: Fault;
}

export function openKafkaSource(options: KafkaSourceOptions, host: SourceHost): WorkerSource {
  const { connector, clock } = host;
  const groupId = `${options.groupId}.${connector}`;
  const deadLetters = openDeadLetterTopic(options, host.note);
  const offsets = createOffsets();
  const ends = new Map<number, bigint>();
  const gaps = createGapWatch(host.gap);
  /** Of all records of the topic, those that the group has not committed, as they were counted last. */
  let uncommitted = 0;
  let lastCommitted: ReadonlyMap<number, bigint> = new Map();
  let current: Current | undefined;
  let lastSeq = 0;
  let learned = Promise.resolve();

  const membership = createMembership(options, groupId, {
    host,
    async entering(client) {
      lastCommitted = await committedBy(client, groupId);
    },
    assigned(partitions) {
      gaps.restart();
      learned = learnPositions(partitions);
    },
    async take(batch) {
      // What the group had committed before this batch tells whether something before it was removed.
      await learned;
      const ended = membership.ended();
      if (ended !== undefined) throw ended;
      await new Promise<void>((resolve, reject) => {
        const { open, entries, unreadable } = sort(batch.records, connector, () => ++lastSeq);
        const timer = setInterval(() => batch.heartbeat().catch(membership.troubled), heartbeatEvery(options));
        current = {
          entries,
          unreadable,
          end(why) {
            clearInterval(timer);
            if (why === undefined) resolve();
            else reject(why);
          },
        };
        ends.set(batch.partition, batch.end);
        void gaps.passed(batch, async () => extentsOf(await clientOptions(options, 'source', membership.lease())));
        offsets.add(batch.partition, open, batch.next);
        host.wake();
      });
    },
  });

  /** Only the numbers shown depend on it, and each batch brings them, too. */
  const learnPositions = async (partitions: readonly number[]): Promise<void> => {
    try {
      const client = await clientOptions(options, 'source', membership.lease());
      const before = lastCommitted;
      const [extents, committed] = await Promise.all([extentsOf(client), committedBy(client, groupId)]);
      for (const { partition, low, high } of extents) {
        ends.set(partition, high);
        if (!partitions.includes(partition)) continue;
        // kafkajs forgets what was committed where that is no longer there.
        const from = committed.get(partition) ?? before.get(partition);
        offsets.begin(partition, from ?? low);
        // A group that has committed nothing begins with what is there.
        if (from !== undefined) gaps.compare(partition, from, low);
      }
    } catch {
      // the next batch tells
    }
  };

  const publish = async (letters: readonly Omit<DeadLetterRecord, 'connector' | 'deadAt'>[]): Promise<void> => {
    const deadAt = clock.now();
    if (letters.length > 0) await deadLetters.publish(letters.map((letter) => ({ connector, deadAt, ...letter })));
  };

  /** Whatever is no event becomes a dead letter before anything of its batch is delivered. */
  const publishUnreadable = async (batch: Current): Promise<void> => {
    await publish(batch.unreadable.map(({ record, fault }) => ({ record, fault, attempts: 0 })));
    for (const { record, fault } of batch.unreadable) host.dead(record.key?.toString() ?? '', fault);
    offsets.settle(batch.unreadable.map(({ seq }) => seq));
    batch.unreadable = [];
  };

  const commit = async (): Promise<void> => {
    const due = offsets.due();
    if (await membership.commit(due)) offsets.committed(due);
  };

  const passBatch = async (): Promise<void> => {
    const done = current;
    current = undefined;
    await commit();
    done?.end();
  };

  /** Forgets what was given out. */
  const forget = (): void => {
    current?.end(membership.ended() ?? new Error('the worker ends'));
    current = undefined;
    offsets.clear();
    membership.begin();
  };

  return {
    available: (after) => current?.entries.filter(({ seq }) => seq > after).length ?? 0,
    async next(after, limit, signal) {
      await membership.join(signal);
      const batch = current;
      if (batch === undefined || membership.ended() !== undefined) return [];
      await publishUnreadable(batch);
      const left = batch.entries.filter(({ seq }) => seq > after);
      if (left.length === 0) await passBatch();
      return left.slice(0, limit);
    },
    async settle({ upTo, waiting, dead, released }: Report) {
      await publish(
        dead.flatMap(({ entry, attempts, fault }) => {
          const record = offsets.recordOf(entry.seq);
          return record === undefined ? [] : [{ record, fault, attempts }];
        }),
      );
      offsets.hold(waiting.map(({ entry }) => entry.seq));
      offsets.settle([...released, ...dead.map(({ entry }) => entry.seq)]);
      offsets.settleUpTo(upTo);
      const last = current?.entries.at(-1);
      if (last !== undefined && last.seq <= upTo) await passBatch();
      else await commit();
    },
    alive() {
      if (membership.ended() === undefined) return;
      forget();
      throw new Revoked('the partitions were shared out anew');
    },
    lease: membership.lease,
    generation: membership.generation,
    partitions: membership.partitions,
    lag() {
      const partitions = membership.partitions();
      return partitions === undefined ? uncommitted : offsets.lag(partitions, ends);
    },
    openSince: offsets.oldest,
    async learn() {
      const client = await clientOptions(options, 'source', new AbortController().signal);
      const [extents, committed] = await Promise.all([extentsOf(client), committedBy(client, groupId)]);
      let sum = 0n;
      for (const { partition, low, high } of extents) {
        ends.set(partition, high);
        sum += high - max(committed.get(partition) ?? low, low);
      }
      uncommitted = Number(max(sum, 0n));
      lastCommitted = committed;
    },
    async close() {
      // Leaving waits for the batch under way, which is given back meanwhile.
      const left = membership.leave();
      forget();
      await left;
      await deadLetters.close();
    },
  };
}

/** Tells events from what is none; passes over what is for another connector, and what two receivers recorded. */
function sort(records: readonly ReadRecord[], connector: string, nextSeq: () => number) {
  const open: OpenRecord[] = [];
  const entries: Entry[] = [];
  const unreadable: Unreadable[] = [];
  const seen = new Set<string>();
  for (const record of records) {
    const retriedFor = record.headers[RETRY_HEADER];
    if (retriedFor !== undefined && String(retriedFor) !== connector) continue;
    const read = parseEvent(record);
    if (read.ok && seen.has(read.event.id)) continue;
    const seq = nextSeq();
    open.push({ seq, record });
    if (read.ok) {
      seen.add(read.event.id);
      entries.push(entryOf(seq, read.event as CanonicalEvent));
    } else unreadable.push({ seq, record, fault: read.fault });
  }
  return { open, entries, unreadable };
}
