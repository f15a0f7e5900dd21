import { readlinkSync, stat } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { basename } from 'node:path';

/** The same as `nice -n 5`: where both want the same core, the receiver's thread has it for three quarters of the time. */
const STEPS = 5;
const LOWEST = 19;

/**
 * Lowers this thread's priority: answering callbacks comes first. Linux only, where threads have priorities of their own;
 * elsewhere, and where it is not allowed, nothing is changed.
 */
export function lowerThreadPriority(): void {
  if (process.platform !== 'linux') return;
  try {
    const thread = Number(basename(readlinkSync('/proc/thread-self')));
    setPriority(thread, Math.min(getPriority() + STEPS, LOWEST));
  } catch {
    // No /proc, or not permitted.
  }
}

/** Starts Node's thread pool, which syncs the journal, from the calling thread, whose priority it inherits. */
export function beginThreadPool(): void {
  stat('.', () => {});
}
