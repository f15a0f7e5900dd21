import type { Outcomes } from './contract.ts';

/**
 * Runs work on a destination that was ensured when it was opened, and ensures it anew after work that failed: whatever went
 * wrong may be that it is gone. Only work that came through leaves it known.
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
