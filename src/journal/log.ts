import { closeSync, fdatasync, fdatasyncSync, openSync } from 'node:fs';

/**
 * SQLite's write-ahead log, synced beside the thread that commits. A commit has appended to the log; what was committed
 * before `sync` was called is on disk once it resolves. Syncs may overlap.
 */
export interface Log {
  /** Rejects when the disk refuses: nothing that waits for it may be called recorded. */
  sync(): Promise<void>;
  syncNow(): void;
  close(): void;
}

/** SQLite holds no lock on the log itself, so that closing another descriptor of it releases none. */
export function openLog(file: string): Log {
  // One for each sync that is under way: the system tells each descriptor once that the disk has refused, so that of two
  // syncs that share one the wrong one might learn of it.
  const idle: number[] = [];
  let closed = false;
  // The log comes with the first write, and stays the same file for as long as the journal is open.
  const take = (): number => idle.pop() ?? openSync(`${file}-wal`, 'r+');
  const giveBack = (descriptor: number): void => {
    if (closed) closeSync(descriptor);
    else idle.push(descriptor);
  };
  return {
    sync: () =>
      new Promise((resolve, reject) => {
        const descriptor = take();
        fdatasync(descriptor, (error) => {
          giveBack(descriptor);
          if (error === null) resolve();
          else reject(error);
        });
      }),
    syncNow() {
      const descriptor = take();
      try {
        fdatasyncSync(descriptor);
      } finally {
        giveBack(descriptor);
      }
    },
    close() {
      closed = true;
      for (const descriptor of idle.splice(0)) closeSync(descriptor);
    },
  };
}
