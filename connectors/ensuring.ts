import type { Outcomes } from './contract.ts';

/**
 * Runs work on a destination that was ensured when it was opened, and ensures it again after work that failed, in case it
 * is gone. Only after successful work is it known to be there.
 */
export function createEnsuring(ensure: (signal: AbortSignal) => Promise<unknown>) {
  let ensured = true;
  return async (batch: readonly unknown[], signal: AbortSignal, work: () => Promise<Outcomes>): Promise<Outcomes> => {
    signal.throwIfAborted();
    if (batch.length === 0) return new Map();
    const known = ensured;
    ensured = false;
    if (!known) await ensure(signal);
    const outcomes = await work();
    ensured = true;
    return outcomes;
  };
}
