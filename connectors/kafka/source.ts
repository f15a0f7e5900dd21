import { parseEvent } from '../../src/client/event.ts';
import { unreadable } from '../../src/client/message.ts';
import { type Entry, entryOf } from '../../src/model/entry.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import type { Fault } from '../../src/model/fault.ts';
import { type Dead, type Report, Revoked, type SourceHost, type SourceWork, type WorkerSource } from '../contract.ts';
import type { Unread } from './codecs.ts';
import {
  countDeadLetters,
  type DeadLetterRecord,
  openDeadLetterTopic,
  RETRY_HEADER,
  readDeadLetters,
} from './dead-letters.ts';
import { examineSource } from './examine-source.ts';
import { createMembership } from './membership.ts';
import { createOffsets, type Offsets, type OpenRecord } from './offsets.ts';
import { groupOf, type KafkaSourceOptions } from './options.ts';
import { createProgress } from './progress.ts';
import type { ReadRecord } from './reader.ts';

export const kafkaSourceWork: SourceWork<KafkaSourceOptions> = {
  open: openSource,
  countDeadLetters,
  deadLetters: readDeadLetters,
  examine: examineSource,
};

/*
 * A topic of events, shared with the other members of a consumer group. Each connector is a group of its own, so that one
 * held back holds back only its own offsets.
 *
 * Invariant 2, with offsets instead of a cursor: an offset is committed only after all records before it are settled. The
 * partition's next owner, after a kill or a rebalance, continues from there, and what is delivered twice changes nothing
 * (invariant 3).
 *
 * Kafka hands over one batch at a time; the next comes when the lane is done with it. Heartbeats continue meanwhile. When
 * the group rebalances, what is with the sink may finish, and counts; everything else is forgotten.
 */

/** The lane's current batch. */
interface Current {
  readonly entries: readonly Entry[];
  /** Records that are no events, until they are in the dead-letter topic. */
  unreadable: readonly Unreadable[];
  /** Lets the next batch come. */
  pass(): void;
  /** Has the group joined again. */
  refuse(why: unknown): void;
}

interface Unreadable extends OpenRecord {
  readonly fault: Fault;
}

function openSource(options: KafkaSourceOptions, host: SourceHost): WorkerSource {
  const { connector } = host;
  const groupId = `${groupOf(options)}.${connector}`;
  const offsets = createOffsets();
  const deadLetterWriter = createDeadLetterWriter(options, host, offsets);
  const progress = createProgress(options, connector, offsets, host.gap);
  let current: Current | undefined;
  let lastSeq = 0;
  let learned = Promise.resolve();

  const membership = createMembership(options, groupId, {
    entering: progress.entering,
    interrupt: host.interrupt,
    assigned(partitions) {
      host.assigned(partitions);
      learned = progress.assigned(partitions, membership.lease()).catch(membership.lose);
    },
    async take(batch) {
      // What the group had committed before this batch shows whether earlier records were removed.
      await learned;
      const ended = membership.ended();
      if (ended !== undefined) throw ended;
      const { open, entries, unreadable } = sort(batch.records, host, () => ++lastSeq);
      const passed = Promise.withResolvers<void>();
      current = { entries, unreadable, pass: passed.resolve, refuse: passed.reject };
      progress.passed(batch, membership.lease());
      offsets.add(batch.partition, open, batch.next);
      host.wake();
      await passed.promise;
    },
  });

  const commit = async (): Promise<void> => {
    const due = offsets.due();
    if (!(await membership.commit(due))) return;
    offsets.committed(due);
    progress.committed(due);
  };

  const passBatch = async (): Promise<void> => {
    const done = current;
    current = undefined;
    await commit();
    done?.pass();
  };

  const forget = (): void => {
    current?.refuse(membership.ended() ?? new Error('the worker ends'));
    current = undefined;
    offsets.clear();
    membership.begin();
  };

  const settle = async ({ upTo, waiting, dead, released }: Report): Promise<void> => {
    await deadLetterWriter.dead(dead);
    offsets.hold(waiting.map(({ entry }) => entry.seq));
    offsets.settle(released);
    offsets.settleUpTo(upTo);
    const last = current?.entries.at(-1);
    if (last !== undefined && last.seq <= upTo) await passBatch();
    else await commit();
  };

  return {
    available: (after) => current?.entries.filter(({ seq }) => seq > after).length ?? 0,
    async next(after, limit, signal) {
      await membership.join(signal);
      const batch = current;
      if (batch === undefined || membership.ended() !== undefined) return [];
      await deadLetterWriter.unreadable(batch);
      const left = batch.entries.filter(({ seq }) => seq > after);
      if (left.length === 0) await passBatch();
      return left.slice(0, limit);
    },
    settle,
    alive() {
      if (membership.ended() === undefined) return;
      forget();
      throw new Revoked('the partitions were shared out anew');
    },
    lease: membership.lease,
    generation: membership.generation,
    partitions: membership.partitions,
    lag: () => progress.lag(membership.partitions()),
    openSince: offsets.oldest,
    hasCommitted: progress.hasCommitted,
    learn: progress.learn,
    async close() {
      // Leaving waits for the batch under way, which `forget` returns.
      const left = membership.leave();
      forget();
      await left;
      await deadLetterWriter.close();
    },
  };
}

