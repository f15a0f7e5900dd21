/** What one lane does in one step: opens, answers questions, brings a page of groups, delivers a batch, settles it. */
import {
  type Dead,
  Interrupted,
  type Outcomes,
  type Report,
  Revoked,
  type Sink,
  type Source,
  type Waiting,
} from '../../connectors/contract.ts';
import type { LaneOptions } from '../config/connectors.ts';
import type { Clock } from '../model/clock.ts';
import type { Entry } from '../model/entry.ts';
import { type Fault, faultOf } from '../model/fault.ts';
import { overloaded } from '../model/outcome.ts';
import type { LaneState, SignalBus } from '../model/signal.ts';
import { type Delivery, isAskedFor, settleDelivery, triedAgain } from './attempt.ts';
import { deliver } from './deliver.ts';
import type { Doubt } from './doubt.ts';
import type { Filter } from './filter.ts';
import { enter } from './lane-state.ts';
import { delayAfter, nextOutage, type Outage, type Side } from './outage.ts';
import type { ReadBacks } from './read-back.ts';
import type { Rest } from './rest.ts';
import { type GroupPages, isOfAll, type Resync, type ResyncRequest, startResync } from './resync.ts';
import type { Upkeep } from './upkeep.ts';
import type { WaitingEntries } from './waiting.ts';

export interface LaneSettings {
  readonly connector: string;
  readonly batch: LaneOptions['batch'];
  readonly retry: LaneOptions['retry'];
  readonly filter: Filter;
}

export interface LanePorts {
  readonly source: Source;
  open(signal: AbortSignal): Promise<Sink>;
  readonly groups: GroupPages;
  /** Without it the copy is neither identified nor compared. */
  readonly upkeep?: Upkeep;
  /** The lane is about to look at its source, because it was woken. */
  woken?(): void;
  /** Runs one delivery within the spans of its entries. */
  trace(connector: string, batch: readonly Entry[], work: () => Promise<Outcomes>): Promise<Outcomes>;
  readonly clock: Clock;
  readonly signals: Pick<SignalBus, 'emit'>;
  readonly random: () => number;
}

export interface LaneWork {
  readonly settings: LaneSettings;
  readonly ports: LanePorts;
  /** Aborts when the lane must end at once. */
  readonly signal: AbortSignal;
  readonly rest: Rest;
  readonly waiting: WaitingEntries;
  readonly readBacks: ReadBacks;
  state: LaneState;
  ending: 'no' | 'drain' | 'finish';
  /** Every entry up to this seq is settled or waits. */
  cursor: number;
  sink: Sink | undefined;
  outage: Outage | undefined;
  readonly doubt: Doubt;
  /** The first is under way. */
  resyncs: readonly Resync[];
  busy: boolean;
  latest: { readonly tookMs: number; readonly endedAt: number };
}

/** Bounds memory: while so many entries wait for a retry, nothing new is taken, unless the source allows more. */
const MAX_WAITING = 10_000;
/** Bounds the retried part of a batch, since the sizes of waiting entries are not known. */
const MAX_RETRIED = 1_000;
/**
 * A batch soon after the previous one gathers for a moment: a batch costs the bridge and the destination as much as
 * dozens of its events. After a quiet while an event goes at once.
 */
const GATHER_MS = 40;
/**
 * Where a group's entries become one write, waiting saves the most, and such a copy is seldom read within the second:
 * this many times as long as a delivery took, or as `maxWaitMs`, but at most MAX_COALESCE_MS.
 */
const COALESCE = 4;
const MAX_COALESCE_MS = 1_000;

export function become(lane: LaneWork, next: LaneState): void {
  lane.state = enter(lane.state, next);
  lane.ports.signals.emit('lane.state', { connector: lane.settings.connector, state: lane.state });
}

