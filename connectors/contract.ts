import type { z } from 'zod';
import type { Clock } from '../src/model/clock.ts';
import type { Entry } from '../src/model/entry.ts';
import type { Fault } from '../src/model/fault.ts';
import type { Group } from '../src/model/group.ts';
import type { Outcome } from '../src/model/outcome.ts';
import type { Shape, ShapeProblem, ShapeSettings } from '../src/model/shape.ts';

/** What is asked of the schema of options: a strict object of zod 4, of whichever copy of it. */
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
  /** false: nobody can tell what lies there, so that `verify` cannot be set. */
  readonly verifiable?: boolean;
  /** What it has of its own that `shape` may tell of. Without it, its group sinks know nothing of `Host.shape`. */
  readonly shapes?: readonly ShapePart[];
  /** Returns what it cannot do of a shape that is right by itself. */
  shapeProblems?(options: Options, shape: ShapeSettings): readonly ShapeProblem[];
  holds(options: Options): Holds;
  /** Where it writes, so that two connectors which would spoil each other's work are refused. */
  places(options: Options, shape?: ShapeSettings): readonly Place[];
  /** Throws Unreachable while the destination cannot be had; the engine tries again. */
  open(options: Options, host: Host, signal: AbortSignal): Promise<Sink>;
  /**
   * Looks at everything that a sink needs, step by step, and ends where the next step cannot be told. Creates and writes
   * nothing.
   */
  examine(options: Options, host: Host, signal: AbortSignal): AsyncIterable<Finding>;
}

/** A connector that the bridge brings along: its options are of the bridge's own zod. */
export interface Connector<Options> extends ConnectorContract<Options> {
  readonly options: z.ZodType<Options> & z.ZodObject;
}

/** What only some kinds of destinations have. */
export const SHAPE_PARTS = ['id', 'key', 'versionsIndex'] as const;
export type ShapePart = (typeof SHAPE_PARTS)[number];

/** A place that a connector writes to; the same place has the same name, however the options spell it. */
export interface Place {
  readonly name: string;
  /** Whether `name` is a template: a word in braces stands for any text. */
  readonly template?: boolean;
  /** The option that names it; with full stops where it lies within another. */
  readonly option: string;
  /** Connectors may share it where this is the same; without it, it is one connector's alone. */
  readonly use?: string;
}

export type Holds = Sink['holds'];

/** One step of an examination, in a word or two: brokers, topic, write permission. */
export interface Finding {
  readonly step: string;
  /** note: deliveries work, and yet a person may want to know. */
  readonly state: 'well' | 'note' | 'wrong';
  /** What was found; where it is wrong, in `fault`, too. */
  readonly says: string;
  readonly fault?: Fault;
}

/**
 * One opened destination. It never retries, buffers or reorders, but for asking another member of a cluster: the engine
 * does. Calls never overlap. Each call throws Unreachable when the destination as a whole cannot be had, and the
 * signal's reason when it aborts.
 */
export type Sink = EventSink | GroupSink;

/** Settles by id; what is missing is tried again. */
export type Outcomes = ReadonlyMap<string, Outcome>;

/**
 * A delivery ended before its batch did. What is settled stays so; the rest is charged nothing and comes again. The cause
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
   * Settles each entry by its event id. Entries of one group stand in order and must not land in another. Where it ends
   * early, and must not do again what it did, it throws Interrupted.
   */
  deliver(batch: readonly Entry[], signal: AbortSignal): Promise<Outcomes>;
  identify?: Identify;
  /** Says by id where those of these events lie that lie there. Writes nothing. */
  find?(ids: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, string>>;
  close(): Promise<void>;
}