/** Publishes records as dead letters, and settles them. */
function createDeadLetterWriter(
  options: KafkaSourceOptions,
  { connector, clock, note, dead: tell }: SourceHost,
  offsets: Offsets,
) {
  const topic = openDeadLetterTopic(options, note);
  const publish = async (letters: readonly Omit<DeadLetterRecord, 'connector' | 'deadAt'>[]): Promise<void> => {
    const deadAt = clock.now();
    await topic.publish(letters.map((letter) => ({ connector, deadAt, ...letter })));
  };
  return {
    /** Whatever is no event becomes a dead letter before anything of its batch is delivered. */
    async unreadable(batch: Current): Promise<void> {
      await publish(
        batch.unreadable.map(({ record, fault }) => ({
          ...{ record, fault, attempts: 0 },
          ...(record.unread && { leftOut: record.unread }),
        })),
      );
      for (const { record, fault } of batch.unreadable) tell(record.key?.toString() ?? '', fault);
      offsets.settle(batch.unreadable.map(({ seq }) => seq));
      batch.unreadable = [];
    },
    async dead(dead: readonly Dead[]): Promise<void> {
      await publish(
        dead.flatMap(({ entry, attempts, fault }) => {
          const record = offsets.recordOf(entry.seq);
          return record === undefined ? [] : [{ record, fault, attempts }];
        }),
      );
      offsets.settle(dead.map(({ entry }) => entry.seq));
    },
    close: topic.close,
  };
}

const notUnpacked = ({ reason: message }: Unread) => unreadable({ code: 'message-invalid', message });

/** Sorts out what is no event; skips what is for another connector, and what two receivers recorded. */
function sort(records: readonly ReadRecord[], { connector, app }: SourceHost, nextSeq: () => number) {
  const open: OpenRecord[] = [];
  const entries: Entry[] = [];
  const unreadable: Unreadable[] = [];
  const seen = new Set<string>();
  for (const record of records) {
    const retriedFor = record.headers[RETRY_HEADER];
    if (retriedFor !== undefined && String(retriedFor) !== connector) continue;
    const read = record.unread ? notUnpacked(record.unread) : parseEvent(record);
    if (read.ok && seen.has(read.event.id)) continue;
    const seq = nextSeq();
    open.push({ seq, record });
    if (read.ok && app !== undefined && read.event.source !== app) {
      unreadable.push({ seq, record, fault: foreign(read.event.source, app) });
    } else if (read.ok) {
      seen.add(read.event.id);
      entries.push(entryOf(seq, read.event as CanonicalEvent));
    } else unreadable.push({ seq, record, fault: read.fault });
  }
  return { open, entries, unreadable };
}

function foreign(source: string, app: string): Fault {
  return {
    code: 'event-refused',
    message: `this event is of ${source}, and this worker keeps groups of ${app}`,
    path: 'app.sdkAppId',
    suggestion: 'give each app a topic of its own, or correct app.sdkAppId and retry',
  };
}
