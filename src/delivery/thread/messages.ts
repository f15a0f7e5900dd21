/** What the main thread and the delivery thread say to each other. */
import type { ConnectorConfig } from '../../config/schema.ts';
import type { JournalReport } from '../../journal/deliveries.ts';
import type { CopyState } from '../../model/copy.ts';
import type { Group } from '../../model/group.ts';
import type { SignalName, Signals } from '../../model/signal.ts';
import type { LaneRequest } from '../lane.ts';
import type { ReadBack } from '../read-back.ts';

export interface DeliveryData {
  readonly journalFile: string;
  readonly source: string;
  /** The enabled ones. */
  readonly connectors: Readonly<Record<string, ConnectorConfig>>;
}

export interface ThreadData extends DeliveryData {
  /** Set back to 0 when a lane looks after an 'appended'. */
  readonly announced: Int32Array;
}

/** What a person asks of a connector's lane; see LaneRequest. Dead letters are named by seq. */
export type DeliveryRequest =
  | Exclude<LaneRequest, { kind: 'retry' }>
  | { readonly kind: 'retry'; readonly seqs: readonly number[] };

/** Answered by 'answered'. exchange: once it is done, see Lanes. read-back: within `withinMs`, see Lane. */
export type Question =
  | {
      readonly kind: 'exchange';
      readonly ending: readonly string[];
      readonly beginning: Readonly<Record<string, ConnectorConfig>>;
    }
  | { readonly kind: 'read-back'; readonly connector: string; readonly group: Group; readonly withinMs: number };

/**
 * appended: there are new events. drain: deliver what can be delivered, then end. stop: end now. request: answered by
 * 'done' once it was carried out; a resync, once it has finished.
 */
export type ToThread =
  | { readonly kind: 'appended' | 'drain' | 'stop' }
  | { readonly kind: 'request'; readonly id: number; readonly connector: string; readonly request: DeliveryRequest }
  | (Question & { readonly id: number });

export type FromThread =
  | { readonly kind: 'settled'; readonly report: JournalReport }
  | { readonly kind: 'copy'; readonly connector: string; readonly state: CopyState }
  | { readonly kind: 'signal'; readonly name: SignalName; readonly payload: Signals[SignalName] }
  | { readonly kind: 'done'; readonly id: number }
  | { readonly kind: 'answered'; readonly id: number; readonly answer: ReadBack }
  | { readonly kind: 'ended' };
