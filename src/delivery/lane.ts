import { setImmediate as turn } from 'node:timers/promises';
import { Revoked, type Waiting } from '../../connectors/contract.ts';
import type { Entry } from '../model/entry.ts';
import { faultOf, messageOf, Unreachable } from '../model/fault.ts';
import type { Group } from '../model/group.ts';
import { createDoubt } from './doubt.ts';
import { createReadBacks, ENDED, type ReadBack, UNOPENED } from './read-back.ts';
import { createRest } from './rest.ts';
import type { Resync, ResyncRequest } from './resync.ts';
import { createWaitingEntries } from './waiting.ts';
import {
  backOff,
  become,
  beginResync,
  type LanePorts,
  type LaneSettings,
  type LaneWork,
  retryNow,
  rewind,
  step,
} from './work.ts';

/*
 * A lane carries entries from one source to one sink, one delivery at a time. lane-state.ts describes its states, work.ts
 * its steps.
 *
 * A batch holds the entries due for a retry, then what the source has after the cursor. After a delivery each of its
 * entries is delivered, waiting or dead, so the source alone determines where to continue, even after a crash.
 */

/** How far a lane is; ahead of the journal, which records reports late. */
export interface LanePosition {
  readonly cursor: number;
  readonly waiting: readonly Waiting[];
  /** Those still unfinished. */
  readonly resyncs?: readonly Pick<Resync, 'request' | 'done'>[];
  /** What was asked and not yet carried out. */
  readonly requests?: readonly AskedRequest[];
}

/** Carried out between two deliveries; interrupts any rest. */
export type LaneRequest =
  /**
   * `pause` takes nothing more until resumed, but settles the batch in flight. `resume` of a lane that is not paused lets
   * events that are refused alike become dead letters.
   */
  | { readonly kind: 'pause' | 'resume' }
  /** Goes back to the entry after `cursor`; what waits or is dead after it is forgotten, since it comes again. */
  | { readonly kind: 'replay'; readonly cursor: number }
  /** Brings merged groups to the destination, alongside deliveries. */
  | ({ readonly kind: 'resync' } & ResyncRequest)
  /** Retries these dead letters. */
  | { readonly kind: 'retry'; readonly entries: readonly Entry[] };

interface AskedRequest {
  readonly request: LaneRequest;
  done(): void;
}

export type Lane = ReturnType<typeof startLane>;

/** How often a lane that nobody wakes looks again; setTimeout's limit is 2^31 ms. */
const MAX_REST_MS = 60_000;

export function startLane(
  settings: LaneSettings,
  ports: LanePorts,
  { paused, from }: { readonly paused: boolean; readonly from: LanePosition },
  stop: AbortSignal,
) {
  const { clock } = ports;
  const aborting = new AbortController();
  const finished = new AbortController();
  const signal = AbortSignal.any([stop, aborting.signal]);
  const requests: AskedRequest[] = [];
  const readBacks = createReadBacks();
  const mustAct = (): boolean => signal.aborted || lane.ending !== 'no' || requests.length > 0 || readBacks.waiting > 0;
  const lane: LaneWork = {
    settings,
    ports,
    signal,
    rest: createRest(clock, mustAct, ports.woken),
    waiting: createWaitingEntries(),
    readBacks,
    state: { kind: paused ? 'paused' : 'connecting' },
    ending: 'no',
    cursor: from.cursor,
    sink: undefined,
    outage: undefined,
    doubt: createDoubt(),
    resyncs: [],
    busy: false,
    latest: { tookMs: 0, endedAt: Number.NEGATIVE_INFINITY },
  };
  for (const held of from.waiting) lane.waiting.hold(held);
  for (const { request, done } of from.resyncs ?? []) beginResync(lane, request, done);
  signal.addEventListener('abort', lane.rest.interrupt);
  const ended = run(lane, requests).finally(() => finished.abort());

  return {
    /** There may be new entries. */
    wake: lane.rest.wake,
    /** Makes the lane look at its source at once, whatever it waits for. */
    interrupt: lane.rest.interrupt,
    /** Resolves when the request was carried out; for a resync, when it has finished. */
    ask: (request: LaneRequest) =>
      new Promise<void>((done) => {
        if (lane.state.kind === 'ended') return done();
        requests.push({ request, done });
        lane.rest.interrupt();
      }),
    /**
     * Compares the copy of a group with this state, between deliveries and without cutting short a destination's rest.
     * Never rejects.
     */
    readBack: (group: Group, asked: AbortSignal) => readBack(lane, group, asked),
    /** Delivers what is left, then ends instead of going idle; a lane that waits or is paused ends at once. */
    drain(): void {
      if (lane.ending === 'no') lane.ending = 'drain';
      lane.rest.interrupt();
    },
    /** Takes nothing more and ends; the batch in flight has `ms` before it is aborted. */
    end(ms: number): void {
      lane.ending = 'finish';
      lane.rest.interrupt();
      if (lane.busy) clock.sleep(ms, finished.signal).then(() => aborting.abort());
      else aborting.abort();
    },
    /** Hands over to the connector's next lane, to which sink and source then belong. */
    leave: (): LanePosition => ({
      cursor: lane.cursor,
      waiting: lane.waiting.all(),
      resyncs: lane.resyncs,
      requests: requests.splice(0),
    }),
    /** Resolves when the lane has ended and its sink is closed. */
    ended,
  };
}

