import type { z } from 'zod';
import type { Clock } from '../src/model/clock.ts';
import type { Entry } from '../src/model/entry.ts';
import type { Fault } from '../src/model/fault.ts';
import type { Group } from '../src/model/group.ts';
import type { Outcome } from '../src/model/outcome.ts';
import type { Shape, ShapeProblem, ShapeSettings } from '../src/model/shape.ts';

/** What the bridge needs of an options schema: a strict object of zod 4, from any copy of zod. */
export interface OptionsSchema<Options> {
  safeParse(
    given: unknown,
  ):
    | { readonly success: true; readonly data: Options }
    | { readonly success: false; readonly error: { readonly issues: readonly OptionsIssue[] } };
}

export interface OptionsIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** A kind of destination. A configured one, under a name of the user's, is called a connector; an opened one is a sink. */
export interface ConnectorContract<Options> {
  readonly kind: string;
  /** One sentence, for the docs and the console. */
  readonly summary: string;
  /** The default of `batch.maxWaitMs`: how long a batch may wait to fill. */
  readonly maxWaitMs?: number;
  /** The default of `batch.maxEvents`. */
  readonly maxEvents?: number;
  readonly options: OptionsSchema<Options>;
  /** Whether its group sinks have `read`. */
  readonly readsBack: boolean;
  /** false: what lies there cannot be verified, so that `verify` cannot be set. */
  readonly verifiable?: boolean;
  /** The parts of `shape` specific to this kind. Without it, its group sinks ignore `Host.shape`. */
  readonly shapes?: readonly ShapePart[];
  /** Returns which parts of a valid shape it cannot support. */
  shapeProblems?(options: Options, shape: ShapeSettings): readonly ShapeProblem[];
  holds(options: Options): Holds;
  /** Where it writes, so that two connectors that would spoil each other's work are refused. */
  places(options: Options, shape?: ShapeSettings): readonly Place[];
  /** Throws Unreachable while the destination is unavailable; the engine tries again. */
  open(options: Options, host: Host, signal: AbortSignal): Promise<Sink>;
  /**
   * Checks everything that a sink needs, step by step, and ends where the next step cannot be checked. Creates and writes
   * nothing.
   */
  examine(options: Options, host: Host, signal: AbortSignal): AsyncIterable<Finding>;
}

/** A built-in connector: its options use the bridge's own zod. */
export interface Connector<Options> extends ConnectorContract<Options> {
  readonly options: z.ZodType<Options> & z.ZodObject;
}

/** Parts of a shape that only some kinds of destinations have. */
export const SHAPE_PARTS = ['id', 'key', 'versionsIndex'] as const;
export type ShapePart = (typeof SHAPE_PARTS)[number];

/** A place that a connector writes to; the same place has the same name, however the options spell it. */
export interface Place {
  readonly name: string;
  /** Whether `name` is a template: a word in braces stands for any text. */
  readonly template?: boolean;
  /** The option that names it; with full stops if it is nested. */
  readonly option: string;
  /** Connectors may share the place if this is the same; without it, it belongs to one connector. */
  readonly use?: string;
}

export type Holds = Sink['holds'];

/** One step of an examination, in a word or two: brokers, topic, write permission. */
export interface Finding {
  readonly step: string;
  /** note: deliveries work, but a person may want to know. */
  readonly state: 'well' | 'note' | 'wrong';
  /** What was found; if it is wrong, also in `fault`. */
  readonly says: string;
  readonly fault?: Fault;
}

/**
 * One opened destination. It never retries, buffers or reorders (the engine does), except that it may ask another member
 * of a cluster. Calls never overlap. Each throws Unreachable when the destination as a whole is unavailable, and the
 * signal's reason when that aborts.
 */
export type Sink = EventSink | GroupSink;

/** Outcomes by id; an item without one is tried again. */
export type Outcomes = ReadonlyMap<string, Outcome>;

/**
 * Ends a delivery before its batch is done. What is settled stays so; the rest is not charged and comes again. The cause
 * is what would have been thrown if nothing had been settled: Unreachable, or the signal's reason.
 */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly settled: Outcomes;
  constructor(settled: Outcomes, cause: unknown) {
    super('the delivery ended early', { cause });
    this.settled = settled;
  }
}

