import type { LastFault } from '../../telemetry/last-fault.ts';
import type { Refusal } from '../../telemetry/refusals.ts';
import type { Stats } from '../../telemetry/stats.ts';
import type { BridgeState } from '../contract.ts';
import type { BridgePorts } from '../ports.ts';
import type { Texts } from './texts/index.ts';

export interface ConsolePorts extends BridgePorts {
  status(): BridgeState;
  readonly stats: Stats;
  lastFault(connector: string): LastFault | undefined;
  /** Returns why callbacks were not accepted lately, most frequent reason first. */
  refusals(): Refusal[];
}

/** What a page is made from: the bridge, and the texts in the viewer's language. */
export interface View extends ConsolePorts {
  readonly t: Texts;
}
