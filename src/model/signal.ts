import { z } from 'zod';
import type { CopyState } from './copy.ts';
import type { CanonicalEvent } from './event.ts';
import type { Fault, FaultCode } from './fault.ts';
import { fault } from './standing.ts';
import type { Sentence } from './verdict.ts';

/** Everything that happens, by name. Logs and metrics listen to this map and to nothing else. */
export interface Signals {
  'bridge.started': { receiver: string; admin: string; connectors: readonly string[]; journal: string };
  'bridge.stopping': { reason: string };
  'bridge.stopped': Record<string, never>;
  /** The configuration was read anew and is in effect, but for what only a start can take. */
  'config.reloaded': { file: string } & ReloadResult;
  /** It was read anew and changed nothing; `problems` a line each. */
  'config.refused': { file: string; fault: Fault; problems: readonly string[] };
  /**
   * One callback was answered. `command` is bounded: commands that the vendor does not document are 'other'. A fault says why it
   * was not accepted, and `sender` whose it was; `event` is what it became, and `misnamed` says which of its fields are unknown
   * and look like known ones.
   */
  'callback.answered': {
    command: string;
    outcome: CallbackOutcome;
    status: number;
    ms: number;
    fault?: Fault;
    sender?: string;
    event?: CanonicalEvent;
    misnamed?: readonly string[];
  };
  /** Something unforeseen: a fault of the bridge itself. */
  'callback.crashed': { message: string };
  /** An answer begins to be held past the service's time-out, or is held no longer; `held` is how many there are now. */
  'callback.held': { held: number };
  /** The upstream handler gave no answer in time. */
  'forward.failed': { command: string; fault: Fault };
  /** A connection beyond the most there may be: an idle one made room for it, or it was turned away. */
  'connection.limit': { section: 'receiver' | 'admin'; most: number; evicted: boolean };
  /** Anybody may send callbacks. */
  'receiver.open': { message: string };
  /** The system allows fewer open files than the configured connections need. */
  'descriptors.few': { limit: number; wanted: number; most: number };
  'addresses.changed': { count: number };
  /** They could not be read: those known before stay. */
  'addresses.failed': { fault: Fault; known: number };
  /** Something came to the receiver's port that is no callback: `what` came, and `why` it is none. */
  'request.strayed': { peer: string; what: string; why: string; code: FaultCode };
  'tls.handshake-failed': { message: string };
  /** The certificate new connections are shown; notAfter in milliseconds since 1970. */
  'tls.loaded': { file: string; notAfter: number };
  /** The certificate on disk cannot be used: the one before stays. */
  'tls.failed': { fault: Fault };
  'clock.skew': { groupId: string; aheadMs: number };
  /** This machine's clock and the service's begin to disagree, or agree again: skewMs is then 0. */
  'clock.disagreement': { skewMs: number };
  'journal.committed': { events: number; duplicates: number; ms: number; head: number };
  /** The merged groups that can be read hold the events up to this seq. */
  'journal.merged': { upTo: number };
  /** From now on nothing can be recorded, until 'journal.recovered'. */
  'journal.failed': { fault: Fault };
  'journal.recovered': Record<string, never>;
  /** A damaged file was set aside and a new journal begun. */
  'journal.damaged': { file: string; setAside: string; reason: string };
  /** An index of the journal did not match its table and was made anew; nothing was lost. */
  'journal.reindexed': { file: string; reason: string };
  'journal.pruned': { events: number };
  'callback.quarantined': { fault: Fault };
  /** A body held bytes of no encoding that is known: U+FFFD stands for them in the event. */
  'callback.lossy': { groupId: string };
  /** Fields that are more than a group holds: they stand in the event's `extra` and are not merged. */
  'callback.bounded': { groupId: string; fields: number };
  'quarantine.mapped': { mapped: number; left: number };
  'quarantine.discarded': { count: number };
  /** Somebody tried to use the admin server with a token that is not its own. */
  'admin.token-wrong': { peer: string };
  'verdict.changed': { recording: Sentence; copies: Sentence };
  /** Somebody who is to be told of it could not be reached; it is tried again. */
  'notify.failed': { to: string; message: string };
  'reconcile.started': { resumed: boolean; dryRun: boolean };
  /** `ms` since it began, pauses included; `stopped` says why it did not come to its end. */
  'reconcile.ended': {
    ms: number;
    dryRun: boolean;
    counts: { read: number; inStep: number; mended: number; gone: number; failed: number; withheld: number };
    stopped?: string;
  };
  'dead-letters.discarded': { connector: string; count: number };
  'lane.opened': { connector: string };
  'lane.delivered': {
    connector: string;
    delivered: number;
    superseded: number;
    ms: number;
    receivedAt: readonly number[];
  };
  /** Everything up to the cursor is settled. */
  'lane.cursor': { connector: string; cursor: number };
  /** The destination as a whole: nothing is charged to any event. */
  'lane.unreachable': { connector: string; fault: Fault; attempt: number; retryInMs: number };
  'lane.recovered': { connector: string; downMs: number };
  /** One event waits for its next attempt and holds back its own group. */
  'lane.retry': FailedAttempt & { retryInMs: number };
  'lane.dead-letter': FailedAttempt;
  'copy.state': { connector: string; copy: CopyState };
  /** What was delivered to a destination is not there any more; `next` says what brings it again. */
  'copy.lost': { connector: string; reason: string; next: string };
  /** All that is known was brought again. `lacking` events were pruned, which had been received before `before`. */
  'copy.restored': { connector: string; brought: number; lacking: number; before: number };
  /** Groups or events that were missing or different were brought again. */
  'copy.mended': { connector: string; count: number };
  /** A whole comparison ended; counts are of groups, or of the events that were looked at. */
  'copy.verified': {
    connector: string;
    looked: number;
    found: number;
    mended: number;
    /** Why one of those that were found could not be mended. */
    why?: Fault | undefined;
    ms: number;
  };
  'lane.resync': { connector: string } & ResyncProgress;
  'lane.resync-failed': { connector: string; groupId: string; fault: Fault };
  'lane.state': { connector: string; state: LaneState };
  /** Of a worker: the partitions of the events topic that are its own now, for this connector. */
  'worker.assigned': { connector: string; partitions: readonly number[] };
  /** Of a worker: the topic removed these records, from one offset to the other, before this connector had read them. */
  'source.gap': { connector: string; topic: string; partition: number; from: string; to: string };
  'lane.note': { connector: string; message: string };
  'relay.crashed': { fault: Fault; restartInMs: number };
}

