/** How long a broker in trouble is tried last, and one that answered is trusted. */
const FRESH_MS = 30_000;

interface Seeds {
  /** When each was in trouble, by performance.now(). */
  readonly troubles: Map<string, number>;
  provenAt: number;
}

/**
 * By the configured list, which outlives the clients: after trouble a client is discarded, and the next one must not
 * begin with the broker that caused it, as kafkajs would.
 */
const known = new WeakMap<readonly string[], Seeds>();

function seedsOf(brokers: readonly string[]): Seeds {
  const seeds = known.get(brokers) ?? { troubles: new Map(), provenAt: Number.NEGATIVE_INFINITY };
  known.set(brokers, seeds);
  return seeds;
}
const isFresh = (at: number): boolean => performance.now() - at < FRESH_MS;

/** Returns the brokers, with those recently in trouble last: among them, the one that has rested longest first. */
export function inOrder(brokers: readonly string[]): string[] {
  const { troubles } = seedsOf(brokers);
  const at = (broker: string): number => {
    const trouble = troubles.get(broker) ?? 0;
    return isFresh(trouble) ? trouble : 0;
  };
  return brokers.toSorted((one, other) => at(one) - at(other));
}

/** kafkajs splits a broker at its first colon, and an IPv6 address has several. */
export const toSeed = (broker: string): string => broker.replace(/^\[.*\]/, (address) => address.replaceAll(':', '~'));

/** Reverts `toSeed`, of a broker or its host alone. */
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
