import { parseEvent } from '../../src/client/event.ts';
import { type Entry, entryOf } from '../../src/model/entry.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import type { Fault } from '../../src/model/fault.ts';
import { type Report, Revoked, type SourceHost, type WorkerSource } from '../contract.ts';
import { type DeadLetterRecord, RETRY_HEADER } from './dead-letter.ts';
import { openDeadLetterTopic } from './dead-letter-topic.ts';
import { judge } from './fault.ts';
import { type Batch, heartbeatEvery, isRebalance, joinGroup, type Member } from './member.ts';
import { createOffsets, type OpenRecord } from './offsets.ts';
import { clientOptions } from './options.ts';
import { committedBy, extentsOf, type ReadRecord } from './reader.ts';
import type { KafkaSourceOptions } from './source-options.ts';

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

/** How long work may go on after a rebalance began: the coordinator waits for its members for a minute. */
const GRACE_MS = 15_000;

/** The batch that the lane works on. */
interface Current {
  readonly batch: Batch;
  readonly entries: readonly Entry[];
  /** Records that are no events, until they lie in the dead-letter topic. */
  unreadable: readonly Unreadable[];
  readonly passed: PromiseWithResolvers<void>;
  /** Ends the heartbeats. */
  stop(): void;
}

interface Unreadable extends OpenRecord {
  readonly fault: Fault;
}

/** What the lane was given ends with its generation. */
interface Generation {
  readonly lease: AbortController;
  /** Why what was given out is another's to settle now. */
  revoked: unknown;
}

