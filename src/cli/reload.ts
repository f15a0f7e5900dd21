import type { Command } from 'commander';
import { reloadAnswer } from '../admin/contract.ts';
import { type AdminOptions, adminClient } from './admin.ts';
import { examples, onRunningBridge } from './options.ts';
import { paint, print } from './terminal.ts';

export function addReload(program: Command): void {
  onRunningBridge(
    program
      .command('reload')
      .description('have the running bridge read its configuration again and take over what changed')
      .addHelpText('after', '\nSIGHUP does the same. A file with problems changes nothing.')
      .addHelpText('after', examples('reload')),
  ).action(reload);
}

async function reload(options: AdminOptions): Promise<void> {
  const answer = await adminClient(options).ask(reloadAnswer, (api) => api.reload.$post());
  if (options.json) return print(JSON.stringify(answer));
  const parts: [title: string, names: readonly string[]][] = [
    ['added', answer.added],
    ['changed', answer.changed],
    ['removed', answer.removed],
    ['now in effect', answer.applied],
    [paint('yellow', 'takes effect at the next start'), answer.needsRestart],
  ];
  const changes = parts.filter(([, names]) => names.length > 0);
  for (const [title, names] of changes) print(`${title}: ${names.join(', ')}`);
  if (changes.length === 0) print('nothing has changed');
}
