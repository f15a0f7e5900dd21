import type { Clock } from '../model/clock.ts';
import type { Fault, FaultCode } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';

/** Callbacks that were not accepted for one reason, since the latest hour without any. */
export interface Refusal {
  readonly count: number;
  /** Of the latest one. */
  readonly fault: Fault;
  readonly sender: string | undefined;
  /** Milliseconds since 1970. */
  readonly at: number;
}

const PAUSE_MS = 3_600_000;

/** Remembers why callbacks were not accepted, most frequent reason first; by code, which bounds the number of reasons. */
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
