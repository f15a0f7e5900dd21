import { setTimeout as delay } from 'node:timers/promises';
import type { ReconcileCounts, ReconcileRun } from '../journal/reconcile-run.ts';
import type { CanonicalEvent } from '../model/event.ts';
import { describeFault } from '../model/fault.ts';
import type { Group } from '../model/group.ts';
import { type GroupApi, type GroupsRead, MAX_IDS } from './api.ts';
import { driftOf, goneEvent, readEvent } from './drift.ts';

export interface RunPlan {
  readonly sdkAppId: string;
  /** Types to list. */
  readonly groupTypes: readonly string[];
  /** Only these groups: nothing is listed. */
  readonly groupIds?: readonly string[] | undefined;
  readonly dryRun: boolean;
}

export interface RunPorts {
  readonly api: GroupApi;
  now(): number;
  /** The merged state as it is this moment. */
  group(groupId: string): Group | undefined;
  /** Ids of known groups that are not destroyed, behind this one and in their order. */
  knownIds(after: string, limit: number): readonly string[];
  /** Whether this run has read the group before it was stopped. */
  isRead(groupId: string): boolean;
  /** Resolves once the events are on disk, with the note that these groups are read. */
  record(events: readonly CanonicalEvent[], groupIds: readonly string[]): Promise<void>;
}

/** Calls on their way at once: the service's rate binds, not its distance (200 calls a second at 150 ms each). */
const CALLS = 32;
/** Answers that come within this time share one commit. */
const GATHER_MS = 10;
const KNOWN_PAGE = 1_000;
const MAX_FAILURES = 20;

export function newCounts(): ReconcileCounts {
  return { read: 0, inStep: 0, mended: 0, fields: {}, gone: 0, failed: 0 };
}

/**
 * Reads the groups and records what differs. `run` is filled as it goes on. Groups that are known here and not in the
 * service's lists are asked for last: they are gone, or of a type that is not listed. Throws a BridgeError when the
 * service cannot be asked or the journal cannot record; the run then goes on from there when it is started again.
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

/** The service's lists, then what is known here and was not in them. */
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
    // The next page is asked for while this one is read: the lists have a rate of their own.
    for await (const page of ahead(ports.api.groupIds(groupType, signal))) {
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

/** One step ahead of whoever reads it. */
async function* ahead<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  let next = iterator.next();
  // Until it is waited for, its failure is nobody's.
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
