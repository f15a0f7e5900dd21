import type { Restoring, Sink } from '../../connectors/contract.ts';
import type { DeliveryReader, JournalEntry, Settlement, Waiting } from '../journal/deliveries.ts';
import type { GroupReader } from '../journal/groups.ts';
import type { Clock } from '../model/clock.ts';
import type { CanonicalEvent, EventId } from '../model/event.ts';
import { type Fault, faultOf } from '../model/fault.ts';
import type { Group } from '../model/group.ts';
import { type Outcome, overloaded } from '../model/outcome.ts';
import type { LaneState, SignalBus } from '../model/signal.ts';
import { traceDelivery } from '../telemetry/trace.ts';
import { delayAfter, type RetrySettings } from './schedule.ts';
import { createWaitingEvents } from './waiting.ts';
import { createLookUps, ENDED, UNOPENED, type Whereabouts } from './whereabouts.ts';

/*
 * One lane carries the journal's events to one sink, one delivery at a time. It is in one of these states:
 *
 * - opening: it has no sink yet, from the start until the destination could be had once.
 * - delivering: a batch is with the sink.
 * - idle: nothing is due; a new event, or a waiting one coming due, ends it.
 * - paused: by a person, until resumed.
 * - backing off: the destination as a whole cannot be had. Nothing is charged to any event; after the delay the same
 *   events are taken again, without an end.
 *
 * It ends with the bridge, or because its connector was removed or changed; a changed one's next lane goes on from where
 * it left off.
 *
 * A batch is made of what is due again, then of what the journal holds behind the cursor. After each delivery every event
 * of it is delivered, waiting or dead, so the cursor alone says where to go on, also after a crash.
 */

export interface LaneSettings {
  readonly connector: string;
  readonly batch: { readonly maxEvents: number; readonly maxWaitMs: number };
  readonly retry: RetrySettings;
  readonly paused: boolean;
  /** Whether the connector is to have this event; another is passed over and counts as settled. */
  wants(event: CanonicalEvent): boolean;
  /** Where the connector's lane before left off; without it the journal says. */
  readonly from?: Standing | undefined;
}

/** How far a lane is: newer than the journal, into which settlements are written late. */
export interface Standing {
  readonly cursor: number;
  readonly waiting: readonly Waiting[];
  /** A restore that has not come to its end. */
  readonly restore?: { readonly how: Restoring; readonly groupIds: readonly string[] | undefined } | undefined;
}

export interface LanePorts {
  open(signal: AbortSignal): Promise<Sink>;
  readonly journal: DeliveryReader;
  readonly groups: Pick<GroupReader, 'page' | 'count' | 'get'>;
  settle(settlement: Settlement): void;
  readonly clock: Clock;
  readonly signals: Pick<SignalBus, 'emit'>;
  readonly random: () => number;
}

export interface Lane {
  /** There may be new events. */
  wake(): void;
  /** Take nothing more until resumed; a batch that is with the sink is settled. */
  pause(): void;
  resume(): void;
  /** Go back to the event behind `cursor`, and forget what waits or is dead behind it: it comes again. */
  replay(cursor: number): void;
  /** Bring merged groups of the journal to the destination, all or those named, beside what is delivered. */
  restore(how: Restoring, groupIds?: readonly string[]): void;
  /** Try these dead letters again. */
  retry(letters: readonly JournalEntry[]): void;
  /**
   * Where the copy of a group lies, compared with this state of it; between deliveries, without ending a rest that the
   * destination needs. Never rejects.
   */
  locate(group: Group, signal: AbortSignal): Promise<Whereabouts>;
  /** Deliver what is there, then end instead of going idle; a lane that backs off or is paused ends at once. */
  drain(): void;
  /** Take nothing more and end: a batch that is with the sink may take `ms` still, then it is aborted. */
  end(ms: number): void;
  /** For the next lane of this connector, which this one then must leave the sink and the journal to. */
  leave(): Standing;
  /** Resolves when the lane has ended and its sink is closed. */
  readonly ended: Promise<void>;
}

/** While more events than this wait for a retry, nothing new is taken: memory stays bounded, the journal keeps the rest. */
const MAX_WAITING = 10_000;
/**
 * Under load a batch gathers for twice as long as the one before took, so that a lane is busy for a third of the time and
 * makes fewer and fuller ones; at most so long. Where a group's events become one write, time saves the most, and what is
 * written there is seldom looked at within the second: four times as long.
 */
const MAX_GATHER_MS = 50;
const MAX_FOLD_MS = 1_000;