export function openKafkaSource(options: KafkaSourceOptions, host: SourceHost): WorkerSource {
  const { connector } = host;
  const groupId = `${options.groupId}.${connector}`;
  const deadLetters = openDeadLetterTopic(options, host.note);
  const offsets = createOffsets();
  const ends = new Map<number, bigint>();
  let member: Member | undefined;
  let lost: unknown;
  let assigned: readonly number[] | undefined;
  let generation: Generation = { lease: new AbortController(), revoked: undefined };
  let generations = 0;
  let current: Current | undefined;
  let lastSeq = 0;

  const revoke = (reason: unknown, graceMs: number): void => {
    const revoked = generation;
    if (revoked.revoked !== undefined) return;
    revoked.revoked = reason;
    if (graceMs === 0) revoked.lease.abort(reason);
    else setTimeout(() => revoked.lease.abort(reason), graceMs).unref();
    host.interrupt();
  };

  /** Forgets what was given out; Kafka hands it over again, here or elsewhere. */
  const beginGeneration = (): void => {
    const { revoked, lease } = generation;
    generation = { lease: new AbortController(), revoked: undefined };
    generations++;
    lease.abort(revoked);
    current?.stop();
    current?.passed.reject(revoked);
    current = undefined;
    offsets.clear();
  };

  /** Whatever ends a generation makes Kafka hand its records over again: by the rebalance, or because the group is joined anew. */
  const troubled = (thrown: unknown): void => {
    if (!isRebalance(thrown)) lost ??= judge(thrown, { ...options, path: 'source' });
    revoke(thrown, isRebalance(thrown) ? GRACE_MS : 0);
  };

  const take = async (batch: Batch): Promise<void> => {
    if (generation.revoked !== undefined) throw generation.revoked;
    const passed = Promise.withResolvers<void>();
    const { open, entries, unreadable } = sort(batch.records, connector, () => ++lastSeq);
    const timer = setInterval(() => {
      batch.heartbeat().catch(troubled);
    }, heartbeatEvery(options.sessionTimeoutMs));
    current = { batch, entries, unreadable, passed, stop: () => clearInterval(timer) };
    ends.set(batch.partition, batch.end);
    offsets.add(batch.partition, open, batch.next);
    host.wake();
    await passed.promise;
  };

  const join = async (signal: AbortSignal): Promise<void> => {
    const proven = Promise.withResolvers<void>();
    const client = await clientOptions(options, 'source', signal);
    const { sessionTimeoutMs } = options;
    const joined = await joinGroup(
      { ...client, groupId, sessionTimeoutMs },
      {
        assigned(partitions) {
          if (assigned !== undefined) revoke(new Error('the partitions were shared out anew'), 0);
          assigned = partitions;
          host.assigned(partitions);
          if (partitions.length === 0) proven.resolve();
          void learnPositions(partitions);
        },
        fetched: proven.resolve,
        take,
      },
    );
    joined.failed.catch((thrown) => {
      if (member !== joined) return;
      assigned = undefined;
      troubled(thrown);
    });
    member = joined;
    await Promise.race([proven.promise, joined.failed, rejection(signal)]);
  };

  /** Only the numbers shown depend on it, and each batch brings them, too. */
  const learnPositions = async (partitions: readonly number[]): Promise<void> => {
    try {
      const client = await clientOptions(options, 'source', generation.lease.signal);
      const [extents, committed] = await Promise.all([extentsOf(client), committedBy(client, groupId)]);
      for (const { partition, low, high } of extents) {
        ends.set(partition, high);
        if (partitions.includes(partition)) offsets.begin(partition, committed.get(partition) ?? low);
      }
    } catch {
      // the next batch tells
    }
  };

  const leave = async (): Promise<void> => {
    const left = member;
    member = undefined;
    assigned = undefined;
    await left?.leave();
  };

  const publish = async (letters: readonly DeadLetterRecord[]): Promise<void> => {
    if (letters.length > 0) await deadLetters.publish(letters);
  };

  /** Whatever is no event becomes a dead letter before anything of its batch is delivered. */
  const publishUnreadable = async (batch: Current): Promise<void> => {
    const deadAt = host.clock.now();
    await publish(batch.unreadable.map(({ record, fault }) => ({ connector, record, fault, attempts: 0, deadAt })));
    for (const { record, fault } of batch.unreadable) host.dead(record.key?.toString() ?? '', fault);
    offsets.settle(batch.unreadable.map(({ seq }) => seq));
    batch.unreadable = [];
  };

  const commit = async (): Promise<void> => {
    const due = offsets.due();
    try {
      await member?.commit(due);
      offsets.committed(due);
    } catch (thrown) {
      // What was delivered is delivered again: here, or by whoever has the partitions now.
      troubled(thrown);
    }
  };

  const passBatch = async (): Promise<void> => {
    const done = current;
    current = undefined;
    done?.stop();
    await commit();
    done?.passed.resolve();
  };

  return {
    available: (after) => current?.entries.filter(({ seq }) => seq > after).length ?? 0,
    async next(after, limit, signal) {
      if (lost !== undefined) {
        const reason = lost;
        lost = undefined;
        await leave();
        throw reason;
      }
      if (member === undefined) await join(signal);
      const batch = current;
      if (batch === undefined || generation.revoked !== undefined) return [];
      await publishUnreadable(batch);
      const left = batch.entries.filter(({ seq }) => seq > after);
      if (left.length === 0) await passBatch();
      return left.slice(0, limit);
    },
    async settle({ upTo, waiting, dead, released }: Report) {
      const deadAt = host.clock.now();
      const letters = dead.flatMap(({ entry, attempts, fault }) => {
        const record = offsets.recordOf(entry.seq);
        return record === undefined ? [] : [{ connector, record, fault, attempts, deadAt }];
      });
      await publish(letters);
      offsets.hold(waiting.map(({ entry }) => entry.seq));
      offsets.settle([...released, ...dead.map(({ entry }) => entry.seq)]);
      offsets.settleUpTo(upTo);
      const last = current?.entries.at(-1);
      if (last !== undefined && last.seq <= upTo) await passBatch();
      else await commit();
    },
    alive() {
      if (generation.revoked === undefined) return;
      beginGeneration();
      throw new Revoked('the partitions were shared out anew');
    },
    lease: () => generation.lease.signal,
    generation: () => generations,
    partitions: () => assigned,
    lag: () => offsets.lag(assigned ?? [], ends),
    openSince: () => offsets.oldest(),
    async learn() {
      const client = await clientOptions(options, 'source', new AbortController().signal);
      for (const { partition, high } of await extentsOf(client)) ends.set(partition, high);
    },
    async close() {
      const left = leave();
      generation.revoked ??= new Error('the worker ends');
      beginGeneration();
      await left;
      await deadLetters.close();
    },
  };
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
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
