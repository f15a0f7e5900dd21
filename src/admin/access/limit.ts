import type { Clock } from '../../model/clock.ts';

const WINDOW_MS = 60_000;
const PER_WINDOW = 10;
/** Bounds the memory: once this many addresses are counted within a minute, all others count as one. */
const ADDRESSES = 1_000;

/** Counts wrong tokens by address, within a minute. */
export interface SignInLimit {
  exhausted(peer: string): boolean;
  countWrong(peer: string): void;
}

export function createSignInLimit(clock: Clock): SignInLimit {
  const counts = new Map<string, number>();
  let begun = clock.elapsed();
  const keyOf = (peer: string): string => (counts.has(peer) || counts.size < ADDRESSES ? peer : 'others');
  const forget = (): void => {
    if (clock.elapsed() - begun < WINDOW_MS) return;
    begun = clock.elapsed();
    counts.clear();
  };
  return {
    exhausted(peer) {
      forget();
      return (counts.get(keyOf(peer)) ?? 0) >= PER_WINDOW;
    },
    countWrong(peer) {
      forget();
      const key = keyOf(peer);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    },
  };
}
