import type { ConnectorContract } from '../../connectors/contract.ts';
import type { CanonicalEvent, ChangedFields, EventId } from '../model/event.ts';
import type { Group } from '../model/group.ts';

/** What the suite must know of a connector and its real destination, which is read back to judge the outcome. */
export interface Target<Options> {
  /** For the titles: `elasticsearch, content: groups`. */
  readonly name: string;
  readonly connector: ConnectorContract<Options>;
  /** Whether an event stays when a later one of its group supersedes it. */
  readonly keeps: 'every event' | 'the latest of a group';
  place(): Promise<Place>;
  /** Options of an unavailable destination: a closed port. */
  unreachable(): Promise<Readonly<Record<string, unknown>>>;
  /** A refused event, or the reason why this destination refuses none. */
  readonly poison: Poison | string;
}

/** The destination of a single case: its own index, topic or file. */
export interface Place {
  /** As in the YAML, without the options that every connector has. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Returns everything there, in the order of writing, at least within each group. */
  readBack(): Promise<readonly Found[]>;
  /** Present only if merged groups are held. */
  readonly copies?: Copies;
  dispose?(): Promise<void>;
}

export interface Found {
  readonly id: EventId;
  readonly groupId: string;
  /** The values that this event set, and no later one changed. */
  readonly changed: ChangedFields;
  /** Its place, in the form of the connector's receipts. */
  readonly receipt: string;
}

/** The copies of groups in one place, read and changed without the sink. */
export interface Copies {
  state(groupId: string): Promise<Group | undefined>;
  /** Returns the location that a sink must name when it reads the copy back. */
  where(groupId: string): string;
  /** Puts this copy there unchanged; undefined removes it. */
  overwrite(groupId: string, state: Group | undefined): Promise<void>;
}

/** An event that the destination refuses for good, and a pattern of its reason. */
export interface Poison {
  place(): Promise<Place>;
  event(groupId: string): CanonicalEvent;
  readonly reason: RegExp;
}

export interface Case {
  readonly name: string;
  /** Rejects if the connector fails. Resolves with a text if the case does not apply to it: the reason. */
  run(): Promise<unknown>;
}
