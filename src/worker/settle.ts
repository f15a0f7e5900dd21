import type { Sink } from '../../connectors/contract.ts';
import { isRebalance, type Portion, type ReadRecord } from '../../connectors/kafka/consumer.ts';
import { parseEvent } from '../client/event.ts';
import { delayAfter, type RetrySettings } from '../delivery/schedule.ts';
import { createWaitingEvents } from '../delivery/waiting.ts';
import type { Waiting } from '../journal/deliveries.ts';
import type { Clock } from '../model/clock.ts';
import type { CanonicalEvent, EventId } from '../model/event.ts';
import { type Fault, faultOf } from '../model/fault.ts';
import { overloaded } from '../model/outcome.ts';
import type { SignalBus } from '../model/signal.ts';
import { traceDelivery } from '../telemetry/trace.ts';
import { type Letter, RETRY_HEADER } from './dead-letter.ts';

/*
 * A record of the events topic is in one of these states, for one connector:
 *
 * - read: fetched, and not settled yet. It becomes an event, or a dead letter when it is none that can be understood.
 * - waiting: the sink said `retry`. Its group waits with it, other groups of the portion pass; the next portion does not.
 * - settled: delivered, superseded, passed over by the filter, or acknowledged by the dead-letter topic.
 *
 * Invariant 2, with offsets instead of a cursor: only behind records that are all settled the offset is committed. Whoever
 * has the partition next, after a kill or when partitions are shared out anew, reads on from there, and whatever is
 * delivered twice changes nothing (invariant 3).
 */

export interface SettleSettings {
  readonly connector: string;
  readonly maxEvents: number;
  readonly retry: RetrySettings;
  wants(event: CanonicalEvent): boolean;
}

export interface SettlePorts {
  /** Opens the sink where it is not open. Throws Unreachable. */
  sink(): Promise<Sink>;
  /** Whatever must be known before anything of a portion is delivered. Throws Unreachable. */
  prepare(signal: AbortSignal): Promise<void>;
  /** The events are about to be delivered. */
  merge(events: readonly CanonicalEvent[]): void;
  /** Resolves once the dead-letter topic has acknowledged them all. Throws Unreachable. */
  bury(letters: readonly Letter[]): Promise<void>;
  readonly clock: Clock;
  readonly signals: Pick<SignalBus, 'emit'>;
  readonly random: () => number;
  /** The destination as a whole cannot be had; how long to leave it alone, in ms. */
  unreachable(fault: Fault, afterMs?: number): number;
  reached(): void;
}

interface Read {
  readonly record: ReadRecord;
  readonly entry: Waiting;
}

const UNSETTLED: Fault = { code: 'event-unsettled', message: 'the connector did not say what became of it' };

/** How often it is asked for while it waits whether the partition is still this member's. */
const BEAT_MS = 500;

/** drain: what is with the sink may come to its end, and nothing else is begun. stop: at once. */
export interface Ending {
  readonly drain: AbortSignal;
  readonly stop: AbortSignal;
}

/**
 * Settles a portion, part by part, and commits each part. Throws what `beat` throws once the partition is to be let go,
 * and when it is told to end: what is not committed then is read again, here or elsewhere.
 */
export async function settlePortion(
  portion: Portion,
  settings: SettleSettings,
  ports: SettlePorts,
  ending: Ending,
): Promise<void> {
  const { records, next } = portion;
  for (let at = 0; at < records.length; at += settings.maxEvents) {
    const part = records.slice(at, at + settings.maxEvents);
    ending.drain.throwIfAborted();
    await settlePart(part, portion, settings, ports, ending);
    const last = part.at(-1);
    const isLast = at + settings.maxEvents >= records.length;
    await portion.commit(isLast || last === undefined ? next : last.offset + 1n);
    await portion.beat();
  }
  if (records.length === 0) await portion.commit(next);
}