/** Waits because one side as a whole is unavailable, and charges no entry. */
export async function backOff(lane: LaneWork, side: Side, fault: Fault, afterMs = 0): Promise<void> {
  const { connector, retry } = lane.settings;
  const { clock, signals, random } = lane.ports;
  const outage = nextOutage(lane.outage, side, fault, clock.elapsed());
  lane.outage = outage;
  lane.readBacks.refuse(fault);
  const retryInMs = Math.max(afterMs, delayAfter(outage.failures, retry, random));
  signals.emit('lane.unreachable', { connector, fault, attempt: outage.failures, retryInMs });
  const now = clock.now();
  const since = now - (clock.elapsed() - outage.since);
  if (lane.state.kind !== 'paused') become(lane, { kind: 'waiting', fault, since, retryAt: now + retryInMs });
  await lane.rest.until(retryInMs, false);
}

function markReachable(lane: LaneWork, side: Side): void {
  const { outage, ports, settings } = lane;
  if (outage?.side === side) {
    const downMs = ports.clock.elapsed() - outage.since;
    ports.signals.emit('lane.recovered', { connector: settings.connector, downMs });
    lane.outage = undefined;
  }
  const { kind } = lane.state;
  if (lane.outage === undefined && kind !== 'running' && kind !== 'paused') become(lane, { kind: 'running' });
}

/** Makes one step of a lane that is not paused; resolves with false when there was nothing to do. */
export async function step(lane: LaneWork): Promise<boolean> {
  // Opened before there is anything to deliver, so that trouble shows at the start.
  lane.sink ??= await open(lane);
  const { sink, signal, waiting, settings, ports } = lane;
  await lane.readBacks.answer(sink, signal);
  const answered = await ports.upkeep?.step(lane, sink);
  await bringPage(lane, sink);
  const due = waiting.due(ports.clock.elapsed(), Math.min(settings.batch.maxEvents, MAX_RETRIED));
  const isGone = ({ entry }: Waiting): boolean => ports.source.has?.(entry) === false;
  const { gone = [], retried = [] } = Object.groupBy(due, (held) => (isGone(held) ? 'gone' : 'retried'));
  gone.forEach(waiting.release);
  if (gone.length > 0) {
    const released = gone.map(({ entry }) => entry.seq);
    await report(lane, { upTo: lane.cursor, waiting: [], dead: [], released });
  }
  const taken = await take(lane, settings.batch.maxEvents - retried.length, sink);
  if (signal.aborted) return false;
  if (retried.length === 0 && !taken?.length) {
    // With nothing to deliver, it is upkeep that finds the destination reachable again.
    if (answered) markReachable(lane, 'destination');
    return lane.resyncs.length > 0 || taken === undefined;
  }
  await deliverBatch(lane, sink, retried, taken ?? []);
  return true;
}

async function open(lane: LaneWork): Promise<Sink> {
  const opened = await lane.ports.open(lane.signal);
  lane.ports.signals.emit('lane.opened', { connector: lane.settings.connector });
  markReachable(lane, 'destination');
  return opened;
}

/** Runs work of the sink: an end waits for it for a while, and so does whoever takes the entries over. */
async function whileBusy<T>(lane: LaneWork, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  lane.busy = true;
  try {
    const lease = lane.ports.source.lease?.();
    return await work(lease === undefined ? lane.signal : AbortSignal.any([lane.signal, lease]));
  } finally {
    lane.busy = false;
  }
}

async function bringPage(lane: LaneWork, sink: Sink): Promise<void> {
  if (sink.holds === 'events') endResyncs(lane, () => true);
  const [resync] = lane.resyncs;
  if (sink.holds === 'events' || resync === undefined) return;
  const progress = await whileBusy(lane, (signal) => resync.step(sink, signal));
  markReachable(lane, 'destination');
  lane.ports.signals.emit('lane.resync', { connector: lane.settings.connector, ...progress });
  if (progress.ended) endResyncs(lane, (one) => one === resync);
  lane.ports.upkeep?.resynced(lane, progress);
}

