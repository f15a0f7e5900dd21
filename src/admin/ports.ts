import type { Config } from '../config/schema.ts';
import type { DeliveryRoom } from '../delivery/room.ts';
import type { JournalRoom } from '../journal/room.ts';
import type { Clock } from '../model/clock.ts';
import type { ServiceClock } from '../model/service-clock.ts';
import type { ReloadResult, SignalBus } from '../model/signal.ts';
import type { Reconciler } from '../reconcile/schedule.ts';

/** What the admin server of a bridge uses. Connectors may come and go, so nothing about them is cached. */
export interface BridgePorts {
  settings(): Config;
  readonly version: string;
  /** The commands that become events. */
  readonly commands: Iterable<string>;
  connectors(): readonly string[];
  readonly clock: Clock;
  readonly service: ServiceClock;
  readonly signals: SignalBus;
  readonly stopping: AbortController;
  readonly journal: JournalRoom;
  readonly delivery: DeliveryRoom;
  /** Undefined if reconcile is not configured. */
  readonly reconcile: { reconciler(): Reconciler | undefined };
  readonly receiver: {
    url(): string;
    warning(): string | undefined;
    /** Returns what posts a made-up callback, and throws a BridgeError if it is refused; undefined if that is impossible. */
    sampler(): (() => Promise<void>) | undefined;
    readonly quarantine: {
      /** Maps the callbacks again; resolves with how many became events and how many are left. */
      remap(): Promise<{ mapped: number; left: number }>;
      /** Discards the callbacks with these ids, or all of them; resolves with how many there were. */
      discard(ids?: readonly number[]): Promise<number>;
    };
  };
  /** Throws ConfigRefused. */
  reload(): Promise<ReloadResult>;
}
