/** How long a broker that was in trouble is tried after all others. */
const ASIDE_MS = 30_000;

/**
 * By the list of the configuration, which outlives the clients: a client is thrown away after trouble, and the next one must
 * not begin with the broker that brought it, as kafkajs would. The times are of the clock that nobody sets.
 */
const troubles = new WeakMap<readonly string[], Map<string, number>>();

/** Returns the brokers, those last that were in trouble lately: of them, the one that has rested for the longest goes first. */
export function inOrder(brokers: readonly string[]): string[] {
  const lately = troubles.get(brokers);
  const at = (broker: string): number => {
    const trouble = lately?.get(broker);
    return trouble === undefined || performance.now() - trouble > ASIDE_MS ? 0 : trouble;
  };
  return brokers.toSorted((one, other) => at(one) - at(other));
}

/** Notes that this broker did not answer. */
export function setAside(brokers: readonly string[], broker: string): void {
  const lately = troubles.get(brokers) ?? new Map<string, number>();
  troubles.set(brokers, lately.set(broker, performance.now()));
}