/** A destination that holds every event. */
export interface EventSink {
  readonly holds: 'events';
  /**
   * Settles each entry by its event id. Entries of one group come in order and must land in it. If the delivery ends
   * early, and must not repeat what it did, it throws Interrupted.
   */
  deliver(batch: readonly Entry[], signal: AbortSignal): Promise<Outcomes>;
  identify?: Identify;
  /** Returns, by id, where those of these events are that are there. Writes nothing. */
  find?(ids: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, string>>;
  close(): Promise<void>;
}

/** A destination that holds the merged state of each group. */
export interface GroupSink {
  readonly holds: 'groups';
  /**
   * Brings these states in, one per group, and settles each by its group id: `superseded` if the copy was in step
   * already, else `delivered`. A state may be made of only some of the group's events, unless the sink has `follow`.
   */
  put(states: readonly Group[], how: PutMode, signal: AbortSignal): Promise<Outcomes>;
  /** Compares the copies with these states and returns, by group id, where they are. Writes nothing. */
  read?(states: readonly Group[], signal: AbortSignal): Promise<ReadonlyMap<string, CopyStatus>>;
  /**
   * Only if `put` replaces the copy, so that each state must be complete: passes on what anybody has put there since the
   * last successful call, at first since the beginning. A null group was destroyed.
   */
  follow?(take: (groupId: string, state: Group | null) => void, signal: AbortSignal): Promise<void>;
  /** Passes on the whole copy, the last state of a group last; only without `read`. May overlap other calls. */
  scan?(take: (groupId: string, state: Group | null) => void, signal: AbortSignal): Promise<void>;
  identify?: Identify;
  close(): Promise<void>;
}

/** Identifies the destination, and creates what is missing. `before` is its previous identity. */
export type Identify = (before: string | undefined, signal: AbortSignal) => Promise<Identified>;

/**
 * `lost`, a sentence, is set if what was delivered then is gone; `moved` if that is because the options name another
 * one; `unasked`, a sentence, if a part could not be asked: nothing then counts as verified.
 */
type Identified = Readonly<{ identity: string; lost?: string; moved?: boolean; unasked?: string }>;

/**
 * join: the later version of each field wins; a sink may undo foreign changes. repair: where versions are equal and
 * values are not, somebody changed the copy, and the given value wins. compare: like repair, but nothing is written.
 */
export type PutMode = 'join' | 'repair' | 'compare';

/** A copy as it was read back. */
export interface CopyStatus {
  /** A destroyed group whose copy is gone is in step. */
  readonly status: 'in-step' | 'differs' | 'missing';
  /** Where it is, or would be: `chat-groups/_doc/@TGS#2J4SZEAEL`. */
  readonly where: string;
  /** The fields that differ, custom fields as customFields.<Key>; only with `differs`. */
  readonly differs?: readonly string[];
}

/** What a sink may ask of the bridge. */
export interface Host {
  /** The name that the user gave this connector. */
  readonly name: string;
  readonly clock: Clock;
  /** The `source` of this app's events and groups, to tell a destination with groups of another app. */
  readonly source: string;
  /** The name under which a worker may read what others wrote; Kafka's ACLs match consumer groups by its beginning. */
  readonly readerId?: string;
  /**
   * The shape of what is written, if configured. Entries already have it; a sink of groups applies it to what it writes
   * and reads. States come without the fields that it leaves out.
   */
  readonly shape?: Shape;
  /** Reports something that a person may want to know but need not act on. */
  note(message: string): void;
  /** Reports that the destination was just created, and how: whatever it held before is gone. */
  created(message: string): void;
}

/** Where a lane takes its entries from, and what remembers which are settled. Calls never overlap. */
export interface Source {
  /** How many entries may wait for a retry; more if their contents can be released and fetched again. */
  readonly maxWaiting?: number;
  /** Whether this entry, settled as dead, may later be reported as waiting; none may if absent. */
  takesBack?(entry: Entry): boolean;
  /** Whether it still has this waiting entry: one removed meanwhile never comes again. */
  has?(entry: Entry): boolean;
  /** Returns the number of entries after `after`, as far as known without asking anybody. */
  available(after: number): number;
  /**
   * Returns at most `limit` entries after the seq `after`, in order, and the same ones until they are settled; none if
   * there is nothing to take now. Throws Unreachable while the source is unavailable.
   */
  next(after: number, limit: number, signal: AbortSignal): Promise<readonly Entry[]> | readonly Entry[];
  /** Remembers what is settled. Throws Unreachable; the same report then comes again. */
  settle(report: Report): Promise<void> | void;
  /** Throws Revoked once somebody else has to settle the entries given out; waiting ones are then forgotten. */
  alive?(): Promise<void> | void;
  /** Aborts when work on the entries given out must end, since they no longer belong to this lane. */
  lease?(): AbortSignal;
}

/** The entries that a source gave out now belong to somebody else, who settles them: nothing is lost. */
export class Revoked extends Error {
  override readonly name = 'Revoked';
}

/** What a lane settled since its last report. */
export interface Report {
  /** Every entry up to this seq is settled or in `waiting`. */
  readonly upTo: number;
  /** A replay: the position goes back to `upTo`; what waits or is dead after it is forgotten, since it comes again. */
  readonly rewind?: boolean;
  /** What the source lost up to `upTo` was reported and skipped: it can forget the loss. */
  readonly passedOver?: boolean;
  readonly waiting: readonly Waiting[];
  readonly dead: readonly Dead[];
  /** Seqs of waiting entries that are now settled. */
  readonly released: readonly number[];
  /** What reached the destination, for a source that remembers it. */
  readonly brought?: readonly Brought[];
}

/** An entry that reached the destination, or was superseded by something newer there. */
export interface Brought {
  readonly entry: Entry;
  readonly kind: 'delivered' | 'superseded';
  readonly receipt: string;
  readonly attempts: number;
}

/** An entry that waits for its next attempt. */
export interface Waiting {
  readonly entry: Entry;
  /** How many attempts failed; 0 if it only waits for an earlier event of its group. */
  readonly attempts: number;
  /** By `Clock.elapsed`. */
  readonly dueAt: number;
  readonly fault: Fault;
  /** A person asked for it, and it has failed since, but was not refused. */
  readonly asked?: boolean;
}

/** An entry that the destination refused for good. */
export type Dead = Pick<Waiting, 'entry' | 'attempts' | 'fault'>;

/** A kind of source that a worker takes its entries from, instead of a receiver and a journal. */
export interface SourceKind<Options> {
  readonly kind: string;
  readonly options: z.ZodType<Options> & z.ZodObject;
  /** Names where the entries come from and where dead letters go. */
  describe(options: Options): { readonly topic: string; readonly groupId: string; readonly deadLetters: string };
  /** Loads the implementation. */
  load(): Promise<SourceWork<Options>>;
}

/** The implementation of one kind of source. */
export interface SourceWork<Options> {
  /** Connects to nothing yet: `next` does. */
  open(options: Options, host: SourceHost): WorkerSource;
  /** Counts the dead letters of each connector; `learn` brings the counts up to date. */
  countDeadLetters(options: Options): DeadLetterCount;
  /** Reads the dead letters of one connector. Throws Unreachable. */
  deadLetters(options: Options, connector: string, signal: AbortSignal): Promise<DeadLetters>;
  /** Checks what a worker with these connectors needs. */
  examine(options: Options, connectors: readonly string[], signal: AbortSignal): AsyncIterable<Finding>;
}

/** What a source may ask of the worker. */
export interface SourceHost {
  readonly connector: string;
  /** Set if the connector holds groups: events of another app then become dead letters. */
  readonly app?: string;
  readonly clock: Clock;
  /** There is something to take. */
  wake(): void;
  /** The lane should call `alive` at once. */
  interrupt(): void;
  /** These partitions are now this worker's. */
  assigned(partitions: readonly number[]): void;
  /** Records of these offsets, both included, were removed from the source before they were read. */
  gap(partition: number, from: string, to: string): void;
  /** A record that is no event became a dead letter. */
  dead(groupId: string, fault: Fault): void;
  note(message: string): void;
}

/** A source shared with other workers. */
export interface WorkerSource extends Source {
  alive(): void;
  lease(): AbortSignal;
  /** Rises whenever what was given out was revoked. */
  generation(): number;
  /** Undefined while the worker is no member of its group. */
  partitions(): readonly number[] | undefined;
  /**
   * Returns how many records are not settled: of its partitions or, while it is no member of its group, of all. Undefined
   * as long as nobody could be asked.
   */
  lag(): number | undefined;
  /** Returns when the oldest open record was written, in ms since 1970. */
  openSince(): number | undefined;
  /** Whether its group has committed anything, as far as known. */
  hasCommitted(): boolean;
  /** Asks what the partitions hold now. Throws Unreachable. */
  learn(): Promise<void>;
  close(): Promise<void>;
}

export interface DeadLetterCount {
  of(connector: string): number;
  /** Throws Unreachable. */
  learn(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** The dead letters of one connector of a worker, as read at one time, in the order of their records. */
export interface DeadLetters {
  readonly all: readonly WorkerDeadLetter[];
  /** Has these retried, by their connector only. Throws Unreachable. */
  retry(names: readonly string[]): Promise<void>;
  /** Throws Unreachable. */
  discard(names: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export interface WorkerDeadLetter {
  /** Its partition and offset, `3@1042`; preceded by its topic and a slash if that is not the source's present one. */
  readonly name: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly attempts: number;
  /** Milliseconds since 1970. */
  readonly deadAt: number;
  readonly fault: Fault;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  /** Set for a value too large to be kept: its bytes, and their SHA-256 in hex. */
  readonly leftOut?: { readonly size: number; readonly sha256: string };
  readonly headers: Readonly<Record<string, Uint8Array | readonly Uint8Array[]>>;
}