/** Resolves with undefined after a wait for a source that was unavailable. */
async function take(lane: LaneWork, room: number, sink: Sink): Promise<readonly Entry[] | undefined> {
  const { waiting, cursor, signal, rest } = lane;
  const { source } = lane.ports;
  const { maxWaiting = MAX_WAITING } = source;
  if (room <= 0 || waiting.size >= maxWaiting) return [];
  const limit = Math.min(room, maxWaiting - waiting.size);
  const there = source.available(cursor);
  const waitMs = gatherMs(lane, sink);
  if (there > 0 && there < limit && waitMs >= 1) await rest.until(waitMs, false);
  try {
    const taken = await source.next(cursor, limit, signal);
    markReachable(lane, 'source');
    return taken;
  } catch (thrown) {
    if (signal.aborted || thrown instanceof Revoked) throw thrown;
    await backOff(lane, 'source', faultOf(thrown, 'destination-unreachable'));
    return undefined;
  }
}

function gatherMs({ settings, latest: { tookMs, endedAt }, ports }: LaneWork, sink: Sink): number {
  const { maxWaitMs } = settings.batch;
  const coalesceMs = sink.holds === 'groups' ? Math.min(COALESCE * Math.max(tookMs, maxWaitMs), MAX_COALESCE_MS) : 0;
  const sinceMs = ports.clock.elapsed() - endedAt;
  return Math.max(maxWaitMs, Math.max(GATHER_MS, coalesceMs) - sinceMs);
}

async function deliverBatch(lane: LaneWork, sink: Sink, retried: readonly Waiting[], taken: readonly Entry[]) {
  const { waiting } = lane;
  const { connector, filter } = lane.settings;
  const { groups, trace } = lane.ports;
  const wanted = new Set(taken.filter(filter.matches));
  // A group with a waiting entry is held back whole: its new entries join the wait.
  const passing = [...wanted].filter(({ groupId }) => !waiting.holdsBack(groupId));
  const batch = [...retried.map(({ entry }) => entry), ...passing];
  const { clock } = lane.ports;
  const start = clock.elapsed();
  let outcomes: Outcomes = new Map();
  let interrupted: Interrupted | undefined;
  if (batch.length > 0) {
    outcomes = await whileBusy(lane, (signal) =>
      trace(connector, batch, () =>
        deliver(sink, batch, groups, filter, signal).catch((thrown) => {
          if (!(thrown instanceof Interrupted)) throw thrown;
          interrupted = thrown;
          return thrown.settled;
        }),
      ),
    );
    const overload = overloaded(batch.map(({ id }) => outcomes.get(id)));
    if (overload !== undefined) return backOff(lane, 'destination', overload.fault, overload.afterMs);
    if (await waitsInDoubt(lane, retried, batch, outcomes)) return;
    markReachable(lane, 'destination');
  }
  const endedAt = clock.elapsed();
  lane.latest = { tookMs: endedAt - start, endedAt };
  const cut = interrupted && faultOf(interrupted.cause, 'destination-unreachable');
  await settle(lane, { retried, taken, wanted, outcomes, ...(cut && { cut }) });
  if (interrupted !== undefined) throw interrupted.cause;
}

/** Waits if the destination is at fault, although it refused events one by one; see doubt.ts. */
async function waitsInDoubt(lane: LaneWork, retried: readonly Waiting[], batch: readonly Entry[], outcomes: Outcomes) {
  // What was asked for never stops the lane.
  const asked = new Set(retried.filter(isAskedFor).map(({ entry }) => entry));
  const unasked = batch.filter((entry) => !asked.has(entry));
  const found = lane.doubt.look(unasked, outcomes, lane.settings.connector);
  if (found === undefined) return false;
  const { fault, earlier } = found;
  if (lane.ports.source.takesBack !== undefined && earlier.length > 0) await retryNow(lane, earlier, fault);
  await backOff(lane, 'destination', fault);
  return true;
}

