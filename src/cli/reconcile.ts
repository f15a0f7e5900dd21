import type { Command } from 'commander';
import type { z } from 'zod';
import {
  type ConnectorStatus,
  findingsAnswer,
  groupAnswer,
  groupCount,
  reconcileStatus,
  type restoreStatus,
} from '../admin/contract.ts';
import type { Bridge } from '../bridge.ts';
import { BridgeError } from '../model/fault.ts';
import type { ReconcileFinding } from '../model/reconcile-run.ts';
import type { GroupCopy } from '../model/standing.ts';
import { figure, plural } from '../model/text.ts';
import { type AdminClient, adminClient, inPath } from './admin.ts';
import { followGroups, isDelivering } from './operate.ts';
import { type AdminOptions, addCommand, failed, onRunningBridge, requireConfig } from './options.ts';
import { answer, follow, interruption, type Lines, paint, print, tableLines } from './terminal.ts';

interface ReconcileOptions extends AdminOptions {
  readonly group?: string[];
  readonly dryRun?: boolean;
  readonly allowGone?: boolean;
  /** The connector whose copy is also compared. */
  readonly against?: string;
}

type Run = NonNullable<z.output<typeof reconcileStatus>['run']>;
/** `differing` are the first groups not in step, after a comparison that wrote nothing. */
type Compared = Omit<z.output<typeof restoreStatus>, 'differing'> & {
  readonly differing?: readonly (Pick<GroupCopy, 'standing' | 'differs'> & { readonly groupId: string })[];
};

export function addReconcile(program: Command): void {
  onRunningBridge(
    addCommand(
      program,
      'reconcile',
      'read groups from the vendor’s REST API and mend what the callbacks missed',
      'reconcile --dry-run --against group-index',
      'reconcile --group @TGS#2J4SZEAEL',
    )
      .option('--group <id...>', 'only these groups')
      .option('--dry-run', 'only print what would be mended and destroyed, group by group')
      .option('--allow-gone', 'destroy every group that the service no longer has, however many')
      .option('--against <name>', 'also compare the copy of this connector with the journal, and mend it'),
  )
    .addHelpText('after', `\n${HOW}`)
    .action(reconcile);
}

const HOW = 'Uses the running bridge or, if there is none, runs by itself. A stopped run resumes where it stopped.';

async function reconcile(options: ReconcileOptions): Promise<void> {
  const { against, dryRun } = options;
  const { client, own } = await findBridge(options);
  const signal = interruption();
  try {
    const status = await client.status();
    const configured = 'reconcile' in status && status.reconcile !== undefined;
    // With --against alone, a copy can be compared with the journal even if reconcile is not configured.
    const read = configured || against === undefined ? await readGroups(client, options, signal) : undefined;
    const isCompared = against !== undefined && read?.stopped === undefined;
    const compared = isCompared ? await compare(client, against, options, signal) : undefined;
    const waiting = own === undefined || dryRun ? [] : await drain(client, signal);
    await report(options, read, compared, waiting, read?.dryRun ? findingsOf(client) : []);
    judge(read, compared, options);
  } finally {
    await own?.stop('reconcile ended');
  }
}

/** Returns the running bridge or, if there is none, one that is started for this run only. */
async function findBridge(options: ReconcileOptions): Promise<{ client: AdminClient; own?: Bridge }> {
  const client = adminClient(options);
  try {
    await client.status();
    return { client };
  } catch (thrown) {
    const absent = thrown instanceof BridgeError && thrown.fault.code === 'bridge-unreachable';
    if (!absent || options.admin !== undefined) throw thrown;
  }
  const { config } = await requireConfig(options.config);
  if (!options.json) print(`no bridge runs at ${client.url}: reading and mending from here`);
  const { reconcile, ...rest } = config;
  const alone = {
    ...rest,
    // This run is started below.
    ...(reconcile !== undefined && { reconcile: { ...reconcile, every: undefined } }),
    // Only this process uses it.
    admin: { ...config.admin, host: '127.0.0.1', port: 0 },
  };
  const { startBridge } = await import('../bridge.ts');
  const own = await startBridge(alone, 'warn', { receive: false });
  const named = options.config !== undefined && { config: options.config };
  return { client: adminClient({ admin: new URL(own.adminUrl), ...named }), own };
}

