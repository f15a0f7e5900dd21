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
  /** A new configuration is in effect, except for what only a restart applies. */
  'config.reloaded': { file: string } & ReloadResult;
  /** A new configuration was refused and changed nothing; `problems` has one line each. */
  'config.refused': { file: string; fault: Fault; problems: readonly string[] };
  /**
   * One callback was answered. `command` is bounded: undocumented commands are 'other'. `fault` says why it was not
   * accepted, `sender` whose it was; `event` is what it became, and `misnamed` lists its unknown fields that resemble
   * known ones.
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
  /** Something unforeseen: a bug in the bridge. */
  'callback.crashed': { message: string };
  /** An answer is deferred past the service's time-out, or no longer is; `held` is how many there are now. */
  'callback.held': { held: number };
  /** The upstream handler gave no answer in time. */
  'forward.failed': { command: string; fault: Fault };
  /** A connection exceeded the limit: an idle one made room for it, or it was turned away. */
  'connection.limit': { section: 'receiver' | 'admin'; most: number; evicted: boolean };
  /** Anybody may send callbacks. */
  'receiver.open': { message: string };
  /** The system allows fewer open files than the configured connections need. */
  'descriptors.few': { limit: number; wanted: number; most: number };
  'addresses.changed': { count: number };
  /** The list could not be read: the previous one stays. */
  'addresses.failed': { fault: Fault; known: number };
  /** Something that is no callback came to the receiver's port: `what` came, and `why` it is none. */
  'request.strayed': { peer: string; what: string; why: string; code: FaultCode };
  'tls.handshake-failed': { message: string };
  /** The certificate shown to new connections; notAfter in milliseconds since 1970. */
  'tls.loaded': { file: string; notAfter: number };
  /** The certificate on disk is unusable: the previous one stays. */
  'tls.failed': { fault: Fault };
  'clock.skew': { groupId: string; aheadMs: number };
  /** This machine's clock and the service's begin to disagree, or agree again: then skewMs is 0. */
  'clock.disagreement': { skewMs: number };
  'journal.committed': { events: number; duplicates: number; ms: number; head: number };
  /** The merged groups that can be read hold the events up to this seq. */
  'journal.merged': { upTo: number };
  /** From now on nothing can be recorded, until 'journal.recovered'. */
  'journal.failed': { fault: Fault };
  'journal.recovered': Record<string, never>;
  /** A damaged file was set aside and a new journal begun. */
  'journal.damaged': { file: string; setAside: string; reason: string };
  /** An index of the journal did not match its table and was rebuilt; nothing was lost. */
  'journal.reindexed': { file: string; reason: string };
  'journal.pruned': { events: number };
  'callback.quarantined': { fault: Fault };
  /** A body held bytes of no known encoding: U+FFFD replaces them in the event. */
  'callback.lossy': { groupId: string };
  /** Fields exceed what a group holds: they are in the event's `extra` and not merged. */
  'callback.bounded': { groupId: string; fields: number };
  'quarantine.mapped': { mapped: number; left: number };
  'quarantine.discarded': { count: number };
  /** Somebody used a wrong token on the admin server. */
  'admin.token-wrong': { peer: string };
  'verdict.changed': { recording: Sentence; copies: Sentence };
  /** A notification could not be sent; it is tried again. */
  'notify.failed': { to: string; message: string };
  'reconcile.started': { resumed: boolean; dryRun: boolean };
  /** `ms` since it began, pauses included; `stopped` says why it ended early. */
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
  /** The destination as a whole is unavailable: no event is charged. */
  'lane.unreachable': { connector: string; fault: Fault; attempt: number; retryInMs: number };
  'lane.recovered': { connector: string; downMs: number };
  /** One event waits for its next attempt and holds back its own group. */
  'lane.retry': FailedAttempt & { retryInMs: number };
  'lane.dead-letter': FailedAttempt;
  'copy.state': { connector: string; copy: CopyState };
  /** What was delivered to a destination is gone; `next` says how it is brought again. */
  'copy.lost': { connector: string; reason: string; next: string };
  /** Everything known was brought again. `lacking` events, received before `before`, were pruned. */
  'copy.restored': { connector: string; brought: number; lacking: number; before: number };
  /** Groups or events that were missing or different were brought again. */
  'copy.mended': { connector: string; count: number };
  /** A complete comparison ended; counts are of groups, or of the events examined. */
  'copy.verified': {
    connector: string;
    looked: number;
    found: number;
    mended: number;
    /** Why one of those found could not be repaired. */
    why?: Fault | undefined;
    ms: number;
  };
  'lane.resync': { connector: string } & ResyncProgress;
  'lane.resync-failed': { connector: string; groupId: string; fault: Fault };
  'lane.state': { connector: string; state: LaneState };
  /** Workers only: the partitions of the events topic that are now assigned, for this connector. */
  'worker.assigned': { connector: string; partitions: readonly number[] };
  /** Workers only: the topic removed these records, from one offset to the other, before this connector read them. */
  'source.gap': { connector: string; topic: string; partition: number; from: string; to: string };
  'lane.note': { connector: string; message: string };
  'relay.crashed': { fault: Fault; restartInMs: number };
}

type FailedAttempt = { connector: string; eventId: string; groupId: string; attempts: number; fault: Fault };

const count = z.int().nonnegative();
const names = z.array(z.string()).readonly();

/** What a new configuration changes in the one in effect. Connectors are the enabled ones. */
export const reloadResult = z.object({
  added: names,
  changed: names,
  /** Those that are gone or disabled. */
  removed: names,
  unchanged: count,
  /** Other settings that differ and are now in effect, such as `app.callbackTokens`. */
  applied: names,
  /** Settings that differ and take effect at the next start only. */
  needsRestart: names,
});
export type ReloadResult = Readonly<z.output<typeof reloadResult>>;

/** The progress of a resync. Counts are of groups. */
export const resyncProgress = z.object({
  how: z.enum(['join', 'repair', 'compare']),
  /** Whether only some groups were named. */
  named: z.boolean(),
  /** Groups examined, including those that the connector's filter leaves out. */
  done: count,
  total: count,
  /** Groups that were not in step: brought, or with `compare` only found. */
  mended: count,
  failed: count,
  /** With `compare`, the first hundred groups that are not in step. */
  differing: names.exactOptional(),
  ended: z.boolean(),
});
export type ResyncProgress = Readonly<z.output<typeof resyncProgress>>;

export const laneState = z.discriminatedUnion('kind', [
  z.object({ kind: z.enum(['connecting', 'running', 'paused', 'ended']) }),
  /** The destination as a whole is unavailable; `retryAt` and `since` in milliseconds since 1970. */
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
