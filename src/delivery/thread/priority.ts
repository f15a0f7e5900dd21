import { readlinkSync, stat } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { basename } from 'node:path';

/** As with `nice -n 5`: where both want the same core, the receiver's thread has it for three quarters of the time. */
const STEPS = 5;
const LOWEST = 19;

/**
 * An answer has 2 s, a copy has more: the thread that calls this steps behind the others of the process. Linux only, where
 * threads have priorities of their own; elsewhere, and where it is not allowed, nothing is changed.
 */
export function stepBehind(): void {
  if (process.platform !== 'linux') return;
  try {
    const thread = Number(basename(readlinkSync('/proc/thread-self')));
    setPriority(thread, Math.min(getPriority() + STEPS, LOWEST));
  } catch {
    // without /proc it stays beside them
  }
}

/**
 * Node's thread pool, which syncs the journal, begins with its first work, and inherits the priority of the thread that it
 * begins on: called on the receiver's before there is another.
 */
export function beginThreadPool(): void {
  stat('.', () => {});
}