/** A destination that holds the merged state of each group. */
export interface GroupSink {
  readonly holds: 'groups';
  /**
   * Brings these states in, one a group, and settles each by its group id: `superseded` where the copy was in step already,
   * `delivered` where it was not. A state may be made of some of the group's events only, unless the sink has `follow`.
   */
  put(states: readonly Group[], how: PutMode, signal: AbortSignal): Promise<Outcomes>;
  /** Compares the copies with these states and says where they lie, by group id. Writes nothing. */
  read?(states: readonly Group[], signal: AbortSignal): Promise<ReadonlyMap<string, CopyStatus>>;
  /**
   * Only where `put` replaces what lies there, so that each state must be whole: gives what anybody has put there since the
   * last call that succeeded, from the beginning at first. A group that is null was destroyed.
   */
  follow?(take: (groupId: string, state: Group | null) => void, signal: AbortSignal): Promise<void>;
  /** Gives all that lies there, the last state of a group last; only where there is no `read`. May overlap other calls. */
  scan?(take: (groupId: string, state: Group | null) => void, signal: AbortSignal): Promise<void>;
  identify?: Identify;
  close(): Promise<void>;
}

/**
 * Says which destination this is, and creates what is missing. `before` is what it was called last; `lost`, a sentence, is there
 * when what was delivered then is not here any more; `moved` when that is so because the options name another.
 */
export type Identify = (
  before: string | undefined,
  signal: AbortSignal,
) => Promise<{ readonly identity: string; readonly lost?: string; readonly moved?: boolean }>;

/**
 * join: the later version of each field wins; a sink may mend what somebody changed. repair: where the versions are the same and
 * the values are not, somebody changed the copy, and the given value wins. compare: as repair, but nothing is written.
 */
export type PutMode = 'join' | 'repair' | 'compare';

/** A copy as it was read back. */
export interface CopyStatus {
  /** A copy that is to be gone, and is, is in step. */
  readonly status: 'in-step' | 'differs' | 'missing';
  /** Where it lies, or would lie: `chat-groups/_doc/@TGS#2J4SZEAEL`. */
  readonly where: string;
  /** The fields that differ, custom fields as customFields.<Key>; only with `differs`. */
  readonly differs?: readonly string[];
}

/** What a sink may ask of the bridge. */
export interface Host {
  /** The name that the user gave this connector. */
  readonly name: string;
  readonly clock: Clock;
  /** The `source` of this app's events and groups: a destination that holds groups of another app is not this one's. */
  readonly source: string;
  /** The name under which a worker may read what others wrote; Kafka's access lists know consumer groups by its beginning. */
  readonly readerId?: string;
  /**
   * The shape of what is written, where the settings ask for one. Entries come in it; a sink of groups has it applied to
   * what it writes and reads. Fields that a shape leaves out are not in the states that it is given.
   */
  readonly shape?: Shape;
  /** Says something a person may want to know and need not act on. */
  note(message: string): void;
  /** Says that the destination was made just now, and with which settings: whatever it held before is gone. */
  created(message: string): void;
}

/** Where a lane takes its entries from, and where it is remembered that they are settled. Calls never overlap. */
export interface Source {
  /** How many entries may wait for a retry; more where their contents can be released and fetched again. */
  readonly maxWaiting?: number;
  /** Whether this entry, which was settled as dead, may be reported as waiting once more; without it, none may. */
  takesBack?(entry: Entry): boolean;
  /** Whether it still has this entry, which waited: what was removed from it meanwhile comes no more. */
  has?(entry: Entry): boolean;
  /** Returns how many entries there are after `after`, as far as that is known without asking anybody. */
  available(after: number): number;
  /**
   * Returns at most `limit` entries after the seq `after`, in order: the same ones until they are settled. None when there
   * is nothing to take just now. Throws Unreachable while the source cannot be had.
   */
  next(after: number, limit: number, signal: AbortSignal): Promise<readonly Entry[]> | readonly Entry[];
  /** Remembers what is settled. Throws Unreachable, and then the same report comes again. */
  settle(report: Report): Promise<void> | void;
  /** Throws Revoked once the entries given out are another's to settle: what waits is forgotten. */
  alive?(): Promise<void> | void;
  /** Aborts when work on the entries given out must end because they are no longer this lane's. */
  lease?(): AbortSignal;
}

/** The entries that a source gave out belong to somebody else now. Nothing is lost: they are settled there. */
export class Revoked extends Error {
  override readonly name = 'Revoked';
}

