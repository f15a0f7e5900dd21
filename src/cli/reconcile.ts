import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { type Bridge, startBridge } from '../bridge.ts';
import { BridgeError } from '../model/fault.ts';
import { type AdminClient, adminClient } from './admin.ts';
import { requireConfig } from './configuration.ts';
import { paint, print, progress, table } from './terminal.ts';

export interface ReconcileOptions {
  readonly config?: string;
  readonly admin?: URL;
  readonly json?: boolean;
  readonly group?: readonly string[];
  readonly dryRun?: boolean;
  /** A connector whose copy is compared, too. */
  readonly against?: string;
}

const counts = z.object({
  read: z.number(),
  inStep: z.number(),
  mended: z.number(),
  fields: z.record(z.string(), z.number()),
  gone: z.number(),
  failed: z.number(),
});
const run = z.object({
  startedAt: z.number(),
  endedAt: z.number().optional(),
  total: z.number(),
  counts,
  failures: z.array(z.object({ groupId: z.string(), message: z.string() })),
  stopped: z.string().optional(),
});
const reconcileStatus = z.object({ running: z.boolean(), run: run.optional(), nextAt: z.number().optional() });
const lane = z.object({
  name: z.string(),
  lag: z.number(),
  state: z.object({ kind: z.string(), fault: z.object({ message: z.string() }).optional() }),
  restore: z
    .object({ done: z.number(), total: z.number(), mended: z.number(), failed: z.number(), ended: z.boolean() })
    .optional(),
});
const status = z.object({ connectors: z.array(lane), reconcile: z.unknown().optional() });
type Run = z.output<typeof run>;
type Compared = NonNullable<z.output<typeof lane>['restore']>;

const POLL_MS = 200;

/** Through the running bridge or, when there is none, by itself; mends the copies and says what it found. */
export async function reconcile(options: ReconcileOptions): Promise<void> {
  const { client, own } = await findBridge(options);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  try {
    const { reconcile: configured } = status.parse(await client.get('/api/status'));
    // With --against alone, a bridge without the service's key can still be compared with its own journal.
    const read =
      configured === undefined && options.against !== undefined
        ? undefined
        : await readGroups(client, options, stop.signal);
    const compared =
      options.against === undefined || read?.stopped !== undefined
        ? undefined
        : await compare(client, options.against, options, stop.signal);
    const waiting = own === undefined || options.dryRun ? [] : await drain(client, stop.signal);
    report(options, read, compared, waiting);
    judge(read, compared, options);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    await own?.stop('reconcile ended');
  }
}

async function findBridge(options: ReconcileOptions): Promise<{ client: AdminClient; own?: Bridge }> {
  const client = adminClient(options);
  try {
    await client.get('/api/status');
    return { client };
  } catch (thrown) {
    const absent = thrown instanceof BridgeError && thrown.fault.code === 'bridge-unreachable';
    if (!absent || options.admin !== undefined) throw thrown;
  }
  const { config } = requireConfig(options.config);
  if (!options.json) print(`no bridge runs at ${client.url}: reading and mending from here`);
  const { reconcile, ...rest } = config;
  const alone = {
    ...rest,
    // It runs when asked, which is now.
    ...(reconcile !== undefined && { reconcile: { ...reconcile, every: undefined } }),
    // Nobody else needs to reach it.
    admin: { ...config.admin, host: '127.0.0.1', port: 0 },
  };
  const own = await startBridge(alone, 'warn', { receive: false });
  return {
    client: adminClient({
      admin: new URL(own.adminUrl),
      ...(options.config !== undefined && { config: options.config }),
    }),
    own,
  };
}

async function readGroups(client: AdminClient, options: ReconcileOptions, signal: AbortSignal): Promise<Run> {
  const { group: groupIds, dryRun } = options;
  await client.post('/api/reconcile', { ...(groupIds && { groupIds }), ...(dryRun && { dryRun }) });
  const bar = progress('reading groups', groupIds?.length ?? 0);
  let asked = false;
  for (;;) {
    const { running, run: at } = reconcileStatus.parse(await client.get('/api/reconcile'));
    if (at !== undefined) bar.set(at.counts.read + at.counts.failed, at.total);
    if (!running && at !== undefined) {
      bar.end();
      return at;
    }
    if (signal.aborted && !asked) {
      asked = true;
      await client.post('/api/reconcile/stop', {});
    } else {
      await delay(POLL_MS, undefined, { signal }).catch(() => {});
    }
  }
}

