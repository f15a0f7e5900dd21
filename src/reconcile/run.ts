import { setTimeout as delay } from 'node:timers/promises';
import type { CanonicalEvent } from '../model/event.ts';
import { describeFault } from '../model/fault.ts';
import type { Group } from '../model/group.ts';
import type { ReconcileCounts, ReconcileRun } from '../model/reconcile-run.ts';
import { type GroupApi, type GroupsRead, MAX_IDS } from './api.ts';
import { driftOf, goneEvent, readEvent } from './drift.ts';

export interface RunPlan {
  readonly sdkAppId: string;
  /** The types of groups to list. */
  readonly groupTypes: readonly string[];
  /** Reads only these groups, and lists nothing. */
  readonly groupIds?: readonly string[] | undefined;
  readonly dryRun: boolean;
}

export interface RunPorts {
  readonly api: GroupApi;
  now(): number;
  /** Returns the merged state as it is this moment. */
  group(groupId: string): Group | undefined;
  /** Returns ids of known groups that are not destroyed, after this one and in their order. */
  knownIds(after: string, limit: number): readonly string[];
  /** Returns whether this run read the group before it was stopped. */
  isRead(groupId: string): boolean;
  /** Resolves once the events are on disk, with the note that these groups are read. */
  record(events: readonly CanonicalEvent[], groupIds: readonly string[]): Promise<void>;
}

/** The most calls under way at once: the service's rate binds, not its distance (200 calls a second at 150 ms each). */
const CALLS = 32;
/** Answers that come within this time share one commit. */
const GATHER_MS = 10;
const KNOWN_PAGE = 1_000;
const MAX_FAILURES = 20;

export function newCounts(): ReconcileCounts {
  return { read: 0, inStep: 0, mended: 0, fields: {}, gone: 0, failed: 0 };
}

/**
 * Reads the groups and records what differs; fills `run` meanwhile. Asks last for groups that are known here and missing in
 * the service's lists: they are gone, or of a type that is not listed. Throws a BridgeError when the service cannot be asked
 * or the journal cannot record; the run is then resumed from there.
 */
export async function runReconcile(
  plan: RunPlan,
  run: ReconcileRun,
  ports: RunPorts,
  signal: AbortSignal,
): Promise<void> {
  const { counts } = run;

  const settle = async ({ readAt, groups, gone, failed }: GroupsRead): Promise<void> => {
    const context = { sdkAppId: plan.sdkAppId, readAt, now: ports.now() };
    const events: CanonicalEvent[] = [];
    const through: string[] = [];
    for (const remote of groups) {
      through.push(remote.groupId);
      counts.read++;
      const drift = driftOf(ports.group(remote.groupId), remote, readAt);
      if (drift === undefined) {
        counts.inStep++;
        continue;
      }
      counts.mended++;
      for (const field of drift.fields) counts.fields[field] = (counts.fields[field] ?? 0) + 1;
      events.push(readEvent(remote, drift, context));
    }
    for (const groupId of gone) {
      through.push(groupId);
      counts.read++;
      counts.gone++;
      const event = goneEvent(ports.group(groupId), context);
      if (event !== undefined) events.push(event);
    }
    for (const { groupId, fault } of failed) {
      counts.failed++;
      if (run.failures.length < MAX_FAILURES) run.failures.push({ groupId, message: describeFault(fault) });
    }
    if (plan.dryRun) return;
    found.push(...events);
    done.push(...through);
    committing ??= commit();
    await committing;
  };

  let found: CanonicalEvent[] = [];
  let done: string[] = [];
  let committing: Promise<void> | undefined;
  const commit = async (): Promise<void> => {
    await delay(GATHER_MS);
    const [events, groupIds] = [found, done];
    found = [];
    done = [];
    committing = undefined;
    await ports.record(events, groupIds);
  };

  const calls = new Set<Promise<void>>();
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  let failure: unknown;
  const ask = async (ids: readonly string[]): Promise<void> => {
    while (calls.size >= CALLS) await Promise.race(calls);
    if (failure !== undefined) throw failure;
    const call = ports.api
      .groups(ids, either)
      .then(settle)
      .catch((thrown: unknown) => {
        failure ??= thrown;
        stop.abort(thrown);
      })
      .finally(() => calls.delete(call));
    calls.add(call);
  };

  let chunk: string[] = [];
  const add = async (groupId: string): Promise<void> => {
    chunk.push(groupId);
    if (chunk.length < MAX_IDS) return;
    const full = chunk;
    chunk = [];
    await ask(full);
  };

  try {
    if (plan.groupIds !== undefined) {
      run.total = plan.groupIds.length;
      for (const groupId of plan.groupIds) await add(groupId);
    } else {
      await readAll(plan, run, ports, add, either);
    }
    if (chunk.length > 0) await ask(chunk);
    await Promise.all(calls);
    if (failure !== undefined) throw failure;
    signal.throwIfAborted();
  } finally {
    stop.abort();
    await Promise.all(calls);
  }
}

/** Adds what the service lists, then what is known here and was not in the lists. */
async function readAll(
  { groupTypes }: RunPlan,
  run: ReconcileRun,
  ports: RunPorts,
  add: (groupId: string) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const before = run.counts.read + run.counts.failed;
  const listed = new Set<string>();
  let total = 0;
  for (const groupType of groupTypes) {
    let told = 0;
    let found = 0;
    // Lists have a rate of their own, so the next page is asked for while this one is read.
    for await (const page of prefetched(ports.api.groupIds(groupType, signal))) {
      told = page.total;
      run.total = Math.max(before, total + told);
      for (const groupId of page.ids) {
        if (listed.has(groupId)) continue;
        listed.add(groupId);
        found++;
        if (!ports.isRead(groupId)) await add(groupId);
      }
    }
    total += Math.max(found, 0);
    run.total = Math.max(before, total);
  }
  let after = '';
  for (;;) {
    const known = ports.knownIds(after, KNOWN_PAGE);
    const last = known.at(-1);
    if (last === undefined) return;
    after = last;
    for (const groupId of known) {
      if (listed.has(groupId) || ports.isRead(groupId)) continue;
      run.total++;
      await add(groupId);
    }
  }
}

/** Yields the same, and asks for the next one before the reader does. */
async function* prefetched<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  let next = iterator.next();
  // A failure that nobody waits for yet is not an unhandled rejection: whoever reads on gets it.
  next.catch(() => {});
  try {
    for (;;) {
      const result = await next;
      if (result.done === true) return;
      next = iterator.next();
      next.catch(() => {});
      yield result.value;
    }
  } finally {
    await iterator.return?.().catch(() => {});
  }
}
