import type { ConnectorContract } from '../../connectors/contract.ts';
import type { CanonicalEvent, ChangedFields, EventId } from '../model/event.ts';
import type { Group } from '../model/group.ts';

/** What the suite is to know of a connector and of its real destination; the oracle is the destination, read back. */
export interface Target<Options> {
  /** For the titles: `elasticsearch, content: groups`. */
  readonly name: string;
  readonly connector: ConnectorContract<Options>;
  /** Whether an event stays when a later one of its group supersedes it. */
  readonly keeps: 'every event' | 'the latest of a group';
  place(): Promise<Place>;
  /** Options of an unavailable destination: a closed port. */
  unreachable(): Promise<Readonly<Record<string, unknown>>>;
  /** A string is the reason why this destination refuses no event. */
  readonly poison: Poison | string;
}

/** A destination of one case alone: an own index, topic or file. */
export interface Place {
  /** As in the YAML, without what every lane takes. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Everything that is there, in the order in which it was written (within a group is enough). */
  readBack(): Promise<readonly Found[]>;
  /** Only where merged groups are held. */
  readonly copies?: Copies;
  dispose?(): Promise<void>;
}

/** What the destination holds of one event. */
export interface Found {
  readonly id: EventId;
  readonly groupId: string;
  /** The values that event set and that still stand. */
  readonly changed: ChangedFields;
  /** Where it is, in the form of the connector's receipts. */
  readonly receipt: string;
}

/** The copies of groups in one place, looked at and changed by others than the sink. */
export interface Copies {
  state(groupId: string): Promise<Group | undefined>;
  /** Where a sink that reads back says the copy is. */
  where(groupId: string): string;
  /** Puts this copy there unchanged; undefined removes it. */
  overwrite(groupId: string, state: Group | undefined): Promise<void>;
}

/** An event that the destination refuses for good, and words of its reason. */
export interface Poison {
  place(): Promise<Place>;
  event(groupId: string): CanonicalEvent;
  readonly reason: RegExp;
}

export interface Case {
  readonly name: string;
  /** Rejects where the connector does not hold it. Resolves with a text, the reason, where it cannot be asked of this one. */
  run(): Promise<unknown>;
}