/** What a lane settled since its last report. */
export interface Report {
  /** Every entry up to this seq is settled or stands in `waiting`. */
  readonly upTo: number;
  /** A replay: the position goes back to `upTo`, and what waits or is dead after it is forgotten, since it comes again. */
  readonly rewind?: boolean;
  /** What the source had no more, up to `upTo`, was left out and told of: it need not remember that it lost it. */
  readonly passedOver?: boolean;
  readonly waiting: readonly Waiting[];
  readonly dead: readonly Dead[];
  /** Seqs of entries that waited and are settled now. */
  readonly released: readonly number[];
  /** What was brought to the destination, for a source that remembers it. */
  readonly brought?: readonly Brought[];
}

/** An entry that lies at the destination, or that something newer has superseded there. */
export interface Brought {
  readonly entry: Entry;
  readonly kind: 'delivered' | 'superseded';
  readonly receipt: string;
  readonly attempts: number;
}

/** An entry that waits for its next attempt. */
export interface Waiting {
  readonly entry: Entry;
  /** How many attempts failed; 0 where it only waits because an earlier event of its group does. */
  readonly attempts: number;
  /** By the clock that nobody sets: `Clock.elapsed`. */
  readonly dueAt: number;
  readonly fault: Fault;
  /** A person asked for it, and it has failed since, for another reason than a refusal. */
  readonly asked?: boolean;
}

/** An entry that the destination refused for good. */
export type Dead = Pick<Waiting, 'entry' | 'attempts' | 'fault'>;

/** A kind of source that a worker takes its entries from, in the place of a receiver and a journal. */
export interface SourceKind<Options> {
  readonly kind: string;
  readonly options: z.ZodType<Options> & z.ZodObject;
  /** Says in a sentence where the entries come from and where dead letters go. */
  describe(options: Options): { readonly topic: string; readonly groupId: string; readonly deadLetters: string };
  /** Loads what works with it. */
  load(): Promise<SourceWork<Options>>;
}

/** What is done with a source of one kind. */
export interface SourceWork<Options> {
  /** Connects to nothing yet: `next` does. */
  open(options: Options, host: SourceHost): WorkerSource;
  /** Counts the dead letters of each connector; `learn` brings the counts up to date. */
  countDeadLetters(options: Options): DeadLetterCount;
  /** Reads the dead letters of one connector. Throws Unreachable. */
  deadLetters(options: Options, connector: string, signal: AbortSignal): Promise<DeadLetters>;
  /** Examines what a worker with connectors of these names needs. */
  examine(options: Options, connectors: readonly string[], signal: AbortSignal): AsyncIterable<Finding>;
}

/** What a source may ask of the worker. */
export interface SourceHost {
  readonly connector: string;
  /** Given where the connector holds groups: events of another app are not for it, and become dead letters. */
  readonly app?: string;
  readonly clock: Clock;
  /** There is something to take. */
  wake(): void;
  /** The lane is to call `alive` at once. */
  interrupt(): void;
  /** These partitions are this worker's now. */
  assigned(partitions: readonly number[]): void;
  /** The records of these offsets, both included, were removed from the source before they were read. */
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
   * Returns how many records of its partitions are not settled; of all partitions while it is no member of its group.
   * Undefined as long as nobody could be asked.
   */
  lag(): number | undefined;
  /** Returns when the oldest open record was written, in ms since 1970. */
  openSince(): number | undefined;
  /** Whether its group has committed something, as far as that was asked. */
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

/** The dead letters of one connector of a worker, read at one time, in the order of their records. */
export interface DeadLetters {
  readonly all: readonly WorkerDeadLetter[];
  /** Has these tried again, by their connector only. Throws Unreachable. */
  retry(names: readonly string[]): Promise<void>;
  /** Throws Unreachable. */
  discard(names: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export interface WorkerDeadLetter {
  /** Its partition and offset, `3@1042`; after its topic and a slash where it lay in another than the source reads now. */
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
  /** Of a value that was too large to be kept: its bytes, and their SHA-256 in hex. */
  readonly leftOut?: { readonly size: number; readonly sha256: string };
  readonly headers: Readonly<Record<string, Uint8Array | readonly Uint8Array[]>>;
}
