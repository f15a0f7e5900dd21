import type { Group } from '../../model/group.ts';
import type { LastFault } from '../../telemetry/last-fault.ts';
import type { Refusal } from '../../telemetry/refusals.ts';
import type { Stats } from '../../telemetry/stats.ts';
import type { ApiPorts } from '../api.ts';
import type { Texts } from './texts/index.ts';

/** All that the console needs from the bridge. Connectors may come and go, so nothing is kept from one rendering to the next. */
export interface ConsolePorts
  extends Pick<
    ApiPorts,
    'operations' | 'history' | 'status' | 'quarantined' | 'remapQuarantine' | 'discardQuarantined' | 'reconciler'
  > {
  readonly sdkAppId: string;
  /** Who may send callbacks, where that is anybody. */
  openness(): string | undefined;
  /** True where people sign in, so that they can sign out. */
  readonly signedIn: boolean;
  readonly now: () => number;
  /** Returns true where the connector's destination holds merged groups. */
  holdsGroups(connector: string): boolean;
  lastFault(connector: string): LastFault | undefined;
  /** Why callbacks were not accepted lately, the most frequent reason first. */
  refusals(): Refusal[];
  /** When the oldest event was received that the connector has not settled, in ms since 1970; undefined in step. */
  behindSince(connector: string): number | undefined;
  readonly stats: Stats;
  readonly journal: {
    /** Returns the share of maxBytes in use, from 0 to 1. */
    fill(): number;
    readonly maxBytes: number;
    /** Milliseconds. */
    keepDelivered(): number;
  };
  group(groupId: string): Group | undefined;
  groupCount(): number;
  /** Returns the name alone, for lists; undefined where there is none, or the group is large. */
  groupName(groupId: string): string | undefined;
  /** Returns what posts a made-up callback to the receiver, and throws a BridgeError when it is refused; undefined where that is not possible. */
  sampler(): (() => Promise<void>) | undefined;
  /** Aborts when the bridge stops: pages that are being watched end. */
  readonly stopping: AbortSignal;
}

/** What a page is made from: the bridge, and the texts in the language of whoever looks. */
export interface View extends ConsolePorts {
  readonly t: Texts;
}