async function settle(lane: LaneWork, delivery: Delivery): Promise<void> {
  const { connector, retry } = lane.settings;
  const { clock, signals, random } = lane.ports;
  const settlement = settleDelivery(delivery, lane.waiting, { now: clock.elapsed(), retry, random });
  const { waiting, dead, released, brought } = settlement;
  const failure = ({ entry: { id: eventId, groupId }, attempts, fault }: Dead) => {
    return { connector, eventId, groupId, attempts, fault };
  };
  for (const one of dead) signals.emit('lane.dead-letter', failure(one));
  for (const { waiting, retryInMs } of settlement.failed) {
    signals.emit('lane.retry', { ...failure(waiting), retryInMs });
  }
  lane.cursor = delivery.taken.at(-1)?.seq ?? lane.cursor;
  const { cursor } = lane;
  await report(lane, { upTo: cursor, waiting, dead, released, brought });
  const superseded = brought.filter(({ kind }) => kind === 'superseded').length;
  const receivedAt = brought.map(({ entry }) => entry.receivedAt);
  const delivered = brought.length - superseded;
  signals.emit('lane.delivered', { connector, delivered, superseded, ms: lane.latest.tookMs, receivedAt });
  signals.emit('lane.cursor', { connector, cursor });
}

/** The shortest time between two attempts to report. */
const INSIST_MS = 100;

/** Reports to the source until that succeeds: what it does not know would be delivered again. */
async function report(lane: LaneWork, settled: Report): Promise<void> {
  const { source } = lane.ports;
  for (;;) {
    try {
      return await source.settle(settled);
    } catch (thrown) {
      if (lane.signal.aborted || lane.ending !== 'no' || thrown instanceof Revoked) throw thrown;
      await backOff(lane, 'source', faultOf(thrown, 'destination-unreachable'));
      // A request to the lane cuts every rest short, but is not carried out before this report.
      await lane.ports.clock.sleep(INSIST_MS, lane.signal);
      lane.rest.looked();
      await source.alive?.();
    }
  }
}

/** Has everything after `back` come again. */
export async function rewind(lane: LaneWork, back: number): Promise<void> {
  if (back < lane.cursor) {
    lane.cursor = back;
    lane.waiting.forgetAfter(back);
    await report(lane, { upTo: back, rewind: true, waiting: [], dead: [], released: [] });
    lane.ports.signals.emit('lane.cursor', { connector: lane.settings.connector, cursor: back });
  }
  lane.ports.upkeep?.rewound(lane, back);
}

/** Skips what the source no longer has, up to this seq, after it was reported as lost. */
export async function passOver(lane: LaneWork, upTo: number): Promise<void> {
  lane.cursor = upTo;
  await report(lane, { upTo, passedOver: true, waiting: [], dead: [], released: [] });
  lane.ports.signals.emit('lane.cursor', { connector: lane.settings.connector, cursor: upTo });
}

/**
 * Retries entries at once; without a fault, because a person or a comparison asked: then refusals never stop the lane.
 * Entries after the cursor come anyway, and those that a person has discarded since stay away.
 */
export async function retryNow(lane: LaneWork, entries: readonly Entry[], fault?: Fault): Promise<void> {
  const { source, clock } = lane.ports;
  const now = clock.elapsed();
  const again = entries
    .filter((entry) => entry.seq <= lane.cursor && source.takesBack?.(entry) !== false)
    .map((entry) => triedAgain(entry, now, fault));
  for (const held of again) lane.waiting.hold(held);
  await report(lane, { upTo: lane.cursor, waiting: again, dead: [], released: [] });
}

/** `done` is called when it has finished or was abandoned. */
export function beginResync(lane: LaneWork, request: ResyncRequest, done = (): void => {}): void {
  const { connector, filter } = lane.settings;
  const refused = (groupId: string, fault: Fault): void =>
    lane.ports.signals.emit('lane.resync-failed', { connector, groupId, fault });
  const resync = startResync(request, lane.ports.groups, filter, refused, done);
  // A resync of all groups replaces another one; one of some groups goes first and replaces nothing.
  if (isOfAll(request)) endResyncs(lane, (other) => isOfAll(other.request));
  lane.resyncs = isOfAll(request) ? [...lane.resyncs, resync] : [resync, ...lane.resyncs];
}

function endResyncs(lane: LaneWork, which: (resync: Resync) => boolean): void {
  const ended = lane.resyncs.filter(which);
  lane.resyncs = lane.resyncs.filter((one) => !ended.includes(one));
  for (const { done } of ended) done();
}
