import type { z } from 'zod';
import type { Clock } from '../src/model/clock.ts';
import type { CanonicalEvent, EventId } from '../src/model/event.ts';
import type { Fault } from '../src/model/fault.ts';
import type { Group } from '../src/model/group.ts';
import type { Outcome } from '../src/model/outcome.ts';

/** A kind of destination. */
export interface Connector<Options> {
  /** The word in YAML. */
  readonly kind: string;
  /** One sentence, for the docs and the console. */
  readonly summary: string;
  /** What suits such destinations unless the YAML says otherwise: how long a batch may wait to fill, in ms. */
  readonly maxWaitMs?: number;
  /** The same: at most so many events in one delivery. */
  readonly maxEvents?: number;
  /** The only schema: checks, defaults, docs. */
  readonly options: z.ZodType<Options> & z.ZodObject;
  /** Whether `restore` compares with what lies there. */
  readonly readsBack?: boolean;
  /** Throws Unreachable while the destination cannot be had; the lane tries again. */
  open(options: Options, host: Host, signal: AbortSignal): Promise<Sink>;
  /**
   * Looks at everything that a sink needs, step by step, and ends where the next step cannot be told. Creates and writes
   * nothing. Without it, opening and `Sink.check` tell whether all is well.
   */
  examine?(options: Options, host: Host, signal: AbortSignal): AsyncIterable<Finding>;
}

/** One step of an examination. */
export interface Finding {
  /** In a word or two: brokers, topic, write permission. */
  readonly step: string;
  /** note: deliveries work, and yet a person may want to know. */
  readonly state: 'well' | 'note' | 'wrong';
  /** What was found; of what is wrong, `fault` says it. */
  readonly says: string;
  readonly fault?: Fault;
}

/**
 * One opened destination. It never retries, buffers or reorders: the relay does (kafkajs retries 0, Elasticsearch
 * maxRetries 0). Calls never overlap.
 */
export interface Sink {
  /** It asks `Host.group`: each event is handed to it once it is merged there, which under load is up to half a second late. */
  readonly merged?: boolean;
  /**
   * Of such a one: all events of a group in a batch become one write, and none of them is looked into as long as nothing is
   * refused. The relay then makes fewer and fuller batches under load.
   */
  readonly folds?: boolean;
  /**
   * Settles each event, by id; one missing from the map is retried. Throws Unreachable when none can be judged.
   * Events of one group stand in journal order and must not land in another.
   */
  deliver(batch: readonly CanonicalEvent[], signal: AbortSignal): Promise<ReadonlyMap<EventId, Outcome>>;
  /**
   * Of a destination that holds merged groups: brings these states in, whatever it holds now, as `deliver` would have
   * event by event. The outcomes go by group id: `delivered` for one that was not in step, where that can be told.
   */
  restore?(groups: readonly Group[], signal: AbortSignal, how: Restoring): Promise<ReadonlyMap<string, Outcome>>;
  /**
   * Of a destination that holds merged groups and is read back: where the copy of this group lies, compared with this
   * state of it. Writes nothing. Throws Unreachable.
   */
  locate?(group: Group, signal: AbortSignal): Promise<Located>;
  /** Exercises what deliver uses and nothing else; writes nothing. Throws Unreachable. */
  check(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/**
 * join: the later version of each field stands. mend: where the versions are the same and the values are not, somebody
 * changed the copy, and the journal's value stands. compare: as mend, but nothing is written.
 */
export type Restoring = 'join' | 'mend' | 'compare';

/** A copy as it was read back. */
export interface Located {
  /** A copy that is to be gone, and is, is in step. */
  readonly standing: 'in-step' | 'differs' | 'missing';
  /** Where it lies, or would lie: `chat-groups/_doc/@TGS#2J4SZEAEL`. */
  readonly where: string;
  /** The fields that differ, custom fields as customFields.<Key>; of `differs` only. */
  readonly differs?: readonly string[];
}

/** What a sink may ask of the bridge. */
export interface Host {
  /** The name the user gave this connector in the YAML. */
  readonly name: string;
  readonly clock: Clock;
  /** Whether every event reaches this sink: no filter holds any back. */
  readonly unfiltered: boolean;
  /** The merged state of a group, at least as new as every event that was handed to `deliver`: for a sink that is `merged`. */
  group(groupId: string): Group | undefined;
  /** Says something a person may want to know and need not act on: a topic was created. */
  note(message: string): void;
}