export function startLane(settings: LaneSettings, ports: LanePorts, stop: AbortSignal): Lane {
  const { connector, batch: batchSettings, retry } = settings;
  const { journal, clock, signals, random } = ports;

  const ending = new AbortController();
  const signal = AbortSignal.any([stop, ending.signal]);

  let cursor = settings.from?.cursor ?? journal.cursor(connector);
  const waiting = createWaitingEvents();
  // The settings were changed, so what waited for its retry may be taken now.
  const left = settings.from?.waiting.map((entry) => ({ ...entry, dueAt: Math.min(entry.dueAt, clock.now()) }));
  for (const entry of left ?? journal.waiting(connector)) waiting.hold(entry);

  let sink: Sink | undefined;
  /** How long the latest delivery took, in ms. */
  let tookMs = 0;
  let failures = 0;
  let downSince = 0;
  /** Why the destination as a whole cannot be had. */
  let trouble: Fault | undefined;
  let over = false;
  const lookUps = createLookUps();
  let draining = false;
  let finishing = false;
  let busy = false;
  const finished = new AbortController();
  let paused = settings.paused;
  let restoring: Restore | undefined;
  /** What people ask for, carried out between deliveries. */
  let requests: (() => void)[] = [];
  let woken = false;
  let sleep: { readonly controller: AbortController; readonly wakeable: boolean } | undefined;
  signal.addEventListener('abort', () => sleep?.controller.abort());

  function show(state: LaneState): void {
    signals.emit('lane.state', { connector, state });
  }

  /** Carried out between deliveries; a rest of any kind ends for it. */
  function request(work: () => void): void {
    requests.push(work);
    sleep?.controller.abort();
  }

  /** The end and a drain cut it short; so does a wake, when it is `wakeable`. */
  async function rest(ms: number, wakeable: boolean): Promise<void> {
    const asked = requests.length > 0 || lookUps.waiting > 0 || (wakeable && woken);
    if (!signal.aborted && !draining && !finishing && !asked) {
      sleep = { controller: new AbortController(), wakeable };
      await clock.sleep(ms, sleep.controller.signal);
      sleep = undefined;
    }
    if (wakeable) woken = false;
  }

  async function fresh(room: number, { merged = false, folds = false }: Sink): Promise<JournalEntry[]> {
    if (room <= 0 || waiting.size >= MAX_WAITING) return [];
    const limit = Math.min(room, MAX_WAITING - waiting.size);
    const end = (): number => (merged ? journal.merged() : journal.head());
    const there = end() - cursor;
    const gatherMs = Math.max(
      batchSettings.maxWaitMs,
      folds ? Math.min(4 * tookMs, MAX_FOLD_MS) : Math.min(2 * tookMs, MAX_GATHER_MS),
    );
    if (there > 0 && there < limit && gatherMs >= 1) await rest(gatherMs, false);
    return folds ? journal.readHeads(cursor, limit, end()) : journal.read(cursor, limit, end());
  }

  /** Takes the outcomes of one delivery into `waiting`, the cursor and a settlement. */
  function settle(
    retried: readonly Waiting[],
    taken: readonly JournalEntry[],
    outcomes: ReadonlyMap<EventId, Outcome>,
    ms: number,
  ): void {
    const now = clock.now();
    const report = {
      waiting: [] as Waiting[],
      dead: [] as { seq: number; attempts: number; fault: Fault }[],
      released: [] as number[],
    };
    const receivedAt: number[] = [];
    let delivered = 0;
    let superseded = 0;

    const decide = (entry: JournalEntry, earlierAttempts: number): 'settled' | Waiting => {
      const { seq, event } = entry;
      const outcome = outcomes.get(event.id) ?? { kind: 'retry', fault: UNSETTLED };
      const attempts = earlierAttempts + 1;
      const about = { connector, eventId: event.id, groupId: event.subject, attempts };
      switch (outcome.kind) {
        case 'delivered':
          delivered++;
          receivedAt.push(receiptOf(entry));
          return 'settled';
        case 'superseded':
          superseded++;
          receivedAt.push(receiptOf(entry));
          return 'settled';
        case 'dead':
          report.dead.push({ seq, attempts, fault: outcome.fault });
          signals.emit('lane.dead-letter', { ...about, fault: outcome.fault });
          return 'settled';
        case 'retry': {
          const retryInMs = Math.max(outcome.afterMs ?? 0, delayAfter(attempts, retry, random));
          signals.emit('lane.retry', { ...about, retryInMs, fault: outcome.fault });
          return { seq, event, attempts, dueAt: now + retryInMs, fault: outcome.fault };
        }
      }
    };

    for (const entry of retried) {
      const decision = decide(entry, entry.attempts);
      if (decision !== 'settled') {
        waiting.update(decision);
        report.waiting.push(decision);
        continue;
      }
      waiting.release(entry);
      if (report.dead.at(-1)?.seq !== entry.seq) report.released.push(entry.seq);
    }
    for (const entry of taken) {
      cursor = entry.seq;
      if (!settings.wants(entry.event)) continue;
      const blocked = !outcomes.has(entry.event.id) && waiting.holdsBack(entry.event.subject);
      // Invariant 2, order per group: behind a waiting event its group waits with it.
      const decision = blocked ? { ...entry, attempts: 0, dueAt: now, fault: BEHIND } : decide(entry, 0);
      if (decision === 'settled') continue;
      waiting.hold(decision);
      report.waiting.push(decision);
    }
    ports.settle({
      connector,
      cursor,
      dead: report.dead,
      released: report.released,
      waiting: report.waiting.map(({ seq, attempts, dueAt, fault }) => ({ seq, attempts, dueAt, fault })),
    });
    signals.emit('lane.delivered', { connector, delivered, superseded, ms, receivedAt });
    const last = taken.at(-1);
    signals.emit('lane.cursor', { connector, cursor, ...(last !== undefined && { receivedAt: receiptOf(last) }) });
  }

  /** The destination as a whole: waits, charges nothing. */
  async function backOff(fault: Fault, afterMs = 0): Promise<void> {
    if (failures === 0) downSince = clock.now();
    failures++;
    trouble = fault;
    lookUps.refuse(fault);
    const retryInMs = Math.max(afterMs, delayAfter(failures, retry, random));
    signals.emit('lane.unreachable', { connector, fault, attempt: failures, retryInMs });
    show({ kind: 'waiting', fault, since: downSince, retryAt: clock.now() + retryInMs });
    await rest(retryInMs, false);
  }

  function recovered(): void {
    if (failures === 0) return;
    signals.emit('lane.recovered', { connector, downMs: clock.now() - downSince });
    failures = 0;
    trouble = undefined;
    show({ kind: 'running' });
  }

  /** What an end waits for. */
  async function withSink<T>(work: Promise<T>): Promise<T> {
    busy = true;
    try {
      return await work;
    } finally {
      busy = false;
    }
  }

  async function open(): Promise<Sink> {
    const fresh = await ports.open(signal);
    signals.emit('lane.opened', { connector });
    recovered();
    show({ kind: 'running' });
    return fresh;
  }

  /** One page of groups, between deliveries. */
  async function restoreSome(opened: Sink, restore: Restore): Promise<void> {
    const named = restore.groupIds?.slice(restore.done, restore.done + RESTORE_PAGE);
    const groups =
      named === undefined
        ? ports.groups.page(restore.after, RESTORE_PAGE)
        : named.flatMap((groupId) => ports.groups.get(groupId) ?? []);
    const last = groups.at(-1);
    if (last !== undefined && opened.restore !== undefined) {
      const outcomes = await withSink(opened.restore(groups, signal, restore.how));
      recovered();
      if (opened.locate === undefined) lookUps.remember(outcomes);
      for (const { groupId } of groups) {
        const outcome = outcomes.get(groupId) ?? { kind: 'retry', fault: UNSETTLED };
        if (outcome.kind === 'delivered') restore.mended++;
        if (outcome.kind === 'dead' || outcome.kind === 'retry') {
          restore.failed++;
          signals.emit('lane.restore-failed', { connector, groupId, fault: outcome.fault });
        }
      }
      restore.after = last.groupId;
    }
    restore.done += named?.length ?? groups.length;
    const ended = (named ?? groups).length < RESTORE_PAGE;
    if (ended) restoring = undefined;
    signals.emit('lane.restored', {
      connector,
      done: restore.done,
      total: restore.total,
      mended: restore.mended,
      failed: restore.failed,
      ended,
    });
  }

  async function step(): Promise<'worked' | 'nothing'> {
    const asked = requests;
    requests = [];
    for (const work of asked) work();
    if (paused) {
      if (sink === undefined) lookUps.refuse(trouble ?? UNOPENED);
      else await lookUps.answer(sink, signal);
      return 'nothing';
    }
    // Opened before there is anything to deliver, so that trouble shows at the start.
    sink ??= await open();
    const opened = sink;
    await lookUps.answer(opened, signal);
    if (restoring !== undefined) await restoreSome(opened, restoring);
    const retried = waiting.due(clock.now(), batchSettings.maxEvents);
    const read = await fresh(batchSettings.maxEvents - retried.length, opened);
    if (signal.aborted) return 'nothing';
    if (retried.length === 0 && read.length === 0) return restoring === undefined ? 'nothing' : 'worked';
    // A group with a waiting event is held back whole; its events are only noted as waiting, too.
    const passing = read.filter(({ event }) => settings.wants(event) && !waiting.holdsBack(event.subject));
    const events = [...retried, ...passing].map(({ event }) => event);
    const start = performance.now();
    let outcomes: ReadonlyMap<EventId, Outcome> = new Map();
    if (events.length > 0) {
      outcomes = await withSink(traceDelivery(connector, events, () => opened.deliver(events, signal)));
      const overload = overloaded(events.map(({ id }) => outcomes.get(id)));
      if (overload !== undefined) {
        await backOff(overload.fault, overload.afterMs);
        return 'worked';
      }
      recovered();
    }
    if (opened.locate === undefined) {
      lookUps.remember(events.map(({ id, subject }) => [subject, outcomes.get(id)]));
    }
    tookMs = performance.now() - start;
    settle(retried, read, outcomes, tookMs);
    return 'worked';
  }

  async function run(): Promise<void> {
    show({ kind: paused ? 'paused' : 'connecting' });
    while (!signal.aborted && !finishing) {
      try {
        if ((await step()) === 'worked') {
          // A restore is asked for again, a drain ends with the events.
          if (draining && (failures > 0 || restoring !== undefined)) break;
          continue;
        }
      } catch (thrown) {
        if (signal.aborted) break;
        // Whatever a sink throws, nothing is lost: the same events are taken again.
        await backOff(faultOf(thrown, 'destination-unreachable'));
        if (draining) break;
        continue;
      }
      if (draining) break;
      if (paused) await rest(MAX_REST_MS, false);
      else await rest(Math.max(0, Math.min(waiting.nextDue() - clock.now(), MAX_REST_MS)), true);
    }
    finished.abort();
    over = true;
    lookUps.refuse(ENDED);
    await sink?.close();
    show({ kind: 'ended' });
  }

  /** Behind `back` everything is pending again. */
  function rewind(back: number): void {
    if (back >= cursor) return;
    cursor = back;
    waiting.forgetBehind(back);
    ports.settle({ connector, cursor, rewind: true, waiting: [], dead: [], released: [] });
    signals.emit('lane.cursor', { connector, cursor });
  }

  function retryNow(letters: readonly JournalEntry[]): void {
    const again = letters
      .filter(({ seq }) => seq <= cursor)
      .map((entry) => ({ ...entry, attempts: 0, dueAt: clock.now(), fault: AGAIN }));
    for (const entry of again) waiting.hold(entry);
    ports.settle({ connector, cursor, dead: [], released: [], waiting: again });
  }

  function startRestore(how: Restoring, groupIds: readonly string[] | undefined): void {
    const total = groupIds?.length ?? ports.groups.count();
    restoring = { how, groupIds, after: '', done: 0, mended: 0, failed: 0, total };
  }
  if (settings.from?.restore !== undefined) startRestore(settings.from.restore.how, settings.from.restore.groupIds);

  return {
    wake() {
      woken = true;
      if (sleep?.wakeable) sleep.controller.abort();
    },
    pause: () =>
      request(() => {
        paused = true;
        show({ kind: 'paused' });
      }),
    resume: () =>
      request(() => {
        paused = false;
        show({ kind: sink === undefined ? 'connecting' : 'running' });
      }),
    replay: (back) => request(() => rewind(back)),
    restore: (how, groupIds) => request(() => startRestore(how, groupIds)),
    retry: (letters) => request(() => retryNow(letters)),
    async locate(group, asked) {
      const { groupId } = group;
      if (over) return lookUps.recall(groupId, ENDED);
      // A destination that rests is left alone: its rest ends when it is due.
      if (trouble !== undefined && !paused) return lookUps.recall(groupId, trouble);
      if (sink !== undefined && sink.locate === undefined) return lookUps.recall(groupId);
      const answer = lookUps.ask(group, asked);
      sleep?.controller.abort();
      return answer;
    },
    drain() {
      draining = true;
      sleep?.controller.abort();
    },
    end(ms) {
      finishing = true;
      if (busy) clock.sleep(ms, finished.signal).then(() => ending.abort());
      else ending.abort();
    },
    leave() {
      // What people asked for last is not forgotten.
      for (const work of requests.splice(0)) work();
      const { how, groupIds } = restoring ?? {};
      return { cursor, waiting: waiting.all(), ...(how !== undefined && { restore: { how, groupIds } }) };
    },
    ended: run(),
  };
}

/** Of JournalEntry: without looking into the event where that can be helped. */
function receiptOf({ event, receivedAt }: JournalEntry): number {
  return receivedAt ?? event.data.receivedAt;
}

/** How far a restore is. */
interface Restore {
  readonly how: Restoring;
  readonly groupIds: readonly string[] | undefined;
  after: string;
  done: number;
  mended: number;
  failed: number;
  readonly total: number;
}

const RESTORE_PAGE = 500;

/** setTimeout's limit is 2^31 ms; a lane that is nudged by nobody looks again this often, which costs nothing. */
const MAX_REST_MS = 60_000;

const UNSETTLED: Fault = { code: 'event-unsettled', message: 'the connector did not say what became of it' };
const AGAIN: Fault = { code: 'event-unsettled', message: 'a dead letter that is tried again' };
const BEHIND: Fault = { code: 'event-unsettled', message: 'an earlier event of its group waits for a retry' };
