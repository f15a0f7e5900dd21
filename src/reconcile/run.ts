import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import type { Journal } from '../journal/append.ts';
import type { GroupReader } from '../journal/groups.ts';
import type { ReconcileReader } from '../journal/reads.ts';
import type { Clock } from '../model/clock.ts';
import type { CanonicalEvent } from '../model/event.ts';
import { BridgeError, describeFault, type Fault, faultOf } from '../model/fault.ts';
import { type ReconcileFinding, type ReconcileRun, reconcileRun } from '../model/reconcile-run.ts';
import type { SignalBus } from '../model/signal.ts';
import {
  type GroupApi,
  type GroupFailure,
  type GroupsRead,
  ListRefused,
  MAX_IDS,
  type ReconcileSettings,
  type RemoteGroup,
} from './api.ts';
import { driftOf, fieldsAhead, goneEvent, isNewlyGone, readEvent } from './drift.ts';
import { type Findings, findingOf } from './findings.ts';

export interface PlannedRun {
  readonly run: ReconcileRun;
  /** The groups to read, instead of those listed and known. */
  readonly groupIds: readonly string[] | undefined;
  /** Whether it covers everything and records: only such a run leaves a trace, and can be resumed. */
  readonly whole: boolean;
  readonly resumed: boolean;
  /** Whether to destroy whatever the service no longer has, however much that is. */
  readonly allowGone: boolean;
  /** The groups that the previous whole run could not read. */
  readonly failedBefore: ReconcileRun['failures'];
}

export interface RunPorts {
  readonly api: GroupApi;
  readonly journal: Pick<Journal, 'beginReconcile' | 'groupsFull' | 'recordRead'>;
  readonly groups: GroupReader;
  readonly reader: ReconcileReader;
  readonly clock: Clock;
  readonly signals: SignalBus;
  readonly findings: Findings;
}

/** How many calls run at once: enough that the service's rate is the limit, not its latency (200 a second, 150 ms each). */
const CALLS = 32;
/** Answers within this time share one commit. */
const GATHER_MS = 10;
const KNOWN_PAGE = 1_000;
/** How many failures are remembered from run to run. */
const MAX_FAILURES = 1_000;
/** A group that fails alike in this many runs no longer counts as failed. */
const LASTING_RUNS = 3;
/** How many gone groups are examined or recorded at a time, so that callbacks come in between. */
const STEP = 500;
const LISTED = 1_000;
/** This many groups may go in any case, since a percentage of few groups is none. */
const FEW = 20;

export const newCounts = (): ReconcileRun['counts'] => reconcileRun.shape.counts.parse({});

/** Performs the run and notes how it ended. If the service, the journal or `signal` stops it, it can be resumed. */
export async function performRun(plan: PlannedRun, settings: ReconcileSettings, ports: RunPorts, signal: AbortSignal) {
  const { run, whole, resumed } = plan;
  const { journal, clock, signals } = ports;
  const { read, gone } = run.counts;
  // A resumed run reads failed and gone groups again.
  Object.assign(run.counts, { read: read - gone, gone: 0, failed: 0, destroyed: 0, withheld: 0, lasting: 0 });
  try {
    if (whole && !resumed) await journal.beginReconcile(run);
    if (run.dryRun) await ports.findings.begin();
    await readGroups(plan, settings, ports, signal);
    run.endedAt = clock.now();
  } catch (thrown) {
    run.stopped = signal.aborted ? 'it was stopped' : describeFault(faultOf(thrown, 'internal'));
    // It cannot be resumed, so this is its end.
    if (!whole) run.endedAt = clock.now();
  }
  // If the journal refuses this, the next run only reads more than necessary.
  if (whole) await journal.recordRead([], [], run).catch(() => {});
  const { startedAt, dryRun, counts, stopped } = run;
  const ms = Math.max(0, clock.now() - startedAt);
  signals.emit('reconcile.ended', { ms, dryRun, counts, ...(stopped !== undefined && { stopped }) });
}

/** Reads the groups and records what differs. Throws if the service cannot be asked or the journal cannot record. */
async function readGroups(plan: PlannedRun, settings: ReconcileSettings, ports: RunPorts, signal: AbortSignal) {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const settlement = createSettlement(plan, settings, ports);
  const keys = (ids: readonly string[]) => keysOf(ids, settings.customFields, ports.groups);
  const batches = inBatches(idsToRead(plan, settings.groupTypes, ports, either));
  const work = async (): Promise<void> => {
    for (let next = await batches.next(); next.done !== true; next = await batches.next()) {
      await settlement.settle(await ports.api.groups(next.value, keys, either));
    }
  };
  // The first failure aborts the other calls, and is thrown.
  await Promise.all(Array.from({ length: CALLS }, () => work().catch((thrown) => failed.abort(thrown))));
  either.throwIfAborted();
  await settlement.destroy();
}

