import type { CanonicalEvent } from './event.ts';
import type { Fault } from './fault.ts';
import type { CallbackOutcome } from './signal.ts';

/** The span of one callback. Its attributes hold ids and outcomes, nothing that people wrote. */
export interface CallbackTrace {
  /** Runs `work` with the span as the active one. */
  within<T>(work: () => T): T;
  /** Returns the event with the context of the span in it; its id stays the same. */
  carriedBy(event: CanonicalEvent): CanonicalEvent;
  end(answered: { command: string; outcome: CallbackOutcome; status: number; fault?: Fault | undefined }): void;
}
