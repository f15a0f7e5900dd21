/** Reads the system's numbers of processes; NaN where there is no /proc. */
import { readFileSync } from 'node:fs';

/** Linux counts in these, whatever the kernel's own clock: sysconf(_SC_CLK_TCK). */
const TICKS_A_SECOND = 100;

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** CPU time that the process and all its threads took so far, user and system, in ms. */
export function cpuMs(pid: number): number {
  return cpuMsIn(`/proc/${pid}/stat`);
}

/** Reads the numbers of the main thread alone, which is the receiver with its journal in a bridge. */
export function mainThreadCpuMs(pid: number): number {
  return cpuMsIn(`/proc/${pid}/task/${pid}/stat`);
}

function cpuMsIn(path: string): number {
  const stat = read(path);
  // The name in parentheses may hold spaces; utime and stime are the 14th and 15th field.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_A_SECOND;
}

/** Returns how long the main thread was ready to run while no core was free for it, in ms: what others take of the machine. */
export function mainThreadWaitedMs(pid: number): number {
  return Number(read(`/proc/${pid}/task/${pid}/schedstat`).split(' ')[1] ?? Number.NaN) / 1e6;
}

/** CPU time of several together. */
export function cpuMsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
}

/** Resident memory now and at its highest, in MB. */
export function memoryMb(pid: number): { readonly now: number; readonly peak: number } {
  const status = read(`/proc/${pid}/status`);
  const megabytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024;
  return { now: megabytes('VmRSS'), peak: megabytes('VmHWM') };
}
