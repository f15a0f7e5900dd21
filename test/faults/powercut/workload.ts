import type { CanonicalEvent } from '../../../src/model/event.ts';
import { madeEvent } from '../../support/events.ts';

/** In a folder of its own, so that its making is recorded, too. */
export const JOURNAL = 'data/journal.db';

export const BROKEN = ['ok-before-sync', 'sync-skipped', 'synchronous-off', 'cursor-ahead', 'no-rewrite'] as const;
export type Broken = (typeof BROKEN)[number];

/** The `n`-th event of each run: some are large, so that the log fills. */
export function eventOf(n: number): CanonicalEvent {
  const change = n % 5 === 0 ? { introduction: `${n} `.repeat(1_500) } : { name: `name ${n}` };
  return madeEvent(n, change, `g${(n * 7) % 23}`);
}