async function compare(
  client: AdminClient,
  name: string,
  { group: groupIds, dryRun }: ReconcileOptions,
  signal: AbortSignal,
): Promise<Compared> {
  // What was just read is delivered first, or it would be taken for a difference.
  await drain(client, signal, name);
  const answer = await client.post(`/api/connectors/${encodeURIComponent(name)}/compare`, {
    ...(groupIds && { groupIds }),
    ...(dryRun && { dryRun }),
  });
  const bar = progress(`comparing ${name}`, z.object({ groups: z.number() }).parse(answer).groups);
  for (;;) {
    const one = await laneOf(client, name);
    const { restore, state } = one;
    if (restore !== undefined) bar.set(restore.done);
    if (restore?.ended) {
      bar.end();
      return restore;
    }
    if (signal.aborted || (state.kind !== 'running' && state.kind !== 'connecting')) {
      bar.end();
      const why = signal.aborted
        ? 'it was stopped'
        : `${name} is ${state.kind}: ${state.fault?.message ?? 'resume it'}`;
      throw new BridgeError({ code: 'command-failed', message: `${name} could not be compared: ${why}` });
    }
    await delay(POLL_MS, undefined, { signal }).catch(() => {});
  }
}

/** Waits until the connectors, or the one named, are in step; returns those that cannot be. */
async function drain(client: AdminClient, signal: AbortSignal, name?: string): Promise<z.output<typeof lane>[]> {
  const lanes = async () => {
    const { connectors } = status.parse(await client.get('/api/status'));
    return connectors.filter((one) => (name === undefined || one.name === name) && one.lag > 0);
  };
  let behind = await lanes();
  const total = Math.max(0, ...behind.map(({ lag }) => lag));
  const bar = progress('delivering', total);
  while (behind.some(({ state }) => state.kind === 'running' || state.kind === 'connecting') && !signal.aborted) {
    await delay(POLL_MS, undefined, { signal }).catch(() => {});
    behind = await lanes();
    bar.set(total - Math.max(0, ...behind.map(({ lag }) => lag)));
  }
  bar.end();
  return behind;
}

async function laneOf(client: AdminClient, name: string): Promise<z.output<typeof lane>> {
  const found = status.parse(await client.get('/api/status')).connectors.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new BridgeError({ code: 'connector-unknown', message: `no connector called ${name} runs there` });
}

function report(
  { json, dryRun, against }: ReconcileOptions,
  read: Run | undefined,
  compared: Compared | undefined,
  waiting: readonly z.output<typeof lane>[],
): void {
  if (json) {
    const connectors = waiting.map(({ name, lag }) => ({ name, lag }));
    print(JSON.stringify({ dryRun: dryRun === true, ...read, against: compared, waiting: connectors }));
    return;
  }
  if (read !== undefined) {
    const { counts } = read;
    const seconds = ((read.endedAt ?? Date.now()) - read.startedAt) / 1_000;
    const fields = Object.entries(counts.fields).sort(([, a], [, b]) => b - a);
    table(
      ['groups', ''],
      [
        ['read', `${counts.read} in ${seconds.toFixed(1)} s`],
        ['in step', String(counts.inStep)],
        [dryRun ? 'would be mended' : 'mended', String(counts.mended)],
        ...fields.map(([field, number]) => [`  ${field}`, String(number)]),
        ['gone', String(counts.gone)],
        ['failed', String(counts.failed)],
      ],
    );
    for (const { groupId, message } of read.failures)
      print(`${paint('red', 'not read')} ${JSON.stringify(groupId)}: ${message}`);
    if (counts.failed > read.failures.length) print(`… and ${counts.failed - read.failures.length} more`);
  }
  if (compared !== undefined) {
    const differed = dryRun ? 'would be mended' : 'mended';
    print(`${against}: ${compared.done} compared, ${compared.mended} ${differed}, ${compared.failed} failed`);
  }
  for (const { name, lag, state } of waiting) {
    const why = state.fault === undefined ? state.kind : state.fault.message;
    print(paint('yellow', `${name}: ${lag} events wait in the journal for the next start (${why})`));
  }
}

function judge(read: Run | undefined, compared: Compared | undefined, { dryRun }: ReconcileOptions): void {
  const again = dryRun ? '' : 'the same command goes on where this one stopped';
  if (read?.stopped !== undefined) {
    throw new BridgeError({ code: 'command-failed', message: `stopped: ${read.stopped}`, suggestion: again });
  }
  const failed = (read?.counts.failed ?? 0) + (compared?.failed ?? 0);
  if (failed > 0)
    throw new BridgeError({ code: 'command-failed', message: `${failed} groups could not be reconciled` });
}
