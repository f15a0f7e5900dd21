import { Command } from 'commander';
import { version } from './installation.ts';
import { write } from './terminal.ts';

/** The files of the commands, in the order of the help, each with the names that it adds. */
const COMMANDS: readonly (readonly [names: string, load: () => Promise<(program: Command) => void>])[] = [
  ['start', async () => (await import('./start.ts')).addStart],
  ['init', async () => (await import('./init.ts')).addInit],
  ['check', async () => (await import('./check.ts')).addCheck],
  ['send', async () => (await import('./send.ts')).addSend],
  ['status', async () => (await import('./status.ts')).addStatus],
  ['reload pause resume replay', async () => (await import('./operate.ts')).addOperations],
  ['reconcile', async () => (await import('./reconcile.ts')).addReconcile],
  ['groups', async () => (await import('./groups.ts')).addGroups],
  ['events event tail group', async () => (await import('./events.ts')).addEvents],
  ['dead-letters', async () => (await import('./dead-letters.ts')).addDeadLetters],
  ['quarantine', async () => (await import('./quarantine.ts')).addQuarantine],
  ['schema', async () => (await import('./schema.ts')).addSchema],
  ['demo', async () => (await import('./demo.ts')).addDemo],
];

/** Loads only the file of the command with this name; all of them if there is none, for the help. */
export async function programOf(name = ''): Promise<Command> {
  const program = new Command('group-sync-bridge')
    .description('Keeps other systems’ copies of Tencent Cloud Chat group info in sync.')
    .version(version())
    .showHelpAfterError('(see --help)')
    .configureOutput({
      writeOut: (text) => write(process.stdout, text),
      writeErr: (text) => write(process.stderr, text),
    })
    .exitOverride();
  const called = COMMANDS.filter(([names]) => names.split(' ').includes(name));
  for (const [, load] of called.length > 0 ? called : COMMANDS) (await load())(program);
  return program;
}
