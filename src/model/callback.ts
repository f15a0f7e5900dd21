/** Terms about one callback that other rooms use, too. */
import type { CanonicalEvent } from './event.ts';
import type { Fault } from './fault.ts';
import type { CallbackOutcome } from './signal.ts';

/** Whether the service asks for permission by this command: an OK would allow the action. */
export function isBeforeCallback(command: string): boolean {
  return /Callback(Before|Prev)/i.test(command);
}

/** A callback of a verified sender that could not be mapped, unchanged. */
export interface RawCallback {
  /** Milliseconds since 1970. */
  readonly receivedAt: number;
  /** The query, without Sign and RequestTime. */
  readonly search: string;
  /** The body, byte for byte; of one that is too large, the first part. */
  readonly body: Uint8Array;
  readonly fault: Fault;
}

/** A raw callback in the quarantine; ids rise in the order of receipt. */
export interface QuarantinedCallback extends RawCallback {
  readonly id: number;
}

/** The span of one callback. Its attributes hold ids and outcomes, nothing that people wrote. */
export interface CallbackTrace {
  within<T>(work: () => T): T;
  /** Returns the event with the span's context in it; its id stays the same. */
  carriedBy(event: CanonicalEvent): CanonicalEvent;
  end(answered: { command: string; outcome: CallbackOutcome; status: number; fault?: Fault | undefined }): void;
}
