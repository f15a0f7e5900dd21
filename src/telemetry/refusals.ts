import type { Clock } from '../model/clock.ts';
import type { Fault, FaultCode } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';

/** Callbacks that were not accepted for one reason, since there was an hour without one. */
export interface Refusal {
  readonly count: number;
  /** The latest, with its sender where that is known; in milliseconds since 1970. */
  readonly fault: Fault;
  readonly sender: string | undefined;
  readonly at: number;
}

const PAUSE_MS = 3_600_000;

/** Remembers why callbacks were not accepted, by code, so that it stays small whatever callers send; the most frequent first. */
export function watchRefusals(signals: SignalBus, clock: Pick<Clock, 'now'>): () => Refusal[] {
  const byCode = new Map<FaultCode, Refusal>();
  const note = ({ fault, sender }: { readonly fault?: Fault; readonly sender?: string }): void => {
    if (fault === undefined) return;
    const before = byCode.get(fault.code);
    const at = clock.now();
    const count = before === undefined || at - before.at > PAUSE_MS ? 1 : before.count + 1;
    byCode.set(fault.code, { count, fault, sender, at });
  };
  signals.on('callback.answered', note);
  signals.on('request.strayed', ({ code, why, peer }) => note({ fault: { code, message: why }, sender: peer }));
  return () => [...byCode.values()].filter(({ at }) => clock.now() - at <= PAUSE_MS).sort((a, b) => b.count - a.count);
}
