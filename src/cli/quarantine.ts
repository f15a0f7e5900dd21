import type { Command } from 'commander';
import { discardAnswer, quarantineAnswer, remapAnswer } from '../admin/contract.ts';
import { describeFault } from '../model/fault.ts';
import { figure, plural, truncate } from '../model/text.ts';
import { adminClient } from './admin.ts';
import { type AdminOptions, addCommand, listOf, missingOf, misused, onRunningBridge, wholeNumber } from './options.ts';
import { answer, tableLines } from './terminal.ts';

export function addQuarantine(program: Command): void {
  const parent = program.command('quarantine').description('verified callbacks that could not be mapped');
  onRunningBridge(addCommand(parent, 'list', 'list them', 'quarantine list'))
    .option('--after <id>', 'those after this one', wholeNumber(0), 0)
    .option('--limit <number>', 'so many at most', wholeNumber(1), 100)
    .action(list);
  onRunningBridge(addCommand(parent, 'show', 'show one with its whole body', 'quarantine show 7'))
    .argument('<id>', 'by id', wholeNumber(1))
    .action(show);
  onRunningBridge(addCommand(parent, 'retry', 'map them once more', 'quarantine retry')).action(retry);
  const calls = ['quarantine discard 7 8', 'quarantine discard --all'];
  onRunningBridge(addCommand(parent, 'discard', 'give them up for good', ...calls))
    .argument('[ids...]', 'by id', listOf(wholeNumber(1)))
    .option('--all', 'all of them', false)
    .action(discard);
}

interface ListOptions extends AdminOptions {
  readonly after: number;
  readonly limit: number;
}

async function list({ after, limit, ...options }: ListOptions): Promise<void> {
  const query = { after: String(after), limit: String(Math.min(limit, 1_000)) };
  const found = await adminClient(options).ask(quarantineAnswer, (api) => api.quarantine.$get({ query }));
  const rows = found.quarantined.map(({ id, receivedAt, fault, body }) => [
    String(id),
    new Date(receivedAt).toISOString(),
    fault.message,
    truncate(body.replaceAll(/\s+/g, ' '), 80),
  ]);
  const { next, total, quarantined } = found;
  const none = total ? `the quarantine has none after ${after}` : 'the quarantine is empty';
  const lines = rows.length === 0 ? none : tableLines(['id', 'received', 'why', 'body'], rows);
  const of = total === undefined ? '' : ` of ${figure(total)}`;
  const more = next !== undefined && `${figure(quarantined.length)}${of}; more: --after ${next}`;
  answer(options, found, lines, more);
}

async function show(id: number, options: AdminOptions): Promise<void> {
  const query = { after: String(id - 1), limit: '1' };
  const { quarantined } = await adminClient(options).ask(quarantineAnswer, (api) => api.quarantine.$get({ query }));
  const found = quarantined.find((one) => one.id === id);
  if (found === undefined)
    throw misused(`no callback ${id} is in the quarantine`, 'quarantine list says which there are');
  const { receivedAt, search, fault, body } = found;
  const about = [`received ${new Date(receivedAt).toISOString()}`, `why ${describeFault(fault)}`, `query ${search}`];
  answer(options, found, ...about, '', body);
}

async function retry(options: AdminOptions): Promise<void> {
  const remapped = await adminClient(options).ask(remapAnswer, (api) => api.quarantine.retry.$post());
  answer(options, remapped, `${remapped.mapped} mapped, ${remapped.left} left`);
}

async function discard(ids: number[] = [], options: AdminOptions & { readonly all: boolean }): Promise<void> {
  if (ids.length > 0 === options.all) {
    throw misused('name the callbacks by id, or say --all, and not both: what is discarded never becomes an event');
  }
  const json = ids.length > 0 ? { ids } : {};
  const gone = await adminClient(options).ask(discardAnswer, (api) => api.quarantine.discard.$post({ json }));
  const missing = new Set(ids).size - gone.discarded;
  const none = 'nothing was discarded: no such callback is in the quarantine';
  const said = `discarded ${plural(gone.discarded, 'callback')} of the quarantine`;
  answer(options, gone, ids.length > 0 && gone.discarded === 0 ? none : said + missingOf(missing));
  if (missing > 0) process.exitCode = 1;
}
