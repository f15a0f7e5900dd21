import type { Clock } from '../model/clock.ts';
import type { SignalBus } from '../model/signal.ts';
import type { Verdict } from '../model/verdict.ts';

const LOOK_MS = 5_000;

/** Emits a signal when the verdict has changed and stayed so for two looks: brief changes are not worth it. */
export async function watchVerdict(
  verdict: () => Verdict,
  clock: Clock,
  signals: Pick<SignalBus, 'emit'>,
  stopping: AbortSignal,
): Promise<void> {
  let [told, seen] = ['', ''];
  for (;;) {
    await clock.sleep(LOOK_MS, stopping);
    if (stopping.aborted) return;
    let now: Verdict;
    try {
      now = verdict();
    } catch {
      // Whoever needs the journal reports that it is unreadable; this check must not end the bridge.
      continue;
    }
    const { recording, copies } = now;
    const troubles = copies.troubles.map(({ connector, kind, tone }) => `${connector} ${kind} ${tone}`);
    const key = [recording.tone, copies.tone, ...troubles].join('; ');
    if (key === seen && key !== told) {
      told = key;
      signals.emit('verdict.changed', { recording, copies });
    }
    seen = key;
  }
}
