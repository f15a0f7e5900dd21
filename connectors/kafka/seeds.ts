/** How long a broker that was in trouble is tried after all others, and one that answered is trusted. */
const FRESH_MS = 30_000;

interface Seeds {
  /** When each was in trouble, by the clock that nobody sets. */
  readonly troubles: Map<string, number>;
  provenAt: number;
}

/**
 * By the list of the configuration, which outlives the clients: a client is thrown away after trouble, and the next one must
 * not begin with the broker that brought it, as kafkajs would.
 */
const known = new WeakMap<readonly string[], Seeds>();

function seedsOf(brokers: readonly string[]): Seeds {
  const seeds = known.get(brokers) ?? { troubles: new Map(), provenAt: Number.NEGATIVE_INFINITY };
  known.set(brokers, seeds);
  return seeds;
}
const isFresh = (at: number): boolean => performance.now() - at < FRESH_MS;

/** Returns the brokers, those last that were in trouble lately: of them, the one that has rested for the longest goes first. */
export function inOrder(brokers: readonly string[]): string[] {
  const { troubles } = seedsOf(brokers);
  const at = (broker: string): number => {
    const trouble = troubles.get(broker) ?? 0;
    return isFresh(trouble) ? trouble : 0;
  };
  return brokers.toSorted((one, other) => at(one) - at(other));
}

/** kafkajs takes a broker apart at its first colon, and an address of IPv6 has several. */
export const toSeed = (broker: string): string => broker.replace(/^\[.*\]/, (address) => address.replaceAll(':', '~'));

/** Returns what was made a seed, or its host alone, as it is written elsewhere. */
export const fromSeed = (seed: string): string => (seed.startsWith('[') ? seed.replaceAll('~', ':') : seed);

/** Notes that this broker did not answer. */
export function setAside(brokers: readonly string[], broker: string): void {
  const seeds = seedsOf(brokers);
  seeds.troubles.set(broker, performance.now());
  seeds.provenAt = Number.NEGATIVE_INFINITY;
}

/** Notes that the first one in order answered. */
export function prove(brokers: readonly string[]): void {
  seedsOf(brokers).provenAt = performance.now();
}

export const isProven = (brokers: readonly string[]): boolean => isFresh(seedsOf(brokers).provenAt);
