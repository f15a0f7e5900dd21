import type { Config } from '../config/schema.ts';
import type { DeliveryRoom } from '../delivery/room.ts';
import type { JournalRoom } from '../journal/room.ts';
import type { Clock } from '../model/clock.ts';
import type { ServiceClock } from '../model/service-clock.ts';
import type { ReloadResult, SignalBus } from '../model/signal.ts';
import type { Reconciler } from '../reconcile/schedule.ts';

/** What the admin server of a bridge uses. Connectors may come and go, so nothing about them is cached. */
export interface BridgePorts {
  /** The configuration in effect. */
  settings(): Config;
  readonly version: string;
  /** The callbacks that become events. */
  readonly commands: Iterable<string>;
  /** Names of the enabled connectors. */
  connectors(): readonly string[];
  readonly clock: Clock;
  readonly service: ServiceClock;
  readonly signals: SignalBus;
  readonly stopping: AbortController;
  readonly journal: JournalRoom;
  readonly delivery: DeliveryRoom;
  /** Undefined where it is not configured. */
  readonly reconcile: { reconciler(): Reconciler | undefined };
  readonly receiver: {
    /** Empty where no callbacks are received. */
    url(): string;
    warning(): string | undefined;
    /** Returns what posts a made-up callback to it, and throws a BridgeError when that is refused; undefined where it cannot. */
    sampler(): (() => Promise<void>) | undefined;
    readonly quarantine: {
      /** Maps what was kept once more; resolves with how many became events and how many are left. */
      remap(): Promise<{ mapped: number; left: number }>;
      /** Gives up what was kept, all of it unless some are named by id; resolves with how many there were. */
      discard(ids?: readonly number[]): Promise<number>;
    };
  };
  /** Throws ConfigRefused. */
  reload(): Promise<ReloadResult>;
}
