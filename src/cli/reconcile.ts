import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { z } from 'zod';
import { type ConnectorStatus, groupCount, reconcileStatus, type restoreStatus } from '../admin/contract.ts';
import { type Bridge, startBridge } from '../bridge.ts';
import { BridgeError } from '../model/fault.ts';
import { type AdminClient, type AdminOptions, adminClient, inPath } from './admin.ts';
import { requireConfig } from './configuration.ts';
import { isDelivering, POLL_MS, untilGroupsAreThere } from './connectors.ts';
import { examples, onRunningBridge } from './options.ts';
import { paint, print, progress, table } from './terminal.ts';

interface ReconcileOptions extends AdminOptions {
  readonly group?: string[];
  readonly dryRun?: boolean;
  /** A connector whose copy is compared, too. */
  readonly against?: string;
}

type Run = NonNullable<z.output<typeof reconcileStatus>['run']>;
type Compared = z.output<typeof restoreStatus>;

export function addReconcile(program: Command): void {
  onRunningBridge(
    program
      .command('reconcile')
      .description('read groups by the vendor’s REST API and mend what the callbacks missed')
      .option('--group <id...>', 'only these groups')
      .option('--dry-run', 'say what would be mended, and mend nothing')
      .option('--against <name>', 'also compare the copy of this connector with the journal, and mend it')
      .addHelpText(
        'after',
        '\nGoes through the running bridge or, when there is none, by itself. A run that was stopped goes on where it stopped.',
      )
      .addHelpText('after', examples('reconcile --dry-run --against group-index', 'reconcile --group @TGS#2J4SZEAEL')),
  ).action(reconcile);
}

async function reconcile(options: ReconcileOptions): Promise<void> {
  const { client, own } = await findBridge(options);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  try {
    const status = await client.status();
    const configured = 'reconcile' in status && status.reconcile !== undefined;
    // With --against alone, a bridge without the service's key can still be compared with its own journal.
    const read =
      !configured && options.against !== undefined ? undefined : await readGroups(client, options, stop.signal);
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

/** Returns the running bridge or, where there is none, one that is started for this run only. */
async function findBridge(options: ReconcileOptions): Promise<{ client: AdminClient; own?: Bridge }> {
  const client = adminClient(options);
  try {
    await client.status();
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
  const named = options.config !== undefined && { config: options.config };
  return { client: adminClient({ admin: new URL(own.adminUrl), ...named }), own };
}

function selectionOf({ group: groupIds, dryRun }: ReconcileOptions): { groupIds?: string[]; dryRun?: boolean } {
  return { ...(groupIds && { groupIds }), ...(dryRun && { dryRun }) };
}

async function readGroups(client: AdminClient, options: ReconcileOptions, signal: AbortSignal): Promise<Run> {
  await client.ask(reconcileStatus, (api) => api.reconcile.$post({ json: selectionOf(options) }));
  const bar = progress('reading groups', options.group?.length ?? 0);
  let asked = false;
  for (;;) {
    const { running, run } = await client.ask(reconcileStatus, (api) => api.reconcile.$get());
    if (run !== undefined) bar.set(run.counts.read + run.counts.failed, run.total);
    if (!running && run !== undefined) {
      bar.end();
      return run;
    }
    if (signal.aborted && !asked) {
      asked = true;
      await client.ask(reconcileStatus, (api) => api.reconcile.stop.$post());
    } else {
      await delay(POLL_MS, undefined, { signal }).catch(() => {});
    }
  }
}

async function compare(
  client: AdminClient,
  name: string,
  options: ReconcileOptions,
  signal: AbortSignal,
): Promise<Compared> {
  // The groups just read are delivered first, or they would be taken for differences.
  await drain(client, signal, name);
  const { groups } = await client.ask(groupCount, (api) =>
    api.connectors[':name'].compare.$post({ param: inPath(name), json: selectionOf(options) }),
  );
  const { restore, state } = await untilGroupsAreThere(client, name, `comparing ${name}`, groups, signal);
  if (restore?.ended) return restore;
  const stuck = `${name} is ${state.kind}: ${state.kind === 'waiting' ? state.fault.message : 'resume it'}`;
  const why = signal.aborted ? 'it was stopped' : stuck;
  throw new BridgeError({ code: 'command-failed', message: `${name} could not be compared: ${why}` });
}

/** Waits until the connectors, or the one named, are in step; resolves with those that cannot be. */
async function drain(client: AdminClient, signal: AbortSignal, name?: string): Promise<ConnectorStatus[]> {
  const lagging = async (): Promise<ConnectorStatus[]> => {
    const { connectors } = await client.status();
    return connectors.filter((one) => (name === undefined || one.name === name) && one.lag > 0);
  };
  let behind = await lagging();
  const most = () => Math.max(0, ...behind.map(({ lag }) => lag));
  const total = most();
  const bar = progress('delivering', total);
  while (behind.some(isDelivering) && !signal.aborted) {
    await delay(POLL_MS, undefined, { signal }).catch(() => {});
    behind = await lagging();
    bar.set(total - most());
  }
  bar.end();
  return behind;
}

function report(
  { json, dryRun, against }: ReconcileOptions,
  read: Run | undefined,
  compared: Compared | undefined,
  waiting: readonly ConnectorStatus[],
): void {
  if (json) {
    const connectors = waiting.map(({ name, lag }) => ({ name, lag }));
    print(JSON.stringify({ dryRun: dryRun === true, ...read, against: compared, waiting: connectors }));
    return;
  }
  if (read !== undefined) reportRead(read, dryRun === true);
  if (compared !== undefined) {
    const differed = dryRun ? 'would be mended' : 'mended';
    print(`${against}: ${compared.done} compared, ${compared.mended} ${differed}, ${compared.failed} failed`);
  }
  for (const { name, lag, state } of waiting) {
    const why = state.kind === 'waiting' ? state.fault.message : state.kind;
    print(paint('yellow', `${name}: ${lag} events wait in the journal for the next start (${why})`));
  }
}

function reportRead({ counts, failures, startedAt, endedAt }: Run, dryRun: boolean): void {
  const seconds = ((endedAt ?? Date.now()) - startedAt) / 1_000;
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
  for (const { groupId, message } of failures)
    print(`${paint('red', 'not read')} ${JSON.stringify(groupId)}: ${message}`);
  if (counts.failed > failures.length) print(`… and ${counts.failed - failures.length} more`);
}

/** Throws where not all was done. */
function judge(read: Run | undefined, compared: Compared | undefined, { dryRun }: ReconcileOptions): void {
  if (read?.stopped !== undefined) {
    const again = !dryRun && { suggestion: 'the same command goes on where this one stopped' };
    throw new BridgeError({ code: 'command-failed', message: `stopped: ${read.stopped}`, ...again });
  }
  const failed = (read?.counts.failed ?? 0) + (compared?.failed ?? 0);
  if (failed > 0)
    throw new BridgeError({ code: 'command-failed', message: `${failed} groups could not be reconciled` });
}