/** Resolves with the run when it has ended; `signal` stops it. */
async function readGroups(
  client: AdminClient,
  options: ReconcileOptions,
  signal: AbortSignal,
): Promise<Run | undefined> {
  const { group: groupIds, dryRun, allowGone } = options;
  await client.ask(reconcileStatus, (api) => api.reconcile.$post({ json: { groupIds, dryRun, allowGone } }));
  const { run } = await follow(
    'reading groups',
    () => client.ask(reconcileStatus, (api) => (signal.aborted ? api.reconcile.stop.$post() : api.reconcile.$get())),
    ({ running, run }) => ({
      done: run === undefined ? 0 : run.counts.read + run.counts.failed,
      total: run?.total ?? groupIds?.length ?? 0,
      over: !running && run !== undefined,
    }),
  );
  return run;
}

async function compare(
  client: AdminClient,
  name: string,
  { group: groupIds, dryRun }: ReconcileOptions,
  signal: AbortSignal,
): Promise<Compared> {
  // Groups that were just read must be delivered first, or they would count as differences.
  await drain(client, signal, name);
  const { groups } = await client.ask(groupCount, (api) =>
    api.connectors[':name'].compare.$post({ param: inPath('name', name), json: { groupIds, dryRun } }),
  );
  const { restore, state } = await followGroups(client, name, groups, `comparing ${name}`, signal);
  if (restore?.ended) return withCopies(client, name, restore);
  const stuck = `${name} is ${state.kind}: ${state.kind === 'waiting' ? state.fault.message : 'resume it'}`;
  const why = signal.aborted ? 'it was stopped' : stuck;
  throw failed(`${name} could not be compared: ${why}`);
}

async function withCopies(client: AdminClient, connector: string, restore: z.output<typeof restoreStatus>) {
  const { differing: groupIds, ...counts } = restore;
  if (groupIds === undefined) return counts;
  const differing = [];
  for (const groupId of groupIds) {
    const { copies } = await client.ask(groupAnswer, (api) => api.group.$get({ query: { id: groupId } }));
    const { standing, differs } = copies.find((copy) => copy.connector === connector) ?? {
      standing: 'unknown' as const,
    };
    differing.push({ groupId, standing, ...(differs !== undefined && { differs }) });
  }
  return { ...counts, differing };
}

/** Waits until the connectors, or the named one, are in step; resolves with those that cannot get there. */
async function drain(client: AdminClient, signal: AbortSignal, name?: string): Promise<ConnectorStatus[]> {
  let total = 0;
  return follow(
    'delivering',
    async () => {
      const { connectors } = await client.status();
      return connectors.filter((one) => (name === undefined || one.name === name) && one.lag !== 0);
    },
    (lagging) => {
      const most = Math.max(0, ...lagging.map(({ lag }) => lag ?? 0));
      total = Math.max(total, most);
      return { done: total - most, total, over: !lagging.some(isDelivering) };
    },
    signal,
  );
}

/** Yields what the dry run found, page by page, since every group may be concerned. */
async function* findingsOf(client: AdminClient): AsyncGenerator<ReconcileFinding> {
  for (let after: number | undefined = 0; after !== undefined; ) {
    const query = { after: String(after), limit: '1000' };
    const page: z.output<typeof findingsAnswer> = await client.ask(findingsAnswer, (api) =>
      api.reconcile.findings.$get({ query }),
    );
    yield* page.findings;
    after = page.next;
  }
}

async function report(
  options: ReconcileOptions,
  read: Run | undefined,
  compared: Compared | undefined,
  waiting: readonly ConnectorStatus[],
  findings: AsyncIterable<ReconcileFinding> | Iterable<ReconcileFinding>,
): Promise<void> {
  const { dryRun = false } = options;
  const differed = dryRun ? 'would be mended' : 'mended';
  const lines = [
    read && readLines(read, differed),
    compared && comparedLines(options, compared, differed),
    waiting.map(({ name, lag, state }) => {
      const why = state.kind === 'waiting' ? state.fault.message : state.kind;
      return paint('yellow', `${name}: ${plural(lag ?? 0, 'event')} in the journal for the next start (${why})`);
    }),
  ];
  const connectors = waiting.map(({ name, lag }) => ({ name, lag }));
  const value = { dryRun, ...read, against: compared, waiting: connectors };
  if (!dryRun || read === undefined) return answer(options, value, lines);
  if (!options.json) {
    for await (const one of findings) print(findingLines(one, read.counts.withheld > 0));
    return print(lines);
  }
  // One JSON document, printed as it is read, a line for each group.
  print(`${JSON.stringify(value).slice(0, -1)},"groups":[`);
  let last: string | undefined;
  for await (const one of findings) {
    if (last !== undefined) print(`${last},`);
    last = JSON.stringify(one);
  }
  print(`${last ?? ''}]}`);
}

