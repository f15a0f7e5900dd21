import { z } from 'zod';
import { copyState, incomplete } from '../model/copy.ts';
import { type CanonicalEvent, EVENT_TYPES, MAX_GROUP_ID_BYTES, PROFILE_FIELDS } from '../model/event.ts';
import type { Group } from '../model/group.ts';
import { isObject } from '../model/json.ts';
import { reconcileFinding, reconcileRun } from '../model/reconcile-run.ts';
import { laneState, resyncProgress } from '../model/signal.ts';
import { eventCopy, fault, groupCopy } from '../model/standing.ts';
import { verdict } from '../model/verdict.ts';

/*
 * The admin API: the requests and answers, for the server and its clients. Readers of an answer ignore unknown keys. Times
 * are in milliseconds since 1970, unless a name says seconds.
 */

const count = z.int().nonnegative();
const seq = z.int().positive();
// Events and groups were checked when they were recorded.
const event = z.custom<CanonicalEvent>(isObject);
const group = z.custom<Group>(isObject);

/** The answer to a refused request; a refused configuration adds its `problems`. */
export const refusal = z.object({ fault });

// Status

/** The latest `replay --from groups` or `reconcile --against` since the start. */
export const restoreStatus = resyncProgress.omit({ how: true, named: true });

/** The identity and the state of a restore are internal. */
export const connectorCopy = copyState
  .omit({ identity: true, scope: true, begins: true })
  .extend({ incomplete: incomplete.omit({ upTo: true, again: true, vain: true }).exactOptional() });

const connectorStatus = z.object({
  name: z.string(),
  kind: z.string(),
  state: laneState,
  /** Everything up to this seq is settled. */
  cursor: z.int(),
  /** How many recorded events are not delivered yet, including those that wait for a retry; null while unknown. */
  lag: count.nullable(),
  /** The time since the receipt of the oldest of them; 0 if there is none. */
  lagSeconds: z.number().nonnegative(),
  /** Events delivered or superseded since the start. */
  delivered: count,
  deadLetters: count,
  /** The result of the latest retry of dead letters since the start. */
  retried: z.object({ taken: count, delivered: count, refused: count }).exactOptional(),
  /** The result of the latest replay since the start, of `events` events from the seq `from` on. */
  replayed: z.object({ from: seq, events: count, refused: count, waiting: count }).exactOptional(),
  /** From a worker, which does not know what the copy should hold, only once it is incomplete. */
  copy: connectorCopy.exactOptional(),
  /** How often the copy is compared, in ms; absent if it is not. */
  verifyEvery: count.exactOptional(),
  restore: restoreStatus.exactOptional(),
});
export type ConnectorStatus = z.output<typeof connectorStatus>;

export const reconcileStatus = z.object({
  running: z.boolean(),
  run: reconcileRun.exactOptional(),
  nextAt: z.number().exactOptional(),
});
/** A page of what the latest dry run found; it continues with `next` as `after`. */
export const findingsAnswer = z.object({ findings: z.array(reconcileFinding), next: z.int().exactOptional() });

const readiness = {
  verdict,
  ready: z.boolean(),
  reason: z.string().exactOptional(),
  /** What needs a person's attention although callbacks are recorded, one sentence each. */
  warnings: z.array(z.string()).exactOptional(),
};

export const bridgeStatus = z.object({
  ...readiness,
  /** The URL; empty if no callbacks are received. */
  receiver: z.string(),
  callbacks: count,
  journal: z.object({ file: z.string(), head: count, bytes: count, quarantined: count }),
  connectors: z.array(connectorStatus),
  reconcile: reconcileStatus.exactOptional(),
});
type BridgeStatus = z.output<typeof bridgeStatus>;

const workerStatus = z.object({
  ...readiness,
  source: z.object({ topic: z.string(), groupId: z.string(), deadLetters: z.string() }),
  /** `cursor` counts from the end of the partitions that are assigned to this worker. */
  connectors: z.array(connectorStatus.extend({ partitions: z.array(z.int()).readonly() })),
});
export type WorkerStatus = z.output<typeof workerStatus>;

/** The status of a bridge or of a worker, told apart by `source`. */
export const status = z.union([bridgeStatus, workerStatus]);
export type Status = z.output<typeof status>;

/** The status without what the metrics measure; see `withMeasures` in server.ts. */
export type ConnectorState = Omit<ConnectorStatus, 'delivered'> & { readonly lag: number };
export type BridgeState = Omit<BridgeStatus, 'callbacks' | 'connectors'> & { connectors: ConnectorState[] };
export type WorkerState = Omit<WorkerStatus, 'connectors'> & {
  connectors: Omit<WorkerStatus['connectors'][number], 'delivered'>[];
};

// Connectors

export const replayRequest = z.strictObject({
  from: z.union(
    [
      z.literal('beginning'),
      z.literal('groups'),
      z.strictObject({ seq }),
      z.strictObject({ time: z.int().nonnegative() }),
    ],
    { error: '"beginning", "groups", {"seq": …} or {"time": …} is expected' },
  ),
});
/** The events from the seq `from` on are delivered again. */
export const replayAnswer = z.object({ from: z.int(), events: count });
/** How many groups are brought to a destination, or compared with it. */
export const groupCount = z.object({ groups: count });

/** The groups for a reconcile or a comparison; all of them by default. */
export const groupSelection = z.strictObject({
  groupIds: z.array(z.string().min(1)).min(1).max(100_000).optional(),
  dryRun: z.boolean().optional(),
});
export const reconcileRequest = groupSelection.extend({ allowGone: z.boolean().optional() });

