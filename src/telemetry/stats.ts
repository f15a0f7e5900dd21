import type { Registry } from 'prom-client';
import type { Clock } from '../model/clock.ts';
import { type CallbackOutcome, OUTCOMES } from '../model/signal.ts';
import { sumsOf } from './meter.ts';

/*
 * Rolling stats: every ten seconds a snapshot of three metrics is kept, for an hour. What happened between two snapshots
 * is their difference, so nothing is counted twice.
 */

export interface Bucket {
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly seconds: number;
  readonly counts: Readonly<Record<CallbackOutcome, number>>;
  readonly total: number;
  /** Quantiles in ms, estimated within the histogram's buckets as by Prometheus; absent if nothing was answered. */
  readonly p50?: number;
  readonly p99?: number;
}

interface Snapshot {
  readonly at: number;
  readonly answered: ReadonlyMap<unknown, number>;
  /** How many answers took at most so many seconds, by rising bounds. */
  readonly within: readonly (readonly [seconds: number, answers: number])[];
  readonly delivered: ReadonlyMap<unknown, number>;
}

const EMPTY: Snapshot = { at: 0, answered: new Map(), within: [], delivered: new Map() };
const SLOT_MS = 10_000;
const HOUR_SLOTS = 360;
const slotOf = ({ at }: Snapshot): number => Math.floor(at / SLOT_MS);

export type Stats = ReturnType<typeof keepStats>;

export function keepStats(registry: Registry, clock: Pick<Clock, 'now' | 'sleep'>, signal: AbortSignal) {
  let snapshots: Snapshot[] = [];
  const keep = async (): Promise<void> => {
    while (!signal.aborted) {
      const taken = await read(registry, clock.now());
      const slot = slotOf(taken);
      // If the clock was set back, snapshots that now lie in the future are dropped.
      const before = snapshots.filter((one) => slotOf(one) >= slot - HOUR_SLOTS && slotOf(one) < slot);
      if (slot !== slotOf(snapshots.at(-1) ?? EMPTY)) snapshots = [...before, taken];
      await clock.sleep(SLOT_MS - (clock.now() % SLOT_MS), signal);
    }
  };
  void keep();

  /** The state at the beginning of a slot: nothing happened since the latest snapshot before it. */
  const stateAt = (slot: number): Snapshot => snapshots.findLast((one) => slotOf(one) <= slot) ?? snapshots[0] ?? EMPTY;

  return {
    /** Returns the last hour in buckets of `seconds` (a multiple of 10), oldest first, up to the latest snapshot. */
    hour(seconds: number): Bucket[] {
      const slots = Math.max(1, Math.round((seconds * 1_000) / SLOT_MS));
      const end = slotOf(snapshots.at(-1) ?? { ...EMPTY, at: clock.now() });
      const firsts = Array.from({ length: Math.floor(HOUR_SLOTS / slots) }, (_, index) => end - (index + 1) * slots);
      return firsts
        .reverse()
        .map((first) => between(stateAt(first), stateAt(first + slots), first * SLOT_MS, (slots * SLOT_MS) / 1_000));
    },
    /** Returns the last 10 to 20 seconds, up to this moment. */
    async current() {
      const now = await read(registry, clock.now());
      const before = snapshots.at(-2) ?? snapshots[0] ?? { ...EMPTY, at: now.at };
      const seconds = Math.max(SLOT_MS, now.at - before.at) / 1_000;
      return {
        ...between(before, now, now.at - seconds * 1_000, seconds),
        deliveredPerSecond: (connector: string) => increase(before.delivered, now.delivered, connector) / seconds,
      };
    },
  };
}

async function read(registry: Registry, at: number): Promise<Snapshot> {
  const within = await sumsOf(registry, 'bridge_ack_seconds', 'le');
  within.delete(undefined);
  return {
    at,
    answered: await sumsOf(registry, 'bridge_callbacks_total', 'outcome'),
    within: [...within].map(([bound, answers]) => [
      bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound),
      answers,
    ]),
    delivered: await sumsOf(registry, 'bridge_delivered_total', 'connector'),
  };
}

function between(before: Snapshot, after: Snapshot, from: number, seconds: number): Bucket {
  const counts = OUTCOMES.map((outcome) => [outcome, increase(before.answered, after.answered, outcome)]);
  const within = after.within.map(([bound, sum], at) => [bound, sum - (before.within[at]?.[1] ?? 0)] as const);
  const total = within.at(-1)?.[1] ?? 0;
  const quantiles = total > 0 && { p50: quantile(within, 0.5), p99: quantile(within, 0.99) };
  return { from, seconds, counts: Object.fromEntries(counts), total, ...quantiles };
}

function increase(before: Snapshot['delivered'], after: Snapshot['delivered'], key: unknown): number {
  return Math.max(0, (after.get(key) ?? 0) - (before.get(key) ?? 0));
}

/** In ms; like histogram_quantile of Prometheus: even within a bucket, and at most the highest bound. */
function quantile(within: Snapshot['within'], q: number): number {
  const rank = q * (within.at(-1)?.[1] ?? 0);
  const at = within.findIndex(([, answers]) => answers >= rank);
  const [bound, answers] = within[at] ?? [0, 0];
  const [lower, fewer] = within[at - 1] ?? [0, 0];
  const seconds = Number.isFinite(bound) ? lower + ((bound - lower) * (rank - fewer)) / (answers - fewer) : lower;
  return seconds * 1_000;
}