/** Returns the custom fields to ask for, since the service returns no others. */
function keysOf(ids: readonly string[], configured: readonly string[], groups: GroupReader): string[] {
  const seen = ids.flatMap((groupId) => Object.keys(groups.get(groupId)?.customFields ?? {}));
  return [...new Set([...configured, ...seen])];
}

/** Counts the groups of each answer, and records what differs; gone groups wait for the end of the run. */
function createSettlement(plan: PlannedRun, settings: ReconcileSettings, ports: RunPorts) {
  const { groups, journal, clock, findings } = ports;
  const { run, whole, allowGone, failedBefore } = plan;
  const { counts } = run;
  const { sdkAppId } = settings;
  const found: CanonicalEvent[] = [];
  const through: string[] = [];
  /** The groups that the service does not have, each with the time of the read. */
  const gone: { groupId: string; readAt: number }[] = [];
  const before = new Map(failedBefore.map(({ groupId, message, runs }) => [groupId, { message, runs }]));
  let committing: Promise<void> | undefined;
  let recorded = structuredClone(counts);
  const commit = async (): Promise<void> => {
    await delay(GATHER_MS);
    committing = undefined;
    const counted = structuredClone(counts);
    try {
      await journal.recordRead(found.splice(0), through.splice(0), whole ? run : undefined);
      recorded = counted;
    } catch (thrown) {
      // These groups will be read and counted again; counting them twice would let more groups be destroyed.
      Object.assign(counts, structuredClone(recorded));
      throw thrown;
    }
  };
  const record = async (events: readonly CanonicalEvent[], read: readonly { readonly groupId: string }[]) => {
    found.push(...events);
    through.push(...read.map(({ groupId }) => groupId));
    committing ??= commit();
    await committing;
  };
  const fail = ({ groupId, fault, passes }: GroupFailure): void => {
    const message = describeFault(fault);
    const last = before.get(groupId);
    const runs = last?.message === message ? last.runs + 1 : 1;
    if (!passes && runs >= LASTING_RUNS) counts.lasting++;
    else counts.failed++;
    if (run.failures.length < MAX_FAILURES) run.failures.push({ groupId, message, runs });
  };

  const failAhead = (groupId: string, ahead: readonly string[]): void =>
    fail({
      groupId,
      fault: {
        code: 'event-conflict',
        message: `the last change of ${ahead.join(', ')} is ahead of the service’s clock: what the service says cannot win`,
        suggestion: 'check the group’s history and the clock of its sender; reconcile again after that time',
      },
      passes: true,
    });

  /** Changes that came meanwhile need no care: they merge like later ones. */
  const recordGone = async (doomed: ReadonlyMap<string, string>, context: { sdkAppId: string; now: number }) => {
    for (let step = gone.splice(0, STEP); step.length > 0; step = gone.splice(0, STEP)) {
      const events = step.flatMap(({ groupId, readAt }) => {
        const groupType = doomed.get(groupId);
        return groupType === undefined ? [] : [goneEvent(groupId, groupType, { ...context, readAt })];
      });
      counts.destroyed += events.length;
      await record(events, step);
    }
  };

  return {
    async settle({ readAt, groups: remotes, gone: missing, failed }: GroupsRead): Promise<void> {
      const context = { sdkAppId, readAt, now: clock.now() };
      const events: CanonicalEvent[] = [];
      const read: RemoteGroup[] = [];
      for (const remote of remotes) {
        const state = groups.get(remote.groupId);
        if (state?.destroyed === false) counts.known++;
        const { groupType = state?.groupType } = remote;
        const drift = driftOf(state, remote, readAt);
        const ahead = state === undefined ? [] : fieldsAhead(state, remote, readAt);
        if (state === undefined && drift !== undefined && !run.dryRun && journal.groupsFull()) {
          fail({ groupId: remote.groupId, fault: NO_ROOM, passes: true });
          continue;
        }
        read.push(remote);
        if (ahead.length > 0) failAhead(remote.groupId, ahead);
        else if (drift === undefined) counts.inStep++;
        else counts.mended++;
        if (drift === undefined) continue;
        for (const field of drift.fields) counts.fields[field] = (counts.fields[field] ?? 0) + 1;
        events.push(readEvent({ ...remote, groupType }, drift, context));
      }
      for (const groupId of missing) gone.push({ groupId, readAt });
      counts.read += read.length + missing.length;
      counts.gone += missing.length;
      for (const one of failed) fail(one);
      if (run.dryRun) return findings.add(events.map((event) => findingOf(groups.get(event.subject), event)));
      return record(events, read);
    },
    /** Invariant 4: never destroys by surprise. Records gone groups at the end, unless they are too many of those known. */
    async destroy(): Promise<void> {
      const context = { sdkAppId, now: clock.now() };
      const listed: ReconcileFinding[] = [];
      /** Includes gone groups, which a run that stops early counts again. */
      let { known } = counts;
      /** The groups to destroy, with their types: examined once, however long it takes to record them. */
      const doomed = new Map<string, string>();
      for (const [index, { groupId, readAt }] of gone.entries()) {
        if (index % STEP === STEP - 1) await turn();
        const state = groups.get(groupId);
        if (state?.destroyed === false) known++;
        const ahead = state === undefined || state.destroyed ? [] : fieldsAhead(state, undefined, readAt);
        if (ahead.length > 0) failAhead(groupId, ahead);
        if (!isNewlyGone(state, readAt)) continue;
        const { groupType = '' } = state;
        doomed.set(groupId, groupType);
        if (!run.dryRun) continue;
        listed.push(findingOf(state, goneEvent(groupId, groupType, { ...context, readAt })));
        if (listed.length === LISTED) await findings.add(listed.splice(0));
      }
      if (run.dryRun) await findings.add(listed);
      const isTooMuch = !allowGone && doomed.size > mostGone(settings.maxGone, known);
      if (isTooMuch) counts.withheld = doomed.size;
      else if (run.dryRun) counts.destroyed = doomed.size;
      else await recordGone(doomed, context);
      counts.known = known;
    },
  };
}