async function settlePart(
  part: readonly ReadRecord[],
  portion: Portion,
  settings: SettleSettings,
  ports: SettlePorts,
  ending: Ending,
): Promise<void> {
  const { connector, retry } = settings;
  const { clock, signals, random } = ports;
  const waiting = createWaitingEvents();
  const reads = new Map<number, Read>();
  const letters: Letter[] = [];

  const die = (record: ReadRecord, attempts: number, fault: Fault, event?: CanonicalEvent): void => {
    letters.push({ connector, record, fault, attempts, deadAt: clock.now() });
    const groupId = event?.subject ?? record.key?.toString() ?? '';
    signals.emit('lane.dead-letter', { connector, eventId: event?.id ?? '', groupId, attempts, fault });
  };

  const rest = async (ms: number): Promise<void> => {
    ending.drain.throwIfAborted();
    const until = clock.now() + ms;
    for (let left = ms; left > 0; left = until - clock.now()) {
      await clock.sleep(Math.min(left, BEAT_MS), ending.drain);
      ending.drain.throwIfAborted();
      await portion.beat();
    }
  };

  /** Tries until it succeeds: nothing is charged to any event. */
  const insist = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    for (;;) {
      // After a standstill of this process, another may have the partition.
      await portion.beat();
      try {
        return await withBeats(portion, ending.stop, work);
      } catch (thrown) {
        await portion.beat();
        await rest(ports.unreachable(faultOf(thrown, 'destination-unreachable')));
      }
    }
  };

  const seen = new Set<EventId>();
  for (const record of part) {
    const retriedFor = record.headers[RETRY_HEADER];
    if (retriedFor !== undefined && String(retriedFor) !== connector) continue;
    const read = parseEvent(record);
    if (!read.ok) {
      die(record, 0, read.fault);
      continue;
    }
    const event = read.event as CanonicalEvent;
    // What two receivers recorded is the same event: outcomes go by its id.
    if (seen.has(event.id) || !settings.wants(event)) continue;
    seen.add(event.id);
    const entry = { seq: Number(record.offset), event, attempts: 0, dueAt: 0, fault: UNSETTLED };
    reads.set(entry.seq, { record, entry });
    waiting.hold(entry);
  }
  const events = [...reads.values()].map(({ entry }) => entry.event);
  const [first] = events;
  if (first !== undefined) {
    await insist(async (signal) => {
      await ports.prepare(signal);
      ports.merge(events);
    });
  }

  while (waiting.size > 0) {
    const due = waiting.due(clock.now(), settings.maxEvents);
    if (due.length === 0) {
      await rest(Math.max(1, waiting.nextDue() - clock.now()));
      continue;
    }
    const batch = due.map(({ event }) => event);
    const start = performance.now();
    const outcomes = await insist(async (signal) => {
      const sink = await ports.sink();
      return traceDelivery(connector, batch, () => sink.deliver(batch, signal));
    });
    const overload = overloaded(batch.map(({ id }) => outcomes.get(id)));
    if (overload !== undefined) {
      await rest(ports.unreachable(overload.fault, overload.afterMs));
      continue;
    }
    ports.reached();
    let delivered = 0;
    let superseded = 0;
    const receivedAt: number[] = [];
    for (const entry of due) {
      const { seq, event } = entry;
      const outcome = outcomes.get(event.id) ?? { kind: 'retry', fault: UNSETTLED };
      const attempts = entry.attempts + 1;
      if (outcome.kind === 'retry') {
        const retryInMs = Math.max(outcome.afterMs ?? 0, delayAfter(attempts, retry, random));
        const about = { connector, eventId: event.id, groupId: event.subject, attempts };
        signals.emit('lane.retry', { ...about, retryInMs, fault: outcome.fault });
        waiting.update({ ...entry, attempts, dueAt: clock.now() + retryInMs, fault: outcome.fault });
        continue;
      }
      waiting.release(entry);
      const record = reads.get(seq)?.record;
      if (outcome.kind === 'dead' && record !== undefined) die(record, attempts, outcome.fault, event);
      if (outcome.kind === 'delivered') delivered++;
      if (outcome.kind === 'superseded') superseded++;
      if (outcome.kind !== 'dead') receivedAt.push(event.data.receivedAt);
    }
    const ms = performance.now() - start;
    signals.emit('lane.delivered', { connector, delivered, superseded, ms, receivedAt });
  }

  if (letters.length > 0) {
    await insist(() => ports.bury(letters));
    ports.reached();
  }
}

/** How long work may go on once the group has called its members: they are waited for, for a minute. */
const CALLED_MS = 15_000;

/**
 * Goes on telling the group that this member lives. When the group calls, the work may come to its end, which then counts;
 * when this member is taken for dead, it is aborted, since another has the partition.
 */
async function withBeats<T>(
  portion: Portion,
  stop: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const letGo = new AbortController();
  let late: NodeJS.Timeout | undefined;
  const timer = setInterval(() => {
    portion.beat().catch((thrown) => {
      const abort = (): void => letGo.abort(thrown);
      if (isRebalance(thrown)) late ??= setTimeout(abort, CALLED_MS);
      else abort();
    });
  }, BEAT_MS);
  try {
    return await work(AbortSignal.any([letGo.signal, stop]));
  } finally {
    clearInterval(timer);
    clearTimeout(late);
  }
}
