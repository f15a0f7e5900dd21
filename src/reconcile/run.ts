import { setTimeout as delay } from 'node:timers/promises';
import type { Journal } from '../journal/append.ts';
import type { GroupReader } from '../journal/groups.ts';
import type { ReconcileReader } from '../journal/reads.ts';
import type { Clock } from '../model/clock.ts';
import type { CanonicalEvent } from '../model/event.ts';
import { describeFault, faultOf } from '../model/fault.ts';
import type { ReconcileRun } from '../model/reconcile-run.ts';
import type { SignalBus } from '../model/signal.ts';
import { type GroupApi, type GroupsRead, MAX_IDS, type ReconcileSettings } from './api.ts';
import { driftOf, goneEvent, readEvent } from './drift.ts';

export interface PlannedRun {
  /** It is filled meanwhile. */
  readonly run: ReconcileRun;
  /** Reads only these groups, and lists nothing. */
  readonly groupIds: readonly string[] | undefined;
  /** Only a run over everything that records can be resumed: the others leave no trace. */
  readonly whole: boolean;
  readonly resumed: boolean;
}

export interface RunPorts {
  readonly api: GroupApi;
  readonly journal: Pick<Journal, 'beginReconcile' | 'recordRead'>;
  readonly groups: GroupReader;
  readonly reader: ReconcileReader;
  readonly clock: Clock;
  readonly signals: SignalBus;
}

/** The most calls under way at once: the service's rate binds, not its distance (200 calls a second at 150 ms each). */
const CALLS = 32;
/** Answers that come within this time share one commit. */
const GATHER_MS = 10;
const KNOWN_PAGE = 1_000;
const MAX_FAILURES = 20;

export function newCounts(): ReconcileRun['counts'] {
  return { read: 0, inStep: 0, mended: 0, fields: {}, gone: 0, failed: 0 };
}

/** Performs the run and notes in it how it ended. One that the service, the journal or `signal` stopped is resumed from there. */
export async function performRun(plan: PlannedRun, settings: ReconcileSettings, ports: RunPorts, signal: AbortSignal) {
  const { run, whole, resumed } = plan;
  const { journal, clock, signals } = ports;
  try {
    if (whole && !resumed) await journal.beginReconcile(run);
    await readGroups(plan, settings, ports, signal);
    run.endedAt = clock.now();
  } catch (thrown) {
    run.stopped = signal.aborted ? 'it was stopped' : describeFault(faultOf(thrown, 'internal'));
    // Nothing can be resumed of it: it leaves no trace.
    if (!whole) run.endedAt = clock.now();
  }
  // The journal may take no more: what is not noted is read again.
  if (whole) await journal.recordRead([], [], run).catch(() => {});
  const { startedAt, dryRun, counts, stopped } = run;
  const ms = Math.max(0, clock.now() - startedAt);
  signals.emit('reconcile.ended', { ms, dryRun, counts, ...(stopped !== undefined && { stopped }) });
}

/** Reads the groups and records what differs. Throws when the service cannot be asked or the journal cannot record. */
async function readGroups(plan: PlannedRun, settings: ReconcileSettings, ports: RunPorts, signal: AbortSignal) {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const settle = createSettlement(plan, settings.sdkAppId, ports);
  const batches = inBatches(idsToRead(plan, settings.groupTypes, ports, either));
  const work = async (): Promise<void> => {
    for (let next = await batches.next(); next.done !== true; next = await batches.next()) {
      await settle(await ports.api.groups(next.value, either));
    }
  };
  // The first failure ends the other calls, and is the one that is thrown.
  await Promise.all(Array.from({ length: CALLS }, () => work().catch((thrown) => failed.abort(thrown))));
  either.throwIfAborted();
}

/** Returns what counts the groups of an answer, and records what differs. */
function createSettlement({ run, whole }: PlannedRun, sdkAppId: string, { groups, journal, clock }: RunPorts) {
  const { counts } = run;
  const found: CanonicalEvent[] = [];
  const through: string[] = [];
  let committing: Promise<void> | undefined;
  const commit = async (): Promise<void> => {
    await delay(GATHER_MS);
    committing = undefined;
    await journal.recordRead(found.splice(0), through.splice(0), whole ? run : undefined);
  };

  return async ({ readAt, groups: remotes, gone, failed }: GroupsRead): Promise<void> => {
    const context = { sdkAppId, readAt, now: clock.now() };
    const events: CanonicalEvent[] = [];
    for (const remote of remotes) {
      const drift = driftOf(groups.get(remote.groupId), remote, readAt);
      if (drift === undefined) {
        counts.inStep++;
        continue;
      }
      counts.mended++;
      for (const field of drift.fields) counts.fields[field] = (counts.fields[field] ?? 0) + 1;
      events.push(readEvent(remote, drift, context));
    }
    for (const groupId of gone) {
      const event = goneEvent(groups.get(groupId), context);
      if (event !== undefined) events.push(event);
    }
    counts.read += remotes.length + gone.length;
    counts.gone += gone.length;
    counts.failed += failed.length;
    const told = failed.slice(0, MAX_FAILURES - run.failures.length);
    run.failures.push(...told.map(({ groupId, fault }) => ({ groupId, message: describeFault(fault) })));
    if (run.dryRun) return;
    found.push(...events);
    through.push(...remotes.map(({ groupId }) => groupId), ...gone);
    committing ??= commit();
    await committing;
  };
}

/**
 * Yields what the service lists, then what is known here and was not in the lists: those groups are gone, or of a type that
 * is not listed.
 */
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
  for (const groupType of groupTypes) {
    const ofOthers = listed.size;
    // Lists have a rate of their own, so the next page is asked for while this one is read.
    for await (const { ids, total } of prefetched(api.groupIds(groupType, signal))) {
      run.total = Math.max(before, ofOthers + total);
      for (const groupId of ids) {
        if (listed.has(groupId)) continue;
        listed.add(groupId);
        if (!isRead(groupId)) yield groupId;
      }
    }
    run.total = Math.max(before, listed.size);
  }
  let known = groups.livingIds('', KNOWN_PAGE);
  for (; known.length > 0; known = groups.livingIds(known.at(-1) ?? '', KNOWN_PAGE)) {
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

/** Yields the same, and asks for the next one before the reader does. */
async function* prefetched<T>(source: AsyncGenerator<T, void>): AsyncGenerator<T> {
  let next = source.next();
  for (;;) {
    const result = await next;
    if (result.done === true) return;
    next = source.next();
    // A failure that nobody waits for yet is not an unhandled rejection: whoever reads on gets it.
    next.catch(() => {});
    yield result.value;
  }
}