function comparedLines({ against, dryRun, group }: ReconcileOptions, compared: Compared, differed: string): Lines {
  const { done, total, mended, failed, differing = [] } = compared;
  const more = dryRun ? mended - differing.length : 0;
  const left = group && total > done && `; of those named ${total - done} not known, or left out by the filter`;
  return [
    `${against}: ${done} compared, ${mended} ${differed}, ${failed} failed${left || ''}`,
    differing.map(({ groupId, differs, standing }) => {
      return `  would be mended ${JSON.stringify(groupId)}: ${(differs ?? [standing]).join(', ')}`;
    }),
    more > 0 && `  … and ${more} more`,
  ];
}

function findingLines({ groupId, name, would, fields }: ReconcileFinding, isWithheld: boolean): Lines {
  const title = `${JSON.stringify(groupId)}${name ? ` ${JSON.stringify(name)}` : ''}`;
  if (would === 'destroy') return paint('red', `${isWithheld ? 'gone at the service' : 'would be destroyed'} ${title}`);
  const said = (text: string | undefined) => (text === undefined ? 'nothing known' : JSON.stringify(text));
  return [
    `would be mended ${title}`,
    fields.map(({ field, before, after }) => `  ${field}: ${said(before)} → ${said(after)}`),
  ];
}

const SHOWN = 20;

function readLines(run: Run, differed: string): Lines {
  const { counts, failures, unlisted, dryRun, startedAt, endedAt, stopped } = run;
  const seconds = ((endedAt ?? Date.now()) - startedAt) / 1_000;
  const fields = Object.entries(counts.fields).sort(([, a], [, b]) => b - a);
  // Gone groups are counted, and destroyed, at the end.
  const destroyed =
    stopped !== undefined && counts.destroyed === 0
      ? 'none yet: the run did not finish'
      : `${counts.destroyed} of ${counts.known} known`;
  const rows = [
    ['read', `${counts.read} in ${seconds.toFixed(1)} s`],
    ['in step', String(counts.inStep)],
    [differed, String(counts.mended)],
    ...fields.map(([field, number]) => [`  ${field}`, String(number)]),
    ['gone', String(counts.gone)],
    [dryRun ? 'would be destroyed' : 'destroyed', destroyed],
    ['failed', String(counts.failed)],
  ];
  const failed = failures
    .slice(0, SHOWN)
    .map(({ groupId, message }) => `${paint('red', 'not read')} ${JSON.stringify(groupId)}: ${message}`);
  const more = counts.failed + counts.lasting - failed.length;
  const lists = unlisted.map(({ groupType, message }) => `${paint('yellow', 'not listed')} ${groupType}: ${message}`);
  return [
    tableLines(['groups', ''], rows),
    lists,
    failed,
    more > 0 && `… and ${more} more`,
    counts.lasting > 0 && `${figure(counts.lasting)} failed again as in earlier runs, which no longer fails a run`,
    counts.withheld > 0 && withheldLine(counts, dryRun),
  ];
}

function withheldLine({ withheld, known }: Run['counts'], dryRun: boolean): string {
  const verb = dryRun ? 'a run would stop here and destroy none' : 'the run destroyed none';
  return paint(
    'red',
    `the service no longer has ${withheld} of ${known} groups known: ${verb} of them (reconcile.maxGone; --allow-gone destroys them)`,
  );
}

/** Throws unless everything was done. */
function judge(read: Run | undefined, compared: Compared | undefined, { dryRun, group }: ReconcileOptions): void {
  if (read?.stopped !== undefined) {
    throw failed(`stopped: ${read.stopped}`, dryRun ? undefined : 'the same command resumes where this one stopped');
  }
  const withheld = dryRun ? 0 : (read?.counts.withheld ?? 0);
  if (withheld > 0) {
    const message = `${withheld} of ${read?.counts.known} groups known are gone at the service, and none was destroyed`;
    const suggestion = 'check sdkAppId and the region; --allow-gone destroys them';
    throw new BridgeError({ code: 'command-failed', path: 'reconcile.maxGone', message, suggestion });
  }
  const unlisted = (read?.unlisted ?? []).filter(({ off }) => !off).map(({ groupType }) => groupType);
  if (unlisted.length > 0) throw failed(`could not list the groups of type ${unlisted.join(', ')}`);
  const left = (read?.counts.failed ?? 0) + (compared?.failed ?? 0);
  if (left > 0) throw failed(`${plural(left, 'group')} could not be reconciled`);
  // Not after a read: the service may know a group that was not recorded yet.
  if (read === undefined && group && compared && compared.done < compared.total) process.exitCode = 1;
}
