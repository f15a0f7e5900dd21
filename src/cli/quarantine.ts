import type { Command } from 'commander';
import { discardAnswer, quarantineAnswer, remapAnswer } from '../admin/contract.ts';
import { BridgeError } from '../model/fault.ts';
import { plural } from '../model/text.ts';
import { type AdminOptions, adminClient } from './admin.ts';
import { examples, listOf, onRunningBridge, wholeNumber } from './options.ts';
import { print, table } from './terminal.ts';

export function addQuarantine(program: Command): void {
  const quarantine = program.command('quarantine').description('verified callbacks that could not be mapped');
  onRunningBridge(
    quarantine.command('list').description('list them').addHelpText('after', examples('quarantine list')),
  ).action(list);
  onRunningBridge(
    quarantine.command('retry').description('map them once more').addHelpText('after', examples('quarantine retry')),
  ).action(retry);
  onRunningBridge(
    quarantine
      .command('discard')
      .description('give them up for good')
      .argument('[ids...]', 'by id', listOf(wholeNumber(1)))
      .addHelpText('after', examples('quarantine discard 7 8', 'quarantine discard --all')),
  )
    .option('--all', 'all of them', false)
    .action(discard);
}

async function list(options: AdminOptions): Promise<void> {
  const answer = await adminClient(options).ask(quarantineAnswer, (api) => api.quarantine.$get({ query: {} }));
  if (options.json) return print(JSON.stringify(answer));
  if (answer.quarantined.length === 0) return print('the quarantine is empty');
  table(
    ['id', 'received', 'why', 'body'],
    answer.quarantined.map(({ id, receivedAt, fault, body }) => [
      String(id),
      new Date(receivedAt).toISOString(),
      fault.message,
      body.replaceAll(/\s+/g, ' ').slice(0, 80),
    ]),
  );
}

async function retry(options: AdminOptions): Promise<void> {
  const answer = await adminClient(options).ask(remapAnswer, (api) => api.quarantine.retry.$post());
  if (options.json) return print(JSON.stringify(answer));
  print(`${answer.mapped} mapped, ${answer.left} left`);
}

async function discard(ids: number[] = [], options: AdminOptions & { readonly all: boolean }): Promise<void> {
  if (ids.length === 0 && !options.all) {
    const message = 'name the callbacks by id, or say --all: what is discarded never becomes an event';
    throw new BridgeError({ code: 'usage', message });
  }
  const answer = await adminClient(options).ask(discardAnswer, (api) =>
    api.quarantine.discard.$post({ json: ids.length > 0 ? { ids } : {} }),
  );
  if (options.json) return print(JSON.stringify(answer));
  print(`discarded ${plural(answer.discarded, 'callback')} of the quarantine`);
}
