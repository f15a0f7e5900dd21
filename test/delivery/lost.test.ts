import { expect, test } from 'vitest';
import type { EventSink } from '../../connectors/contract.ts';
import { type CopyState, UNSEEN_COPY } from '../../src/model/copy.ts';
import { type Entry, entryOf } from '../../src/model/entry.ts';
import { createSignals } from '../../src/model/signal.ts';
import { BEGUN, jumpingClock } from '../support/clock.ts';
import { madeEvent } from '../support/events.ts';
import { startWatchedLane } from '../support/lane.ts';

/*
 * Events that lay at a destination, and lie there no more, under a lane that has delivered all there is. Its clock jumps to
 * the end of each sleep, and ends the lane after ten minutes.
 */

const MINUTES_10 = 600_000;
const ENTRIES: readonly Entry[] = [1, 2, 3].map((seq) => ({
  ...entryOf(seq, madeEvent(seq)),
  receivedAt: BEGUN - 3_600_000,
}));

interface Destination {
  /** When all that lay there was deleted. */
  readonly goneAtMs: number;
  /** What is written can be searched for after so long. */
  readonly searchableAfterMs: number;
  /** What identifying it first says. */
  readonly lost?: string;
}

async function watch({ goneAtMs, searchableAfterMs, lost }: Destination, before = UNSEEN_COPY) {
  let copy: CopyState = before;
  const stop = new AbortController();
  const clock = jumpingClock((elapsed) => elapsed > MINUTES_10 && stop.abort());
  const { elapsed } = clock;
  const lostAt: number[] = [];
  const broughtAt: number[] = [];
  const signals = createSignals();
  signals.on('copy.lost', () => void lostAt.push(elapsed()));
  signals.on('copy.state', (seen) => {
    copy = seen.copy;
  });
  const read = (after: number, limit: number) => ENTRIES.filter(({ seq }) => seq > after).slice(0, limit);
  let asked = 0;
  const sink: EventSink = {
    holds: 'events',
    async deliver(batch) {
      broughtAt.push(elapsed());
      return new Map(batch.map(({ id }) => [id, { kind: 'delivered', receipt: id }]));
    },
    identify: async () => ({ identity: 'one', ...(++asked === 1 && lost !== undefined && { lost }) }),
    async find(ids) {
      const written = broughtAt[0] ?? Number.POSITIVE_INFINITY;
      const isThere = elapsed() < goneAtMs || elapsed() >= written + searchableAfterMs;
      return new Map(isThere ? ids.map((id) => [id, id]) : []);
    },
    close: async () => {},
  };
  const lane = startWatchedLane(
    {
      sink,
      verify: { every: 100_000, groupsPerSecond: 500, mend: true },
      source: { available: (after) => ENTRIES.length - after, next: read, settle: () => {} },
      events: { oldest: () => ENTRIES[0], read, isOpen: () => false, has: () => false },
      cursor: ENTRIES.length,
      copy,
      clock,
      signals,
    },
    stop.signal,
  );
  await lane.ended;
  return { lostAt, broughtAt, copy };
}

test('are brought again at once when a comparison finds none of them, also where nothing else is to be delivered', async () => {
  const { lostAt, broughtAt } = await watch({ goneAtMs: 50_000, searchableAfterMs: 0 });
  expect(lostAt).toHaveLength(1);
  expect(broughtAt).toHaveLength(1);
  expect((broughtAt[0] ?? 0) - (lostAt[0] ?? 0)).toBeLessThan(1_000);
});

test('are not taken for lost once more before what was brought can be searched for', async () => {
  const { lostAt, broughtAt } = await watch({ goneAtMs: 0, searchableAfterMs: 30_000, lost: 'the index was replaced' });
  expect(lostAt).toHaveLength(1);
  expect(broughtAt).toHaveLength(1);
});

test('are not brought once more where the destination has kept none of those that were brought, nor after a restart', async () => {
  const destination = { goneAtMs: 0, searchableAfterMs: Number.POSITIVE_INFINITY };
  const { lostAt, broughtAt, copy } = await watch(destination);
  expect(lostAt).toHaveLength(2);
  expect(broughtAt).toHaveLength(1);
  expect(await watch(destination, copy)).toMatchObject({ lostAt: [], broughtAt: [], copy });
});
