#!/usr/bin/env node
import { CommanderError } from 'commander';
import { ZodError } from 'zod';
import { programOf } from './cli/program.ts';
import { write } from './cli/terminal.ts';
import { BridgeError, describeFault, exitCode, messageOf } from './model/fault.ts';

function sayWhy(thrown: unknown): number {
  // commander has already printed its errors; its code for --help and --version is 0.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
  write(process.stderr, `${reasonOf(thrown)}\n`);
  return thrown instanceof BridgeError ? exitCode(thrown.fault.code) : 1;
}

function reasonOf(thrown: unknown): string {
  if (thrown instanceof BridgeError) return describeFault(thrown.fault);
  if (!(thrown instanceof ZodError)) return messageOf(thrown);
  return 'unexpected answer from the bridge: check that it is of the same version as this command';
}

// The bridge's files hold what people wrote: only their owner may read them.
process.umask(0o077);
// Node 24 warns of each negative time-out in a kafkajs that a user's connector loads, Node 22 of its own SQLite.
process.removeAllListeners('warning');
process.on('warning', (warning) => {
  if (!['TimeoutNegativeWarning', 'ExperimentalWarning'].includes(warning.name))
    write(process.stderr, `${warning.name}: ${warning.message}\n`);
});

// `… | head` closes the pipe early, which is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  write(process.stderr, `the answer cannot be written: ${messageOf(error)}\n`);
  process.exit(1);
});
process.stderr.on('error', () => {});

try {
  const program = await programOf(process.argv[2]);
  await program.parseAsync();
} catch (thrown) {
  process.exitCode = sayWhy(thrown);
}