// Events and groups

const limit = z.coerce.number().int().min(1).max(1_000).default(100);
const groupId = z.string().min(1).max(MAX_GROUP_ID_BYTES);
/** A page in ascending order, after a seq or an id. Unknown parameters are refused: without them, the answer would differ. */
export const pageQuery = z.strictObject({ after: z.coerce.number().int().nonnegative().default(0), limit });
const time = z.coerce.number().int().nonnegative().optional();
const FIELDS: readonly string[] = [...PROFILE_FIELDS, 'groupType', 'owner', 'destroyed'];
/** Times are those of receipt; the `operator` of what reconcile found is `reconcile`. */
export const eventsQuery = z.strictObject({
  limit,
  before: z.coerce.number().int().positive().optional(),
  /** A group's id, or a part of one. */
  group: groupId.optional(),
  type: z.enum(EVENT_TYPES).optional(),
  operator: z.string().min(1).max(MAX_GROUP_ID_BYTES).optional(),
  field: z
    .string()
    .max(MAX_GROUP_ID_BYTES)
    .refine((text) => FIELDS.includes(text) || text.startsWith('customFields.'), {
      error: `one of ${FIELDS.join(', ')} is expected, or customFields. and a key`,
    })
    .optional(),
  since: time,
  until: time,
  after: time,
});
export const groupsQuery = z.strictObject({
  limit,
  search: z.string().max(MAX_GROUP_ID_BYTES).default(''),
  /** The `next` of the page before: the stage of the search, and an id. */
  after: z
    .string()
    .max(MAX_GROUP_ID_BYTES + 2)
    .regex(/^([01]|$)/, { error: 'the place given by the previous page is expected' })
    .default(''),
});
export const groupQuery = z.strictObject({ limit, id: groupId });

const entry = z.object({ seq, event });
/** Where an incomplete list continues: the `before` or `after` of the next request. */
const next = z.int().exactOptional();
/** Newest first; `total` counts the whole journal, if nothing is filtered and there are not too many. */
export const eventsAnswer = z.object({ events: z.array(entry), next, total: count.exactOptional() });
/** `complete` is false if a limit cut the search short; it continues with `next` as `after`. */
export const groupsPage = z.object({
  groups: z.array(group).readonly(),
  complete: z.boolean(),
  /** The number of all known groups, whatever the search. */
  total: count.default(0),
  next: z.string().exactOptional(),
});

export const eventAnswer = entry.extend({ copies: z.array(eventCopy) });
export const groupAnswer = z.object({ group, events: z.array(entry), next, copies: z.array(groupCopy) });

export const forgetRequest = z.strictObject({ groupIds: z.array(groupId).min(1).max(10_000) });
/** `kept` are the groups that could not be forgotten, and why. */
export const forgetAnswer = z.object({ forgotten: count, kept: z.array(z.object({ groupId: z.string(), fault })) });
/** A step over all groups from `after` on: those destroyed longer ago than `olderMs` are forgotten; in a dry run, named. */
export const pruneRequest = z.strictObject({
  olderMs: z.int().nonnegative(),
  after: z.string().max(MAX_GROUP_ID_BYTES).default(''),
  dryRun: z.boolean().default(false),
});
/** `groupIds` are those that were, or would be, forgotten; it continues with `next` as `after`. */
export const pruneAnswer = forgetAnswer.omit({ forgotten: true }).extend({
  groupIds: z.array(z.string()).readonly(),
  looked: count,
  total: count,
  next: z.string().exactOptional(),
});

// Dead letters and quarantine

export const deadLetter = entry.extend({ attempts: count, fault, deadAt: z.number() });
export const deadLettersAnswer = z.object({ deadLetters: z.array(deadLetter), next });
/** Dead letters by seq, by cause or of a group; all of them by default. */
const deadLetterFilter = { cause: z.string().max(64).optional(), groupId: groupId.optional() };
export const deadLettersQuery = pageQuery.extend(deadLetterFilter);
export const deadLetterSelection = z.strictObject({
  seqs: z.array(seq).max(10_000).optional(),
  ...deadLetterFilter,
  after: z.int().nonnegative().optional(),
});
/** The status tells what became of those taken. */
export const retryAnswer = z.object({ taken: count });
/** Dead letters with the same cause; the sample is the newest. */
export const deadLetterCause = z.object({
  cause: z.string(),
  code: fault.shape.code,
  reason: z.string(),
  count,
  firstAt: z.number(),
  lastAt: z.number(),
  sample: deadLetter,
});
export const deadLetterCausesAnswer = z.object({ causes: z.array(deadLetterCause) });
export const discardAnswer = z.object({ discarded: count });

export const quarantined = z.object({
  id: z.int().positive(),
  receivedAt: z.number(),
  search: z.string(),
  body: z.string(),
  /** The bytes of a body that is not UTF-8, which `body` only shows with losses. */
  bodyBase64: z.string().exactOptional(),
  fault,
});
export const quarantineAnswer = z.object({ quarantined: z.array(quarantined), next, total: count.exactOptional() });
/** Quarantined callbacks by id; all of them by default. */
export const quarantineSelection = z.strictObject({ ids: z.array(z.int().positive()).min(1).max(10_000).optional() });
export const remapAnswer = z.object({ mapped: count, left: count });
