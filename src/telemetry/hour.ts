import type { Clock } from '../model/clock.ts';
import type { CallbackOutcome, SignalBus } from '../model/signal.ts';

/*
 * The last hour of callbacks, in memory: 360 slots of 10 s in one array of counters that is used round and round. A callback
 * costs one logarithm and two increments; what people look at is worked out when they look.
 */

export const OUTCOMES = [
  'recorded',
  'duplicate',
  'acknowledged',
  'forwarded',
  'quarantined',
  'refused',
  'failed',
] as const satisfies readonly CallbackOutcome[];

export type Counts = Readonly<Record<CallbackOutcome, number>>;

/** What was answered within some seconds, and how fast. Quantiles in ms, to within a tenth; absent where nothing was. */
export interface Stretch {
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly seconds: number;
  readonly counts: Counts;
  readonly total: number;
  readonly p50?: number;
  readonly p99?: number;
}

export interface Hour {
  /** The hour in stretches of `seconds` (a multiple of 10), oldest first; the last one ends with the latest whole slot. */
  stretches(seconds: number): Stretch[];
  /** The last 10 to 20 seconds, up to this moment. */
  lately(): Stretch;
  /** The number of the slot that is being filled: the stretches are the same as long as it is. */
  slot(): number;
}

const SLOT_MS = 10_000;
const HOUR_SLOTS = 360;
/** One more than is shown, for the slot that is being filled. */
const SLOTS = HOUR_SLOTS + 1;

/** Buckets of the time to an answer: from 0.05 ms, each 2^(1/4) times the one before, to over 10 s. */
const LOWEST_MS = 0.05;
const PER_DOUBLING = 4;
const BUCKETS = 72;
const ROW = OUTCOMES.length + BUCKETS;

export function watchHour(signals: SignalBus, clock: Clock): Hour {
  const counters = new Uint32Array(SLOTS * ROW);
  const column = new Map<CallbackOutcome, number>(OUTCOMES.map((outcome, index) => [outcome, index]));
  let current = Math.floor(clock.now() / SLOT_MS);

  const rowOf = (slot: number): number => (slot % SLOTS) * ROW;

  /** Slots that began meanwhile are empty. A clock that was set back goes on filling the newest. */
  const advance = (): void => {
    const slot = Math.floor(clock.now() / SLOT_MS);
    if (slot <= current) return;
    for (let passed = Math.max(current + 1, slot - SLOTS + 1); passed <= slot; passed++) {
      counters.fill(0, rowOf(passed), rowOf(passed) + ROW);
    }
    current = slot;
  };

  signals.on('callback.answered', ({ outcome, ms }) => {
    advance();
    const row = rowOf(current);
    bump(counters, row + (column.get(outcome) ?? 0));
    bump(counters, row + OUTCOMES.length + bucketOf(ms));
  });

  /** The slots from `first` up to and with `last`. */
  const sum = (first: number, last: number, seconds: number): Stretch => {
    const sums = new Float64Array(ROW);
    for (let slot = first; slot <= last; slot++) {
      const row = rowOf(slot);
      for (let at = 0; at < ROW; at++) sums[at] = (sums[at] ?? 0) + (counters[row + at] ?? 0);
    }
    const buckets = sums.subarray(OUTCOMES.length);
    const total = buckets.reduce((all, some) => all + some, 0);
    const counts = Object.fromEntries(OUTCOMES.map((outcome, index) => [outcome, sums[index] ?? 0])) as Counts;
    return {
      from: first * SLOT_MS,
      seconds,
      counts,
      total,
      ...(total > 0 && { p50: quantile(buckets, total, 0.5), p99: quantile(buckets, total, 0.99) }),
    };
  };

  return {
    stretches(seconds) {
      advance();
      const slots = Math.max(1, Math.round((seconds * 1000) / SLOT_MS));
      const count = Math.floor(HOUR_SLOTS / slots);
      return Array.from({ length: count }, (_, index) => {
        const last = current - 1 - (count - 1 - index) * slots;
        return sum(last - slots + 1, last, (slots * SLOT_MS) / 1000);
      });
    },
    lately() {
      advance();
      const elapsed = Math.max(0, clock.now() - current * SLOT_MS);
      return sum(current - 1, current, (SLOT_MS + Math.min(elapsed, SLOT_MS)) / 1000);
    },
    slot() {
      advance();
      return current;
    },
  };
}

function bump(counters: Uint32Array, at: number): void {
  counters[at] = (counters[at] ?? 0) + 1;
}

function bucketOf(ms: number): number {
  if (!(ms > LOWEST_MS)) return 0;
  return Math.min(BUCKETS - 1, Math.floor(Math.log2(ms / LOWEST_MS) * PER_DOUBLING));
}

/** The middle of the bucket in which the quantile lies. */
function quantile(buckets: Float64Array, total: number, q: number): number {
  const rank = Math.max(1, Math.ceil(total * q));
  let seen = 0;
  const found = buckets.findIndex((some) => {
    seen += some;
    return seen >= rank;
  });
  return LOWEST_MS * 2 ** ((found + 0.5) / PER_DOUBLING);
}
