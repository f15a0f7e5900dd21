/** The commands that list the journal's groups, and remove those that strangers made or that are long gone. */
import type { Command } from 'commander';
import type { z } from 'zod';
import { forgetAnswer, groupsPage, pruneAnswer, type pruneRequest } from '../admin/contract.ts';
import { describeFault } from '../model/fault.ts';
import type { Group } from '../model/group.ts';
import { figure, plural } from '../model/text.ts';
import { adminClient } from './admin.ts';
import { lastBy } from './events.ts';
import { shellWord } from './installation.ts';
import { type AdminOptions, addCommand, failed, lengthOfTime, onRunningBridge, wholeNumber } from './options.ts';
import { answer, progress, tableLines } from './terminal.ts';

const MEANING =
  '\nCopies keep what they hold of a forgotten group; its next change starts a new state, which is merged into them\n(in a compacted topic it replaces the old one, until reconcile has read the rest).';

export function addGroups(program: Command): void {
  const parent = program.command('groups').description('the merged groups that the journal keeps');
  onRunningBridge(
    addCommand(parent, 'list', 'list them, by part of an id or name', 'groups list', 'groups list NOTICE --json')
      .argument('[text]', 'part of an id or name', '')
      .option('--after <place>', 'continue from this place, which the previous list printed')
      .option('--limit <number>', 'maximum number', wholeNumber(1), 100),
  ).action(list);
  onRunningBridge(
    addCommand(parent, 'forget', 'forget groups, and their delivered events', 'groups forget @TGS#1 @TGS#2'),
  )
    .argument('<ids...>', 'by id')
    .addHelpText('after', MEANING)
    .action(forget);
  onRunningBridge(
    addCommand(
      parent,
      'prune',
      'forget all groups that were destroyed long ago',
      'groups prune --destroyed --older 30d',
      'groups prune --destroyed --older 30d --dry-run',
    ),
  )
    .requiredOption('--destroyed', 'only destroyed groups: no others can be pruned')
    .requiredOption('--older <duration>', 'destroyed at least this long ago, such as 30d', lengthOfTime)
    .option('--dry-run', 'only print which', false)
    .addHelpText('after', MEANING)
    .action(prune);
}

interface ListOptions extends AdminOptions {
  readonly after?: string;
  readonly limit: number;
}

async function list(search: string, { after, limit, ...options }: ListOptions): Promise<void> {
  const client = adminClient(options);
  const groups: Group[] = [];
  let total = 0;
  let next = after;
  do {
    const query = { search, limit: String(Math.min(limit - groups.length, 1_000)), after: next };
    const page: z.output<typeof groupsPage> = await client.ask(groupsPage, (api) => api.groups.$get({ query }));
    groups.push(...page.groups);
    ({ total, next } = page);
  } while (next !== undefined && groups.length < limit);
  const rows = groups.map((group) => [
    group.groupId,
    group.name ?? '',
    group.groupType ?? '',
    group.updatedAt ?? '',
    lastBy(group),
    group.destroyed ? 'destroyed' : '',
  ]);
  const of = search === '' ? ` of ${figure(total)}` : '';
  const more = next === undefined ? '' : `; more: --after ${shellWord(next)}`;
  const lines = tableLines(['group', 'name', 'type', 'changed', 'by', ''], rows);
  answer(options, { groups, total, next }, lines, `${figure(groups.length)}${of}${more}`);
}

type Kept = ReturnType<typeof forgetAnswer.parse>['kept'];
const keptLines = (kept: Kept): string[] =>
  kept.map(({ groupId, fault }) => `kept ${JSON.stringify(groupId)}: ${describeFault(fault)}`);

function failIf(kept: Kept): void {
  if (kept.length === 0) return;
  throw failed(`${plural(kept.length, 'group')} could not be forgotten`);
}

async function forget(groupIds: string[], options: AdminOptions): Promise<void> {
  const json = { groupIds };
  const { forgotten, kept } = await adminClient(options).ask(forgetAnswer, (api) => api.groups.forget.$post({ json }));
  answer(options, { forgotten, kept }, `forgot ${plural(forgotten, 'group')}`, keptLines(kept));
  failIf(kept);
}

interface PruneOptions extends AdminOptions {
  readonly older: number;
  readonly dryRun: boolean;
}

async function prune(options: PruneOptions): Promise<void> {
  const client = adminClient(options);
  const { older: olderMs, dryRun } = options;
  const groupIds: string[] = [];
  const kept: Kept = [];
  let looked = 0;
  let total = 0;
  const bar = await progress('groups', 0);
  try {
    let after: string | undefined = '';
    while (after !== undefined) {
      const json: z.input<typeof pruneRequest> = { olderMs, after, dryRun };
      const step: z.output<typeof pruneAnswer> = await client.ask(pruneAnswer, (api) =>
        api.groups.prune.$post({ json }),
      );
      groupIds.push(...step.groupIds);
      kept.push(...step.kept);
      looked += step.looked;
      // The bridge no longer counts forgotten groups.
      total = Math.max(total, looked, step.total);
      bar.set(looked, total);
      after = step.next;
    }
  } finally {
    bar.end();
  }
  answer(
    options,
    { groupIds, kept, looked, dryRun },
    `${dryRun ? 'would forget' : 'forgot'} ${plural(groupIds.length, 'group')} of ${figure(looked)}`,
    dryRun && groupIds.map((groupId) => `  ${JSON.stringify(groupId)}`),
    keptLines(kept),
  );
  failIf(kept);
}