async function run(lane: LaneWork, requests: AskedRequest[]): Promise<void> {
  const { signal, rest, waiting, ports } = lane;
  ports.signals.emit('lane.state', { connector: lane.settings.connector, state: lane.state });
  while (!signal.aborted && lane.ending !== 'finish') {
    let worked = false;
    // Some steps never wait: lets the other lanes of this thread run.
    await turn();
    rest.looked();
    try {
      await ports.source.alive?.();
      for (let [next] = requests; next !== undefined; [next] = requests) {
        await carryOut(lane, next);
        requests.shift();
      }
      if (lane.state.kind !== 'paused') worked = await step(lane);
      else if (lane.sink === undefined) lane.readBacks.refuse(lane.outage?.fault ?? UNOPENED);
      else await lane.readBacks.answer(lane.sink, signal);
    } catch (thrown) {
      if (signal.aborted) break;
      // Somebody else settles the entries now.
      if (thrown instanceof Revoked) waiting.forgetAfter();
      if (thrown instanceof Revoked || ports.source.lease?.().aborted) continue;
      // Whatever a sink throws, nothing is lost: the same entries are taken again.
      const afterMs = thrown instanceof Unreachable ? thrown.afterMs : 0;
      await backOff(lane, 'destination', faultOf(thrown, 'destination-unreachable'), afterMs);
      worked = true;
    }
    // A drain ends with the entries; an unfinished resync is asked for again.
    if (lane.ending === 'drain' && (!worked || lane.outage !== undefined || lane.resyncs.length > 0)) break;
    if (worked) continue;
    if (lane.state.kind === 'paused') await rest.until(MAX_REST_MS, false);
    else {
      const dueAt = Math.min(waiting.nextDue(), ports.upkeep?.dueAt() ?? Number.POSITIVE_INFINITY);
      await rest.until(Math.max(0, Math.min(dueAt - ports.clock.elapsed(), MAX_REST_MS)), true);
    }
  }
  lane.readBacks.refuse(ENDED);
  // A failure to close must stop neither the other lanes nor this connector's next one.
  await lane.sink?.close().catch((thrown) => {
    const message = `the connection was not closed as it should be: ${messageOf(thrown)}`;
    ports.signals.emit('lane.note', { connector: lane.settings.connector, message });
  });
  become(lane, { kind: 'ended' });
}

async function readBack({ state, readBacks, rest }: LaneWork, group: Group, asked: AbortSignal): Promise<ReadBack> {
  if (state.kind === 'ended') return { fault: ENDED };
  // A destination in an outage is left alone until its rest is over.
  if (state.kind === 'waiting') return { fault: state.fault };
  const answer = readBacks.ask(group, asked);
  rest.interrupt();
  return answer;
}

async function carryOut(lane: LaneWork, { request, done }: AskedRequest): Promise<void> {
  switch (request.kind) {
    case 'pause':
      become(lane, { kind: 'paused' });
      break;
    case 'resume':
      if (lane.state.kind === 'paused') become(lane, { kind: lane.sink === undefined ? 'connecting' : 'running' });
      // Whoever resumes a lane in doubt has seen its refusals.
      else lane.doubt.trust();
      break;
    case 'replay':
      await rewind(lane, request.cursor);
      break;
    case 'resync':
      return beginResync(lane, request, done);
    case 'retry':
      await retryNow(lane, request.entries);
  }
  done();
}
