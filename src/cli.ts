#!/usr/bin/env node
import { existsSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { ZodError } from 'zod';
import { version } from './cli/installation.ts';
import { write } from './cli/terminal.ts';
import { BridgeError, describeFault, exitCode, messageOf } from './model/fault.ts';

/** What adds the commands of these names, in the order of the help. */
const COMMANDS: readonly (readonly [names: string, load: () => Promise<(program: Command) => void>])[] = [
  ['start', async () => (await import('./cli/start.ts')).addStart],
  ['init', async () => (await import('./cli/init.ts')).addInit],
  ['check', async () => (await import('./cli/check.ts')).addCheck],
  ['send', async () => (await import('./cli/send.ts')).addSend],
  ['status', async () => (await import('./cli/status.ts')).addStatus],
  ['reload pause resume replay', async () => (await import('./cli/operate.ts')).addOperations],
  ['reconcile', async () => (await import('./cli/reconcile.ts')).addReconcile],
  ['groups', async () => (await import('./cli/groups.ts')).addGroups],
  ['events event tail group', async () => (await import('./cli/events.ts')).addEvents],
  ['dead-letters', async () => (await import('./cli/dead-letters.ts')).addDeadLetters],
  ['quarantine', async () => (await import('./cli/quarantine.ts')).addQuarantine],
  ['schema', async () => (await import('./cli/schema.ts')).addSchema],
  ['demo', async () => (await import('./cli/demo.ts')).addDemo],
];

/** Resolves with the program; only the file of the command that is called is loaded, all of them where it is none. */
export async function programOf(name = ''): Promise<Command> {
  const program = new Command('group-sync-bridge')
    .description('Keeps other systems’ copies of Tencent Cloud Chat group info in sync.')
    .version(version())
    .showHelpAfterError('(add --help for what there is)')
    .configureOutput({
      writeOut: (text) => write(process.stdout, text),
      writeErr: (text) => write(process.stderr, text),
    })
    .exitOverride();
  const called = COMMANDS.filter(([names]) => names.split(' ').includes(name));
  for (const [, load] of called.length > 0 ? called : COMMANDS) (await load())(program);
  return program;
}

async function main(): Promise<number> {
  try {
    const program = await programOf(process.argv[2]);
    await program.parseAsync();
    // What a command found may be a failure without being a fault.
    return Number(process.exitCode ?? 0);
  } catch (thrown) {
    // commander has said it already; its own code for --help and --version is 0.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    const { text, code } = saidOf(thrown);
    write(process.stderr, `${text}\n`);
    return code;
  }
}

function saidOf(thrown: unknown): { text: string; code: number } {
  if (thrown instanceof BridgeError) return { text: describeFault(thrown.fault), code: exitCode(thrown.fault.code) };
  if (thrown instanceof ZodError) {
    return { text: 'the bridge answers in another way than this command expects: is it of another version?', code: 1 };
  }
  return { text: messageOf(thrown), code: 1 };
}

/** Says whether this file was called, not imported for its commands. */
function isRun(): boolean {
  const [, named = ''] = process.argv;
  const own = fileURLToPath(import.meta.url);
  // npm calls it by a link; a person may leave the extension out.
  return [named, `${named}.js`].some((file) => existsSync(file) && realpathSync(file) === own);
}

/** Runs the command that the process was called with, to its end. */
export async function run(): Promise<void> {
  // What the bridge writes holds what people wrote: it is its owner's alone.
  process.umask(0o077);
  // A kafkajs that a connector of one's own brings sets timers in the past, and Node 24 would say so each time; Node 22 calls
  // its SQLite experimental.
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (!['TimeoutNegativeWarning', 'ExperimentalWarning'].includes(warning.name))
      write(process.stderr, `${warning.name}: ${warning.message}\n`);
  });

  // `… | head` closes the pipe: nobody reads on, and that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    write(process.stderr, `the answer cannot be written: ${messageOf(error)}\n`);
    process.exit(1);
  });
  process.stderr.on('error', () => {});

  process.exitCode = await main();
}

if (isRun()) await run();
