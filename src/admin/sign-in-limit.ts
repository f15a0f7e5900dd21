import type { Clock } from '../model/clock.ts';

const WINDOW_MS = 60_000;
const PER_WINDOW = 10;
/** Beyond so many addresses in a minute all others count as one: the memory stays bounded. */
const ADDRESSES = 1_000;

/** Wrong tokens by address, within the minute. */
export interface Guesses {
  exhausted(peer: string): boolean;
  add(peer: string): void;
}

export function countGuesses(clock: Clock): Guesses {
  const counts = new Map<string, number>();
  let since = clock.now();
  const keyOf = (peer: string): string => (counts.has(peer) || counts.size < ADDRESSES ? peer : 'others');
  const forget = (): void => {
    const now = clock.now();
    // A clock that was set back must not keep anybody out for longer.
    if (now - since < WINDOW_MS && now >= since) return;
    since = now;
    counts.clear();
  };
  return {
    exhausted(peer) {
      forget();
      return (counts.get(keyOf(peer)) ?? 0) >= PER_WINDOW;
    },
    add(peer) {
      forget();
      const key = keyOf(peer);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    },
  };
}
