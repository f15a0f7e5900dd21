import type { Fault } from './fault.ts';

/** A callback of a verified sender that could not be mapped, as it came. */
export interface RawCallback {
  /** Milliseconds since 1970. */
  readonly receivedAt: number;
  /** The query, without Sign and RequestTime. */
  readonly search: string;
  readonly body: string;
  /** Why it could not be mapped. */
  readonly fault: Fault;
}

/** A raw callback in the quarantine; ids rise in the order of receipt. */
export interface QuarantinedCallback extends RawCallback {
  readonly id: number;
}