type FailedAttempt = { connector: string; eventId: string; groupId: string; attempts: number; fault: Fault };

const count = z.int().nonnegative();
const names = z.array(z.string()).readonly();

/** What a configuration that was read anew changes in the one in effect. Connectors are those that are enabled. */
export const reloadResult = z.object({
  added: names,
  changed: names,
  /** Those that are gone or disabled. */
  removed: names,
  unchanged: count,
  /** Other settings that differ and are in effect now, such as `app.callbackTokens`. */
  applied: names,
  /** Those that differ and take effect at the next start only. */
  needsRestart: names,
});
export type ReloadResult = Readonly<z.output<typeof reloadResult>>;

/** How far a resync is. Counts are of groups. */
export const resyncProgress = z.object({
  how: z.enum(['join', 'repair', 'compare']),
  /** Whether only some groups were named. */
  named: z.boolean(),
  /** Looked at, those included that the connector's filter leaves out. */
  done: count,
  total: count,
  /** Not in step before: brought, or with `compare` only found. */
  mended: count,
  failed: count,
  /** With `compare`, the first hundred of those that are not in step. */
  differing: names.exactOptional(),
  ended: z.boolean(),
});
export type ResyncProgress = Readonly<z.output<typeof resyncProgress>>;

export const laneState = z.discriminatedUnion('kind', [
  z.object({ kind: z.enum(['connecting', 'running', 'paused', 'ended']) }),
  /** The destination as a whole cannot be had; `retryAt` and `since` in milliseconds since 1970. */
  z.object({ kind: z.literal('waiting'), fault, since: z.number(), retryAt: z.number() }),
]);
export type LaneState = Readonly<z.output<typeof laneState>>;

export const OUTCOMES = [
  'recorded',
  'duplicate',
  'acknowledged',
  'forwarded',
  'quarantined',
  'refused',
  'failed',
] as const;
export type CallbackOutcome = (typeof OUTCOMES)[number];

export type SignalName = keyof Signals;
type Tap = <Name extends SignalName>(name: Name, payload: Signals[Name]) => void;

export interface SignalBus {
  readonly emit: Tap;
  on<Name extends SignalName>(name: Name, listener: (payload: Signals[Name]) => void): void;
  /** Listens to all of them. */
  tap(listener: Tap): void;
}

export function createSignals(): SignalBus {
  const taps: Tap[] = [];
  const listeners = new Map<SignalName, ((payload: never) => void)[]>();
  return {
    emit(name, payload) {
      for (const listener of listeners.get(name) ?? []) listener(payload as never);
      for (const listener of taps) listener(name, payload);
    },
    on(name, listener) {
      listeners.set(name, [...(listeners.get(name) ?? []), listener]);
    },
    tap(listener) {
      taps.push(listener);
    },
  };
}