const NO_ROOM: Fault = {
  code: 'journal-groups-full',
  path: 'journal.maxBytes',
  message: 'it is new, and the journal holds too many groups',
  suggestion: 'raise it; groups forget and groups prune make room, too',
};

/** Returns how many of the known groups one run may destroy. */
export function mostGone(maxGone: number | string, known: number): number {
  return typeof maxGone === 'number' ? maxGone : Math.max(FEW, (Number.parseFloat(maxGone) / 100) * known);
}

/** Yields the groups that the service lists, then the other known ones: they are gone, or of a type without a list. */
async function* idsToRead(
  { run, groupIds, resumed }: PlannedRun,
  groupTypes: readonly string[],
  { api, groups, reader }: RunPorts,
  signal: AbortSignal,
): AsyncGenerator<string> {
  if (groupIds !== undefined) {
    run.total = groupIds.length;
    yield* groupIds;
    return;
  }
  const isRead = (groupId: string): boolean => resumed && reader.has(groupId);
  const before = run.counts.read + run.counts.failed;
  const listed = new Set<string>();
  let answered = false;
  for (const groupType of groupTypes) {
    const ofOthers = listed.size;
    try {
      // Lists have their own rate, so the next page is fetched while the groups of this one are read.
      for await (const { ids, total } of prefetched(api.groupIds(groupType, signal))) {
        run.total = Math.max(before, ofOthers + total);
        for (const groupId of ids) {
          if (listed.has(groupId)) continue;
          listed.add(groupId);
          if (!isRead(groupId)) yield groupId;
        }
      }
      answered = true;
    } catch (thrown) {
      // A list's refusal does not void the others, nor does other trouble once a list was given: if that concerns the whole
      // service, reading the groups will fail, too, and end the run.
      const isItsOwn = thrown instanceof ListRefused || (answered && thrown instanceof BridgeError && !signal.aborted);
      if (!isItsOwn) throw thrown;
      const off = thrown instanceof ListRefused && thrown.off;
      run.unlisted.push({ groupType, message: describeFault(thrown.fault), off });
    }
    run.total = Math.max(before, listed.size);
  }
  let known = groups.livingIds('', KNOWN_PAGE);
  for (; known.length > 0; known = groups.livingIds(known.at(-1) ?? '', KNOWN_PAGE)) {
    // Usually none of them is left to read, and this thread answers callbacks.
    await turn();
    for (const groupId of known) {
      if (listed.has(groupId) || isRead(groupId)) continue;
      run.total++;
      yield groupId;
    }
  }
}

async function* inBatches(ids: AsyncIterable<string>): AsyncGenerator<string[]> {
  const batch: string[] = [];
  for await (const id of ids) {
    batch.push(id);
    if (batch.length === MAX_IDS) yield batch.splice(0);
  }
  if (batch.length > 0) yield batch;
}

/** Yields the same values, each requested before the reader asks for it. */
async function* prefetched<T>(source: AsyncGenerator<T, void>): AsyncGenerator<T> {
  let next = source.next();
  for (;;) {
    const result = await next;
    if (result.done === true) return;
    next = source.next();
    // Keeps a failure from counting as unhandled until the reader awaits it.
    next.catch(() => {});
    yield result.value;
  }
}
